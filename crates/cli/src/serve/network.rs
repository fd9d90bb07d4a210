//! A model as the page sees it: layers with what they take, what they give and what they do.

use super::describe;
use super::layout::Layout;
use serde_json::{Value, json};
use std::collections::HashMap;
use striate::data::{Photograph, Preparation};
use striate::prelude::*;
use striate::viz::Subject;

/// A layer.
#[derive(Debug)]
pub struct Node {
    /// Its path in the model.
    pub path: String,
    /// Keras's class name.
    pub class: String,
    /// Its options by Keras's keys.
    pub config: Value,
    /// The layers whose outputs it takes, as indices of nodes.
    pub inputs: Vec<usize>,
    /// Its output's shape with a batch of one.
    pub shape: Shape,
    /// Numbers of its weights.
    pub parameters: usize,
    /// Left out of the page: a nested model itself and its input, whose values others show.
    pub is_hidden: bool,
}

/// A model with its layers in order.
#[derive(Debug)]
pub struct Network {
    /// The model, how a picture becomes its input, its classes' names.
    pub subject: Subject,
    /// The layers.
    pub nodes: Vec<Node>,
    /// Their paths.
    paths: Vec<String>,
}

impl Network {
    /// Looks at a model, by one pass of an input of zeros.
    ///
    /// # Errors
    /// Those of the pass.
    pub fn new(subject: Subject) -> Result<Network> {
        let input = subject.input_shape();
        let mut nodes = Vec::new();
        collect(&Value::Object(subject.model.graph().to_config()), "", &mut nodes);
        let paths: Vec<String> = nodes.iter().map(|node| node.path.clone()).collect();
        let mut network = Network { subject, nodes, paths };
        let zeros = Tensor::zeros(input.with_batch(1)?, network.subject.model.device())?;
        let values = network.forward(&zeros)?;
        for node in &mut network.nodes {
            let prefix = format!("{}/", node.path);
            let weights = network.subject.model.weights().filter(|(spec, _)| spec.path.starts_with(&prefix));
            node.parameters = weights.map(|(spec, _)| spec.shape.elements()).sum();
            match values.get(&node.path) {
                Some(value) => node.shape = *value.shape(),
                None => node.is_hidden = true,
            }
        }
        Ok(network)
    }

    /// The output of every layer by path.
    ///
    /// # Errors
    /// Those of the pass.
    pub fn forward(&self, input: &Tensor) -> Result<HashMap<String, Tensor>> {
        self.subject.model.activations(std::slice::from_ref(input), &self.paths)
    }

    /// The weight of a layer.
    pub fn weight(&self, node: &Node, name: &str) -> Option<Vec<f32>> {
        self.subject.model.weight(&format!("{}/{name}", node.path)).and_then(|weight| weight.to_vec::<f32>().ok())
    }

    /// The shape of a weight of a layer.
    pub fn weight_shape(&self, node: &Node, name: &str) -> Option<Shape> {
        self.subject.model.weight(&format!("{}/{name}", node.path)).map(|weight| *weight.shape())
    }

    /// The last layer: its output is the model's.
    pub fn last(&self) -> usize {
        self.nodes.iter().rposition(|node| !node.path.contains('/') && node.shape.rank() > 0).unwrap_or(0)
    }

    /// The name of a class.
    pub fn class_name(&self, index: usize) -> String {
        self.subject.class_names.get(index).cloned().unwrap_or_else(|| format!("class {index}"))
    }

    /// The model for the page.
    /// `label` is the file's name.
    pub fn to_json(&self, label: &str) -> Value {
        let layers = self.nodes.iter().enumerate().map(|(index, node)| {
            let layout = Layout::of(&node.shape);
            json!({
                "index": index,
                "name": node.path,
                "class": node.class,
                "sentence": describe::sentence(self, node),
                "shape": node.shape.without_batch().to_vec(),
                "layout": [layout.height, layout.width, layout.channels],
                "is_vector": layout.is_vector,
                "inputs": node.inputs,
                "parameters": node.parameters,
                "is_hidden": node.is_hidden,
            })
        });
        let layers: Vec<Value> = layers.collect();
        let (takes, colour) = match &self.subject.preparation {
            Preparation::Digit => ("digit", "grey"),
            Preparation::Photograph(Photograph { colour, .. }) if colour.channels() == 1 => ("photograph", "grey"),
            Preparation::Photograph(_) => ("photograph", "rgb"),
        };
        json!({
            "name": label,
            "takes": takes,
            "colour": colour,
            "size": self.subject.preparation.input_shape().to_vec(),
            "parameters": self.subject.model.parameter_count(),
            "classes": self.subject.class_names,
            "output": self.last(),
            "layers": layers,
        })
    }
}

/// Adds the layers of a graph's config, nested ones after the layer that holds them.
fn collect(config: &Value, prefix: &str, nodes: &mut Vec<Node>) {
    let path = |name: &str| if prefix.is_empty() { name.to_string() } else { format!("{prefix}/{name}") };
    let mut previous: Option<usize> = None;
    for layer in config["layers"].as_array().into_iter().flatten() {
        let class = layer["class_name"].as_str().unwrap_or_default().to_string();
        let options = layer["config"].clone();
        let name = layer["config"]["name"].as_str().unwrap_or_default();
        let inputs = match layer.get("inbound_nodes") {
            Some(calls) => {
                let first = calls[0].as_array().into_iter().flatten();
                let paths = first.filter_map(|reference| reference[0].as_str()).map(path);
                paths.filter_map(|path| nodes.iter().position(|node| node.path == path)).collect()
            }
            None => previous.into_iter().collect(),
        };
        let nested = options.get("layers").is_some();
        let is_hidden = nested || (class == "InputLayer" && !prefix.is_empty());
        previous = Some(nodes.len());
        nodes.push(Node {
            path: path(name),
            class,
            config: options,
            inputs,
            shape: Shape::SCALAR,
            parameters: 0,
            is_hidden,
        });
        if nested {
            let outer = nodes.len() - 1;
            collect(&layer["config"], &path(name), nodes);
            // What comes into the nested model is its input's value.
            let from = nodes[outer].inputs.clone();
            for node in &mut nodes[outer + 1..] {
                if node.class == "InputLayer" && node.inputs.is_empty() {
                    node.inputs.clone_from(&from);
                }
            }
        }
    }
}
