//! HDF5 as Keras 1, 2 and tf.keras write it, and Keras 3 for `.h5`: groups by layer, with lists of names as attributes.

use super::KERAS_VERSION;
use crate::hdf5::{Group, GroupWriter};
use crate::layer_tree::LayerNode;
use crate::model_file::ModelFile;
use crate::saved_training::SavedTraining;
use crate::weights_file::{CLASSES, Format, PREPROCESSING, StoredLayer, TrainingState, WeightsFile, names};
use serde_json::{Value, json};
use striate_nn::Model;
use striate_tensor::{DType, Error, Result};

/// The group of the weights in a file with a whole model.
const WEIGHTS: &str = "model_weights";

/// Whether a file has Keras's lists of names.
pub(crate) fn is_keras(root: &Group) -> bool {
    root.text("model_config").is_some() || weights(root).list("layer_names").is_some()
}

fn weights(root: &Group) -> &Group {
    root.groups.get(WEIGHTS).unwrap_or(root)
}

/// Reads a whole model or weights alone.
///
/// # Errors
/// [`Error::Data`] if the lists name what the file does not hold.
pub(crate) fn read(name: &str, root: &Group) -> Result<WeightsFile> {
    let mut file = WeightsFile::empty(name, Format::KerasH5);
    let group = weights(root);
    let json = |key: &str| -> Result<Option<Value>> {
        let parse = |text| {
            serde_json::from_str(text)
                .map_err(|e| Error::data(name, format!("`{key}` must be JSON"), e.to_string(), ""))
        };
        root.text(key).map(parse).transpose()
    };
    let text = |key: &str| root.text(key).or_else(|| group.text(key)).map(str::to_string);
    file.keras_version = text("keras_version");
    file.backend = text("backend");
    file.config = json("model_config")?;
    file.class_names = json(CLASSES)?.as_ref().map(names).unwrap_or_default();
    file.preprocessing = text(PREPROCESSING).unwrap_or_default();
    for layer in group.list("layer_names").unwrap_or_default() {
        let missing = |what: &str| {
            Error::data(name, format!("the file must hold `{what}`, as its list says"), "nothing", "it is damaged")
        };
        let inner = group.group(&layer).ok_or_else(|| missing(&layer))?;
        let tensors = tensors(inner).map_err(|weight| missing(&format!("{layer}/{weight}")))?;
        if !tensors.is_empty() {
            file.layers.push(StoredLayer::new(layer, tensors));
        }
    }
    if let Some(config) = json("training_config")? {
        let optimizer = match root.groups.get("optimizer_weights") {
            Some(group) => tensors(group).unwrap_or_default(),
            None => Vec::new(),
        };
        file.training = Some(TrainingState { config, optimizer });
    }
    Ok(file)
}

/// The tensors that a group's list names, in its order; the first name that is not there as the error.
fn tensors(group: &Group) -> Result<Vec<crate::StoredTensor>, String> {
    let names = group.list("weight_names").unwrap_or_default();
    names.into_iter().map(|name| group.tensor(&name).map(|tensor| tensor.clone().renamed(&name)).ok_or(name)).collect()
}

/// A file with the weights of a model alone, as `save_weights` of Keras 2 writes it.
///
/// # Errors
/// What the device reports.
pub(crate) fn write_weights(model: &Model) -> Result<Vec<u8>> {
    let mut root = GroupWriter::default();
    put_weights(&mut root, model)?;
    root.finish()
}

/// A file with a whole model.
///
/// # Errors
/// What the device reports.
pub(crate) fn write_model(file: &ModelFile, config: &Value, training: Option<&SavedTraining>) -> Result<Vec<u8>> {
    let ModelFile { model, class_names, preprocessing } = file;
    let mut root = GroupWriter::default();
    root.set_text("backend", "tensorflow");
    root.set_text("keras_version", KERAS_VERSION);
    root.set_text("model_config", &config.to_string());
    if !class_names.is_empty() {
        root.set_text(CLASSES, &json!(class_names).to_string());
    }
    if !preprocessing.is_empty() {
        root.set_text(PREPROCESSING, preprocessing);
    }
    if let Some(training) = training {
        training.put_h5(&mut root, model)?;
    }
    put_weights(root.group(WEIGHTS), model)?;
    root.finish()
}

fn put_weights(group: &mut GroupWriter, model: &Model) -> Result<()> {
    let tree = LayerNode::as_keras_orders(model);
    group.set_text("backend", "tensorflow");
    group.set_text("keras_version", KERAS_VERSION);
    let layers: Vec<String> = tree.children.iter().map(|layer| layer.name.clone()).collect();
    group.set_list("layer_names", &layers);
    for layer in &tree.children {
        // Keras keeps what is trained before what is not, over all layers of a nested model.
        let weights = layer.trained_first();
        let names: Vec<String> = weights.iter().map(|weight| weight.path.clone()).collect();
        group.group(&layer.name).set_list("weight_names", &names);
        for weight in weights {
            let Some(value) = model.weight(&weight.path) else { continue };
            let values = value.cast(DType::F32)?.to_vec::<f32>()?;
            group.set_tensor(&format!("{}/{}", layer.name, weight.path), value.shape(), values);
        }
    }
    Ok(())
}
