//! Model configs of Keras 1, 2, tf.keras and 3, as one form: Keras 3's options, references as lists, channels last.

use super::operations::{self, Translated};
use super::options::{class_of, layer_name, options_of};
use super::{channels_first, hard_sigmoid, masks};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use striate_tensor::{Error, Result};

/// Models inside models.
const MAX_DEPTH: usize = 16;
/// Layers of one model; the largest of Keras's applications has about 700.
const MAX_LAYERS: usize = 10_000;

/// A value of a model: a layer's name, which of its calls, and which of the call's results.
pub(super) type Reference = (String, usize, usize);

/// A layer in the one form.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) class: String,
    pub(super) name: String,
    pub(super) options: Value,
    /// The inputs of each call.
    pub(super) calls: Vec<Vec<Reference>>,
}

impl Entry {
    pub(super) fn to_json(&self) -> Value {
        let calls: Vec<Value> = self
            .calls
            .iter()
            .map(|call| call.iter().map(|(name, index, part)| json!([name, index, part, {}])).collect())
            .collect();
        json!({ "class_name": self.class, "name": self.name, "config": self.options, "inbound_nodes": calls })
    }
}

pub(super) fn is_model(class: &str) -> bool {
    matches!(class, "Sequential" | "Functional")
}

/// Translates a model's config. `input_shape` (without the batch axis) is for models whose sizes are open; `is_old` says that a
/// Keras before the third wrote it.
///
/// # Errors
/// [`Error::Model`] for what is no config of a model.
pub(crate) fn translate(config: &Value, input_shape: Option<&[usize]>, is_old: bool) -> Result<Value> {
    model(config, input_shape, is_old, 0)
}

fn refuse(rule: &str, value: &Value) -> Error {
    let text = value.to_string();
    let short: String = text.chars().take(120).collect();
    Error::model("model_config", rule, short, "the file was written by a program that this one does not know")
}

fn model(value: &Value, input_shape: Option<&[usize]>, is_old: bool, depth: usize) -> Result<Value> {
    if depth > MAX_DEPTH {
        return Err(refuse("models must not be nested deeper than 16", &Value::Null));
    }
    let class = value["class_name"].as_str().ok_or_else(|| refuse("a model must have a `class_name`", value))?;
    let class = class_of(class, &Map::new());
    if !is_model(&class) {
        return Err(Error::model(
            "model_config",
            "the model must be Sequential or Functional",
            format!("`{class}`"),
            "a subclassed model's program is not in its file: build the model here and load only its weights",
        ));
    }
    let config = &value["config"];
    let entries = config.as_array().or_else(|| config["layers"].as_array());
    let entries = entries.ok_or_else(|| refuse("a model's config must list its layers", config))?;
    if entries.len() > MAX_LAYERS {
        return Err(refuse("a model must not have more than 10,000 layers", &json!(entries.len())));
    }
    let mut entries = entries.iter().map(|entry| read_entry(entry, is_old, depth)).collect::<Result<Vec<Entry>>>()?;
    let name = config["name"].as_str().map_or_else(|| class.to_lowercase(), layer_name);
    masks::check(&entries, class == "Sequential")?;
    if let Some(shape) = input_shape {
        fill_open_sizes(&mut entries, shape);
    }
    if class == "Sequential" {
        let open_input = [&config["build_input_shape"], &value["build_config"]["input_shape"]];
        begin_with_input(&mut entries, &open_input, input_shape)?;
        let entries = channels_first::sequential(entries);
        let entries = if is_old { hard_sigmoid::sequential(entries) } else { entries };
        let layers: Vec<Value> = entries.iter().map(Entry::to_json).collect();
        return Ok(json!({ "class_name": class, "config": { "name": name, "layers": layers } }));
    }
    let ends = |key: &str| -> Result<Vec<Reference>> {
        let mut found = Vec::new();
        match &config[key] {
            // Inputs and outputs by name; Keras gives them in the order of their names.
            Value::Object(named) => {
                let sorted: BTreeMap<&String, &Value> = named.iter().collect();
                sorted.values().try_for_each(|end| references(end, &mut found))?;
            }
            list => references(list, &mut found)?,
        }
        if found.is_empty() {
            return Err(refuse("a functional model must name its inputs and outputs", config));
        }
        Ok(found)
    };
    let (inputs, mut outputs) = (ends("input_layers")?, ends("output_layers")?);
    shift_calls(&mut entries, &mut outputs);
    let (entries, outputs) = channels_first::functional(entries, outputs);
    let (entries, outputs) = if is_old { hard_sigmoid::functional(entries, outputs) } else { (entries, outputs) };
    let layers: Vec<Value> = entries.iter().map(Entry::to_json).collect();
    let list = |ends: &[Reference]| -> Vec<Value> { ends.iter().map(|(n, i, p)| json!([n, i, p])).collect() };
    Ok(json!({
        "class_name": class,
        "config": { "name": name, "layers": layers, "input_layers": list(&inputs), "output_layers": list(&outputs) },
    }))
}

