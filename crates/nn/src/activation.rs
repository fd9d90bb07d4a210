//! The activation of a layer: an elementwise function or softmax.

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
