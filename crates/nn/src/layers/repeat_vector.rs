//! One vector as a series.

use crate::config::Config;
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, Result, Shape};

/// Repeats each sample's features as the steps of a series.
///
/// # Shapes
/// (n, features) → (n, repetitions, features).
///
/// # Errors
/// No repetition; an input that is not (n, features).
///
/// Source: <https://keras.io/api/layers/reshaping_layers/repeat_vector/>.
#[derive(Debug, Clone, Copy)]
pub struct RepeatVector {
    n: usize,
}

impl RepeatVector {
    /// The number of repetitions.
    pub fn new(n: usize) -> Self {
        RepeatVector { n }
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        Ok(Arc::new(RepeatVector { n: config.usize("n", None)? }))
    }
}

impl Layer for RepeatVector {
    fn class_name(&self) -> &'static str {
        "RepeatVector"
    }

    fn config(&self) -> Map<String, Value> {
        Map::from_iter([("n".into(), json!(self.n))])
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        if input.rank() != 1 {
            let received = crate::graph::batch_shape(input);
            return Err(Error::shape("RepeatVector", "the input must be (n, features)", received, "flatten it first"));
        }
        if self.n == 0 {
            return Err(Error::argument("RepeatVector", "n must be at least 1", "0", ""));
        }
        Shape::new(&[self.n, input[0]])
    }

    fn forward(&self, x: &Var, _ctx: &Context<'_>) -> Result<Var> {
        x.reshape([x.shape()[0], 1, x.shape().channels()])?.repeat(1, self.n)
    }
}