fn read_entry(entry: &Value, is_old: bool, depth: usize) -> Result<Entry> {
    let original = entry["class_name"].as_str().ok_or_else(|| refuse("a layer must have a `class_name`", entry))?;
    if let Some(Translated { class, options, inputs }) = operations::translate(entry)? {
        let name = options["name"].as_str().unwrap_or_default().to_string();
        return Ok(Entry { class, name, options: Value::Object(options), calls: vec![inputs] });
    }
    let empty = Map::new();
    let given = entry["config"].as_object().unwrap_or(&empty);
    let class = class_of(original, given);
    let mut calls = Vec::new();
    for call in entry["inbound_nodes"].as_array().into_iter().flatten() {
        let mut inputs = Vec::new();
        references(call, &mut inputs)?;
        calls.push(inputs);
    }
    let (name, options) = if is_model(&class) {
        let inner = model(
            &json!({ "class_name": class, "config": entry["config"], "build_config": entry["build_config"] }),
            None,
            is_old,
            depth + 1,
        )?;
        let name = entry["name"].as_str().map(layer_name);
        (name.or_else(|| inner["config"]["name"].as_str().map(str::to_string)), inner["config"].clone())
    } else {
        let mut options = options_of(original, &class, given);
        if class == "TimeDistributed" {
            wrapped_model(&mut options, is_old, depth)?;
        }
        let name = entry["name"].as_str().or_else(|| given.get("name")?.as_str()).map(layer_name);
        (name, Value::Object(options))
    };
    Ok(Entry { class, name: name.unwrap_or_default(), options, calls })
}

/// Translates the model that a wrapper has inside, if it has one.
fn wrapped_model(options: &mut Map<String, Value>, is_old: bool, depth: usize) -> Result<()> {
    let Some(inner) = options.get_mut("layer") else { return Ok(()) };
    if inner["class_name"].as_str().is_some_and(|class| is_model(&class_of(class, &Map::new()))) {
        *inner = model(inner, None, is_old, depth + 1)?;
    }
    Ok(())
}

/// Collects references: `["name", call, tensor, …]` (Keras 1 and 2), or tensors inside `args` and `kwargs` (Keras 3).
fn references(value: &Value, found: &mut Vec<Reference>) -> Result<()> {
    let mut add = |list: &[Value]| -> Result<()> {
        let index = |i: usize| list.get(i).map_or(Some(0), Value::as_u64).filter(|&n| n < 1 << 20);
        match (list[0].as_str(), index(1), index(2)) {
            (Some(name), Some(call), Some(part)) => found.push((layer_name(name), call as usize, part as usize)),
            _ => return Err(refuse("a reference must be [layer, call, result]", value)),
        }
        Ok(())
    };
    match value {
        Value::Array(list) if list.first().is_some_and(Value::is_string) => add(list),
        Value::Array(list) => list.iter().try_for_each(|item| references(item, found)),
        Value::Object(object) => match object.get("class_name").and_then(Value::as_str) {
            Some("__keras_tensor__") => {
                let history = object.get("config").and_then(|config| config["keras_history"].as_array());
                add(history
                    .filter(|list| !list.is_empty())
                    .ok_or_else(|| refuse("a tensor must have a history", value))?)
            }
            // Of a call's options only its tensors count: `training` and `mask` are not kept.
            Some(_) => Ok(()),
            None => object.values().filter(|v| v.is_array() || v.is_object()).try_for_each(|item| {
                // Lists of plain numbers or texts are options.
                if item.as_array().is_some_and(|list| list.first().is_some_and(Value::is_string)) {
                    return Ok(());
                }
                references(item, found)
            }),
        },
        _ => Ok(()),
    }
}

