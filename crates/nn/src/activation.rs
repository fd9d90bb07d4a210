//! The activation of a layer: an elementwise function or softmax.

use crate::config::number;
use crate::layers::ReLU;
use serde_json::{Value, json};
use striate_autograd::Var;
use striate_tensor::Activation as Elementwise;
use striate_tensor::{BinaryOp, Error, ReduceOp, Result, Shape, Tensor, UnaryOp};

/// What a layer applies to its result. Converts from [`striate_tensor::Activation`] and from [`crate::layers::Softmax`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// A function of each element; fused into the layer's kernel where there is one.
    Elementwise(Elementwise),
    /// Softmax along the last axis.
    Softmax,
    /// A function made of several.
    Composed(Composed),
}

/// Activations of Keras that are made of others.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Composed {
    /// x·hard_sigmoid(x), Keras's `hard_silu` or `hard_swish`. Howard et al. 2019, <https://arxiv.org/abs/1905.02244>.
    HardSilu,
    /// x·tanh(softplus(x)). Misra 2019, <https://arxiv.org/abs/1908.08681>.
    Mish,
    /// The logarithm of softmax along the last axis.
    LogSoftmax,
    /// The logarithm of the sigmoid.
    LogSigmoid,
    /// x clipped to −1..1.
    HardTanh,
    /// x − tanh(x).
    TanhShrink,
    /// x where |x| is above 1/2, else 0.
    HardShrink,
    /// x brought 1/2 nearer to 0, and 0 within.
    SoftShrink,
    /// (x + √(x² + 4))/2.
    Squareplus,
    /// 0 up to −1, (x + 1)²/4 up to 1, x beyond.
    SparsePlus,
    /// 0 up to −1, (x + 1)/2 up to 1, 1 beyond.
    SparseSigmoid,
    /// ReLU with limits, slope and threshold: see [`ReLU`](crate::layers::ReLU).
    Relu {
        /// The largest value.
        max_value: Option<f32>,
        /// The slope below the threshold.
        negative_slope: f32,
        /// Where the identity begins.
        threshold: f32,
    },
}

