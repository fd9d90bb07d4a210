//! All axes in one.

use crate::config::Config;
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Result, Shape};

/// Lays out each sample as one row of features.
///
/// # Shapes
/// (n, …) → (n, features).
///
/// Source: <https://keras.io/api/layers/reshaping_layers/flatten/>.
#[derive(Debug, Clone, Copy)]
pub struct Flatten;

impl Flatten {
    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        super::require_channels_last(config)?;
        Ok(Arc::new(Flatten))
    }
}

impl Layer for Flatten {
    fn class_name(&self) -> &'static str {
        "Flatten"
    }

    fn config(&self) -> Map<String, Value> {
        Map::from_iter([("data_format".into(), json!("channels_last"))])
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        Ok(Shape::from([input.elements()]))
    }

    fn forward(&self, x: &Var, _ctx: &Context<'_>) -> Result<Var> {
        x.flatten()
    }
}
