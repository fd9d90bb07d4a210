//! Noise multiplied in training.

use super::gaussian_noise::normal_like;
use crate::config::{Config, number};
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, Result, Shape};

/// In training, multiplies each element by normal noise of mean 1 and standard deviation √(rate / (1 − rate)), the deviation
/// that dropout with this rate has.
///
/// # Shapes
/// (n, …) → the same.
///
/// # Errors
/// A rate outside [0, 1).
///
/// Source: <https://keras.io/api/layers/regularization_layers/gaussian_dropout/>; Srivastava et al. 2014,
/// <https://jmlr.org/papers/v15/srivastava14a.html>.
#[derive(Debug, Clone, Copy)]
pub struct GaussianDropout {
    rate: f32,
}

impl GaussianDropout {
    /// The rate of the dropout that it stands for.
    pub fn new(rate: f32) -> Self {
        GaussianDropout { rate }
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        Ok(Arc::new(GaussianDropout { rate: config.f32("rate", None)? }))
    }
}

impl Layer for GaussianDropout {
    fn class_name(&self) -> &'static str {
        "GaussianDropout"
    }

    fn config(&self) -> Map<String, Value> {
        Map::from_iter([("rate".into(), number(self.rate)), ("seed".into(), Value::Null)])
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        if !(0.0..1.0).contains(&self.rate) {
            return Err(Error::argument("GaussianDropout", "the rate must be in [0, 1)", self.rate.to_string(), ""));
        }
        Ok(*input)
    }

    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        if !ctx.is_training() {
            return Ok(x.clone());
        }
        let rate = f64::from(self.rate);
        x * &Var::constant(normal_like(x.value(), 1.0, (rate / (1.0 - rate)).sqrt(), ctx.key())?)
    }
}