impl Composed {
    fn apply(self, x: &Var) -> Result<Var> {
        match self {
            Composed::HardSilu => x * &x.activate(Elementwise::HardSigmoid)?,
            Composed::Mish => x * &x.activate(Elementwise::Softplus)?.activate(Elementwise::Tanh)?,
            Composed::LogSoftmax => {
                let last = [x.shape().rank() - 1];
                let centred = (x - &x.detach().reduce(ReduceOp::Max, &last, true)?)?;
                let sum = centred.activate(Elementwise::Exponential)?.reduce(ReduceOp::Sum, &last, true)?;
                &centred - &sum.log()?
            }
            Composed::LogSigmoid => x.affine(-1.0, 0.0)?.activate(Elementwise::Softplus)?.affine(-1.0, 0.0),
            Composed::HardTanh => x.unary(UnaryOp::Clip { low: -1.0, high: 1.0 }),
            Composed::TanhShrink => x - &x.activate(Elementwise::Tanh)?,
            Composed::HardShrink => x * &steps_beyond_half(x)?,
            Composed::SoftShrink => {
                let above = x.affine(1.0, -0.5)?.activate(Elementwise::Relu)?;
                let below = x.affine(-1.0, -0.5)?.activate(Elementwise::Relu)?;
                &above - &below
            }
            Composed::Squareplus => (x + &x.square()?.affine(1.0, 4.0)?.sqrt()?)?.affine(0.5, 0.0),
            Composed::SparsePlus => {
                let within = x.unary(UnaryOp::Clip { low: -1.0, high: 1.0 })?.affine(0.5, 0.5)?.square()?;
                &within + &x.affine(1.0, -1.0)?.activate(Elementwise::Relu)?
            }
            Composed::SparseSigmoid => x.unary(UnaryOp::Clip { low: -1.0, high: 1.0 })?.affine(0.5, 0.5),
            Composed::Relu { max_value, negative_slope, threshold } => {
                let limited = max_value.map_or(ReLU::new(), |max_value| ReLU::new().max_value(max_value));
                limited.negative_slope(negative_slope).threshold(threshold).apply(x)
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Composed::HardSilu => "hard_silu",
            Composed::Mish => "mish",
            Composed::LogSoftmax => "log_softmax",
            Composed::LogSigmoid => "log_sigmoid",
            Composed::HardTanh => "hard_tanh",
            Composed::TanhShrink => "tanh_shrink",
            Composed::HardShrink => "hard_shrink",
            Composed::SoftShrink => "soft_shrink",
            Composed::Squareplus => "squareplus",
            Composed::SparsePlus => "sparse_plus",
            Composed::SparseSigmoid => "sparse_sigmoid",
            Composed::Relu { .. } => "relu",
        }
    }

    fn from_name(name: &str) -> Option<Composed> {
        use Composed::*;
        let plain = [
            HardSilu,
            Mish,
            LogSoftmax,
            LogSigmoid,
            HardTanh,
            TanhShrink,
            HardShrink,
            SoftShrink,
            Squareplus,
            SparsePlus,
            SparseSigmoid,
        ];
        let name = if name == "hard_swish" { "hard_silu" } else { name };
        plain.into_iter().find(|composed| composed.name() == name)
    }
}

/// 1 where |x| is above 1/2, else 0: a constant of the pass.
fn steps_beyond_half(x: &Var) -> Result<Var> {
    let value = x.value();
    let half = Tensor::full(Shape::SCALAR, 0.5, value.dtype(), value.device())?;
    let within = half.binary(BinaryOp::GreaterEqual, &value.unary(UnaryOp::Abs)?)?;
    Ok(Var::constant(within.affine(-1.0, 1.0)?))
}

impl Default for Activation {
    fn default() -> Self {
        Activation::Elementwise(Elementwise::Linear)
    }
}

impl From<Elementwise> for Activation {
    fn from(activation: Elementwise) -> Self {
        Activation::Elementwise(activation)
    }
}

impl From<Composed> for Activation {
    fn from(activation: Composed) -> Self {
        Activation::Composed(activation)
    }
}

impl Activation {
    /// The part that a kernel can fuse.
    pub fn fused(self) -> Elementwise {
        match self {
            Activation::Elementwise(activation) => activation,
            Activation::Softmax | Activation::Composed(_) => Elementwise::Linear,
        }
    }

    /// Applies what [`Activation::fused`] leaves out.
    ///
    /// # Errors
    /// Those of softmax.
    pub fn finish(self, fused: Var) -> Result<Var> {
        match self {
            Activation::Elementwise(_) => Ok(fused),
            Activation::Softmax => fused.softmax(),
            Activation::Composed(composed) => composed.apply(&fused),
        }
    }

    /// Applies the activation.
    ///
    /// # Errors
    /// Those of the op.
    pub fn apply(self, x: &Var) -> Result<Var> {
        self.finish(x.activate(self.fused())?)
    }

    /// Keras's name (<https://keras.io/api/layers/activations/>).
    pub fn name(self) -> &'static str {
        use Elementwise::*;
        match self {
            Activation::Softmax => "softmax",
            Activation::Composed(composed) => composed.name(),
            Activation::Elementwise(elementwise) => match elementwise {
                Relu => "relu",
                Relu6 => "relu6",
                LeakyRelu(_) => "leaky_relu",
                Elu(_) => "elu",
                Selu => "selu",
                Sigmoid => "sigmoid",
                HardSigmoid => "hard_sigmoid",
                Tanh => "tanh",
                Exponential => "exponential",
                Softsign => "softsign",
                Softplus => "softplus",
                Silu => "silu",
                Gelu | GeluTanh => "gelu",
                _ => "linear",
            },
        }
    }

