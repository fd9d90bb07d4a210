//! Pooling over whole maps.

use crate::config::Config;
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, ReduceOp, Result, Shape};

/// The maximum of a whole series in each channel: see [`GlobalPooling`].
pub type GlobalMaxPooling1D = GlobalPooling<1, true>;
/// The maximum of a whole map in each channel: see [`GlobalPooling`].
pub type GlobalMaxPooling2D = GlobalPooling<2, true>;
/// The maximum of a whole volume in each channel: see [`GlobalPooling`].
pub type GlobalMaxPooling3D = GlobalPooling<3, true>;
/// The average of a whole series in each channel: see [`GlobalPooling`].
pub type GlobalAveragePooling1D = GlobalPooling<1, false>;
/// The average of a whole map in each channel: see [`GlobalPooling`].
pub type GlobalAveragePooling2D = GlobalPooling<2, false>;
/// The average of a whole volume in each channel: see [`GlobalPooling`].
pub type GlobalAveragePooling3D = GlobalPooling<3, false>;

/// Reduces each channel's whole map to one number, its maximum (`MAX`) or its average.
///
/// # Shapes
/// (n, spatial…, channels) → (n, channels), or (n, 1…, channels) with `keepdims`.
///
/// Source: <https://keras.io/api/layers/pooling_layers/>; Lin et al. 2013, <https://arxiv.org/abs/1312.4400>.
#[derive(Debug, Clone, Copy, Default)]
pub struct GlobalPooling<const AXES: usize, const MAX: bool> {
    keepdims: bool,
}

impl<const AXES: usize, const MAX: bool> GlobalPooling<AXES, MAX> {
    /// Pooling to (n, channels).
    pub fn new() -> Self {
        GlobalPooling { keepdims: false }
    }

    /// Whether the spatial axes stay, with size 1. Default false.
    pub fn keepdims(mut self, keepdims: bool) -> Self {
        self.keepdims = keepdims;
        self
    }

    fn class() -> &'static str {
        let classes = if MAX {
            ["GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D"]
        } else {
            ["GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D"]
        };
        classes[AXES - 1]
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        super::require_channels_last(config)?;
        Ok(Arc::new(Self { keepdims: config.bool("keepdims", Some(false))? }))
    }
}

impl<const AXES: usize, const MAX: bool> Layer for GlobalPooling<AXES, MAX> {
    fn class_name(&self) -> &'static str {
        Self::class()
    }

    fn config(&self) -> Map<String, Value> {
        Map::from_iter([("data_format".into(), json!("channels_last")), ("keepdims".into(), json!(self.keepdims))])
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        if input.rank() != AXES + 1 || input.elements() == 0 {
            return Err(Error::shape(
                Self::class(),
                format!("the input must be (n, {AXES} spatial axes, channels) and not empty"),
                crate::graph::batch_shape(input),
                "",
            ));
        }
        let channels = Shape::from([input.channels()]);
        if !self.keepdims {
            return Ok(channels);
        }
        let mut sizes = vec![1; AXES];
        sizes.push(input.channels());
        Shape::new(&sizes)
    }

    fn forward(&self, x: &Var, _ctx: &Context<'_>) -> Result<Var> {
        let axes: Vec<usize> = (1..=AXES).collect();
        x.reduce(if MAX { ReduceOp::Max } else { ReduceOp::Mean }, &axes, self.keepdims)
    }
}
