//! From Keras's JSON to layers and graphs, and back.

use crate::config::Config;
use crate::functional::{Call, Instance, Symbol};
use crate::graph::{Graph, GraphKind, Step};
use crate::layer::Layer;
use crate::layers;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use striate_tensor::{Error, Result, Shape};

/// Makes a layer of one class from its options.
pub type Constructor = fn(&Config<'_>) -> Result<Arc<dyn Layer>>;

/// The layer classes that a saved model may name.
#[derive(Debug, Clone)]
pub struct Registry {
    constructors: BTreeMap<String, Constructor>,
}

impl Default for Registry {
    /// All layers of this crate.
    fn default() -> Self {
        let mut registry = Registry { constructors: BTreeMap::new() };
        for &(class, constructor) in layers::CONSTRUCTORS {
            registry.register(class, constructor);
        }
        registry
    }
}

impl Registry {
    /// Adds a class of your own, or replaces one.
    pub fn register(&mut self, class: &str, constructor: Constructor) -> &mut Self {
        self.constructors.insert(class.to_string(), constructor);
        self
    }

    /// The classes known.
    pub fn classes(&self) -> impl Iterator<Item = &str> {
        self.constructors.keys().map(String::as_str)
    }

    /// The graph of a saved model: an object with `class_name` (`Sequential`, `Functional` or `Model`) and `config`.
    ///
    /// # Errors
    /// [`Error::Model`] naming every unknown class at once, or the key that is wrong.
    pub fn graph_from_json(&self, value: &Value) -> Result<Graph> {
        let mut unknown = Vec::new();
        self.collect_unknown(value, &mut unknown);
        if !unknown.is_empty() {
            return Err(Error::model(
                "model",
                "every layer's class must be known",
                format!("unknown: {}", unknown.join(", ")),
                "register a constructor for a layer of your own",
            ));
        }
        let (class, config) = class_and_config(value)?;
        let name = config["name"].as_str().unwrap_or(if class == "Sequential" { "sequential" } else { "functional" });
        // Keras before 2.2.3 wrote a sequential config as a bare list.
        let entries = config.as_array().or_else(|| config["layers"].as_array());
        let entries =
            entries.ok_or_else(|| Error::model(name, "the config must list its layers", config.to_string(), ""))?;
        if class == "Sequential" {
            self.sequential(name, config, entries)
        } else {
            self.functional(name, config, entries)
        }
    }

    fn collect_unknown(&self, value: &Value, unknown: &mut Vec<String>) {
        let Some(class) = value["class_name"].as_str() else { return };
        let config = &value["config"];
        if matches!(class, "Sequential" | "Functional" | "Model") {
            let entries = config.as_array().or_else(|| config["layers"].as_array());
            entries.into_iter().flatten().for_each(|entry| self.collect_unknown(entry, unknown));
        } else if !self.constructors.contains_key(class) && !unknown.iter().any(|known| known == class) {
            unknown.push(class.to_string());
        }
    }

    /// A layer of a class from its options.
    ///
    /// # Errors
    /// [`Error::Model`] for an unknown class, or naming the option that is wrong.
    pub fn layer_from_json(&self, class: &str, options: &Value) -> Result<Arc<dyn Layer>> {
        let constructor = self
            .constructors
            .get(class)
            .ok_or_else(|| Error::model("model", "every layer's class must be known", format!("`{class}`"), ""))?;
        constructor(&Config::new(class, options)?)
    }

    fn instance(&self, entry: &Value) -> Result<Instance> {
        let (class, config) = class_and_config(entry)?;
        let name = entry["name"].as_str().or_else(|| config["name"].as_str());
        let layer: Arc<dyn Layer> = if matches!(class, "Sequential" | "Functional" | "Model") {
            // Its values come with the outer model's weights.
            Arc::new(self.graph_from_json(entry)?)
        } else {
            self.layer_from_json(class, config).map_err(|error| match name {
                Some(name) => error.at(name),
                None => error,
            })?
        };
        Ok(Instance { name: name.map(str::to_string), layer })
    }

    fn sequential(&self, name: &str, config: &Value, entries: &[Value]) -> Result<Graph> {
        let first = entries.first().unwrap_or(&Value::Null);
        let batch_shape = [&first["config"]["batch_shape"], &first["config"]["batch_input_shape"]]
            .into_iter()
            .chain([&config["build_input_shape"]])
            .find(|shape| shape.is_array());
        let shape = layers::shape_from_json(name, batch_shape.unwrap_or(&Value::Null))?;
        let mut rest = entries;
        let mut input = Instance::from(layers::InputLayer::new(shape));
        if first["class_name"] == "InputLayer" {
            rest = &entries[1..];
            input = self.instance(first)?;
        }
        let input = Symbol::input_from(input)?;
        let mut symbol = input.clone();
        for entry in rest {
            symbol = self.instance(entry)?.call(&symbol)?;
        }
        Graph::new(name, GraphKind::Sequential, &[input], &[symbol])
    }

    fn functional(&self, name: &str, config: &Value, entries: &[Value]) -> Result<Graph> {
        // outputs[layer][call][result]
        let mut outputs: BTreeMap<String, Vec<Vec<Symbol>>> = BTreeMap::new();
        let mut instances: BTreeMap<String, (Instance, Vec<Vec<Reference>>)> = BTreeMap::new();
        let mut pending: Vec<(String, usize)> = Vec::new();
        for entry in entries {
            let instance = self.instance(entry)?;
            let layer = instance.name.clone().unwrap_or_default();
            let calls = inbound(name, &entry["inbound_nodes"])?;
            if calls.is_empty() && entry["class_name"] == "InputLayer" {
                outputs.insert(layer.clone(), vec![vec![Symbol::input_from(instance)?]]);
                continue;
            }
            pending.extend((0..calls.len()).map(|call| (layer.clone(), call)));
            instances.insert(layer, (instance, calls));
        }
        // Layers may be listed in any order: apply whatever has its inputs until nothing is left.
        while !pending.is_empty() {
            let before = pending.len();
            let mut waiting = Vec::new();
            for (layer, call) in pending {
                let (instance, calls) = &instances[&layer];
                let done = outputs.get(&layer).map_or(0, Vec::len);
                let ready: Option<Vec<Symbol>> = calls[call]
                    .iter()
                    .map(|(from, index, part)| outputs.get(from)?.get(*index)?.get(*part).cloned())
                    .collect();
                match ready {
                    Some(inputs) if done == call => {
                        let symbol = instance.clone().call(&inputs[..])?;
                        outputs.entry(layer).or_default().push(symbol.results());
                    }
                    _ => waiting.push((layer, call)),
                }
            }
            if waiting.len() == before {
                let stuck: Vec<&str> = waiting.iter().map(|(layer, _)| layer.as_str()).collect();
                return Err(Error::model(
                    name,
                    "every layer's inputs must come from layers of the model, without a circle",
                    stuck.join(", "),
                    "",
                ));
            }
            pending = waiting;
        }
        let ends = |key: &str| -> Result<Vec<Symbol>> {
            references(name, &config[key])?
                .iter()
                .map(|(layer, index, part)| {
                    let call = outputs.get(layer).and_then(|calls| calls.get(*index));
                    call.and_then(|results| results.get(*part)).cloned().ok_or_else(|| {
                        Error::model(name, format!("`{key}` must name layers of the model"), format!("`{layer}`"), "")
                    })
                })
                .collect()
        };
        Graph::new(name, GraphKind::Functional, &ends("input_layers")?, &ends("output_layers")?)
    }
}

/// A layer's name, which of its calls, and which result of the call.
type Reference = (String, usize, usize);

fn class_and_config(value: &Value) -> Result<(&str, &Value)> {
    match (value["class_name"].as_str(), value.get("config")) {
        (Some(class), Some(config)) => Ok((class, config)),
        _ => Err(Error::model("model", "an entry must have `class_name` and `config`", abridged(value), "")),
    }
}

fn abridged(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 120 { text.chars().take(120).collect::<String>() + "…" } else { text }
}

/// One reference `["name", call, tensor]`, or a list of them.
fn references(model: &str, value: &Value) -> Result<Vec<Reference>> {
    let refuse = || Error::model(model, "a reference must be [layer, call, tensor]", abridged(value), "");
    let list = value.as_array().ok_or_else(refuse)?;
    let one = |item: &Value| -> Result<Reference> {
        let layer = item[0].as_str().ok_or_else(refuse)?;
        let number = |i: usize| item[i].as_u64().unwrap_or(0) as usize;
        Ok((layer.to_string(), number(1), number(2)))
    };
    if list.first().is_some_and(Value::is_string) { Ok(vec![one(value)?]) } else { list.iter().map(one).collect() }
}

/// The inputs of each call: `[[["name", call, tensor, {}], …], …]`.
fn inbound(model: &str, value: &Value) -> Result<Vec<Vec<Reference>>> {
    match value.as_array() {
        None => Ok(Vec::new()),
        Some(calls) => calls.iter().map(|call| references(model, call)).collect(),
    }
}

impl Graph {
    /// Keras's config of the model: `name`, `layers`, and for a functional one the inputs and outputs.
    pub fn to_config(&self) -> Map<String, Value> {
        let mut config = Map::new();
        config.insert("name".into(), json!(self.name));
        config.insert("trainable".into(), json!(true));
        let is_first = |step: usize| step == 0 || self.steps[step - 1].call != self.steps[step].call;
        let call_of = |step: usize| {
            let Step { member, call, .. } = self.steps[step];
            let is_earlier = |other: &usize| self.steps[*other].member == member && self.steps[*other].call != call;
            (0..step).filter(is_earlier).filter(|&other| is_first(other)).count()
        };
        let reference = |step: usize| {
            let Step { member, part, .. } = self.steps[step];
            json!([self.members[member].name, call_of(step), part])
        };
        let entries: Vec<Value> = self
            .members
            .iter()
            .enumerate()
            .map(|(index, member)| {
                let mut options = Map::new();
                options.insert("name".into(), json!(member.name));
                options.extend(member.layer.config());
                let mut entry = json!({
                    "module": "keras.layers",
                    "class_name": member.layer.class_name(),
                    "config": options,
                });
                if self.kind == GraphKind::Functional {
                    let calls: Vec<Value> = self
                        .steps
                        .iter()
                        .enumerate()
                        .filter(|(i, step)| step.member == index && !step.inputs.is_empty() && is_first(*i))
                        .map(|(_, step)| {
                            let inputs = step.inputs.iter().map(|&input| {
                                let mut reference = reference(input);
                                if let Some(list) = reference.as_array_mut() {
                                    list.push(json!({}));
                                }
                                reference
                            });
                            Value::Array(inputs.collect())
                        })
                        .collect();
                    entry["name"] = json!(member.name);
                    entry["inbound_nodes"] = Value::Array(calls);
                }
                entry
            })
            .collect();
        config.insert("layers".into(), Value::Array(entries));
        if self.kind == GraphKind::Functional {
            let ends = |steps: &[usize]| Value::Array(steps.iter().map(|&step| reference(step)).collect());
            config.insert("input_layers".into(), ends(&self.inputs));
            config.insert("output_layers".into(), ends(&self.outputs));
        }
        config
    }

    /// What [`Registry::graph_from_json`] reads.
    pub fn to_json(&self) -> Value {
        let class = if self.kind == GraphKind::Sequential { "Sequential" } else { "Functional" };
        json!({ "class_name": class, "config": self.to_config() })
    }

    /// Multiply-adds of one sample's forward pass.
    pub fn total_multiply_adds(&self) -> u64 {
        let one = |step: &Step| {
            let inputs: Vec<Shape> = step.inputs.iter().map(|&input| self.steps[input].shape).collect();
            self.members[step.member].layer.multiply_adds(&inputs, &step.shape)
        };
        let calls = self.steps.chunk_by(|a, b| a.call == b.call);
        calls.map(|results| one(&results[0])).fold(0, u64::saturating_add)
    }
}
