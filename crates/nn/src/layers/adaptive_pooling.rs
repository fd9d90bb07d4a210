//! Pooling to a given size.

use super::interpolation::{mix, positive};
use super::{Sizes, require_axes, require_channels_last};
use crate::config::Config;
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, ReduceOp, Result, Shape, Tensor};

/// Averages of time series: see [`AdaptivePooling`].
pub type AdaptiveAveragePooling1D = AdaptivePooling<1, false>;
/// Averages of images: see [`AdaptivePooling`].
pub type AdaptiveAveragePooling2D = AdaptivePooling<2, false>;
/// Averages of volumes: see [`AdaptivePooling`].
pub type AdaptiveAveragePooling3D = AdaptivePooling<3, false>;
/// Maxima of time series: see [`AdaptivePooling`].
pub type AdaptiveMaxPooling1D = AdaptivePooling<1, true>;
/// Maxima of images: see [`AdaptivePooling`].
pub type AdaptiveMaxPooling2D = AdaptivePooling<2, true>;
/// Maxima of volumes: see [`AdaptivePooling`].
pub type AdaptiveMaxPooling3D = AdaptivePooling<3, true>;

/// The average or the maximum of as many windows as wanted: window i of m reaches from ⌊i·n/m⌋ to ⌈(i + 1)·n/m⌉ of n elements.
///
/// # Shapes
/// (n, spatial…, channels) → (n, output size…, channels).
///
/// # Errors
/// An output size of 0; an empty input.
///
/// Source: <https://keras.io/api/layers/pooling_layers/>.
#[derive(Debug, Clone)]
pub struct AdaptivePooling<const AXES: usize, const MAX: bool> {
    output_size: [usize; AXES],
}

impl<const AXES: usize, const MAX: bool> AdaptivePooling<AXES, MAX> {
    /// To this size, one number for all axes or one for each.
    pub fn new(output_size: impl Sizes<AXES>) -> Self {
        AdaptivePooling { output_size: output_size.sizes() }
    }

    fn class() -> &'static str {
        let average = ["AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D", "AdaptiveAveragePooling3D"];
        let max = ["AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D", "AdaptiveMaxPooling3D"];
        if MAX { max[AXES - 1] } else { average[AXES - 1] }
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        require_channels_last(config)?;
        Ok(Arc::new(AdaptivePooling::<AXES, MAX> { output_size: config.sizes("output_size", None)? }))
    }
}

/// The elements of window `i` of `new` over `given` elements.
fn window(i: usize, given: usize, new: usize) -> std::ops::Range<usize> {
    i * given / new..((i + 1) * given).div_ceil(new)
}

/// The means of the windows along an axis.
fn averages(x: &Var, axis: usize, new: usize) -> Result<Var> {
    let given = x.shape()[axis];
    let mut shares = vec![0.0f64; new * given];
    for (i, row) in shares.chunks_exact_mut(given).enumerate() {
        let window = window(i, given, new);
        let share = 1.0 / window.len() as f64;
        row[window].fill(share);
    }
    mix(x, axis, Tensor::from_vec(shares, Shape::new(&[new, given])?, x.device())?)
}

/// The maxima of the windows along an axis.
fn maxima(x: &Var, axis: usize, new: usize) -> Result<Var> {
    let part = |i: usize| {
        let window = window(i, x.shape()[axis], new);
        let (mut start, mut sizes) = (vec![0; x.shape().rank()], x.shape().to_vec());
        (start[axis], sizes[axis]) = (window.start, window.len());
        x.crop(&start, Shape::new(&sizes)?)?.reduce(ReduceOp::Max, &[axis], true)
    };
    let parts = (0..new).map(part).collect::<Result<Vec<Var>>>()?;
    Var::concat(&parts.iter().collect::<Vec<_>>(), axis)
}

impl<const AXES: usize, const MAX: bool> Layer for AdaptivePooling<AXES, MAX> {
    fn class_name(&self) -> &'static str {
        Self::class()
    }

    fn config(&self) -> Map<String, Value> {
        Map::from_iter([
            ("output_size".into(), json!(self.output_size.to_vec())),
            ("data_format".into(), json!("channels_last")),
        ])
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        require_axes(Self::class(), AXES, input)?;
        if input.elements() == 0 {
            let received = crate::graph::batch_shape(input);
            return Err(Error::shape(Self::class(), "the input must not be empty", received, ""));
        }
        let mut sizes = input.to_vec();
        for (size, &wanted) in sizes.iter_mut().zip(&self.output_size) {
            positive(Self::class(), "output_size", wanted)?;
            *size = wanted;
        }
        Shape::new(&sizes)
    }

    fn forward(&self, x: &Var, _ctx: &Context<'_>) -> Result<Var> {
        let mut y = x.clone();
        for (axis, &size) in self.output_size.iter().enumerate() {
            y = if MAX { maxima(&y, axis + 1, size)? } else { averages(&y, axis + 1, size)? };
        }
        Ok(y)
    }

    fn is_per_sample(&self) -> bool {
        true
    }
}
