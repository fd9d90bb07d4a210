//! Precision and recall in one number.

use super::positives::Positives;
use super::{Metric, same_shape};
use striate_tensor::{Result, Tensor};

/// How the scores of classes become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Average {
    /// The mean over classes: rare ones count as much as common ones.
    #[default]
    Macro,
    /// The score of all counts together.
    Micro,
    /// The mean over classes, each counting as often as it occurs.
    Weighted,
}

/// The harmonic mean of precision and recall, 2·p·r / (p + r), of each class, averaged over classes.
///
/// The most probable class of a row is the predicted one; a single probability is positive above 0.5. With a threshold, every
/// class above it is predicted. A class that neither occurs nor is predicted has the score 0.
///
/// Source: <https://keras.io/api/metrics/classification_metrics/#f1score-class>; the average is macro unless set.
#[derive(Debug, Clone, Default)]
pub struct F1 {
    threshold: Option<f64>,
    average: Average,
    classes: Vec<Positives>,
}

impl F1 {
    /// Of the most probable class, averaged over classes.
    pub fn new() -> Self {
        F1::default()
    }

    /// Every class above this is predicted. Default: only the most probable one.
    pub fn threshold(mut self, threshold: f64) -> Self {
        self.threshold = Some(threshold);
        self
    }

    /// How the scores of classes become one. Default [`Average::Macro`].
    pub fn average(mut self, average: Average) -> Self {
        self.average = average;
        self
    }
}

impl Metric for F1 {
    fn name(&self) -> &'static str {
        "f1_score"
    }

    fn reset(&mut self) {
        self.classes.clear();
    }

    fn update(&mut self, prediction: &Tensor, target: &Tensor) -> Result<()> {
        same_shape("f1_score", prediction, target)?;
        let width = prediction.shape().channels();
        if self.classes.is_empty() {
            self.classes = vec![Positives::default(); width];
        }
        let (p, t) = (prediction.to_f64_vec()?, target.to_f64_vec()?);
        let best =
            if width > 1 && self.threshold.is_none() { prediction.argmax()?.to_vec::<i32>()? } else { Vec::new() };
        let threshold = self.threshold.unwrap_or(0.5);
        for (row, (p, t)) in p.chunks_exact(width.max(1)).zip(t.chunks_exact(width.max(1))).enumerate() {
            for (class, (counts, (&p, &t))) in self.classes.iter_mut().zip(p.iter().zip(t)).enumerate() {
                counts.add(best.get(row).map_or(p > threshold, |&best| best as usize == class), t > 0.5);
            }
        }
        Ok(())
    }

    fn value(&self) -> f64 {
        let mean = |weight: &dyn Fn(&Positives) -> f64| {
            let total: f64 = self.classes.iter().map(weight).sum();
            let sum: f64 = self.classes.iter().map(|class| weight(class) * class.f1()).sum();
            if total == 0.0 && !self.classes.is_empty() { 0.0 } else { sum / total }
        };
        match self.average {
            Average::Macro => mean(&|_| 1.0),
            Average::Weighted => mean(&|class| class.actual as f64),
            Average::Micro => {
                let add = |sum: Positives, class: &Positives| Positives {
                    right: sum.right + class.right,
                    predicted: sum.predicted + class.predicted,
                    actual: sum.actual + class.actual,
                    seen: sum.seen + class.seen,
                };
                self.classes.iter().fold(Positives::default(), add).f1()
            }
        }
    }
}

impl From<F1> for Box<dyn Metric> {
    fn from(metric: F1) -> Self {
        Box::new(metric)
    }
}
