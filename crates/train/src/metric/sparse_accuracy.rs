//! The share of right answers where targets are numbers of classes.

use super::Metric;
use crate::labels::labels;
use striate_tensor::{Result, Tensor};

/// The share of samples whose most probable class is the label: predictions (n, classes), targets (n) or (n, 1).
///
/// [`Accuracy`](super::Accuracy) gives the same for such targets, under its own name.
///
/// Source: <https://keras.io/api/metrics/accuracy_metrics/#sparsecategoricalaccuracy-class>.
#[derive(Debug, Clone, Copy)]
pub struct SparseCategoricalAccuracy;

/// The state behind [`SparseCategoricalAccuracy`].
#[derive(Debug, Default)]
pub(crate) struct SparseCount {
    right: usize,
    all: usize,
}

impl Metric for SparseCount {
    fn name(&self) -> &'static str {
        "sparse_categorical_accuracy"
    }

    fn reset(&mut self) {
        *self = SparseCount::default();
    }

    fn update(&mut self, prediction: &Tensor, target: &Tensor) -> Result<()> {
        let (right, all) = right_of_all(self.name(), prediction, target)?;
        self.right += right;
        self.all += all;
        Ok(())
    }

    fn value(&self) -> f64 {
        self.right as f64 / self.all as f64
    }
}

/// How many labels are the most probable class, and how many there are.
pub(super) fn right_of_all(metric: &str, prediction: &Tensor, target: &Tensor) -> Result<(usize, usize)> {
    let labels = labels(metric, prediction.shape(), target)?;
    let found = prediction.argmax()?.to_vec::<i32>()?;
    Ok((found.iter().zip(&labels).filter(|&(&found, &label)| found as usize == label).count(), labels.len()))
}

impl From<SparseCategoricalAccuracy> for Box<dyn Metric> {
    fn from(_: SparseCategoricalAccuracy) -> Self {
        Box::new(SparseCount::default())
    }
}
