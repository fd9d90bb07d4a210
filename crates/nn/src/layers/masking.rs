//! Steps of a series that say nothing.

use crate::config::{Config, number};
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{BinaryOp, Error, ReduceOp, Result, Shape, Tensor, UnaryOp};

/// Sets each step whose elements are all the mask's value to 0.
///
/// Keras also tells later layers which steps these were. Of the layers here only a mean over time would have to know; a file
/// in which such a mean comes after a mask is refused.
///
/// # Shapes
/// (n, …, features) → the same.
///
/// # Parameters
/// mask value 0.
///
/// # Errors
/// An input without features.
///
/// Source: <https://keras.io/api/layers/core_layers/masking/>.
#[derive(Debug, Clone, Copy, Default)]
pub struct Masking {
    mask_value: f32,
}

impl Masking {
    /// Of steps whose elements all have this value.
    pub fn new(mask_value: f32) -> Self {
        Masking { mask_value }
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        Ok(Arc::new(Masking { mask_value: config.f32("mask_value", Some(0.0))? }))
    }
}

impl Layer for Masking {
    fn class_name(&self) -> &'static str {
        "Masking"
    }

    fn config(&self) -> Map<String, Value> {
        Map::from_iter([("mask_value".into(), number(self.mask_value))])
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        if input.rank() == 0 || input.channels() == 0 {
            let received = crate::graph::batch_shape(input);
            return Err(Error::shape("Masking", "the input must be (n, …, features), not empty", received, ""));
        }
        Ok(*input)
    }

    fn forward(&self, x: &Var, _ctx: &Context<'_>) -> Result<Var> {
        // 1 where any element is another, 0 elsewhere: a constant of the pass, as in Keras.
        let like = x.value();
        let scalar = |value: f64| Tensor::full(Shape::SCALAR, value, like.dtype(), like.device());
        let distance = like.sub(&scalar(f64::from(self.mask_value))?)?.unary(UnaryOp::Abs)?;
        let largest = distance.reduce(ReduceOp::Max, &[like.shape().rank() - 1], true)?;
        let kept = scalar(0.0)?.binary(BinaryOp::GreaterEqual, &largest)?.affine(-1.0, 1.0)?;
        x.binary(BinaryOp::Mul, &Var::constant(kept))
    }

    fn is_per_sample(&self) -> bool {
        true
    }
}
