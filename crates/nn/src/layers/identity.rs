//! A layer that does nothing.

use crate::config::Config;
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Result, Shape};

/// y = x: a place with a name, for instance to capture a value at.
///
/// # Shapes
/// (n, …) → the same.
///
/// Source: <https://keras.io/api/layers/core_layers/identity/>.
#[derive(Debug, Clone, Copy)]
pub struct Identity;

impl Identity {
    pub(crate) fn from_config(_config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        Ok(Arc::new(Identity))
    }
}

impl Layer for Identity {
    fn class_name(&self) -> &'static str {
        "Identity"
    }

    fn config(&self) -> Map<String, Value> {
        Map::new()
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        Ok(*input)
    }

    fn forward(&self, x: &Var, _ctx: &Context<'_>) -> Result<Var> {
        Ok(x.clone())
    }

    fn is_per_sample(&self) -> bool {
        true
    }
}
