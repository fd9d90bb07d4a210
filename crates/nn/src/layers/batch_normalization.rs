//! Normalisation by the statistics of the batch.

use super::options::setters;
use crate::config::{Config, number};
use crate::initializer::Initializer;
use crate::layer::{Builder, Context, Layer};
use crate::regularizer::Regularizer;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, ReduceOp, Result, Shape};

/// Gives each channel mean 0 and variance 1, then a learnt scale and offset.
///
/// # Formula
/// y = gamma·(x − mean)/√(variance + epsilon) + beta. In training, mean and (biased) variance are those of the batch over all
/// axes but the channels, and moving ← moving·momentum + batch·(1 − momentum). In inference, and where the layer
/// is frozen, they are the moving ones.
///
/// # Shapes
/// (n, …, channels) → the same. Weights: `gamma`, `beta`; states: `moving_mean`, `moving_variance`; all (channels).
///
/// # Parameters
/// momentum 0.99; epsilon 0.001; a scale and an offset. gamma starts at 1, beta at 0, the moving mean at 0, the moving variance at 1.
///
/// # Errors
/// An input without channels; an axis that the sample does not have.
///
/// Source: <https://keras.io/api/layers/normalization_layers/batch_normalization/>; Ioffe and Szegedy 2015,
/// <https://arxiv.org/abs/1502.03167>.
#[derive(Debug, Clone)]
pub struct BatchNormalization {
    /// The channels' axis, counted with the batch axis or from the end.
    axis: i64,
    momentum: f32,
    epsilon: f32,
    center: bool,
    scale: bool,
    beta_initializer: Initializer,
    gamma_initializer: Initializer,
    moving_mean_initializer: Initializer,
    moving_variance_initializer: Initializer,
    beta_regularizer: Option<Regularizer>,
    gamma_regularizer: Option<Regularizer>,
}

impl Default for BatchNormalization {
    fn default() -> Self {
        BatchNormalization {
            axis: -1,
            momentum: 0.99,
            epsilon: 1e-3,
            center: true,
            scale: true,
            beta_initializer: Initializer::Zeros,
            gamma_initializer: Initializer::Ones,
            moving_mean_initializer: Initializer::Zeros,
            moving_variance_initializer: Initializer::Ones,
            beta_regularizer: None,
            gamma_regularizer: None,
        }
    }
}

impl BatchNormalization {
    /// The layer with Keras's defaults.
    pub fn new() -> Self {
        BatchNormalization::default()
    }

    setters! {
        /// The axis of the channels, counted with the batch axis or from the end. Default −1.
        axis: i64 => |axis| axis;
        /// How much of the moving statistics each training step keeps. Default 0.99.
        momentum: f32 => |momentum| momentum;
        /// What is added to the variance. Default 0.001.
        epsilon: f32 => |epsilon| epsilon;
        /// Whether beta is added. Default true.
        center: bool => |center| center;
        /// Whether gamma multiplies. Default true.
        scale: bool => |scale| scale;
        /// How beta starts. Default [`Initializer::Zeros`].
        beta_initializer: Initializer => |initializer| initializer;
        /// How gamma starts. Default [`Initializer::Ones`].
        gamma_initializer: Initializer => |initializer| initializer;
        /// How the moving mean starts. Default [`Initializer::Zeros`].
        moving_mean_initializer: Initializer => |initializer| initializer;
        /// How the moving variance starts. Default [`Initializer::Ones`].
        moving_variance_initializer: Initializer => |initializer| initializer;
        /// A penalty on beta. Default none.
        beta_regularizer: Regularizer => |regularizer| Some(regularizer);
        /// A penalty on gamma. Default none.
        gamma_regularizer: Regularizer => |regularizer| Some(regularizer);
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        // Keras 2 wrote a list of one axis.
        let axis = match config.get("axis") {
            None => Some(-1),
            Some(value) => value.as_i64().or_else(|| value.as_array().filter(|list| list.len() == 1)?[0].as_i64()),
        };
        let axis = axis.ok_or_else(|| {
            Error::model(config.class(), "`axis` must be one integer", format!("{:?}", config.get("axis")), "")
        })?;
        let default = BatchNormalization::default();
        Ok(Arc::new(BatchNormalization {
            axis,
            momentum: config.f32("momentum", Some(default.momentum))?,
            epsilon: config.f32("epsilon", Some(default.epsilon))?,
            center: config.bool("center", Some(true))?,
            scale: config.bool("scale", Some(true))?,
            beta_initializer: config.initializer("beta_initializer", default.beta_initializer)?,
            gamma_initializer: config.initializer("gamma_initializer", default.gamma_initializer)?,
            moving_mean_initializer: config.initializer("moving_mean_initializer", default.moving_mean_initializer)?,
            moving_variance_initializer: config
                .initializer("moving_variance_initializer", default.moving_variance_initializer)?,
            beta_regularizer: config.regularizer("beta_regularizer")?,
            gamma_regularizer: config.regularizer("gamma_regularizer")?,
        }))
    }

