//! Another shape for each sample.

use crate::config::Config;
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, Result, Shape};

/// Gives each sample another shape; one size may be −1, which stands for what is left.
///
/// # Shapes
/// (n, …) → (n, target…).
///
/// # Errors
/// A target with another number of elements, or more than one −1.
///
/// Source: <https://keras.io/api/layers/reshaping_layers/reshape/>.
#[derive(Debug, Clone)]
pub struct Reshape {
    target: Vec<i64>,
}

impl Reshape {
    /// The target shape, without the batch axis.
    pub fn new(target: impl Into<Vec<i64>>) -> Self {
        Reshape { target: target.into() }
    }

    fn resolve(&self, input: &Shape) -> Result<Shape> {
        let refuse = || {
            Error::shape(
                "Reshape",
                "the target must have the elements of the input, with at most one -1",
                format!("{input} to {:?}", self.target),
                "",
            )
        };
        let known =
            self.target.iter().filter(|&&n| n != -1).try_fold(1usize, |p, &n| p.checked_mul(usize::try_from(n).ok()?));
        let known = known.ok_or_else(refuse)?;
        let sizes: Vec<usize> =
            self.target.iter().map(|&n| if n == -1 { input.elements() / known.max(1) } else { n as usize }).collect();
        let open = self.target.iter().filter(|&&n| n == -1).count();
        let shape = Shape::new(&sizes)?;
        if open > 1 || shape.elements() != input.elements() { Err(refuse()) } else { Ok(shape) }
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        Ok(Arc::new(Reshape { target: config.integers("target_shape")? }))
    }
}

impl Layer for Reshape {
    fn class_name(&self) -> &'static str {
        "Reshape"
    }

    fn config(&self) -> Map<String, Value> {
        Map::from_iter([("target_shape".into(), json!(self.target))])
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        self.resolve(input)
    }

    fn forward(&self, x: &Var, _ctx: &Context<'_>) -> Result<Var> {
        let sample = x.shape().without_batch();
        x.reshape(self.resolve(&sample)?.with_batch(x.shape()[0])?)
    }
}
