//! A penalty on what passes through.

use crate::config::{Config, number};
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, Result, Shape};

/// y = x, and l1·Σ|x| + l2·Σx², averaged over the samples, is added to the loss of a training step.
///
/// # Shapes
/// (n, …) → the same.
///
/// # Parameters
/// l1 0, l2 0.
///
/// # Errors
/// A negative factor.
///
/// Source: <https://keras.io/api/layers/regularization_layers/activity_regularization/>.
#[derive(Debug, Clone, Copy, Default)]
pub struct ActivityRegularization {
    l1: f32,
    l2: f32,
}

impl ActivityRegularization {
    /// The factors of the absolute values and of the squares.
    pub fn new(l1: f32, l2: f32) -> Self {
        ActivityRegularization { l1, l2 }
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        let (l1, l2) = (config.f32("l1", Some(0.0))?, config.f32("l2", Some(0.0))?);
        Ok(Arc::new(ActivityRegularization { l1, l2 }))
    }
}

impl Layer for ActivityRegularization {
    fn class_name(&self) -> &'static str {
        "ActivityRegularization"
    }

    fn config(&self) -> Map<String, Value> {
        Map::from_iter([("l1".into(), number(self.l1)), ("l2".into(), number(self.l2))])
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        if [self.l1, self.l2].iter().any(|factor| !(0.0..f32::INFINITY).contains(factor)) {
            let received = format!("l1 {}, l2 {}", self.l1, self.l2);
            return Err(Error::argument("ActivityRegularization", "factors must not be negative", received, ""));
        }
        Ok(*input)
    }

    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        if ctx.is_training() {
            let samples = x.shape()[0].max(1) as f32;
            if self.l1 > 0.0 {
                ctx.add_loss(x.abs()?.sum()?.affine(self.l1 / samples, 0.0)?);
            }
            if self.l2 > 0.0 {
                ctx.add_loss(x.square()?.sum()?.affine(self.l2 / samples, 0.0)?);
            }
        }
        Ok(x.clone())
    }
}
