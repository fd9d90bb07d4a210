//! A model's layers as files see them: by name, class and nesting, each with its weights.

use serde_json::Value;
use std::collections::BTreeMap;
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
}

impl LayerNode {
    /// The tree of a model, without the inputs that stacks make for themselves.
    pub(crate) fn of(model: &Model) -> LayerNode {
        // Weights by the path of the layer that has them: found once, since a model may have hundreds of layers.
        let mut specs: BTreeMap<&str, Vec<(&WeightSpec, bool)>> = BTreeMap::new();
        let paths: std::collections::BTreeSet<String> = model.layer_paths().into_iter().collect();
        for (index, (spec, _)) in model.weights().enumerate() {
            let layer =
                spec.path.rmatch_indices('/').map(|(at, _)| &spec.path[..at]).find(|path| paths.contains(*path));
            specs.entry(layer.unwrap_or_default()).or_default().push((spec, model.is_trainable(index)));
        }
        node(&model.graph().to_json(), "", &specs)
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

fn node(entry: &Value, path: &str, specs: &BTreeMap<&str, Vec<(&WeightSpec, bool)>>) -> LayerNode {
    let config = &entry["config"];
    let class = entry["class_name"].as_str().unwrap_or_default().to_string();
    let name = entry["name"].as_str().or_else(|| config["name"].as_str()).unwrap_or_default().to_string();
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
        .filter(|inner| !(class == "Sequential" && inner["class_name"] == "InputLayer"))
        .map(|inner| {
            let inner_name = inner["name"].as_str().or_else(|| inner["config"]["name"].as_str()).unwrap_or_default();
            let inner_path = if path.is_empty() { inner_name.to_string() } else { format!("{path}/{inner_name}") };
            node(inner, &inner_path, specs)
        })
        .collect();
    LayerNode { name, class, path: path.to_string(), weights, children }
}
