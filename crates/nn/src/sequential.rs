//! Models of one layer after another.

use crate::functional::{Instance, Symbol, snake_case};
use crate::graph::{Graph, GraphKind};
use crate::layers::InputLayer;
use crate::model::{BuildOptions, Model};
use std::collections::HashMap;
use striate_tensor::{Result, Shape};

/// One layer after another, as Keras's `Sequential`.
///
/// Nothing is computed until [`Sequential::build_on`], which checks every shape before it makes a weight.
#[derive(Debug, Clone)]
pub struct Sequential {
    name: String,
    input: Instance,
    layers: Vec<Instance>,
}

impl Sequential {
    /// A stack for inputs of the given shape, without the batch axis.
    pub fn new(input: impl Into<Shape>) -> Self {
        let input = InputLayer::new(input).into();
        Sequential { name: "sequential".into(), input, layers: Vec::new() }
    }

    /// The model's name. Default `sequential`.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The input's name. Default `input_layer`.
    pub fn input_named(mut self, name: impl Into<String>) -> Self {
        self.input.name = Some(name.into());
        self
    }

    /// Adds a layer, a named layer or a whole model.
    #[allow(clippy::should_implement_trait)] // Keras's name for it
    pub fn add(mut self, layer: impl Into<Instance>) -> Self {
        self.layers.push(layer.into());
        self
    }

    /// The graph, with every shape checked.
    ///
    /// # Errors
    /// Those of the layers, with the layer's name as path.
    pub fn graph(&self) -> Result<Graph> {
        let input = Symbol::input_from(self.input.clone())?;
        let mut symbol = input.clone();
        let mut counts: HashMap<String, usize> = HashMap::new();
        for instance in &self.layers {
            // Errors name a layer as the finished model would: `conv2d_1` for the second.
            let mut shown = instance.name.clone().unwrap_or_else(|| snake_case(instance.layer.class_name()));
            let count = counts.entry(shown.clone()).or_default();
            if *count > 0 && instance.name.is_none() {
                shown = format!("{shown}_{count}");
            }
            *count += 1;
            symbol = Symbol::apply(instance, vec![symbol], &shown)?;
        }
        Graph::new(&self.name, GraphKind::Sequential, &[input], &[symbol])
    }

    /// The model, with fresh weights on a device.
    ///
    /// # Errors
    /// As [`Sequential::graph`]; [`striate_tensor::Error::OutOfMemory`].
    pub fn build_on(self, options: &BuildOptions) -> Result<Model> {
        Model::from_graph(self.graph()?, options)
    }
}
