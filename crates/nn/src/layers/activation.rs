//! Activations as layers of their own.

use crate::activation::Activation;
use crate::config::Config;
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, Result, Shape};

/// Applies an activation; Keras's `Activation` layer.
///
/// # Shapes
/// (n, …) → the same.
///
/// Source: <https://keras.io/api/layers/core_layers/activation/>.
#[derive(Debug, Clone, Copy)]
pub struct ActivationLayer {
    activation: Activation,
}

impl ActivationLayer {
    /// A layer of the given activation.
    pub fn new(activation: impl Into<Activation>) -> Self {
        ActivationLayer { activation: activation.into() }
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        Ok(Arc::new(ActivationLayer { activation: config.activation("activation")? }))
    }
}

impl Layer for ActivationLayer {
    fn class_name(&self) -> &'static str {
        "Activation"
    }

    fn config(&self) -> Map<String, Value> {
        Map::from_iter([("activation".into(), self.activation.to_json())])
    }

    fn build(&self, input: &Shape, builder: &mut Builder) -> Result<Shape> {
        if self.activation == Activation::Softmax { Softmax.build(input, builder) } else { Ok(*input) }
    }

    fn forward(&self, x: &Var, _ctx: &Context<'_>) -> Result<Var> {
        self.activation.apply(x)
    }

    fn is_per_sample(&self) -> bool {
        true
    }
}

/// Softmax along the last axis: as a layer, or as another layer's activation.
///
/// # Formula
/// `y[i] = e^(x[i] − max x) / Σ e^(x[j] − max x)`.
///
/// # Shapes
/// (n, …, classes) → the same; every row sums to 1.
///
/// Source: <https://keras.io/api/layers/activation_layers/softmax/>.
#[derive(Debug, Clone, Copy)]
pub struct Softmax;

impl From<Softmax> for Activation {
    fn from(_: Softmax) -> Self {
        Activation::Softmax
    }
}

impl Softmax {
    /// Softmax along another axis, counted with the batch axis or from the end.
    ///
    /// ```
    /// use striate_nn::{Sequential, layers::Softmax};
    /// assert!(Sequential::new([4, 5, 3]).add(Softmax::along(1)).graph().is_ok());
    /// assert!(Sequential::new([4, 5, 3]).add(Softmax::along(4)).graph().is_err());
    /// ```
    pub fn along(axis: i64) -> SoftmaxAlong {
        SoftmaxAlong { axis }
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        let axis = match config.get("axis") {
            None => Some(-1),
            Some(value) => value.as_i64().or_else(|| value.as_array().filter(|list| list.len() == 1)?[0].as_i64()),
        };
        match axis {
            Some(-1) => Ok(Arc::new(Softmax)),
            Some(axis) => Ok(Arc::new(SoftmaxAlong { axis })),
            None => {
                let received = format!("{:?}", config.get("axis"));
                Err(Error::model("Softmax", "`axis` must be one integer", received, "flatten the axes first"))
            }
        }
    }
}

impl Layer for Softmax {
    fn class_name(&self) -> &'static str {
        "Softmax"
    }

    fn config(&self) -> Map<String, Value> {
        Map::from_iter([("axis".into(), json!(-1))])
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        if input.rank() == 0 || input.channels() == 0 {
            return Err(Error::shape("Softmax", "the last axis must not be empty", input.to_string(), ""));
        }
        Ok(*input)
    }

    fn forward(&self, x: &Var, _ctx: &Context<'_>) -> Result<Var> {
        x.softmax()
    }
}

/// [`Softmax`] along an axis that need not be the last: of the classes where they come before the pixels. Made by
/// [`Softmax::along`].
///
/// # Shapes
/// (n, …) → the same.
///
/// # Errors
/// An axis that the sample does not have.
#[derive(Debug, Clone, Copy)]
pub struct SoftmaxAlong {
    axis: i64,
}

impl SoftmaxAlong {
    fn resolved(self, rank: usize) -> Result<usize> {
        let axis = if self.axis < 0 { self.axis + rank as i64 } else { self.axis };
        usize::try_from(axis).ok().filter(|axis| (1..rank).contains(axis)).ok_or_else(|| {
            let received = format!("axis {} of rank {rank}", self.axis);
            Error::shape("Softmax", "the axis must be one of the sample's", received, "axis 0 counts samples")
        })
    }
}

impl Layer for SoftmaxAlong {
    fn class_name(&self) -> &'static str {
        "Softmax"
    }

    fn config(&self) -> Map<String, Value> {
        Map::from_iter([("axis".into(), json!(self.axis))])
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        let axis = self.resolved(input.rank() + 1)?;
        if input[axis - 1] == 0 {
            return Err(Error::shape("Softmax", "the axis must not be empty", input.to_string(), ""));
        }
        Ok(*input)
    }

    fn forward(&self, x: &Var, _ctx: &Context<'_>) -> Result<Var> {
        let rank = x.shape().rank();
        let axis = self.resolved(rank)?;
        // The last axis and this one change places, before and after.
        let mut order: Vec<usize> = (0..rank).collect();
        order.swap(axis, rank - 1);
        x.permute(&order)?.softmax()?.permute(&order)
    }

    fn is_per_sample(&self) -> bool {
        true
    }
}
