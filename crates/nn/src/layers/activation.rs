//! Activations as layers of their own.

use crate::activation::Activation;
use crate::config::Config;
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, Result, Shape};

/// Applies an activation; Keras's `Activation` layer.
///
/// # Shapes
/// (n, …) → the same.
///
/// Source: <https://keras.io/api/layers/core_layers/activation/>.
#[derive(Debug, Clone, Copy)]
pub struct ActivationLayer {
    activation: Activation,
}

impl ActivationLayer {
    /// A layer of the given activation.
    pub fn new(activation: impl Into<Activation>) -> Self {
        ActivationLayer { activation: activation.into() }
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        Ok(Arc::new(ActivationLayer { activation: config.activation("activation")? }))
    }
}

impl Layer for ActivationLayer {
    fn class_name(&self) -> &'static str {
        "Activation"
    }

    fn config(&self) -> Map<String, Value> {
        Map::from_iter([("activation".into(), self.activation.to_json())])
    }

    fn build(&self, input: &Shape, builder: &mut Builder) -> Result<Shape> {
        if self.activation == Activation::Softmax { Softmax.build(input, builder) } else { Ok(*input) }
    }

    fn forward(&self, x: &Var, _ctx: &Context<'_>) -> Result<Var> {
        self.activation.apply(x)
    }

    fn is_per_sample(&self) -> bool {
        true
    }
}

/// Softmax along the last axis: as a layer, or as another layer's activation.
///
/// # Formula
/// `y[i] = e^(x[i] − max x) / Σ e^(x[j] − max x)`.
///
/// # Shapes
/// (n, …, classes) → the same; every row sums to 1.
///
/// Source: <https://keras.io/api/layers/activation_layers/softmax/>.
#[derive(Debug, Clone, Copy)]
pub struct Softmax;

impl From<Softmax> for Activation {
    fn from(_: Softmax) -> Self {
        Activation::Softmax
    }
}

impl Softmax {
    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        match config.get("axis") {
            None => Ok(Arc::new(Softmax)),
            Some(axis) if axis == &json!(-1) || axis == &json!([-1]) => Ok(Arc::new(Softmax)),
            Some(axis) => Err(Error::model("Softmax", "`axis` must be -1", axis.to_string(), "permute the axes first")),
        }
    }
}

impl Layer for Softmax {
    fn class_name(&self) -> &'static str {
        "Softmax"
    }

    fn config(&self) -> Map<String, Value> {
        Map::from_iter([("axis".into(), json!(-1))])
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        if input.rank() == 0 || input.channels() == 0 {
            return Err(Error::shape("Softmax", "the last axis must not be empty", input.to_string(), ""));
        }
        Ok(*input)
    }

    fn forward(&self, x: &Var, _ctx: &Context<'_>) -> Result<Var> {
        x.softmax()
    }
}
