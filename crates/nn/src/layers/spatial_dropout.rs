//! Dropout of whole maps.

use super::{require_axes, require_channels_last};
use crate::config::{Config, number};
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, Result, Shape, Tensor};

/// Dropout of the channels of time series: see [`SpatialDropout`].
pub type SpatialDropout1D = SpatialDropout<1>;
/// Dropout of the channels of images: see [`SpatialDropout`].
pub type SpatialDropout2D = SpatialDropout<2>;
/// Dropout of the channels of volumes: see [`SpatialDropout`].
pub type SpatialDropout3D = SpatialDropout<3>;

/// In training, sets whole channels of a sample to 0 with probability `rate` and divides the others by 1 − rate: neighbouring
/// elements of a map are so alike that dropping single ones hides nothing.
///
/// # Shapes
/// (n, spatial…, channels) → the same.
///
/// # Errors
/// A rate outside [0, 1).
///
/// Source: <https://keras.io/api/layers/regularization_layers/spatial_dropout2d/>; Tompson et al. 2014,
/// <https://arxiv.org/abs/1411.4280>.
#[derive(Debug, Clone, Copy)]
pub struct SpatialDropout<const AXES: usize> {
    rate: f32,
}

impl<const AXES: usize> SpatialDropout<AXES> {
    /// Drops the given fraction of the channels.
    pub fn new(rate: f32) -> Self {
        SpatialDropout { rate }
    }

    fn class() -> &'static str {
        ["SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"][AXES - 1]
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        require_channels_last(config)?;
        Ok(Arc::new(SpatialDropout::<AXES> { rate: config.f32("rate", None)? }))
    }
}

impl<const AXES: usize> Layer for SpatialDropout<AXES> {
    fn class_name(&self) -> &'static str {
        Self::class()
    }

    fn config(&self) -> Map<String, Value> {
        let mut map = Map::from_iter([("rate".into(), number(self.rate)), ("seed".into(), Value::Null)]);
        if AXES != 1 {
            map.insert("data_format".into(), json!("channels_last"));
        }
        map
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        require_axes(Self::class(), AXES, input)?;
        if !(0.0..1.0).contains(&self.rate) {
            return Err(Error::argument(Self::class(), "the rate must be in [0, 1)", self.rate.to_string(), ""));
        }
        Ok(*input)
    }

    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        if !ctx.is_training() {
            return Ok(x.clone());
        }
        let mut sizes = x.shape().to_vec();
        sizes[1..=AXES].fill(1);
        let ones = Tensor::full(Shape::new(&sizes)?, 1.0, x.value().dtype(), x.device())?;
        x * &Var::constant(ones.dropout(self.rate, ctx.key())?)
    }
}
