//! A fixed scale and offset.

use crate::config::{Config, number};
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Result, Shape};

/// y = x·scale + offset, to bring pixels to the range a network wants.
///
/// # Shapes
/// (n, …) → the same.
///
/// Source: <https://keras.io/api/layers/preprocessing_layers/image_preprocessing/rescaling/>.
#[derive(Debug, Clone, Copy)]
pub struct Rescaling {
    scale: f32,
    offset: f32,
}

impl Rescaling {
    /// The factor; 1/255 for pixels.
    pub fn new(scale: f32) -> Self {
        Rescaling { scale, offset: 0.0 }
    }

    /// The summand. Default 0.
    pub fn offset(mut self, offset: f32) -> Self {
        self.offset = offset;
        self
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        Ok(Arc::new(Rescaling { scale: config.f32("scale", None)?, offset: config.f32("offset", Some(0.0))? }))
    }
}

impl Layer for Rescaling {
    fn class_name(&self) -> &'static str {
        "Rescaling"
    }

    fn config(&self) -> Map<String, Value> {
        Map::from_iter([("scale".into(), number(self.scale)), ("offset".into(), number(self.offset))])
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        Ok(*input)
    }

    fn forward(&self, x: &Var, _ctx: &Context<'_>) -> Result<Var> {
        x.affine(self.scale, self.offset)
    }
}
