//! Maximum and average pooling in 1, 2 or 3 spatial axes.

use super::{Sizes, padding_from_name, padding_name, require_axes, require_channels_last, spread};
use crate::config::Config;
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Padding, PoolKind, PoolSpec, Result, Shape};

/// Maximum pooling of time series: see [`Pooling`].
pub type MaxPooling1D = Pooling<1, true>;
/// Maximum pooling of images: see [`Pooling`].
pub type MaxPooling2D = Pooling<2, true>;
/// Maximum pooling of volumes: see [`Pooling`].
pub type MaxPooling3D = Pooling<3, true>;
/// Average pooling of time series: see [`Pooling`].
pub type AveragePooling1D = Pooling<1, false>;
/// Average pooling of images: see [`Pooling`].
pub type AveragePooling2D = Pooling<2, false>;
/// Average pooling of volumes: see [`Pooling`].
pub type AveragePooling3D = Pooling<3, false>;

/// Reduces each window of a map to its maximum (`MAX`) or its average.
///
/// # Shapes
/// (n, spatial…, channels) → (n, spatial′…, channels), with spatial′ as for a convolution.
///
/// # Parameters
/// pool size; strides, by default the pool size (no overlap); padding `valid` or `same`. Padding never is the maximum and does
/// not count in the average.
///
/// # Errors
/// A window larger than the padded input; zero sizes.
///
/// Source: <https://keras.io/api/layers/pooling_layers/>.
#[derive(Debug, Clone)]
pub struct Pooling<const AXES: usize, const MAX: bool> {
    pool_size: [usize; AXES],
    strides: [usize; AXES],
    padding: Padding,
}

impl<const AXES: usize, const MAX: bool> Pooling<AXES, MAX> {
    /// Windows of the given size without overlap.
    pub fn new(pool_size: impl Sizes<AXES>) -> Self {
        let pool_size = pool_size.sizes();
        Pooling { pool_size, strides: pool_size, padding: Padding::Valid }
    }

    /// Positions between neighbouring windows. Default the pool size.
    pub fn strides(mut self, strides: impl Sizes<AXES>) -> Self {
        self.strides = strides.sizes();
        self
    }

    /// What lies beyond the border. Default [`Padding::Valid`].
    pub fn padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }

    fn spec(&self) -> PoolSpec {
        PoolSpec {
            kind: if MAX { PoolKind::Max } else { PoolKind::Average },
            window: spread(&self.pool_size),
            strides: spread(&self.strides),
            padding: self.padding,
        }
    }

    fn class() -> &'static str {
        let classes = if MAX {
            ["MaxPooling1D", "MaxPooling2D", "MaxPooling3D"]
        } else {
            ["AveragePooling1D", "AveragePooling2D", "AveragePooling3D"]
        };
        classes[AXES - 1]
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        require_channels_last(config)?;
        let pool_size = config.sizes("pool_size", Some([2; AXES]))?;
        Ok(Arc::new(Self {
            pool_size,
            strides: config.sizes("strides", Some(pool_size))?,
            padding: padding_from_name(config.class(), config.str("padding", Some("valid"))?)?,
        }))
    }
}

impl<const AXES: usize, const MAX: bool> Layer for Pooling<AXES, MAX> {
    fn class_name(&self) -> &'static str {
        Self::class()
    }

    fn config(&self) -> Map<String, Value> {
        Map::from_iter([
            ("pool_size".into(), json!(self.pool_size.to_vec())),
            ("padding".into(), json!(padding_name(self.padding))),
            ("strides".into(), json!(self.strides.to_vec())),
            ("data_format".into(), json!("channels_last")),
        ])
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        require_axes(Self::class(), AXES, input)?;
        Ok(self.spec().output_shape(&input.with_batch(1)?)?.without_batch())
    }

    fn forward(&self, x: &Var, _ctx: &Context<'_>) -> Result<Var> {
        x.pool(&self.spec())
    }

    fn max_pooling(&self) -> Option<PoolSpec> {
        MAX.then(|| self.spec())
    }

    fn is_per_sample(&self) -> bool {
        true
    }
}
