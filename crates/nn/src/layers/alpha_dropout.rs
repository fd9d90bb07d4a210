//! Dropout that keeps mean and variance, for self-normalizing networks.

use crate::config::{Config, number};
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, Result, Shape, Tensor};

/// The value SELU tends to, −λα.
const FLOOR: f64 = -1.758_099_340_847_376_6;

/// In training, sets each element with probability `rate` to the value that SELU tends to, then scales and shifts so that inputs of
/// mean 0 and variance 1 keep both.
///
/// # Formula
/// y = a·(x where kept, −1.7581 elsewhere) + b with a = ((1 − rate)(1 + rate·1.7581²))^−½ and b = a·1.7581·rate.
///
/// # Shapes
/// (n, …) → the same.
///
/// # Errors
/// A rate outside [0, 1).
///
/// Source: <https://keras.io/api/layers/regularization_layers/alpha_dropout/>; Klambauer et al. 2017,
/// <https://arxiv.org/abs/1706.02515>.
#[derive(Debug, Clone, Copy)]
pub struct AlphaDropout {
    rate: f32,
}

impl AlphaDropout {
    /// Drops the given fraction.
    pub fn new(rate: f32) -> Self {
        AlphaDropout { rate }
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        Ok(Arc::new(AlphaDropout { rate: config.f32("rate", None)? }))
    }
}

impl Layer for AlphaDropout {
    fn class_name(&self) -> &'static str {
        "AlphaDropout"
    }

    fn config(&self) -> Map<String, Value> {
        Map::from_iter([
            ("rate".into(), number(self.rate)),
            ("seed".into(), Value::Null),
            ("noise_shape".into(), Value::Null),
        ])
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        if !(0.0..1.0).contains(&self.rate) {
            return Err(Error::argument("AlphaDropout", "the rate must be in [0, 1)", self.rate.to_string(), ""));
        }
        Ok(*input)
    }

    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        if !ctx.is_training() || self.rate == 0.0 {
            return Ok(x.clone());
        }
        let rate = f64::from(self.rate);
        let a = ((1.0 - rate) * (1.0 + rate * FLOOR * FLOOR)).powf(-0.5);
        let ones = Var::constant(Tensor::full(*x.shape(), 1.0, x.value().dtype(), x.device())?);
        // 1 where an element is kept, 0 elsewhere.
        let kept = ones.dropout(self.rate, ctx.key())?.affine(1.0 - self.rate, 0.0)?;
        let mixed = (&(x * &kept)? + &kept.affine(-FLOOR as f32, FLOOR as f32)?)?;
        mixed.affine(a as f32, (-a * FLOOR * rate) as f32)
    }
}
