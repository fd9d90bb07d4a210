//! The middle of pictures.

use super::{require_axes, require_channels_last};
use crate::config::Config;
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, Result, Shape};

/// Cuts the middle out of pictures.
///
/// # Shapes
/// (n, height, width, channels) → (n, the layer's height, its width, channels).
///
/// # Errors
/// Pictures smaller than the middle, which Keras would enlarge.
///
/// Source: <https://keras.io/api/layers/preprocessing_layers/image_preprocessing/center_crop/>.
#[derive(Debug, Clone, Copy)]
pub struct CenterCrop {
    height: usize,
    width: usize,
}

impl CenterCrop {
    /// The size of the middle.
    pub fn new(height: usize, width: usize) -> Self {
        CenterCrop { height, width }
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        require_channels_last(config)?;
        Ok(Arc::new(CenterCrop { height: config.usize("height", None)?, width: config.usize("width", None)? }))
    }
}

impl Layer for CenterCrop {
    fn class_name(&self) -> &'static str {
        "CenterCrop"
    }

    fn config(&self) -> Map<String, Value> {
        Map::from_iter([
            ("height".into(), json!(self.height)),
            ("width".into(), json!(self.width)),
            ("data_format".into(), json!("channels_last")),
        ])
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        require_axes("CenterCrop", 2, input)?;
        if self.height == 0 || self.width == 0 || self.height > input[0] || self.width > input[1] {
            return Err(Error::shape(
                "CenterCrop",
                format!("pictures must have at least {} × {} pixels, and the middle one", self.height, self.width),
                crate::graph::batch_shape(input),
                "resize the pictures first",
            ));
        }
        Shape::new(&[self.height, self.width, input[2]])
    }

    fn forward(&self, x: &Var, _ctx: &Context<'_>) -> Result<Var> {
        let shape = x.shape();
        let start = [0, (shape[1] - self.height) / 2, (shape[2] - self.width) / 2, 0];
        x.crop(&start, [shape[0], self.height, self.width, shape[3]])
    }

    fn is_per_sample(&self) -> bool {
        true
    }
}
