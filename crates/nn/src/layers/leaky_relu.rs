//! The rectifier with a slope below zero.

use crate::config::{Config, number};
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Activation, Result, Shape};

/// y = x for x > 0, else slope·x.
///
/// # Shapes
/// (n, …) → the same.
///
/// Source: <https://keras.io/api/layers/activation_layers/leaky_relu/>; Maas et al. 2013.
#[derive(Debug, Clone, Copy)]
pub struct LeakyReLU {
    negative_slope: f32,
}

impl Default for LeakyReLU {
    /// Keras's default, 0.3.
    fn default() -> Self {
        LeakyReLU::new(0.3)
    }
}

impl LeakyReLU {
    /// The slope below zero.
    pub fn new(negative_slope: f32) -> Self {
        LeakyReLU { negative_slope }
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        // `alpha` is Keras 2's word for it.
        let alpha = config.f32("alpha", Some(0.3))?;
        Ok(Arc::new(LeakyReLU { negative_slope: config.f32("negative_slope", Some(alpha))? }))
    }
}

impl Layer for LeakyReLU {
    fn class_name(&self) -> &'static str {
        "LeakyReLU"
    }

    fn config(&self) -> Map<String, Value> {
        Map::from_iter([("negative_slope".into(), number(self.negative_slope))])
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        Ok(*input)
    }

    fn forward(&self, x: &Var, _ctx: &Context<'_>) -> Result<Var> {
        x.activate(Activation::LeakyRelu(self.negative_slope))
    }
}
