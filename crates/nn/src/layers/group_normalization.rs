//! Normalisation of groups of channels, sample by sample.

use super::options::setters;
use crate::config::{Config, number};
use crate::initializer::Initializer;
use crate::layer::{Builder, Context, Layer};
use crate::regularizer::Regularizer;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, ReduceOp, Result, Shape};

/// Gives each group of neighbouring channels of each sample mean 0 and variance 1, then each channel a learnt scale and offset.
///
/// # Formula
/// y = gamma·(x − mean)/√(variance + epsilon) + beta, with mean and (biased) variance over all positions and the group's channels.
///
/// # Shapes
/// (n, spatial…, channels) → the same. Weights: `gamma`, `beta` (channels).
///
/// # Parameters
/// groups 32, −1 for one channel a group; epsilon 0.001; a scale and an offset. gamma starts at 1, beta at 0.
///
/// # Errors
/// Channels that the groups do not divide; an axis other than the channels'.
///
/// Source: <https://keras.io/api/layers/normalization_layers/group_normalization/>; Wu and He 2018,
/// <https://arxiv.org/abs/1803.08494>.
#[derive(Debug, Clone)]
pub struct GroupNormalization {
    groups: i64,
    axis: i64,
    epsilon: f32,
    center: bool,
    scale: bool,
    beta_initializer: Initializer,
    gamma_initializer: Initializer,
    beta_regularizer: Option<Regularizer>,
    gamma_regularizer: Option<Regularizer>,
}

impl GroupNormalization {
    /// So many groups; −1 for as many as there are channels.
    pub fn new(groups: i64) -> Self {
        GroupNormalization {
            groups,
            axis: -1,
            epsilon: 1e-3,
            center: true,
            scale: true,
            beta_initializer: Initializer::Zeros,
            gamma_initializer: Initializer::Ones,
            beta_regularizer: None,
            gamma_regularizer: None,
        }
    }

    setters! {
        /// What is added to the variance. Default 0.001.
        epsilon: f32 => |epsilon| epsilon;
        /// Whether beta is added. Default true.
        center: bool => |center| center;
        /// Whether gamma multiplies. Default true.
        scale: bool => |scale| scale;
    }

    /// How many groups of how many channels.
    fn split(&self, input: &Shape) -> Result<(usize, usize)> {
        let channels = input.as_slice().last().copied().unwrap_or_default();
        if self.axis != -1 && self.axis != input.rank() as i64 {
            let received = format!("axis {} of {}", self.axis, crate::graph::batch_shape(input));
            return Err(Error::shape(
                "GroupNormalization",
                "the axis must be the last",
                received,
                "channels come last",
            ));
        }
        let groups = if self.groups == -1 { channels } else { usize::try_from(self.groups).unwrap_or_default() };
        if groups == 0 || channels == 0 || !channels.is_multiple_of(groups) {
            let received = format!("{} groups of {channels} channels", self.groups);
            return Err(Error::shape("GroupNormalization", "groups must divide the channels", received, ""));
        }
        Ok((groups, channels / groups))
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        let integer = |key: &str, default: i64| {
            config.get(key).map_or(Some(default), Value::as_i64).ok_or_else(|| {
                let received = format!("{:?}", config.get(key));
                Error::model("GroupNormalization", format!("`{key}` must be an integer"), received, "")
            })
        };
        Ok(Arc::new(GroupNormalization {
            groups: integer("groups", 32)?,
            axis: integer("axis", -1)?,
            epsilon: config.f32("epsilon", Some(1e-3))?,
            center: config.bool("center", Some(true))?,
            scale: config.bool("scale", Some(true))?,
            beta_initializer: config.initializer("beta_initializer", Initializer::Zeros)?,
            gamma_initializer: config.initializer("gamma_initializer", Initializer::Ones)?,
            beta_regularizer: config.regularizer("beta_regularizer")?,
            gamma_regularizer: config.regularizer("gamma_regularizer")?,
        }))
    }
}

impl Layer for GroupNormalization {
    fn class_name(&self) -> &'static str {
        "GroupNormalization"
    }

    fn config(&self) -> Map<String, Value> {
        let regularizer = |r: Option<Regularizer>| r.map_or(Value::Null, Regularizer::to_json);
        Map::from_iter([
            ("groups".into(), json!(self.groups)),
            ("axis".into(), json!(self.axis)),
            ("epsilon".into(), number(self.epsilon)),
            ("center".into(), json!(self.center)),
            ("scale".into(), json!(self.scale)),
            ("beta_initializer".into(), self.beta_initializer.to_json()),
            ("gamma_initializer".into(), self.gamma_initializer.to_json()),
            ("beta_regularizer".into(), regularizer(self.beta_regularizer)),
            ("gamma_regularizer".into(), regularizer(self.gamma_regularizer)),
        ])
    }

    fn build(&self, input: &Shape, builder: &mut Builder) -> Result<Shape> {
        let (groups, size) = self.split(input)?;
        if self.scale {
            builder.weight("gamma", [groups * size], self.gamma_initializer).regularizer(self.gamma_regularizer);
        }
        if self.center {
            builder.weight("beta", [groups * size], self.beta_initializer).regularizer(self.beta_regularizer);
        }
        Ok(*input)
    }

    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        let sample = x.shape().without_batch();
        let (groups, size) = self.split(&sample)?;
        let samples = x.shape()[0];
        let grouped = x.reshape([samples, sample.elements() / (groups * size), groups, size])?;
        let centred = (&grouped - &grouped.reduce(ReduceOp::Mean, &[1, 3], true)?)?;
        let variance = centred.square()?.reduce(ReduceOp::Mean, &[1, 3], true)?;
        let normal = (&centred / &variance.affine(1.0, self.epsilon)?.sqrt()?)?;
        let mut y = normal.reshape(*x.shape())?;
        if let Some(gamma) = ctx.find_weight("gamma") {
            y = (&y * gamma)?;
        }
        if let Some(beta) = ctx.find_weight("beta") {
            y = (&y + beta)?;
        }
        Ok(y)
    }

    fn is_per_sample(&self) -> bool {
        true
    }
}
