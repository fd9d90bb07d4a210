//! Dropout.

use crate::config::{Config, number};
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, Result, Shape};

/// In training, sets each element to 0 with probability `rate` and divides the others by 1 − rate.
///
/// Which elements are dropped is a function of the seed, the step, the layer's path and the element.
///
/// # Shapes
/// (n, …) → the same.
///
/// # Errors
/// A rate outside [0, 1).
///
/// Source: <https://keras.io/api/layers/regularization_layers/dropout/>; Srivastava et al. 2014,
/// <https://jmlr.org/papers/v15/srivastava14a.html>.
#[derive(Debug, Clone, Copy)]
pub struct Dropout {
    rate: f32,
}

impl Dropout {
    /// Drops the given fraction.
    pub fn new(rate: f32) -> Self {
        Dropout { rate }
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        Ok(Arc::new(Dropout { rate: config.f32("rate", None)? }))
    }
}

impl Layer for Dropout {
    fn class_name(&self) -> &'static str {
        "Dropout"
    }

    fn config(&self) -> Map<String, Value> {
        Map::from_iter([("rate".into(), number(self.rate)), ("seed".into(), Value::Null)])
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        if !(0.0..1.0).contains(&self.rate) {
            return Err(Error::argument("Dropout", "the rate must be in [0, 1)", self.rate.to_string(), ""));
        }
        Ok(*input)
    }

    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        if ctx.is_training() { x.dropout(self.rate, ctx.key()) } else { Ok(x.clone()) }
    }
}
