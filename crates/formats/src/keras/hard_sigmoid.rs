//! The hard sigmoid of Keras 1 and 2, min(max(0.2x + 0.5, 0), 1), in the words of Keras 3, whose own is min(max(x/6 + 0.5, 0), 1).
//!
//! One is the other of 1.2x: a layer with that activation becomes one without, a scale, and the activation as a layer.

use super::dialect::{Entry, Reference};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};

/// 6 · 0.2.
const SCALE: f64 = 1.2;

fn has_it(entry: &Entry) -> bool {
    let activation = &entry.options["activation"];
    let name = activation.as_str().or_else(|| activation["class_name"].as_str());
    // Keras writes a function by its name alone; tf.keras may wrap that name once more.
    let name = if name == Some("function") { activation["config"].as_str() } else { name };
    matches!(name, Some("hard_sigmoid" | "HardSigmoid"))
}

/// Takes the activation out of a layer; gives the two layers that take its place.
fn split(entry: &mut Entry) -> [Entry; 2] {
    entry.options["activation"] = json!("linear");
    let made = |suffix: &str, class: &str, mut options: Value| {
        let name = format!("{}_{suffix}", entry.name);
        options["name"] = json!(name);
        Entry { class: class.into(), name, options, calls: Vec::new() }
    };
    [
        made("scaled", "Rescaling", json!({ "scale": SCALE, "offset": 0.0 })),
        made("hard_sigmoid", "Activation", json!({ "activation": "hard_sigmoid" })),
    ]
}

/// A stack with today's hard sigmoid.
pub(super) fn sequential(entries: Vec<Entry>) -> Vec<Entry> {
    let mut out = Vec::with_capacity(entries.len());
    for mut entry in entries {
        let more = has_it(&entry).then(|| split(&mut entry));
        out.push(entry);
        out.extend(more.into_iter().flatten());
    }
    out
}

/// A graph with today's hard sigmoid: entries and outputs.
pub(super) fn functional(entries: Vec<Entry>, mut outputs: Vec<Reference>) -> (Vec<Entry>, Vec<Reference>) {
    let mut out: Vec<Entry> = Vec::with_capacity(entries.len());
    // What took the place of a layer, and what still reads the layer itself.
    let mut moved: HashMap<String, String> = HashMap::new();
    let mut scales: HashSet<String> = HashSet::new();
    for mut entry in entries {
        let more = has_it(&entry).then(|| split(&mut entry));
        if let Some([mut scaled, mut activation]) = more {
            let calls = 0..entry.calls.len();
            scaled.calls = calls.clone().map(|call| vec![(entry.name.clone(), call, 0)]).collect();
            activation.calls = calls.map(|call| vec![(scaled.name.clone(), call, 0)]).collect();
            moved.insert(entry.name.clone(), activation.name.clone());
            scales.insert(scaled.name.clone());
            out.extend([entry, scaled, activation]);
        } else {
            out.push(entry);
        }
    }
    let readers = out.iter_mut().filter(|entry| !scales.contains(&entry.name));
    for (name, ..) in readers.flat_map(|entry| entry.calls.iter_mut().flatten()).chain(&mut outputs) {
        if let Some(new) = moved.get(name) {
            name.clone_from(new);
        }
    }
    (out, outputs)
}

#[cfg(test)]
mod tests {
    use super::super::dialect::translate;
    use serde_json::{Value, json};

    fn dense(name: &str, activation: Value) -> Value {
        json!({
            "class_name": "Dense",
            "name": name,
            "config": { "name": name, "units": 1, "activation": activation, "batch_input_shape": [null, 2] },
            "inbound_nodes": [[["input", 0, 0]]],
        })
    }

    fn classes(model: &Value) -> Vec<(&str, &str)> {
        let layers = model["config"]["layers"].as_array().unwrap();
        layers.iter().map(|l| (l["class_name"].as_str().unwrap(), l["name"].as_str().unwrap())).collect()
    }

    #[test]
    fn in_a_stack() {
        let config = json!({ "class_name": "Sequential", "config": [dense("a", json!("hard_sigmoid"))] });
        let new = translate(&config, None, true).unwrap();
        let want =
            [("InputLayer", "a_input"), ("Dense", "a"), ("Rescaling", "a_scaled"), ("Activation", "a_hard_sigmoid")];
        assert_eq!(classes(&new), want);
        assert_eq!(new["config"]["layers"][1]["config"]["activation"], "linear");
        assert_eq!(classes(&translate(&config, None, false).unwrap()).len(), 2, "today's is kept");
    }

    #[test]
    fn in_a_graph() {
        let input = json!({
            "class_name": "InputLayer", "name": "input", "inbound_nodes": [],
            "config": { "name": "input", "batch_input_shape": [null, 2] },
        });
        let mut end = dense("b", json!("linear"));
        end["inbound_nodes"] = json!([[["a", 0, 0]]]);
        let config = json!({
            "class_name": "Model",
            "config": {
                "name": "m",
                "layers": [input, dense("a", json!({"class_name": "function", "config": "hard_sigmoid"})), end],
                "input_layers": [["input", 0, 0]],
                "output_layers": [["b", 0, 0], ["a", 0, 0]],
            },
        });
        let new = translate(&config, None, true).unwrap();
        let layer = |name: &str| {
            new["config"]["layers"].as_array().unwrap().iter().find(|layer| layer["name"] == name).unwrap().clone()
        };
        assert_eq!(layer("b")["inbound_nodes"], json!([[["a_hard_sigmoid", 0, 0, {}]]]));
        assert_eq!(layer("a_hard_sigmoid")["inbound_nodes"], json!([[["a_scaled", 0, 0, {}]]]));
        assert_eq!(layer("a_scaled")["inbound_nodes"], json!([[["a", 0, 0, {}]]]));
        assert_eq!(new["config"]["output_layers"], json!([["b", 0, 0], ["a_hard_sigmoid", 0, 0]]));
    }
}
