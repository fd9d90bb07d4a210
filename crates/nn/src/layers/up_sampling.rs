//! Larger maps from smaller ones.

use super::{Sizes, require_axes, require_channels_last};
use crate::config::Config;
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, Result, Shape, Tensor};

/// Longer time series: see [`UpSampling`].
pub type UpSampling1D = UpSampling<1>;
/// Larger images: see [`UpSampling`].
pub type UpSampling2D = UpSampling<2>;
/// Larger volumes: see [`UpSampling`].
pub type UpSampling3D = UpSampling<3>;

/// Where the elements between the given ones come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interpolation {
    /// Each element is repeated.
    #[default]
    Nearest,
    /// Straight lines between the centres of neighbouring elements; the border's elements beyond.
    Bilinear,
}

/// Makes each spatial axis `size` times as large.
///
/// # Shapes
/// (n, spatial…, channels) → (n, spatial · size…, channels).
///
/// # Parameters
/// size 2; interpolation nearest. Bilinear takes output position i from input position (i + 1/2)/size − 1/2, for images only.
///
/// # Errors
/// A size of 0; bilinear interpolation of anything but images.
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
        let interpolation = match config.str("interpolation", Some("nearest"))? {
            "nearest" => Interpolation::Nearest,
            "bilinear" => Interpolation::Bilinear,
            other => {
                return Err(Error::model(
                    config.class(),
                    "`interpolation` must be nearest or bilinear",
                    format!("`{other}`"),
                    "",
                ));
            }
        };
        Ok(Arc::new(UpSampling::<AXES> { size: config.sizes("size", Some([2; AXES]))?, interpolation }))
    }
}

/// How much of each of `n` elements each of the n·`factor` results holds: (n·factor, n).
fn weights_between(n: usize, factor: usize, like: &Tensor) -> Result<Tensor> {
    let shape = Shape::new(&[n.saturating_mul(factor), n])?;
    let mut weights = vec![0.0f64; shape.elements()];
    for (i, row) in weights.chunks_exact_mut(n.max(1)).enumerate() {
        let at = ((i as f64 + 0.5) / factor as f64 - 0.5).clamp(0.0, (n - 1) as f64);
        let low = at.floor() as usize;
        let share = at - at.floor();
        row[low] += 1.0 - share;
        row[(low + 1).min(n - 1)] += share;
    }
    Tensor::from_vec(weights, shape, like.device())?.cast(like.dtype())
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
            let name = if self.interpolation == Interpolation::Nearest { "nearest" } else { "bilinear" };
            map.insert("interpolation".into(), json!(name));
        }
        map
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        require_axes(Self::class(), AXES, input)?;
        if self.size.contains(&0) {
            return Err(Error::argument(Self::class(), "size must be at least 1", format!("{:?}", self.size), ""));
        }
        if self.interpolation == Interpolation::Bilinear && AXES != 2 {
            return Err(Error::argument(
                Self::class(),
                "bilinear interpolation is for images",
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
            if self.interpolation == Interpolation::Nearest {
                y = y.repeat(axis, factor)?;
                continue;
            }
            // One matrix product for each sample (rows) or row (columns).
            let (n, mut sizes) = (y.shape()[axis], y.shape().to_vec());
            let before: usize = sizes[..axis].iter().product();
            let after: usize = sizes[axis + 1..].iter().product();
            let weights = Var::constant(weights_between(n, factor, y.value())?);
            sizes[axis] = n.saturating_mul(factor);
            y = weights.matmul(&y.reshape([before, n, after])?)?.reshape(Shape::new(&sizes)?)?;
        }
        Ok(y)
    }
}
