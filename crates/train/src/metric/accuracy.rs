//! The share of right answers.

use super::{Metric, same_shape, sparse_accuracy::right_of_all};
use crate::labels::are_labels;
use striate_tensor::{Result, Tensor};

/// The share of samples whose most probable class is the target's; for a single probability, whose rounding is.
/// Targets may be one-hot rows or labels counted from 0.
///
/// Source: <https://keras.io/api/metrics/accuracy_metrics/>.
#[derive(Debug, Clone, Copy)]
pub struct Accuracy;

/// The state behind [`Accuracy`].
#[derive(Debug, Default)]
pub(crate) struct AccuracyCount {
    right: usize,
    all: usize,
}

impl Metric for AccuracyCount {
    fn name(&self) -> &'static str {
        "accuracy"
    }

    fn reset(&mut self) {
        *self = AccuracyCount::default();
    }

    fn update(&mut self, prediction: &Tensor, target: &Tensor) -> Result<()> {
        // As Keras, which takes "accuracy" for the one that the target's shape asks for.
        if are_labels(prediction.shape(), target.shape()) {
            let (right, all) = right_of_all(self.name(), prediction, target)?;
            self.right += right;
            self.all += all;
            return Ok(());
        }
        same_shape(self.name(), prediction, target)?;
        if prediction.shape().channels() == 1 {
            let (p, t) = (prediction.to_f64_vec()?, target.to_f64_vec()?);
            self.right += p.iter().zip(&t).filter(|&(&p, &t)| (p > 0.5) == (t > 0.5)).count();
            self.all += p.len();
        } else {
            let (p, t) = (prediction.argmax()?.to_vec::<i32>()?, target.argmax()?.to_vec::<i32>()?);
            self.right += p.iter().zip(&t).filter(|(p, t)| p == t).count();
            self.all += p.len();
        }
        Ok(())
    }

    fn value(&self) -> f64 {
        self.right as f64 / self.all as f64
    }
}

impl From<Accuracy> for Box<dyn Metric> {
    fn from(_: Accuracy) -> Self {
        Box::new(AccuracyCount::default())
    }
}
