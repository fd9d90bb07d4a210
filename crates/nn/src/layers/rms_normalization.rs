//! Normalisation of each sample by the size of its values.

use crate::config::{Config, number};
use crate::initializer::Initializer;
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, ReduceOp, Result, Shape};

/// y = scale·x / √(mean of x² + epsilon), the mean taken along axes.
///
/// # Shapes
/// (n, …) → the same. Weight: `scale`, of the sizes of the axes.
///
/// # Parameters
/// axis −1; epsilon 10⁻⁶. The scale starts at 1.
///
/// # Errors
/// An axis that the sample does not have.
///
/// Source: <https://keras.io/api/layers/normalization_layers/rms_normalization/>; Zhang and Sennrich 2019,
/// <https://arxiv.org/abs/1910.07467>.
#[derive(Debug, Clone)]
pub struct RMSNormalization {
    axes: Vec<i64>,
    epsilon: f32,
}

impl Default for RMSNormalization {
    fn default() -> Self {
        RMSNormalization { axes: vec![-1], epsilon: 1e-6 }
    }
}

impl RMSNormalization {
    /// Along the last axis.
    pub fn new() -> Self {
        RMSNormalization::default()
    }

    /// The axes, counted with the batch axis or from the end. Default −1.
    pub fn axis(self, axes: impl Into<Vec<i64>>) -> Self {
        RMSNormalization { axes: axes.into(), ..self }
    }

    /// What is added to the mean square. Default 10⁻⁶.
    pub fn epsilon(self, epsilon: f32) -> Self {
        RMSNormalization { epsilon, ..self }
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        let axes = match config.get("axis") {
            None => vec![-1],
            Some(value) => match value.as_i64() {
                Some(axis) => vec![axis],
                None => config.integers("axis")?,
            },
        };
        Ok(Arc::new(RMSNormalization { axes, epsilon: config.f32("epsilon", Some(1e-6))? }))
    }

    fn resolved(&self, rank: usize) -> Result<Vec<usize>> {
        let resolve = |&axis: &i64| {
            let axis = if axis < 0 { axis + rank as i64 } else { axis };
            usize::try_from(axis).ok().filter(|axis| (1..rank).contains(axis))
        };
        let mut axes = self.axes.iter().map(resolve).collect::<Option<Vec<usize>>>().unwrap_or_default();
        axes.sort_unstable();
        axes.dedup();
        if axes.is_empty() || axes.len() != self.axes.len() {
            let received = format!("{:?} of rank {rank}", self.axes);
            let rule = "the axes must be different axes of the sample";
            return Err(Error::shape("RMSNormalization", rule, received, "axis 0 counts samples"));
        }
        Ok(axes)
    }
}

impl Layer for RMSNormalization {
    fn class_name(&self) -> &'static str {
        "RMSNormalization"
    }

    fn config(&self) -> Map<String, Value> {
        let axis = if let [axis] = self.axes[..] { json!(axis) } else { json!(self.axes) };
        Map::from_iter([("axis".into(), axis), ("epsilon".into(), number(self.epsilon))])
    }

    fn build(&self, input: &Shape, builder: &mut Builder) -> Result<Shape> {
        let axes = self.resolved(input.rank() + 1)?;
        let sizes: Vec<usize> = axes.iter().map(|&axis| input[axis - 1]).collect();
        builder.weight("scale", Shape::new(&sizes)?, Initializer::Ones);
        Ok(*input)
    }

    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        let axes = self.resolved(x.shape().rank())?;
        let square = x.square()?.reduce(ReduceOp::Mean, &axes, true)?;
        let y = (x / &square.affine(1.0, self.epsilon)?.sqrt()?)?;
        let mut sizes = vec![1; x.shape().rank()];
        axes.iter().for_each(|&axis| sizes[axis] = x.shape()[axis]);
        &y * &ctx.weight("scale")?.reshape(Shape::new(&sizes)?)?
    }

    fn is_per_sample(&self) -> bool {
        true
    }
}
