//! Cross-entropy between distributions over classes.

use super::{EPSILON, Loss, class_with, mean_of_sample, same_shape};
use serde_json::Value;
use striate_autograd::Var;
use striate_tensor::{Error, ReduceOp, Result, Tensor, UnaryOp};

/// −Σ target·log(prediction) over classes, for one-hot targets and softmax predictions.
///
/// Where the prediction is the result of a softmax, the loss is computed from what softmax was applied to: no
/// logarithm of a vanished probability is taken.
///
/// Source: <https://keras.io/api/losses/probabilistic_losses/#categoricalcrossentropy-class>.
#[derive(Debug, Clone, Copy)]
pub struct CategoricalCrossentropy;

impl CategoricalCrossentropy {
    /// Moves this share of the target evenly to all classes (Szegedy et al. 2015, <https://arxiv.org/abs/1512.00567>).
    pub fn label_smoothing(self, amount: f32) -> CategoricalCrossentropyWith {
        CategoricalCrossentropyWith { label_smoothing: amount, from_logits: false }
    }

    /// Predictions are logits: softmax is not applied by the model.
    pub fn from_logits(self) -> CategoricalCrossentropyWith {
        CategoricalCrossentropyWith { label_smoothing: 0.0, from_logits: true }
    }
}

/// [`CategoricalCrossentropy`] with options.
#[derive(Debug, Clone, Copy)]
pub struct CategoricalCrossentropyWith {
    label_smoothing: f32,
    from_logits: bool,
}

impl CategoricalCrossentropyWith {
    /// Moves this share of the target evenly to all classes.
    pub fn label_smoothing(self, amount: f32) -> Self {
        CategoricalCrossentropyWith { label_smoothing: amount, ..self }
    }
}

impl Loss for CategoricalCrossentropy {
    fn name(&self) -> &'static str {
        "categorical_crossentropy"
    }

    fn per_sample(&self, prediction: &Var, target: &Tensor) -> Result<Var> {
        CategoricalCrossentropyWith { label_smoothing: 0.0, from_logits: false }.per_sample(prediction, target)
    }
}

impl Loss for CategoricalCrossentropyWith {
    fn name(&self) -> &'static str {
        "categorical_crossentropy"
    }

    fn config(&self) -> Value {
        class_with("CategoricalCrossentropy", self.label_smoothing, self.from_logits)
    }

    fn per_sample(&self, prediction: &Var, target: &Tensor) -> Result<Var> {
        same_shape(self.name(), prediction, target)?;
        if prediction.shape().rank() < 2 || prediction.shape().channels() < 2 {
            return Err(Error::shape(
                self.name(),
                "the last axis must hold at least two classes",
                prediction.shape().to_string(),
                "for one probability use binary_crossentropy",
            ));
        }
        if !(0.0..=1.0).contains(&self.label_smoothing) {
            let received = self.label_smoothing.to_string();
            return Err(Error::argument(self.name(), "label smoothing must be in [0, 1]", received, ""));
        }
        let classes = prediction.shape().channels() as f32;
        let smoothed = match self.label_smoothing {
            0.0 => target.clone(),
            amount => target.affine(1.0 - amount, amount / classes)?,
        };
        let logits = if self.from_logits { Some(prediction) } else { prediction.logits() };
        let rows = match logits {
            Some(logits) => logits.softmax_crossentropy(&smoothed)?,
            None => {
                let last = prediction.shape().rank() - 1;
                let sum = prediction.reduce(ReduceOp::Sum, &[last], true)?;
                let normalised = (prediction / &sum)?.unary(UnaryOp::Clip { low: EPSILON, high: 1.0 - EPSILON })?;
                let products = (&normalised.log()? * &Var::constant(smoothed))?;
                products.reduce(ReduceOp::Sum, &[last], false)?.affine(-1.0, 0.0)?
            }
        };
        mean_of_sample(&rows)
    }
}
