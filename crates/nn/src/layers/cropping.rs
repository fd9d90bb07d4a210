//! A border cut off.

use super::zero_padding::{sides_from_json, sides_to_json};
use super::{require_axes, require_channels_last};
use crate::config::Config;
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, Result, Shape};

/// A border cut off time series: see [`Cropping`].
pub type Cropping1D = Cropping<1>;
/// A border cut off images: see [`Cropping`].
pub type Cropping2D = Cropping<2>;
/// A border cut off volumes: see [`Cropping`].
pub type Cropping3D = Cropping<3>;

/// Cuts elements off both ends of each spatial axis.
///
/// # Shapes
/// (n, spatial…, channels) → (n, spatial − before − after…, channels).
///
/// # Errors
/// A crop that leaves nothing.
///
/// Source: <https://keras.io/api/layers/reshaping_layers/cropping2d/>.
#[derive(Debug, Clone)]
pub struct Cropping<const AXES: usize> {
    cropping: [(usize, usize); AXES],
}

impl<const AXES: usize> Cropping<AXES> {
    /// The same on all sides.
    pub fn new(cropping: usize) -> Self {
        Cropping { cropping: [(cropping, cropping); AXES] }
    }

    /// (before, after) for each axis.
    pub fn sides(cropping: [(usize, usize); AXES]) -> Self {
        Cropping { cropping }
    }

    fn class() -> &'static str {
        ["Cropping1D", "Cropping2D", "Cropping3D"][AXES - 1]
    }

    fn cropped(&self, input: &Shape) -> Result<Shape> {
        let mut sizes = input.to_vec();
        for (size, &(before, after)) in sizes.iter_mut().zip(&self.cropping) {
            *size = size.saturating_sub(before.saturating_add(after));
            if *size == 0 {
                return Err(Error::shape(
                    Self::class(),
                    "something must be left of each axis",
                    format!("{:?} cut off {}", self.cropping, crate::graph::batch_shape(input)),
                    "",
                ));
            }
        }
        Shape::new(&sizes)
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        require_channels_last(config)?;
        // Keras cuts nothing off by default, but one element off both ends of a series and of volumes.
        let default = if AXES == 2 { 0 } else { 1 };
        Ok(Arc::new(Cropping::<AXES> { cropping: sides_from_json(config, "cropping", default)? }))
    }
}

impl<const AXES: usize> Layer for Cropping<AXES> {
    fn class_name(&self) -> &'static str {
        Self::class()
    }

    fn config(&self) -> Map<String, Value> {
        let mut map = Map::from_iter([("cropping".into(), sides_to_json(&self.cropping))]);
        if AXES != 1 {
            map.insert("data_format".into(), json!("channels_last"));
        }
        map
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        require_axes(Self::class(), AXES, input)?;
        self.cropped(input)
    }

    fn forward(&self, x: &Var, _ctx: &Context<'_>) -> Result<Var> {
        let mut start = vec![0; AXES + 2];
        start.iter_mut().skip(1).zip(&self.cropping).for_each(|(start, &(before, _))| *start = before);
        x.crop(&start, self.cropped(&x.shape().without_batch())?.with_batch(x.shape()[0])?)
    }
}