    /// Keras's serialized form: the name, or an object where a parameter is not Keras's default.
    pub fn to_json(self) -> Value {
        use Elementwise::*;
        let layer = |class: &str, key: &str, value: f32| json!({ "module": "keras.layers", "class_name": class, "config": { key: number(value) } });
        match self {
            Activation::Elementwise(LeakyRelu(slope)) if slope != 0.2 => layer("LeakyReLU", "negative_slope", slope),
            Activation::Elementwise(Elu(alpha)) if alpha != 1.0 => layer("ELU", "alpha", alpha),
            Activation::Elementwise(GeluTanh) => json!({ "class_name": "gelu", "config": { "approximate": true } }),
            Activation::Composed(Composed::Relu { max_value, negative_slope, threshold }) => json!({
                "module": "keras.layers",
                "class_name": "ReLU",
                "config": {
                    "max_value": max_value.map(number),
                    "negative_slope": number(negative_slope),
                    "threshold": number(threshold),
                },
            }),
            other => json!(other.name()),
        }
    }

    /// The activation of Keras's serialized form: a name, or an object with `class_name` and `config`.
    ///
    /// # Errors
    /// [`Error::Model`] for an unknown one.
    pub fn from_json(value: &Value) -> Result<Activation> {
        use Elementwise::*;
        let config = &value["config"];
        let parameter = |keys: [&str; 2], default: f32| {
            keys.iter().find_map(|key| config[*key].as_f64()).map_or(default, |value| value as f32)
        };
        Ok(match value["class_name"].as_str() {
            Some("LeakyReLU") => LeakyRelu(parameter(["negative_slope", "alpha"], 0.3)).into(),
            Some("ELU") => Elu(parameter(["alpha", "alpha"], 1.0)).into(),
            Some("gelu") if config["approximate"] == true => GeluTanh.into(),
            Some("ReLU") => {
                let max_value = config["max_value"].as_f64().map(|value| value as f32);
                let negative_slope = parameter(["negative_slope", "negative_slope"], 0.0);
                let threshold = parameter(["threshold", "threshold"], 0.0);
                match (max_value, negative_slope, threshold) {
                    (None, 0.0, 0.0) => Relu.into(),
                    _ => Composed::Relu { max_value, negative_slope, threshold }.into(),
                }
            }
            Some("Softmax") if matches!(config["axis"].as_i64(), None | Some(-1)) => Activation::Softmax,
            Some("Activation") => return Activation::from_json(&config["activation"]),
            class => {
                let name = value.as_str().or_else(|| config.as_str()).or(class);
                return Activation::from_name(name.unwrap_or_default());
            }
        })
    }

    /// The activation of a Keras name, with Keras's default parameters.
    ///
    /// # Errors
    /// [`Error::Model`] for an unknown name.
    pub fn from_name(name: &str) -> Result<Activation> {
        use Elementwise::*;
        Ok(match name {
            "linear" => Linear,
            "relu" => Relu,
            "relu6" => Relu6,
            "leaky_relu" => LeakyRelu(0.2),
            "elu" => Elu(1.0),
            "selu" => Selu,
            "sigmoid" => Sigmoid,
            "hard_sigmoid" => HardSigmoid,
            "tanh" => Tanh,
            "exponential" => Exponential,
            "softsign" => Softsign,
            "softplus" => Softplus,
            "silu" | "swish" => Silu,
            "gelu" => Gelu,
            "celu" => Elu(1.0),
            "softmax" => return Ok(Activation::Softmax),
            other if Composed::from_name(other).is_some() => {
                return Ok(Composed::from_name(other).map_or(Activation::Softmax, Activation::Composed));
            }
            other => {
                return Err(Error::model(
                    "activation",
                    "the name must be one of Keras's",
                    format!("`{other}`"),
                    "such as relu, tanh, sigmoid or softmax",
                ));
            }
        }
        .into())
    }
}
