//! A model's layers as files see them: by name, class and nesting, each with its weights.

use crate::keras::options::layer_name;
use crate::keras::order::{layers_as_read, layers_in_order};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use striate_nn::{Model, WeightSpec};
use striate_tensor::Shape;

/// A weight of a model.
#[derive(Debug, Clone)]
pub(crate) struct Weight {
    /// The path in the model: `inner/conv2d/kernel`.
    pub(crate) path: String,
    pub(crate) shape: Shape,
    /// Whether its layer declares it so.
    pub(crate) is_trainable: bool,
    /// The same, and not frozen.
    pub(crate) is_trained: bool,
}

/// A layer, or a model as a layer.
#[derive(Debug)]
pub(crate) struct LayerNode {
    pub(crate) name: String,
    pub(crate) class: String,
    /// The path in the outermost model; empty for that model itself.
    pub(crate) path: String,
    /// The weights that belong to no inner layer.
    pub(crate) weights: Vec<Weight>,
    /// The layers of a model.
    pub(crate) children: Vec<LayerNode>,
    /// Whether the model is inside a wrapper.
    pub(crate) is_wrapped: bool,
}

impl LayerNode {
    /// The tree of a model, without the inputs that stacks make for themselves.
    pub(crate) fn of(model: &Model) -> LayerNode {
        // Weights by the path of the layer that has them: found once, since a model may have hundreds of layers.
        let mut specs: BTreeMap<&str, Vec<(&WeightSpec, bool)>> = BTreeMap::new();
        let tree = model.graph().to_json();
        let mut paths = BTreeSet::new();
        collect_paths(&tree, "", &mut paths);
        for (index, (spec, _)) in model.weights().enumerate() {
            let layer =
                spec.path.rmatch_indices('/').map(|(at, _)| &spec.path[..at]).find(|path| paths.contains(*path));
            specs.entry(layer.unwrap_or_default()).or_default().push((spec, model.is_trainable(index)));
        }
        node(&tree, "", &specs)
    }

    /// The tree with layers in the order in which Keras will have them when it has read the model's config.
    pub(crate) fn as_keras_orders(model: &Model) -> LayerNode {
        let mut tree = LayerNode::of(model);
        tree.sort_by(&model.graph().to_json(), &layers_in_order);
        tree
    }

    /// The tree with layers in the order in which a file's config lists them, which is that of its groups and of its optimizer's
    /// variables; in Keras's where there is no config.
    pub(crate) fn as_listed(model: &Model, config: Option<&Value>) -> LayerNode {
        let mut tree = LayerNode::of(model);
        tree.sort_by(&model.graph().to_json(), &layers_as_read);
        if let Some(config) = config {
            tree.sort_by(config, &|config: &Value| (0..layers_of(config).len()).collect());
        }
        tree
    }

    fn sort_by(&mut self, entry: &Value, order: &dyn Fn(&Value) -> Vec<usize>) {
        let (config, ..) = container(entry);
        let layers = layers_of(config);
        let names: Vec<String> = order(config).into_iter().map(|i| layer_name(name_of(&layers[i]))).collect();
        // What is not listed was put in by this program and has no weights.
        let place = |child: &LayerNode| names.iter().position(|name| *name == child.name).unwrap_or(usize::MAX);
        self.children.sort_by_cached_key(place);
        for child in &mut self.children {
            if let Some(entry) = layers.iter().find(|entry| layer_name(name_of(entry)) == child.name) {
                child.sort_by(entry, order);
            }
        }
    }

    /// The weights that are trained, in Keras's order.
    pub(crate) fn trained(&self) -> Vec<&Weight> {
        let mut weights: Vec<&Weight> = self.own_trainable_first();
        weights.retain(|weight| weight.is_trained);
        weights.extend(self.children.iter().flat_map(LayerNode::trained));
        weights
    }

    /// All weights, those of inner layers included, in the order of the layers.
    pub(crate) fn all_weights(&self) -> Vec<&Weight> {
        self.weights.iter().chain(self.children.iter().flat_map(LayerNode::all_weights)).collect()
    }

    /// All weights, those that are trained first: frozen ones come with the statistics, as in Keras's HDF5 files.
    pub(crate) fn trained_first(&self) -> Vec<&Weight> {
        let mut weights = self.all_weights();
        weights.sort_by_key(|weight| !weight.is_trained);
        weights
    }

    /// The layer's own weights, those that can be trained first, frozen or not.
    pub(crate) fn own_trainable_first(&self) -> Vec<&Weight> {
        let mut weights: Vec<&Weight> = self.weights.iter().collect();
        weights.sort_by_key(|weight| !weight.is_trainable);
        weights
    }
}

/// The config of an entry's layers: its own, or those of the model that it wraps.
fn container(entry: &Value) -> (&Value, &str, bool) {
    let class = entry["class_name"].as_str().unwrap_or_default();
    let inner = &entry["config"]["layer"];
    if inner["config"]["layers"].is_array() {
        return (&inner["config"], inner["class_name"].as_str().unwrap_or_default(), true);
    }
    (&entry["config"], class, false)
}

/// The layers of a model's config, which older Kerases wrote as a bare list.
fn layers_of(config: &Value) -> &[Value] {
    config.as_array().or_else(|| config["layers"].as_array()).map_or(&[][..], Vec::as_slice)
}

fn name_of(entry: &Value) -> &str {
    entry["name"].as_str().or_else(|| entry["config"]["name"].as_str()).unwrap_or_default()
}

fn below(path: &str, entry: &Value) -> String {
    if path.is_empty() { name_of(entry).to_string() } else { format!("{path}/{}", name_of(entry)) }
}

/// The paths of all layers, those in wrapped models included.
fn collect_paths(entry: &Value, path: &str, paths: &mut BTreeSet<String>) {
    for inner in container(entry).0["layers"].as_array().into_iter().flatten() {
        let path = below(path, inner);
        collect_paths(inner, &path, paths);
        paths.insert(path);
    }
}

fn node(entry: &Value, path: &str, specs: &BTreeMap<&str, Vec<(&WeightSpec, bool)>>) -> LayerNode {
    let (config, container_class, is_wrapped) = container(entry);
    let class = entry["class_name"].as_str().unwrap_or_default().to_string();
    let name = name_of(entry).to_string();
    let weights = specs.get(path).into_iter().flatten();
    let weights = weights
        .map(|&(spec, is_trained)| Weight {
            path: spec.path.clone(),
            shape: spec.shape,
            is_trainable: spec.is_trainable,
            is_trained,
        })
        .collect();
    let children = config["layers"]
        .as_array()
        .into_iter()
        .flatten()
        // A stack's own input is no layer to Keras.
        .filter(|inner| !(container_class == "Sequential" && inner["class_name"] == "InputLayer"))
        .map(|inner| node(inner, &below(path, inner), specs))
        .collect();
    LayerNode { name, class, path: path.to_string(), weights, children, is_wrapped }
}
