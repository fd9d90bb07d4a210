//! Cross-entropy of yes-or-no probabilities.

use super::{EPSILON, Loss, class_with, mean_of_sample, same_shape};
use serde_json::Value;
use striate_autograd::Var;
use striate_tensor::{Error, Result, Tensor, UnaryOp};

/// −t·log p − (1 − t)·log(1 − p), averaged over a sample's outputs.
///
/// Where the prediction is the result of a sigmoid, the loss is computed from what sigmoid was applied to, z: softplus(z) − z·t.
///
/// Source: <https://keras.io/api/losses/probabilistic_losses/#binarycrossentropy-class>.
#[derive(Debug, Clone, Copy)]
pub struct BinaryCrossentropy;

impl BinaryCrossentropy {
    /// Squeezes targets towards one half: t·(1 − amount) + amount/2.
    pub fn label_smoothing(self, amount: f32) -> BinaryCrossentropyWith {
        BinaryCrossentropyWith { label_smoothing: amount, from_logits: false }
    }

    /// Predictions are logits: sigmoid is not applied by the model.
    pub fn from_logits(self) -> BinaryCrossentropyWith {
        BinaryCrossentropyWith { label_smoothing: 0.0, from_logits: true }
    }
}

/// [`BinaryCrossentropy`] with options.
#[derive(Debug, Clone, Copy)]
pub struct BinaryCrossentropyWith {
    label_smoothing: f32,
    from_logits: bool,
}

impl BinaryCrossentropyWith {
    /// Squeezes targets towards one half: t·(1 − amount) + amount/2.
    pub fn label_smoothing(self, amount: f32) -> Self {
        BinaryCrossentropyWith { label_smoothing: amount, ..self }
    }
}

impl Loss for BinaryCrossentropy {
    fn name(&self) -> &'static str {
        "binary_crossentropy"
    }

    fn per_sample(&self, prediction: &Var, target: &Tensor) -> Result<Var> {
        BinaryCrossentropyWith { label_smoothing: 0.0, from_logits: false }.per_sample(prediction, target)
    }
}

impl Loss for BinaryCrossentropyWith {
    fn name(&self) -> &'static str {
        "binary_crossentropy"
    }

    fn config(&self) -> Value {
        class_with("BinaryCrossentropy", self.label_smoothing, self.from_logits)
    }

    fn per_sample(&self, prediction: &Var, target: &Tensor) -> Result<Var> {
        same_shape(self.name(), prediction, target)?;
        if !(0.0..=1.0).contains(&self.label_smoothing) {
            let received = self.label_smoothing.to_string();
            return Err(Error::argument(self.name(), "label smoothing must be in [0, 1]", received, ""));
        }
        let target = match self.label_smoothing {
            0.0 => target.clone(),
            amount => target.affine(1.0 - amount, amount / 2.0)?,
        };
        let logits = if self.from_logits { Some(prediction) } else { prediction.logits() };
        let each = match logits {
            Some(z) => (&z.softplus()? - &(z * &Var::constant(target))?)?,
            None => {
                let p = prediction.unary(UnaryOp::Clip { low: EPSILON, high: 1.0 - EPSILON })?;
                let no = Var::constant(target.affine(-1.0, 1.0)?);
                let yes = (&p.log()? * &Var::constant(target))?;
                (&yes + &(&p.affine(-1.0, 1.0)?.log()? * &no)?)?.affine(-1.0, 0.0)?
            }
        };
        mean_of_sample(&each)
    }
}
