//! How many of the sought were found.

use super::Metric;
use super::positives::{Options, Positives};
use striate_tensor::{Result, Tensor};

/// The share of positive elements that were predicted to be: true positives / (true positives + false negatives).
///
/// 0 where there is nothing to divide by.
///
/// Source: <https://keras.io/api/metrics/classification_metrics/#recall-class>.
#[derive(Debug, Clone, Default)]
pub struct Recall {
    options: Options,
    counts: Positives,
}

impl Recall {
    /// Over all elements, positive above 0.5.
    pub fn new() -> Self {
        Recall::default()
    }

    /// Predictions above this are positive. Default 0.5.
    pub fn threshold(mut self, threshold: f64) -> Self {
        self.options.threshold = threshold;
        self
    }

    /// Looks only at this class, a column of predictions and targets. Default all.
    pub fn class(mut self, class: usize) -> Self {
        self.options.class = Some(class);
        self
    }
}

impl Metric for Recall {
    fn name(&self) -> &'static str {
        "recall"
    }

    fn reset(&mut self) {
        self.counts = Positives::default();
    }

    fn update(&mut self, prediction: &Tensor, target: &Tensor) -> Result<()> {
        self.counts.update("recall", self.options, prediction, target)
    }

    fn value(&self) -> f64 {
        self.counts.recall()
    }
}

impl From<Recall> for Box<dyn Metric> {
    fn from(metric: Recall) -> Self {
        Box::new(metric)
    }
}