    /// The channels' axis in a batch of `rank` axes.
    fn resolved(&self, rank: usize) -> Result<usize> {
        let axis = if self.axis < 0 { self.axis + rank as i64 } else { self.axis };
        usize::try_from(axis).ok().filter(|axis| (1..rank).contains(axis)).ok_or_else(|| {
            let received = format!("axis {} of rank {rank}", self.axis);
            Error::shape(
                "BatchNormalization",
                "the axis must be one of the sample's",
                received,
                "axis 0 counts samples",
            )
        })
    }

    /// The batch's mean and variance of each channel, and x less its mean; the moving statistics learn of them.
    fn statistics(&self, x: &Var, ctx: &Context<'_>) -> Result<(Var, Var)> {
        let axes: Vec<usize> = (0..x.shape().rank() - 1).collect();
        let mean = x.reduce(ReduceOp::Mean, &axes, false)?;
        let centred = (x - &mean)?;
        let variance = centred.square()?.reduce(ReduceOp::Mean, &axes, false)?;
        for (name, batch) in [("moving_mean", &mean), ("moving_variance", &variance)] {
            let old = ctx.weight(name)?.value().affine(self.momentum, 0.0)?;
            ctx.update_state(name, old.add(&batch.value().affine(1.0 - self.momentum, 0.0)?)?)?;
        }
        Ok((centred, variance))
    }
}

impl Layer for BatchNormalization {
    fn class_name(&self) -> &'static str {
        "BatchNormalization"
    }

    fn config(&self) -> Map<String, Value> {
        let regularizer = |r: Option<Regularizer>| r.map_or(Value::Null, Regularizer::to_json);
        Map::from_iter([
            ("axis".into(), json!(self.axis)),
            ("momentum".into(), number(self.momentum)),
            ("epsilon".into(), number(self.epsilon)),
            ("center".into(), json!(self.center)),
            ("scale".into(), json!(self.scale)),
            ("beta_initializer".into(), self.beta_initializer.to_json()),
            ("gamma_initializer".into(), self.gamma_initializer.to_json()),
            ("moving_mean_initializer".into(), self.moving_mean_initializer.to_json()),
            ("moving_variance_initializer".into(), self.moving_variance_initializer.to_json()),
            ("beta_regularizer".into(), regularizer(self.beta_regularizer)),
            ("gamma_regularizer".into(), regularizer(self.gamma_regularizer)),
        ])
    }

    fn build(&self, input: &Shape, builder: &mut Builder) -> Result<Shape> {
        if input.rank() == 0 || input.elements() == 0 {
            return Err(Error::shape(
                "BatchNormalization",
                "the input must be (n, …, channels) and not empty",
                crate::graph::batch_shape(input),
                "",
            ));
        }
        let channels = input[self.resolved(input.rank() + 1)? - 1];
        if self.scale {
            builder.weight("gamma", channels, self.gamma_initializer).regularizer(self.gamma_regularizer);
        }
        if self.center {
            builder.weight("beta", channels, self.beta_initializer).regularizer(self.beta_regularizer);
        }
        builder.state("moving_mean", channels, self.moving_mean_initializer);
        builder.state("moving_variance", channels, self.moving_variance_initializer);
        Ok(*input)
    }

    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        let rank = x.shape().rank();
        let axis = self.resolved(rank)?;
        if axis == rank - 1 {
            return self.last_axis(x, ctx);
        }
        // The channels change places with the last axis, before and after.
        let mut order: Vec<usize> = (0..rank).collect();
        order.swap(axis, rank - 1);
        self.last_axis(&x.permute(&order)?, ctx)?.permute(&order)
    }
}

impl BatchNormalization {
    /// The layer on channels that come last.
    fn last_axis(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        let takes_statistics = ctx.is_training() && !ctx.is_frozen();
        let (centred, variance) = if takes_statistics {
            self.statistics(x, ctx)?
        } else {
            ((x - ctx.weight("moving_mean")?)?, ctx.weight("moving_variance")?.clone())
        };
        let mut factor = variance.affine(1.0, self.epsilon)?.sqrt()?.reciprocal()?;
        if let Some(gamma) = ctx.find_weight("gamma") {
            factor = (&factor * gamma)?;
        }
        let y = (&centred * &factor)?;
        ctx.find_weight("beta").map_or(Ok(y.clone()), |beta| &y + beta)
    }
}
