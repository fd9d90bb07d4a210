//! Normalisation of each sample by its own statistics.

use super::options::setters;
use crate::config::{Config, number};
use crate::initializer::Initializer;
use crate::layer::{Builder, Context, Layer};
use crate::regularizer::Regularizer;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, ReduceOp, Result, Shape};

/// Gives each sample mean 0 and variance 1 along axes, then a learnt scale and offset.
///
/// # Formula
/// y = gamma·(x − mean)/√(variance + epsilon) + beta, with mean and (biased) variance over `axis`.
///
/// # Shapes
/// (n, …) → the same. Weights: `gamma`, `beta`, of the sizes of the axes.
///
/// # Parameters
/// axis −1, the channels; epsilon 0.001; a scale and an offset. gamma starts at 1, beta at 0.
///
/// # Errors
/// An axis that the sample does not have.
///
/// Source: <https://keras.io/api/layers/normalization_layers/layer_normalization/>; Ba et al. 2016,
/// <https://arxiv.org/abs/1607.06450>.
#[derive(Debug, Clone)]
pub struct LayerNormalization {
    axis: Vec<i64>,
    epsilon: f32,
    center: bool,
    scale: bool,
    beta_initializer: Initializer,
    gamma_initializer: Initializer,
    beta_regularizer: Option<Regularizer>,
    gamma_regularizer: Option<Regularizer>,
}

impl Default for LayerNormalization {
    fn default() -> Self {
        LayerNormalization {
            axis: vec![-1],
            epsilon: 1e-3,
            center: true,
            scale: true,
            beta_initializer: Initializer::Zeros,
            gamma_initializer: Initializer::Ones,
            beta_regularizer: None,
            gamma_regularizer: None,
        }
    }
}

impl LayerNormalization {
    /// The layer with Keras's defaults.
    pub fn new() -> Self {
        LayerNormalization::default()
    }

    setters! {
        /// The axes, counted with the batch axis or from the end. Default −1.
        axis: impl Into<Vec<i64>> => |axes| axes.into();
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
        /// A penalty on beta. Default none.
        beta_regularizer: Regularizer => |regularizer| Some(regularizer);
        /// A penalty on gamma. Default none.
        gamma_regularizer: Regularizer => |regularizer| Some(regularizer);
    }

    /// The axes of a batch of `rank` axes, ascending.
    fn axes(&self, rank: usize) -> Result<Vec<usize>> {
        let resolve = |&axis: &i64| if axis < 0 { axis + rank as i64 } else { axis };
        let mut axes: Vec<i64> = self.axis.iter().map(resolve).collect();
        axes.sort_unstable();
        axes.dedup();
        if axes.is_empty() || axes.len() != self.axis.len() || axes.iter().any(|&axis| axis < 1 || axis >= rank as i64)
        {
            return Err(Error::shape(
                "LayerNormalization",
                "the axes must be different axes of the sample",
                format!("{:?} of rank {rank}", self.axis),
                "axis 0 counts samples",
            ));
        }
        Ok(axes.into_iter().map(|axis| axis as usize).collect())
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        let axis = match config.get("axis") {
            None => vec![-1],
            Some(value) => match value.as_i64() {
                Some(axis) => vec![axis],
                None => config.integers("axis")?,
            },
        };
        Ok(Arc::new(LayerNormalization {
            axis,
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

impl Layer for LayerNormalization {
    fn class_name(&self) -> &'static str {
        "LayerNormalization"
    }

    fn config(&self) -> Map<String, Value> {
        let regularizer = |r: Option<Regularizer>| r.map_or(Value::Null, Regularizer::to_json);
        let axis = if let [axis] = self.axis[..] { json!(axis) } else { json!(self.axis) };
        Map::from_iter([
            ("axis".into(), axis),
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
        let axes = self.axes(input.rank() + 1)?;
        let sizes: Vec<usize> = axes.iter().map(|&axis| input[axis - 1]).collect();
        let shape = Shape::new(&sizes)?;
        if shape.elements() == 0 {
            let received = crate::graph::batch_shape(input);
            return Err(Error::shape("LayerNormalization", "the axes must not be empty", received, ""));
        }
        if self.scale {
            builder.weight("gamma", shape, self.gamma_initializer).regularizer(self.gamma_regularizer);
        }
        if self.center {
            builder.weight("beta", shape, self.beta_initializer).regularizer(self.beta_regularizer);
        }
        Ok(*input)
    }

    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        let axes = self.axes(x.shape().rank())?;
        let centred = (x - &x.reduce(ReduceOp::Mean, &axes, true)?)?;
        let variance = centred.square()?.reduce(ReduceOp::Mean, &axes, true)?;
        let mut y = (&centred / &variance.affine(1.0, self.epsilon)?.sqrt()?)?;
        // The weights lie along their axes, with size 1 along the others.
        let mut sizes = vec![1; x.shape().rank()];
        axes.iter().for_each(|&axis| sizes[axis] = x.shape()[axis]);
        let shape = Shape::new(&sizes)?;
        if let Some(gamma) = ctx.find_weight("gamma") {
            y = (&y * &gamma.reshape(shape)?)?;
        }
        if let Some(beta) = ctx.find_weight("beta") {
            y = (&y + &beta.reshape(shape)?)?;
        }
        Ok(y)
    }
}
