//! How well scores sort positives above negatives.

use super::{Metric, same_shape};
use striate_tensor::{Error, Result, Tensor};

/// The area under the receiver operating characteristic: the probability that a positive has a higher score than a negative,
/// where equal scores count one half.
///
/// It is exact: all scores are kept (16 bytes an element) and ranked, where Keras sums over 200 thresholds. Of a row of classes every
/// element is a case of its own, as in Keras without `multi_label`. NaN unless there are positives and negatives.
///
/// Source: <https://keras.io/api/metrics/classification_metrics/#auc-class>.
#[derive(Debug, Clone, Default)]
pub struct Auc {
    /// Score, and whether it is a positive's.
    cases: Vec<(f64, bool)>,
}

impl Auc {
    /// Without any case yet.
    pub fn new() -> Self {
        Auc::default()
    }
}

impl Metric for Auc {
    fn name(&self) -> &'static str {
        "auc"
    }

    fn reset(&mut self) {
        self.cases.clear();
    }

    fn update(&mut self, prediction: &Tensor, target: &Tensor) -> Result<()> {
        same_shape(self.name(), prediction, target)?;
        let (p, t) = (prediction.to_f64_vec()?, target.to_f64_vec()?);
        if p.iter().any(|score| score.is_nan()) {
            return Err(Error::non_finite(self.name(), "scores must be numbers", "NaN", ""));
        }
        self.cases.extend(p.into_iter().zip(t.into_iter().map(|t| t > 0.5)));
        Ok(())
    }

    fn value(&self) -> f64 {
        let mut cases = self.cases.clone();
        // Not total_cmp, which tells −0 from 0.
        cases.sort_unstable_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(std::cmp::Ordering::Equal));
        let (mut below, mut positives, mut area) = (0u64, 0u64, 0.0);
        for equal in cases.chunk_by(|a, b| a.0 == b.0) {
            let here = equal.iter().filter(|(_, positive)| *positive).count() as u64;
            let negatives = equal.len() as u64 - here;
            area += here as f64 * (below as f64 + negatives as f64 / 2.0);
            below += negatives;
            positives += here;
        }
        area / (positives as f64 * below as f64)
    }
}

impl From<Auc> for Box<dyn Metric> {
    fn from(metric: Auc) -> Self {
        Box::new(metric)
    }
}
