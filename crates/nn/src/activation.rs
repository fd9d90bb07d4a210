//! The activation of a layer: an elementwise function or softmax.

use crate::config::number;
use serde_json::{Value, json};
use striate_autograd::Var;
use striate_tensor::Activation as Elementwise;
use striate_tensor::{Error, Result};

/// What a layer applies to its result. Converts from [`striate_tensor::Activation`] and from [`crate::layers::Softmax`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// A function of each element; fused into the layer's kernel where there is one.
    Elementwise(Elementwise),
    /// Softmax along the last axis.
    Softmax,
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

impl Activation {
    /// The part that a kernel can fuse.
    pub fn fused(self) -> Elementwise {
        match self {
            Activation::Elementwise(activation) => activation,
            Activation::Softmax => Elementwise::Linear,
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
            "softmax" => return Ok(Activation::Softmax),
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
