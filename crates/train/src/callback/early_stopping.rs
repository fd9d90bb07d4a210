//! Ends training that no longer gets better.

use super::monitor::{Mode, Monitor, monitor_builders};
use super::{Callback, CallbackState, Flow, Moment};
use serde_json::{Map, json};
use striate_tensor::{Result, Tensor};

/// Stops training when the monitored value has not become better for `patience` epochs.
///
/// Source: <https://keras.io/api/callbacks/early_stopping/>.
///
/// ```
/// use striate_train::callback::EarlyStopping;
/// let stop = EarlyStopping::new().monitor("val_accuracy").patience(3).restore_best_weights(true);
/// # let _: Box<dyn striate_train::Callback> = Box::new(stop);
/// ```
#[derive(Debug, Clone)]
pub struct EarlyStopping {
    monitor: Monitor,
    patience: usize,
    baseline: Option<f64>,
    restores: bool,
    start_from_epoch: usize,
    wait: usize,
    best: Option<f64>,
    best_epoch: usize,
    best_weights: Vec<(String, Tensor)>,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        EarlyStopping {
            monitor: Monitor::new("EarlyStopping", 0.0),
            patience: 0,
            baseline: None,
            restores: false,
            start_from_epoch: 0,
            wait: 0,
            best: None,
            best_epoch: 0,
            best_weights: Vec::new(),
        }
    }
}

impl EarlyStopping {
    /// Keras's defaults: watches `val_loss`, without patience.
    pub fn new() -> Self {
        EarlyStopping::default()
    }

    monitor_builders!();

    /// How many epochs without a better value are borne. Default 0.
    pub fn patience(mut self, epochs: usize) -> Self {
        self.patience = epochs;
        self
    }

    /// The least change that counts as better. Default 0.
    pub fn min_delta(mut self, change: f64) -> Self {
        self.monitor.min_delta = change;
        self
    }

    /// Patience runs out unless the value also becomes better than this. Default none.
    pub fn baseline(mut self, value: f64) -> Self {
        self.baseline = Some(value);
        self
    }

    /// Epochs that are not looked at. Default 0.
    pub fn start_from_epoch(mut self, epochs: usize) -> Self {
        self.start_from_epoch = epochs;
        self
    }

    /// Gives the model the weights of its best epoch when training ends. Default false: it keeps the last ones.
    pub fn restore_best_weights(mut self, restores: bool) -> Self {
        self.restores = restores;
        self
    }

    fn keep_weights(&mut self, moment: &Moment<'_>) {
        if self.restores {
            self.best_weights =
                moment.model.weights().map(|(spec, value)| (spec.path.clone(), value.clone())).collect();
        }
    }
}

impl Callback for EarlyStopping {
    fn on_train_begin(&mut self, _moment: &mut Moment<'_>) -> Result<()> {
        self.monitor.check()?;
        (self.wait, self.best, self.best_epoch) = (0, None, 0);
        self.best_weights.clear();
        Ok(())
    }

    fn on_epoch_end(&mut self, moment: &mut Moment<'_>) -> Result<Flow> {
        let value = self.monitor.value(moment.history)?;
        let epoch = moment.history.epochs.len();
        if epoch <= self.start_from_epoch {
            return Ok(Flow::Continue);
        }
        if self.best_epoch == 0 {
            // Even without a number to show for it, the first epoch is the best so far.
            self.best_epoch = epoch;
            self.keep_weights(moment);
        }
        self.wait += 1;
        if self.monitor.is_better(value, self.best) {
            (self.best, self.best_epoch) = (Some(value), epoch);
            self.keep_weights(moment);
            if self.baseline.is_none_or(|baseline| self.monitor.is_better(value, Some(baseline))) {
                self.wait = 0;
            }
            return Ok(Flow::Continue);
        }
        Ok(if self.wait >= self.patience && epoch > 1 { Flow::Stop } else { Flow::Continue })
    }

    fn on_train_end(&mut self, moment: &mut Moment<'_>) -> Result<()> {
        self.best_weights.drain(..).try_for_each(|(path, value)| moment.model.set_weight(&path, &value))
    }

    fn state(&self) -> CallbackState {
        let values = [("wait", json!(self.wait)), ("best", json!(self.best)), ("best_epoch", json!(self.best_epoch))];
        CallbackState {
            values: Map::from_iter(values.map(|(name, value)| (name.to_string(), value))),
            tensors: self.best_weights.clone(),
        }
    }

    fn restore(&mut self, state: &CallbackState) -> Result<()> {
        (self.wait, self.best, self.best_epoch) =
            (state.count("wait")?, state.number("best")?, state.count("best_epoch")?);
        self.best_weights = state.tensors.clone();
        Ok(())
    }
}
