//! How many of the alarms are right.

use super::Metric;
use super::positives::{Options, Positives};
use striate_tensor::{Result, Tensor};

/// The share of elements predicted to be positive that are: true positives / (true + false positives).
///
/// 0 where there is nothing to divide by.
///
/// Source: <https://keras.io/api/metrics/classification_metrics/#precision-class>.
#[derive(Debug, Clone, Default)]
pub struct Precision {
    options: Options,
    counts: Positives,
}

impl Precision {
    /// Over all elements, positive above 0.5.
    pub fn new() -> Self {
        Precision::default()
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

impl Metric for Precision {
    fn name(&self) -> &'static str {
        "precision"
    }

    fn reset(&mut self) {
        self.counts = Positives::default();
    }

    fn update(&mut self, prediction: &Tensor, target: &Tensor) -> Result<()> {
        self.counts.update("precision", self.options, prediction, target)
    }

    fn value(&self) -> f64 {
        self.counts.precision()
    }
}

impl From<Precision> for Box<dyn Metric> {
    fn from(metric: Precision) -> Self {
        Box::new(metric)
    }
}
