//! The exponential linear unit.

use crate::config::{Config, number};
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Activation, Result, Shape};

/// y = x for x > 0, else alpha·(eˣ − 1).
///
/// # Shapes
/// (n, …) → the same.
///
/// Source: <https://keras.io/api/layers/activation_layers/elu/>; Clevert et al. 2015, <https://arxiv.org/abs/1511.07289>.
#[derive(Debug, Clone, Copy)]
pub struct ELU {
    alpha: f32,
}

impl Default for ELU {
    /// Keras's default, 1.0.
    fn default() -> Self {
        ELU::new(1.0)
    }
}

impl ELU {
    /// The limit far below zero is −alpha.
    pub fn new(alpha: f32) -> Self {
        ELU { alpha }
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        Ok(Arc::new(ELU { alpha: config.f32("alpha", Some(1.0))? }))
    }
}

impl Layer for ELU {
    fn class_name(&self) -> &'static str {
        "ELU"
    }

    fn config(&self) -> Map<String, Value> {
        Map::from_iter([("alpha".into(), number(self.alpha))])
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        Ok(*input)
    }

    fn forward(&self, x: &Var, _ctx: &Context<'_>) -> Result<Var> {
        x.activate(Activation::Elu(self.alpha))
    }
}