/// tf.keras counted the making of an inner model as its first call: references to such a model are one too high.
fn shift_calls(entries: &mut [Entry], outputs: &mut [Reference]) {
    let calls: BTreeMap<String, usize> =
        entries.iter().filter(|e| is_model(&e.class)).map(|e| (e.name.clone(), e.calls.len())).collect();
    let is_beyond = |(name, index, _): &&Reference| calls.get(name).is_some_and(|count| index >= count);
    let references = entries.iter().flat_map(|entry| entry.calls.iter().flatten()).chain(outputs.iter());
    let shifted: BTreeSet<String> = references.filter(is_beyond).map(|(name, ..)| name.clone()).collect();
    let inputs = entries.iter_mut().flat_map(|entry| entry.calls.iter_mut().flatten());
    for (_, index, _) in inputs.chain(outputs).filter(|(name, ..)| shifted.contains(name)) {
        *index = index.saturating_sub(1);
    }
}

fn has_open_sizes(shape: &Value) -> bool {
    shape.as_array().is_some_and(|list| list.iter().skip(1).any(Value::is_null))
}

fn batch_shape(shape: &[usize]) -> Value {
    let mut list = vec![Value::Null];
    list.extend(shape.iter().map(|&size| json!(size)));
    Value::Array(list)
}

/// Gives the first open input the shape that the caller wants.
fn fill_open_sizes(entries: &mut [Entry], shape: &[usize]) {
    let open = entries.iter_mut().find(|entry| has_open_sizes(&entry.options["batch_shape"]));
    if let Some(entry) = open {
        entry.options["batch_shape"] = batch_shape(shape);
    }
}

/// Puts an input in front of a stack that has none: from the first layer's shape, or the model's own.
fn begin_with_input(entries: &mut Vec<Entry>, open: &[&Value], wanted: Option<&[usize]>) -> Result<()> {
    let Some(first) = entries.first() else {
        return Err(refuse("a model must have layers", &Value::Null));
    };
    if first.class == "InputLayer" {
        return Ok(());
    }
    let options = &first.options;
    let inner_input =
        options["layers"].as_array().and_then(|layers| layers.first()).map(|e| e["config"]["batch_shape"].clone());
    let from_size = options["input_dim"].as_u64().map(|size| json!([null, size]));
    let shape = std::iter::once(options["batch_shape"].clone())
        .chain(inner_input)
        .chain(from_size)
        .chain(open.iter().map(|&value| value.clone()))
        .find(Value::is_array)
        .or_else(|| wanted.map(batch_shape))
        .ok_or_else(|| {
            Error::model(
                "model_config",
                "the model must say what shape its input has",
                "no shape",
                "give the input shape, such as 224x224x3",
            )
        })?;
    let name = format!("{}_input", first.name);
    let options = json!({ "name": name, "batch_shape": shape });
    entries.insert(0, Entry { class: "InputLayer".into(), name, options, calls: Vec::new() });
    Ok(())
}

/// The names of the layers whose kernels are written in Keras 1's Theano order, (filters, channels, spatial…).
pub(crate) fn layers_in_theano_order(config: &Value, found: &mut Vec<String>) {
    let options = &config["config"];
    if options["dim_ordering"] == "th"
        && let Some(name) = options["name"].as_str()
    {
        found.push(layer_name(name));
    }
    let entries = options.as_array().or_else(|| options["layers"].as_array());
    entries.into_iter().flatten().for_each(|entry| layers_in_theano_order(entry, found));
}
