//! Gradient descent, plain or with momentum.

use crate::optimizer::{Optimizer, Slot};
use crate::schedule::Schedule;
use crate::settings::{Settings, check_fraction, settings_builders};
use serde_json::{Value, json};
use striate_tensor::{Parameter, Result, Tensor, UpdateRule};

/// w ← w − lr·g; with momentum m ← µ·m − lr·g and w ← w + m, or w + µ·m − lr·g (Nesterov).
/// (<https://keras.io/api/optimizers/sgd/>)
#[derive(Debug, Clone, PartialEq)]
pub struct Sgd {
    settings: Settings,
    momentum: f64,
    nesterov: bool,
}

impl Default for Sgd {
    /// Learning rate 0.01, no momentum.
    fn default() -> Self {
        Sgd { settings: Settings::new(0.01), momentum: 0.0, nesterov: false }
    }
}

impl Sgd {
    /// Keras's defaults with another learning rate, a number or a [`Schedule`].
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        Sgd::default().learning_rate(learning_rate)
    }

    /// How much of the last step is made again, in [0, 1); 0 unless set.
    pub fn momentum(self, momentum: f64) -> Self {
        Sgd { momentum, ..self }
    }

    /// Looks ahead along the momentum; off unless set.
    pub fn nesterov(self, nesterov: bool) -> Self {
        Sgd { nesterov, ..self }
    }

    fn rule(&self, learning_rate: f32) -> UpdateRule {
        UpdateRule::Sgd { learning_rate, momentum: self.momentum as f32, nesterov: self.nesterov }
    }
}

settings_builders!(Sgd, settings);

impl Optimizer for Sgd {
    fn class_name(&self) -> &'static str {
        "SGD"
    }

    fn name(&self) -> &'static str {
        "sgd"
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn slots(&self) -> Vec<Slot> {
        if self.momentum == 0.0 { Vec::new() } else { vec![Slot::zeros("momentum")] }
    }

    fn update(&self, w: &mut Tensor, g: &Tensor, slots: &mut [Tensor], learning_rate: f32, _step: u64) -> Result<()> {
        w.update(&self.rule(learning_rate), g, slots)
    }

    fn update_all(&self, parameters: &mut [Parameter<'_>], learning_rate: f32, _step: u64) -> Result<()> {
        Tensor::update_all(&self.rule(learning_rate), parameters)
    }

    fn update_rule(&self, learning_rate: f32, _step: u64) -> Option<UpdateRule> {
        Some(self.rule(learning_rate))
    }

    fn config(&self) -> Value {
        let mut config = self.settings.config("sgd");
        config["momentum"] = json!(self.momentum);
        config["nesterov"] = json!(self.nesterov);
        config
    }

    fn validate(&self) -> Result<()> {
        self.settings.validate()?;
        check_fraction("momentum", self.momentum)
    }
}
