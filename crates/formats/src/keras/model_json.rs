//! A model's config as Keras 3 writes it, and what a config says beside its layers.

use super::options::layer_name;
use super::order::layers_in_order;
use serde_json::{Value, json};
use striate_nn::{Model, Registry};
use striate_tensor::{Error, Result};

/// The config of a model for `config.json` and `model_config`.
pub(crate) fn of(model: &Model) -> Value {
    let mut value = model.graph().to_json();
    let frozen: Vec<String> = frozen_layers(model);
    complete(&mut value, "", &frozen);
    reorder(&mut value);
    value
}

/// Lists the layers as Keras will have them: its groups of weights and its optimizer's variables are numbered so.
fn reorder(entry: &mut Value) {
    if let Some(wrapped) = entry["config"].get_mut("layer").filter(|inner| inner["config"]["layers"].is_array()) {
        reorder(wrapped);
    }
    let order = layers_in_order(&entry["config"]);
    let Some(layers) = entry["config"].get_mut("layers").and_then(Value::as_array_mut) else { return };
    let mut old: Vec<Value> = std::mem::take(layers);
    layers.extend(order.into_iter().map(|i| old[i].take()));
    layers.iter_mut().for_each(reorder);
}

/// The layers with weights that would be trained but for being frozen, every one of them.
fn frozen_layers(model: &Model) -> Vec<String> {
    let weights: Vec<(&str, bool)> = model
        .weights()
        .enumerate()
        .filter(|(_, (spec, _))| spec.is_trainable)
        .map(|(index, (spec, _))| (spec.path.as_str(), model.is_trainable(index)))
        .collect();
    let is_frozen = |path: &String| {
        let mut own =
            weights.iter().filter(|(w, _)| w.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('/')));
        own.clone().next().is_some() && own.all(|(_, is_trained)| !is_trained)
    };
    model.layer_paths().into_iter().filter(is_frozen).collect()
}

/// Adds what Keras 3 wants to find: where the class lives, and whether the layer is trained.
fn complete(entry: &mut Value, path: &str, frozen: &[String]) {
    let module = match entry["class_name"].as_str() {
        Some("Sequential") => "keras",
        Some("Functional") => "keras.src.models.functional",
        _ => "keras.layers",
    };
    entry["module"] = json!(module);
    entry["registered_name"] = if module == "keras.src.models.functional" { json!("Functional") } else { Value::Null };
    if entry["class_name"] != "InputLayer" {
        entry["config"]["trainable"] = json!(!frozen.iter().any(|frozen| frozen == path));
    }
    if entry["config"].get("layer").is_some_and(|inner| inner["config"]["layers"].is_array()) {
        complete(&mut entry["config"]["layer"], path, frozen);
    }
    // `get_mut`, since indexing would make the key.
    let layers = entry.get_mut("config").and_then(|config| config.get_mut("layers")).and_then(Value::as_array_mut);
    for inner in layers.into_iter().flatten() {
        let name = inner["config"]["name"].as_str().unwrap_or_default();
        let inner_path = if path.is_empty() { name.to_string() } else { format!("{path}/{name}") };
        complete(inner, &inner_path, frozen);
    }
}

/// The paths of the layers that a config of any Keras says are not trained.
pub(crate) fn untrained_layers(config: &Value) -> Vec<String> {
    let mut found = Vec::new();
    untrained(config, "", &mut found);
    found
}

fn untrained(entry: &Value, path: &str, found: &mut Vec<String>) {
    let config = &entry["config"];
    if config["trainable"] == false && !path.is_empty() {
        found.push(path.to_string());
    }
    for inner in config.as_array().or_else(|| config["layers"].as_array()).into_iter().flatten() {
        if let Some(name) = inner["name"].as_str().or_else(|| inner["config"]["name"].as_str()) {
            let name = layer_name(name);
            let path = if path.is_empty() { name } else { format!("{path}/{name}") };
            untrained(inner, &path, found);
        }
    }
}

/// Refuses a translated config that has layers which cannot be made, naming all of them at once.
///
/// # Errors
/// [`Error::Model`] with each layer's name, class, and what is wrong with it.
pub(crate) fn check_layers(file: &str, config: &Value, registry: &Registry) -> Result<()> {
    let mut wrong = Vec::new();
    collect_wrong(config, registry, &mut wrong);
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Error::model(
        file,
        "every layer of the file must be one that is known here",
        wrong.join("; "),
        "register a constructor for a layer of your own; an option can be changed by saving the model again in Keras",
    ))
}

fn collect_wrong(entry: &Value, registry: &Registry, wrong: &mut Vec<String>) {
    let config = &entry["config"];
    let class = entry["class_name"].as_str().unwrap_or_default();
    if let Some(layers) = config["layers"].as_array() {
        return layers.iter().for_each(|inner| collect_wrong(inner, registry, wrong));
    }
    let name = entry["name"].as_str().unwrap_or_default();
    if !registry.classes().any(|known| known == class) {
        wrong.push(format!("`{name}` is a {class}, which is unknown"));
    } else if let Err(error) = registry.layer_from_json(class, config) {
        wrong.push(format!("`{name}`: {error}"));
    }
}
