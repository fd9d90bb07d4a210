//! Counts of what was called positive, and what is.

use super::same_shape;
use striate_tensor::{Error, Result, Tensor};

/// Counts over all elements, or over those of one class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Positives {
    /// Predicted to be positive, and so.
    pub(super) right: u64,
    /// Predicted to be positive.
    pub(super) predicted: u64,
    /// Positive.
    pub(super) actual: u64,
    /// All that was looked at.
    pub(super) seen: u64,
}

impl Positives {
    pub(super) fn add(&mut self, predicted: bool, actual: bool) {
        self.right += u64::from(predicted && actual);
        self.predicted += u64::from(predicted);
        self.actual += u64::from(actual);
        self.seen += 1;
    }

    /// Takes in a batch: predictions above `threshold` are positive, and targets above one half.
    pub(super) fn update(
        &mut self,
        metric: &str,
        options: Options,
        prediction: &Tensor,
        target: &Tensor,
    ) -> Result<()> {
        same_shape(metric, prediction, target)?;
        let classes = prediction.shape().channels();
        if options.class.is_some_and(|class| class >= classes) {
            let received = format!("class {}", options.class.unwrap_or_default());
            return Err(Error::argument(metric, format!("the class must be below {classes}"), received, ""));
        }
        let (p, t) = (prediction.to_f64_vec()?, target.to_f64_vec()?);
        let of_class = |i: usize| options.class.is_none_or(|class| i % classes == class);
        for (_, (p, t)) in p.into_iter().zip(t).enumerate().filter(|(i, _)| of_class(*i)) {
            self.add(p > options.threshold, t > 0.5);
        }
        Ok(())
    }

    /// Right ones among the predicted; 0 if none were predicted, NaN if nothing was seen.
    pub(super) fn precision(&self) -> f64 {
        self.share(self.predicted)
    }

    /// Right ones among the actual; 0 if there are none, NaN if nothing was seen.
    pub(super) fn recall(&self) -> f64 {
        self.share(self.actual)
    }

    /// The harmonic mean of both; 0 if there are neither predicted nor actual positives, NaN if nothing was seen.
    pub(super) fn f1(&self) -> f64 {
        let sum = self.predicted + self.actual;
        if sum == 0 { self.share(0) } else { 2.0 * self.right as f64 / sum as f64 }
    }

    fn share(&self, of: u64) -> f64 {
        match (self.seen, of) {
            (0, _) => f64::NAN,
            (_, 0) => 0.0,
            _ => self.right as f64 / of as f64,
        }
    }
}

/// What counts as positive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    pub(super) threshold: f64,
    /// Only this column; all if none.
    pub(super) class: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Options { threshold: 0.5, class: None }
    }
}
