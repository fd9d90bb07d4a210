//! The rectifier whose slope below zero is learnt.

use crate::config::Config;
use crate::initializer::Initializer;
use crate::layer::{Builder, Context, Layer};
use crate::regularizer::Regularizer;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{BinaryOp, Error, Result, Shape, Tensor};

/// y = x for x > 0, else alpha·x, with alpha learnt for each element or shared along axes.
///
/// # Shapes
/// (n, …) → the same. Weight: `alpha`, the shape of a sample with 1 for each shared axis.
///
/// # Parameters
/// no shared axis, which gives a slope to each element of a map; `[1, 2]` shares it over an image, so that each channel has
/// one. The slopes start at 0.
///
/// # Errors
/// A shared axis that the input does not have.
///
/// Source: <https://keras.io/api/layers/activation_layers/prelu/>; He et al. 2015, <https://arxiv.org/abs/1502.01852>.
#[derive(Debug, Clone)]
pub struct PReLU {
    shared_axes: Vec<usize>,
    alpha_initializer: Initializer,
    alpha_regularizer: Option<Regularizer>,
}

impl Default for PReLU {
    fn default() -> Self {
        PReLU { shared_axes: Vec::new(), alpha_initializer: Initializer::Zeros, alpha_regularizer: None }
    }
}

impl PReLU {
    /// A slope for each element.
    pub fn new() -> Self {
        PReLU::default()
    }

    /// Axes along which the slope is the same, counted from 1: the batch axis is 0. Default none.
    pub fn shared_axes(mut self, axes: impl Into<Vec<usize>>) -> Self {
        self.shared_axes = axes.into();
        self
    }

    /// How the slopes start. Default [`Initializer::Zeros`].
    pub fn alpha_initializer(mut self, initializer: Initializer) -> Self {
        self.alpha_initializer = initializer;
        self
    }

    /// A penalty on the slopes. Default none.
    pub fn alpha_regularizer(mut self, regularizer: Regularizer) -> Self {
        self.alpha_regularizer = Some(regularizer);
        self
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        let axes = config.get("shared_axes").map_or(Ok(Vec::new()), |_| config.integers("shared_axes"))?;
        let positive: Option<Vec<usize>> = axes.iter().map(|&axis| usize::try_from(axis).ok()).collect();
        Ok(Arc::new(PReLU {
            shared_axes: positive.ok_or_else(|| {
                Error::model("PReLU", "`shared_axes` must be counted from 1", format!("{axes:?}"), "")
            })?,
            alpha_initializer: config.initializer("alpha_initializer", Initializer::Zeros)?,
            alpha_regularizer: config.regularizer("alpha_regularizer")?,
        }))
    }
}

impl Layer for PReLU {
    fn class_name(&self) -> &'static str {
        "PReLU"
    }

    fn config(&self) -> Map<String, Value> {
        let axes = if self.shared_axes.is_empty() { Value::Null } else { json!(self.shared_axes) };
        Map::from_iter([
            ("alpha_initializer".into(), self.alpha_initializer.to_json()),
            ("alpha_regularizer".into(), self.alpha_regularizer.map_or(Value::Null, Regularizer::to_json)),
            ("shared_axes".into(), axes),
        ])
    }

    fn build(&self, input: &Shape, builder: &mut Builder) -> Result<Shape> {
        let mut sizes = input.to_vec();
        for &axis in &self.shared_axes {
            if axis == 0 || axis > sizes.len() {
                return Err(Error::shape(
                    "PReLU",
                    "shared axes must be axes of the sample, counted from 1",
                    format!("axis {axis} of {}", crate::graph::batch_shape(input)),
                    "",
                ));
            }
            sizes[axis - 1] = 1;
        }
        builder.weight("alpha", Shape::new(&sizes)?, self.alpha_initializer).regularizer(self.alpha_regularizer);
        Ok(*input)
    }

    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        let zero = Tensor::full(Shape::SCALAR, 0.0, x.value().dtype(), x.device())?;
        let below = x.binary(BinaryOp::Minimum, &Var::constant(zero))?;
        &x.relu()? + &(ctx.weight("alpha")? * &below)?
    }
}
