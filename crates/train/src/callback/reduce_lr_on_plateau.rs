//! A smaller learning rate where training no longer gets better.

use super::monitor::{Mode, Monitor, monitor_builders};
use super::{Callback, CallbackState, Flow, Moment};
use serde_json::{Map, json};
use striate_tensor::{Error, Result};

/// Multiplies the learning rate by `factor` when the monitored value has not become better for `patience` epochs.
///
/// It sets the factor that the optimizer's schedule is multiplied by, so it works together with a schedule.
///
/// Source: <https://keras.io/api/callbacks/reduce_lr_on_plateau/>.
///
/// ```
/// use striate_train::callback::ReduceLROnPlateau;
/// let reduce = ReduceLROnPlateau::new().factor(0.2).patience(5).min_lr(1e-5);
/// # let _: Box<dyn striate_train::Callback> = Box::new(reduce);
/// ```
#[derive(Debug, Clone)]
pub struct ReduceLROnPlateau {
    monitor: Monitor,
    factor: f64,
    patience: usize,
    cooldown: usize,
    min_lr: f64,
    wait: usize,
    resting: usize,
    best: Option<f64>,
}

impl Default for ReduceLROnPlateau {
    fn default() -> Self {
        ReduceLROnPlateau {
            monitor: Monitor::new("ReduceLROnPlateau", 1e-4),
            factor: 0.1,
            patience: 10,
            cooldown: 0,
            min_lr: 0.0,
            wait: 0,
            resting: 0,
            best: None,
        }
    }
}

impl ReduceLROnPlateau {
    /// Keras's defaults: a tenth after 10 epochs in which `val_loss` did not fall by 0.0001.
    pub fn new() -> Self {
        ReduceLROnPlateau::default()
    }

    monitor_builders!();

    /// What the learning rate is multiplied by, in [0, 1). Default 0.1.
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// How many epochs without a better value are borne. Default 10.
    pub fn patience(mut self, epochs: usize) -> Self {
        self.patience = epochs;
        self
    }

    /// The least change that counts as better. Default 0.0001.
    pub fn min_delta(mut self, change: f64) -> Self {
        self.monitor.min_delta = change;
        self
    }

    /// Epochs after a reduction in which patience does not run. Default 0.
    pub fn cooldown(mut self, epochs: usize) -> Self {
        self.cooldown = epochs;
        self
    }

    /// The learning rate does not fall below this. Default 0.
    pub fn min_lr(mut self, rate: f64) -> Self {
        self.min_lr = rate;
        self
    }
}

impl Callback for ReduceLROnPlateau {
    fn on_train_begin(&mut self, _moment: &mut Moment<'_>) -> Result<()> {
        self.monitor.check()?;
        if !(0.0..1.0).contains(&self.factor) {
            let received = self.factor.to_string();
            return Err(Error::argument(self.monitor.callback, "the factor must be in [0, 1)", received, ""));
        }
        (self.wait, self.resting, self.best) = (0, 0, None);
        Ok(())
    }

    fn on_epoch_end(&mut self, moment: &mut Moment<'_>) -> Result<Flow> {
        let value = self.monitor.value(moment.history)?;
        if self.resting > 0 {
            (self.resting, self.wait) = (self.resting - 1, 0);
        }
        if self.monitor.is_better(value, self.best) {
            (self.best, self.wait) = (Some(value), 0);
        } else if self.resting == 0 {
            self.wait += 1;
            let rate = f64::from(moment.optimizer.learning_rate());
            if self.wait >= self.patience && rate > self.min_lr {
                let reduced = (rate * self.factor).max(self.min_lr);
                let before = f64::from(moment.optimizer.learning_rate_factor());
                moment.optimizer.set_learning_rate_factor((before * reduced / rate) as f32)?;
                (self.resting, self.wait) = (self.cooldown, 0);
            }
        }
        Ok(Flow::Continue)
    }

    fn state(&self) -> CallbackState {
        let values = [("wait", json!(self.wait)), ("resting", json!(self.resting)), ("best", json!(self.best))];
        CallbackState {
            values: Map::from_iter(values.map(|(name, value)| (name.to_string(), value))),
            tensors: Vec::new(),
        }
    }

    fn restore(&mut self, state: &CallbackState) -> Result<()> {
        (self.wait, self.resting, self.best) = (state.count("wait")?, state.count("resting")?, state.number("best")?);
        Ok(())
    }
}
