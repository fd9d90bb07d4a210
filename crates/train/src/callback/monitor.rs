//! The value that a callback watches.

use crate::history::History;
use striate_tensor::{Error, Result};

/// Whether smaller or larger is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Larger for accuracy, precision, recall, F1 and AUC; smaller for all else.
    #[default]
    Auto,
    /// Smaller is better.
    Min,
    /// Larger is better.
    Max,
}

/// A value of the history and what counts as better.
#[derive(Debug, Clone)]
pub(super) struct Monitor {
    pub(super) callback: &'static str,
    pub(super) name: String,
    pub(super) mode: Mode,
    /// The least change that counts.
    pub(super) min_delta: f64,
}

impl Monitor {
    pub(super) fn new(callback: &'static str, min_delta: f64) -> Self {
        Monitor { callback, name: "val_loss".into(), mode: Mode::Auto, min_delta }
    }

    /// The last epoch's value.
    pub(super) fn value(&self, history: &History) -> Result<f64> {
        history.last(&self.name).ok_or_else(|| {
            let hint =
                if self.name.starts_with("val_") { "give fit validation data, or monitor another value" } else { "" };
            Error::argument(
                self.callback,
                format!("the monitored value must be one of {}", history.names().join(", ")),
                format!("`{}`", self.name),
                hint,
            )
        })
    }

    /// Whether `value` is better than `than` by more than the least change. NaN never is; everything else is better than nothing.
    pub(super) fn is_better(&self, value: f64, than: Option<f64>) -> bool {
        match than {
            None => !value.is_nan(),
            Some(than) if self.larger_is_better() => value - self.min_delta > than,
            Some(than) => value + self.min_delta < than,
        }
    }

    fn larger_is_better(&self) -> bool {
        const LARGER: [&str; 5] = ["accuracy", "precision", "recall", "f1_score", "auc"];
        match self.mode {
            Mode::Auto => LARGER.iter().any(|metric| self.name.ends_with(metric)),
            Mode::Min => false,
            Mode::Max => true,
        }
    }

    /// Refuses a least change that is negative or not finite.
    pub(super) fn check(&self) -> Result<()> {
        if self.min_delta.is_finite() && self.min_delta >= 0.0 {
            return Ok(());
        }
        let received = self.min_delta.to_string();
        Err(Error::argument(self.callback, "min_delta must be finite and at least 0", received, ""))
    }
}

/// The builders that every monitoring callback has.
macro_rules! monitor_builders {
    () => {
        /// The value of the history to watch, as `val_accuracy`. Default `val_loss`.
        pub fn monitor(mut self, name: impl Into<String>) -> Self {
            self.monitor.name = name.into();
            self
        }

        /// Whether smaller or larger is better. Default [`Mode::Auto`], which goes by the name.
        pub fn mode(mut self, mode: Mode) -> Self {
            self.monitor.mode = mode;
            self
        }
    };
}

pub(super) use monitor_builders;
