//! The order in which Keras 3 has the layers of a functional model, whatever the order in its file: from the inputs on by their
//! greatest distance to an output, and at one distance as they are met on the way from the outputs. Numbers of groups and of the
//! optimizer's variables follow it.

use serde_json::Value;
use std::collections::HashMap;

/// A call of a layer, by the layer's index and its number.
type Call = (usize, usize);

/// The indices of a functional model's layers in Keras's order, from its config; the plain order for any other model or a config
/// with names that do not fit.
pub(crate) fn layers_in_order(config: &Value) -> Vec<usize> {
    ordered(config, &|_| true)
}

/// The same for a model that may have been read from a file: without the layers that this program put in, which the file's order
/// does not know. They have no weights.
pub(crate) fn layers_as_read(config: &Value) -> Vec<usize> {
    let is_inserted = |layer: &Value| {
        let name = layer["name"].as_str().unwrap_or_default();
        match layer["class_name"].as_str() {
            Some("Permute") => name.contains("_channels_first") || name.contains("_channels_last"),
            Some("Rescaling") => name.ends_with("_scaled"),
            Some("Activation") => name.ends_with("_hard_sigmoid"),
            _ => false,
        }
    };
    ordered(config, &|layer| !is_inserted(layer))
}

fn ordered(config: &Value, counts: &dyn Fn(&Value) -> bool) -> Vec<usize> {
    let layers = config["layers"].as_array().map_or(&[][..], Vec::as_slice);
    let plain = || (0..layers.len()).collect();
    if !config["output_layers"].is_array() {
        return plain();
    }
    in_order(config, layers, counts).filter(|order| order.len() == layers.len()).unwrap_or_else(plain)
}

fn in_order(config: &Value, layers: &[Value], counts: &dyn Fn(&Value) -> bool) -> Option<Vec<usize>> {
    let indices: HashMap<&str, usize> =
        layers.iter().enumerate().filter_map(|(i, layer)| Some((layer["name"].as_str()?, i))).collect();
    let call = |reference: &Value| -> Option<Call> {
        Some((*indices.get(reference[0].as_str()?)?, reference[1].as_u64()? as usize))
    };
    let list = |value: &Value| value.as_array()?.iter().map(call).collect::<Option<Vec<Call>>>();
    let inputs_of = |(layer, number): Call| match layers[layer]["inbound_nodes"].get(number) {
        Some(references) => list(references),
        None => Some(Vec::new()),
    };
    // Depth first from the outputs: layers are numbered when they are met, calls listed when all before them are.
    let mut met: Vec<usize> = Vec::new();
    let mut done: Vec<Call> = Vec::new();
    let mut seen: HashMap<Call, bool> = HashMap::new();
    for output in list(&config["output_layers"])? {
        let mut stack = vec![(output, false)];
        while let Some((call, is_leaving)) = stack.pop() {
            if is_leaving {
                seen.insert(call, true);
                done.push(call);
                continue;
            }
            if seen.contains_key(&call) {
                continue;
            }
            seen.insert(call, false);
            if !met.contains(&call.0) {
                met.push(call.0);
            }
            stack.push((call, true));
            stack.extend(inputs_of(call)?.into_iter().rev().map(|input| (input, false)));
        }
    }
    let mut depth_of_call: HashMap<Call, usize> = HashMap::new();
    let mut depth_of_layer: HashMap<usize, usize> = HashMap::new();
    for &call in done.iter().rev() {
        let layer = depth_of_layer.entry(call.0).or_insert(0);
        let depth = (*depth_of_call.entry(call).or_insert(0)).max(*layer);
        *layer = depth;
        depth_of_call.insert(call, depth);
        for input in inputs_of(call)? {
            let below = depth_of_call.entry(input).or_insert(0);
            *below = (*below).max(depth + usize::from(counts(&layers[call.0])));
        }
    }
    // Inputs that no output needs come last of all.
    for input in list(&config["input_layers"])? {
        depth_of_layer.entry(input.0).or_insert(0);
        if !met.contains(&input.0) {
            met.push(input.0);
        }
    }
    let place: HashMap<usize, usize> = met.iter().enumerate().map(|(place, &layer)| (layer, place)).collect();
    let mut order = met;
    order.sort_by_key(|layer| (std::cmp::Reverse(depth_of_layer.get(layer).copied().unwrap_or(0)), place[layer]));
    Some(order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn layer(name: &str, inputs: &[&str]) -> Value {
        let inputs: Vec<Value> = inputs.iter().map(|input| json!([input, 0, 0, {}])).collect();
        let nodes = if inputs.is_empty() { json!([]) } else { json!([inputs]) };
        json!({ "name": name, "inbound_nodes": nodes })
    }

    fn names(config: &Value) -> Vec<&str> {
        layers_in_order(config).into_iter().map(|i| config["layers"][i]["name"].as_str().unwrap()).collect()
    }

    #[test]
    fn by_distance_to_the_output_then_as_met() {
        // b is listed before a, but the sum takes a first; the short branch c is nearer to the output.
        let config = json!({
            "layers": [layer("x", &[]), layer("c", &["x"]), layer("b", &["x"]), layer("a", &["x"]),
                       layer("sum", &["a", "b"]), layer("end", &["sum", "c"])],
            "input_layers": [["x", 0, 0]],
            "output_layers": [["end", 0, 0]],
        });
        assert_eq!(names(&config), ["x", "a", "b", "sum", "c", "end"]);
    }

    #[test]
    fn other_models_stay_as_they_are() {
        assert_eq!(layers_in_order(&json!({ "layers": [{}, {}] })), [0, 1]);
        let broken = json!({ "layers": [layer("x", &[])], "input_layers": [], "output_layers": [["y", 0, 0]] });
        assert_eq!(layers_in_order(&broken), [0]);
    }
}
