//! HDF5 as Keras 3 writes weights: `layers/<class>_<number>/vars/<index>`. Keras 2.13 and 2.14 had another word for `layers`.

use super::options::layer_name;
use crate::hdf5::{Group, GroupWriter};
use crate::layer_tree::{LayerNode, Weight};
use crate::saved_training::SavedTraining;
use crate::weights_file::{StoredLayer, WeightsFile};
use serde_json::Value;
use std::collections::HashMap;
use striate_nn::{Model, snake_case};
use striate_tensor::{DType, Result};

/// The group of a model's layers.
const LAYERS: &str = "layers";
/// The same in Keras 2.13 and 2.14.
const OLD_LAYERS: &str = "_layer_checkpoint_dependencies";
const VARS: &str = "vars";
/// The group in which a wrapper keeps the one layer that it has inside.
const WRAPPED: &str = "layer";

/// Whether a file has a group of layers.
pub(crate) fn is_keras(root: &Group) -> bool {
    root.groups.contains_key(LAYERS) || root.groups.contains_key(OLD_LAYERS)
}

/// Adds the layers that have variables, and what the optimizer has, to a file.
pub(crate) fn read(root: &Group, file: &mut WeightsFile) {
    let layers = [LAYERS, OLD_LAYERS].into_iter().find_map(|word| root.groups.get(word));
    if let Some(layers) = layers {
        walk(layers, LAYERS, "", &mut file.layers);
    }
    let optimizer = root.group("optimizer/vars").map(variables).unwrap_or_default();
    if let Some(training) = &mut file.training {
        training.optimizer = optimizer;
    } else if !optimizer.is_empty() {
        file.training = Some(crate::TrainingState { config: Value::Null, optimizer });
    }
}

/// The numbered tensors of a group in the order of their numbers.
fn variables(vars: &Group) -> Vec<crate::StoredTensor> {
    let mut numbered: Vec<(u32, &crate::StoredTensor)> =
        vars.tensors.iter().filter_map(|(name, tensor)| Some((name.parse().ok()?, tensor))).collect();
    numbered.sort_by_key(|(number, _)| *number);
    numbered.into_iter().map(|(_, tensor)| tensor.clone()).collect()
}

/// Finds the layers that have variables. `names` is the path by the names that layers have in their model, which newer files know.
fn walk(layers: &Group, path: &str, names: &str, found: &mut Vec<StoredLayer>) {
    for (group, layer) in &layers.groups {
        let path = format!("{path}/{group}");
        let vars = layer.groups.get(VARS);
        let name = layer_name(vars.and_then(|vars| vars.text("name")).unwrap_or(group));
        let names = if names.is_empty() { name } else { format!("{names}/{name}") };
        // A wrapper's own variables are states and come last, as in a model here.
        let wrapped = layer.groups.get(WRAPPED).and_then(|inner| inner.groups.get(VARS));
        let mut tensors = wrapped.map(variables).unwrap_or_default();
        let own = vars.map(variables).unwrap_or_default();
        // SpectralNormalization keeps its layer's kernel a second time, before what is its own.
        let is_copy = |copy: &crate::StoredTensor| tensors.first().is_some_and(|kernel| kernel.shape() == copy.shape());
        let copies = usize::from(own.len() > 1 && is_copy(&own[0]));
        tensors.extend(own.into_iter().skip(copies));
        if !tensors.is_empty() {
            let mut stored = StoredLayer::new(path.clone(), tensors);
            stored.path = Some(names.clone());
            found.push(stored);
        }
        for word in [LAYERS, OLD_LAYERS] {
            if let Some(inner) = layer.groups.get(word) {
                walk(inner, &format!("{path}/{LAYERS}"), &names, found);
            }
            if let Some(inner) = layer.groups.get(WRAPPED).and_then(|wrapped| wrapped.groups.get(word)) {
                walk(inner, &format!("{path}/{WRAPPED}/{LAYERS}"), &names, found);
            }
        }
    }
}

/// The names of a container's layers: its class in snake case, with a number from the second of a class on.
pub(crate) fn group_names(layers: &[LayerNode]) -> Vec<String> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    layers
        .iter()
        .map(|layer| {
            let plain = snake_case(&layer.class);
            let count = counts.entry(plain.clone()).or_default();
            let name = if *count == 0 { plain } else { format!("{plain}_{count}") };
            *count += 1;
            name
        })
        .collect()
}

/// A file with the weights of a model, and what the optimizer of its training keeps.
///
/// # Errors
/// What the device reports.
pub(crate) fn write(model: &Model, training: Option<&SavedTraining>) -> Result<Vec<u8>> {
    let mut root = GroupWriter::default();
    root.group(VARS);
    if let Some(training) = training {
        training.put_vars(&mut root, model)?;
    }
    put(&mut root, LAYERS, &LayerNode::as_keras_orders(model).children, model)?;
    root.finish()
}

fn put(root: &mut GroupWriter, path: &str, layers: &[LayerNode], model: &Model) -> Result<()> {
    for (layer, name) in layers.iter().zip(group_names(layers)) {
        let path = format!("{path}/{name}");
        root.group(&format!("{path}/{VARS}")).set_text("name", &layer.name);
        let is_wrapper = matches!(layer.class.as_str(), "TimeDistributed" | "SpectralNormalization");
        let (inner, states): (Vec<&Weight>, Vec<&Weight>) = layer
            .own_trainable_first()
            .into_iter()
            .partition(|weight| is_wrapper && !weight.path.ends_with("/vector_u"));
        let inner = inner.into_iter().enumerate().map(|(i, weight)| (format!("{path}/{WRAPPED}"), i, weight));
        let copied =
            inner.clone().take(usize::from(layer.class == "SpectralNormalization")).map(|(_, _, weight)| weight);
        let states: Vec<&Weight> = copied.chain(states).collect();
        let states = states.into_iter().enumerate().map(|(i, weight)| (path.clone(), i, weight));
        for (own, index, weight) in inner.chain(states) {
            let Some(value) = model.weight(&weight.path) else { continue };
            let values = value.cast(DType::F32)?.to_vec::<f32>()?;
            root.set_tensor(&format!("{own}/{VARS}/{index}"), value.shape(), values);
        }
        if !layer.children.is_empty() {
            let inner = if layer.is_wrapped { format!("{WRAPPED}/{LAYERS}") } else { LAYERS.to_string() };
            put(root, &format!("{path}/{inner}"), &layer.children, model)?;
        }
    }
    Ok(())
}
