//! Noise added in training.

use crate::config::{Config, number};
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, Key, Result, Shape, Tensor};

/// In training, adds normal noise of mean 0 to each element.
///
/// # Shapes
/// (n, …) → the same.
///
/// # Errors
/// A negative standard deviation.
///
/// Source: <https://keras.io/api/layers/regularization_layers/gaussian_noise/>.
#[derive(Debug, Clone, Copy)]
pub struct GaussianNoise {
    stddev: f32,
}

impl GaussianNoise {
    /// The standard deviation.
    pub fn new(stddev: f32) -> Self {
        GaussianNoise { stddev }
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        Ok(Arc::new(GaussianNoise { stddev: config.f32("stddev", None)? }))
    }
}

/// Normal numbers of the shape, type and device of a tensor, a function of the key alone.
pub(super) fn normal_like(x: &Tensor, mean: f64, stddev: f64, key: Key) -> Result<Tensor> {
    let mut stream = key.stream();
    let values = (0..x.elements()).map(|_| (mean + stddev * stream.normal()) as f32).collect::<Vec<f32>>();
    Tensor::from_vec(values, *x.shape(), x.device())?.cast(x.dtype())
}

impl Layer for GaussianNoise {
    fn class_name(&self) -> &'static str {
        "GaussianNoise"
    }

    fn config(&self) -> Map<String, Value> {
        Map::from_iter([("stddev".into(), number(self.stddev)), ("seed".into(), Value::Null)])
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        if !(0.0..f32::INFINITY).contains(&self.stddev) {
            let received = self.stddev.to_string();
            return Err(Error::argument("GaussianNoise", "stddev must not be negative", received, ""));
        }
        Ok(*input)
    }

    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        if !ctx.is_training() {
            return Ok(x.clone());
        }
        x + &Var::constant(normal_like(x.value(), 0.0, f64::from(self.stddev), ctx.key())?)
    }
}
