//! Whether the right class is among the first few.

use super::{Metric, same_shape};
use striate_tensor::{Error, Result, Tensor};

/// The share of samples whose class is among the `k` most probable ones. Equal probabilities at the edge all count as in.
///
/// Source: <https://keras.io/api/metrics/accuracy_metrics/#topkcategoricalaccuracy-class>.
#[derive(Debug, Clone)]
pub struct TopKCategoricalAccuracy {
    k: usize,
    right: u64,
    all: u64,
}

impl TopKCategoricalAccuracy {
    /// Among the first `k`; Keras's default is 5.
    pub fn new(k: usize) -> Self {
        TopKCategoricalAccuracy { k, right: 0, all: 0 }
    }
}

impl Default for TopKCategoricalAccuracy {
    fn default() -> Self {
        TopKCategoricalAccuracy::new(5)
    }
}

impl Metric for TopKCategoricalAccuracy {
    fn name(&self) -> &'static str {
        "top_k_categorical_accuracy"
    }

    fn reset(&mut self) {
        (self.right, self.all) = (0, 0);
    }

    fn update(&mut self, prediction: &Tensor, target: &Tensor) -> Result<()> {
        same_shape(self.name(), prediction, target)?;
        if self.k == 0 {
            return Err(Error::argument(self.name(), "k must be at least 1", "0", ""));
        }
        let classes = prediction.shape().channels().max(1);
        let (p, truth) = (prediction.to_f64_vec()?, target.argmax()?.to_vec::<i32>()?);
        for (row, &class) in p.chunks_exact(classes).zip(&truth) {
            let own = row[class as usize];
            let before = row.iter().filter(|&&other| other > own).count();
            self.right += u64::from(own.is_finite() && before < self.k);
            self.all += 1;
        }
        Ok(())
    }

    fn value(&self) -> f64 {
        self.right as f64 / self.all as f64
    }
}

impl From<TopKCategoricalAccuracy> for Box<dyn Metric> {
    fn from(metric: TopKCategoricalAccuracy) -> Self {
        Box::new(metric)
    }
}
