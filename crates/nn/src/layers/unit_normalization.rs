//! Vectors brought to length 1.

use crate::config::Config;
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, ReduceOp, Result, Shape};

/// What keeps a vector of zeros from being divided by zero.
const LEAST_SQUARE: f32 = 1e-24;

/// y = x / ‖x‖, with the Euclidean norm along an axis; zeros stay zeros.
///
/// # Shapes
/// (n, …) → the same.
///
/// # Parameters
/// axis −1; counted with the batch axis or from the end.
///
/// # Errors
/// An axis that the sample does not have.
///
/// Source: <https://keras.io/api/layers/normalization_layers/unit_normalization/>.
#[derive(Debug, Clone)]
pub struct UnitNormalization {
    axes: Vec<i64>,
}

impl Default for UnitNormalization {
    fn default() -> Self {
        UnitNormalization { axes: vec![-1] }
    }
}

impl UnitNormalization {
    /// Along these axes together.
    pub fn new(axes: impl Into<Vec<i64>>) -> Self {
        UnitNormalization { axes: axes.into() }
    }

    fn resolved(&self, rank: usize) -> Result<Vec<usize>> {
        let resolve = |&axis: &i64| {
            let axis = if axis < 0 { axis + rank as i64 } else { axis };
            usize::try_from(axis).ok().filter(|axis| (1..rank).contains(axis))
        };
        let axes = self.axes.iter().map(resolve).collect::<Option<Vec<usize>>>().unwrap_or_default();
        let is_repeated = axes.iter().enumerate().any(|(i, axis)| axes[..i].contains(axis));
        if axes.is_empty() || is_repeated {
            let received = format!("{:?} of rank {rank}", self.axes);
            let rule = "the axes must be different axes of the sample";
            return Err(Error::shape("UnitNormalization", rule, received, "axis 0 counts samples"));
        }
        Ok(axes)
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        let axes = match config.get("axis") {
            None => vec![-1],
            Some(value) => match value.as_i64() {
                Some(axis) => vec![axis],
                None => config.integers("axis")?,
            },
        };
        Ok(Arc::new(UnitNormalization { axes }))
    }
}

impl Layer for UnitNormalization {
    fn class_name(&self) -> &'static str {
        "UnitNormalization"
    }

    fn config(&self) -> Map<String, Value> {
        Map::from_iter([("axis".into(), if let [axis] = self.axes[..] { json!(axis) } else { json!(self.axes) })])
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        self.resolved(input.rank() + 1)?;
        Ok(*input)
    }

    fn forward(&self, x: &Var, _ctx: &Context<'_>) -> Result<Var> {
        let square = x.square()?.reduce(ReduceOp::Sum, &self.resolved(x.shape().rank())?, true)?;
        x / &square.affine(1.0, LEAST_SQUARE)?.sqrt()?
    }

    fn is_per_sample(&self) -> bool {
        true
    }
}
