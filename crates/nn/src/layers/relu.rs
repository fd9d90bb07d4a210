//! The rectifier with all of its options.

use crate::config::{Config, number};
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Activation, BinaryOp, Error, Result, Shape, Tensor, UnaryOp};

/// The rectifier with a ceiling, a slope below and a threshold.
///
/// # Formula
/// y = max_value for x ≥ max_value; x for threshold ≤ x < max_value; negative_slope·(x − threshold) below.
///
/// # Shapes
/// (n, …) → the same.
///
/// # Parameters
/// no ceiling; slope 0; threshold 0.
///
/// # Errors
/// A negative option.
///
/// Source: <https://keras.io/api/layers/activation_layers/relu/>.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReLU {
    max_value: Option<f32>,
    negative_slope: f32,
    threshold: f32,
}

impl ReLU {
    /// y = max(x, 0).
    pub fn new() -> Self {
        ReLU::default()
    }

    /// The largest output. Default none.
    pub fn max_value(mut self, max_value: f32) -> Self {
        self.max_value = Some(max_value);
        self
    }

    /// The slope below the threshold. Default 0.
    pub fn negative_slope(mut self, negative_slope: f32) -> Self {
        self.negative_slope = negative_slope;
        self
    }

    /// Where the identity starts. Default 0.
    pub fn threshold(mut self, threshold: f32) -> Self {
        self.threshold = threshold;
        self
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        Ok(Arc::new(ReLU {
            max_value: config.get("max_value").map(|_| config.f32("max_value", None)).transpose()?,
            negative_slope: config.f32("negative_slope", Some(0.0))?,
            threshold: config.f32("threshold", Some(0.0))?,
        }))
    }
}

impl Layer for ReLU {
    fn class_name(&self) -> &'static str {
        "ReLU"
    }

    fn config(&self) -> Map<String, Value> {
        Map::from_iter([
            ("max_value".into(), self.max_value.map_or(Value::Null, number)),
            ("negative_slope".into(), number(self.negative_slope)),
            ("threshold".into(), number(self.threshold)),
        ])
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        let options = [self.max_value.unwrap_or(0.0), self.negative_slope, self.threshold];
        // NaN is refused too.
        if !options.iter().all(|&option| option >= 0.0) {
            return Err(Error::argument(
                "ReLU",
                "max_value, negative_slope and threshold must not be negative",
                format!("{:?}, {}, {}", self.max_value, self.negative_slope, self.threshold),
                "",
            ));
        }
        Ok(*input)
    }

    fn forward(&self, x: &Var, _ctx: &Context<'_>) -> Result<Var> {
        self.apply(x)
    }

    fn is_per_sample(&self) -> bool {
        true
    }
}

impl ReLU {
    /// The function itself.
    pub(crate) fn apply(&self, x: &Var) -> Result<Var> {
        match (self.max_value, self.threshold) {
            (None, 0.0) if self.negative_slope == 0.0 => return x.relu(),
            (None, 0.0) => return x.activate(Activation::LeakyRelu(self.negative_slope)),
            (Some(6.0), 0.0) if self.negative_slope == 0.0 => return x.activate(Activation::Relu6),
            _ => {}
        }
        let scalar = |value: f64| Tensor::full(Shape::SCALAR, value, x.value().dtype(), x.device());
        let above = x.value().binary(BinaryOp::GreaterEqual, &scalar(f64::from(self.threshold))?)?;
        let mut y = (x * &Var::constant(above))?;
        if let Some(high) = self.max_value {
            y = y.unary(UnaryOp::Clip { low: f32::NEG_INFINITY, high })?;
        }
        if self.negative_slope == 0.0 {
            return Ok(y);
        }
        let below = x.affine(1.0, -self.threshold)?.minimum(&Var::constant(scalar(0.0)?))?;
        &y + &below.affine(self.negative_slope, 0.0)?
    }
}
