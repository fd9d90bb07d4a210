//! Larger maps from smaller ones.

use super::interpolation::{Interpolation, resample};
use super::{Sizes, require_axes, require_channels_last};
use crate::config::Config;
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, Result, Shape};

/// Longer time series: see [`UpSampling`].
pub type UpSampling1D = UpSampling<1>;
/// Larger images: see [`UpSampling`].
pub type UpSampling2D = UpSampling<2>;
/// Larger volumes: see [`UpSampling`].
pub type UpSampling3D = UpSampling<3>;

/// Makes each spatial axis `size` times as large.
///
/// # Shapes
/// (n, spatial…, channels) → (n, spatial · size…, channels).
///
/// # Parameters
/// size 2; interpolation nearest, which alone works for more than images.
///
/// # Errors
/// A size of 0; another interpolation of anything but images.
///
/// Source: <https://keras.io/api/layers/reshaping_layers/up_sampling2d/>.
#[derive(Debug, Clone)]
pub struct UpSampling<const AXES: usize> {
    size: [usize; AXES],
    interpolation: Interpolation,
}

impl<const AXES: usize> UpSampling<AXES> {
    /// The factor of each axis, one number for all or one for each.
    pub fn new(size: impl Sizes<AXES>) -> Self {
        UpSampling { size: size.sizes(), interpolation: Interpolation::Nearest }
    }

    /// Where the elements between come from. Default [`Interpolation::Nearest`].
    pub fn interpolation(mut self, interpolation: Interpolation) -> Self {
        self.interpolation = interpolation;
        self
    }

    fn class() -> &'static str {
        ["UpSampling1D", "UpSampling2D", "UpSampling3D"][AXES - 1]
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        require_channels_last(config)?;
        let name = config.str("interpolation", Some("nearest"))?;
        let interpolation = Interpolation::from_name(config.class(), name)?;
        Ok(Arc::new(UpSampling::<AXES> { size: config.sizes("size", Some([2; AXES]))?, interpolation }))
    }
}

impl<const AXES: usize> Layer for UpSampling<AXES> {
    fn class_name(&self) -> &'static str {
        Self::class()
    }

    fn config(&self) -> Map<String, Value> {
        let size = if AXES == 1 { json!(self.size[0]) } else { json!(self.size.to_vec()) };
        let mut map = Map::from_iter([("size".into(), size)]);
        if AXES != 1 {
            map.insert("data_format".into(), json!("channels_last"));
        }
        if AXES == 2 || self.interpolation != Interpolation::Nearest {
            map.insert("interpolation".into(), json!(self.interpolation.name()));
        }
        map
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        require_axes(Self::class(), AXES, input)?;
        if self.size.contains(&0) {
            return Err(Error::argument(Self::class(), "size must be at least 1", format!("{:?}", self.size), ""));
        }
        if self.interpolation != Interpolation::Nearest && AXES != 2 {
            return Err(Error::argument(
                Self::class(),
                "interpolation is for images",
                format!("{AXES} spatial axes"),
                "use interpolation nearest",
            ));
        }
        let mut sizes = input.to_vec();
        sizes.iter_mut().zip(&self.size).for_each(|(n, &factor)| *n = n.saturating_mul(factor));
        Shape::new(&sizes)
    }

    fn forward(&self, x: &Var, _ctx: &Context<'_>) -> Result<Var> {
        let mut y = x.clone();
        for (axis, &factor) in self.size.iter().enumerate().filter(|(_, factor)| **factor != 1) {
            let axis = axis + 1;
            y = match self.interpolation {
                Interpolation::Nearest => y.repeat(axis, factor)?,
                other => resample(&y, axis, y.shape()[axis].saturating_mul(factor), other, false)?,
            };
        }
        Ok(y)
    }
}
