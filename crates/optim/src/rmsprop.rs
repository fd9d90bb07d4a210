//! RMSprop: steps divided by a moving root mean square of the gradient.

use crate::optimizer::{Optimizer, Slot};
use crate::schedule::Schedule;
use crate::settings::{Settings, check_epsilon, check_fraction, settings_builders};
use serde_json::{Value, json};
use striate_tensor::{Parameter, Result, Tensor, UpdateRule};

/// v ← ρ·v + (1 − ρ)·g²; w ← w − lr·g / √(v + ε), on request centered and with momentum; see [`UpdateRule::RmsProp`].
/// (<https://keras.io/api/optimizers/rmsprop/>)
#[derive(Debug, Clone, PartialEq)]
pub struct RmsProp {
    settings: Settings,
    rho: f64,
    momentum: f64,
    epsilon: f64,
    centered: bool,
}

impl Default for RmsProp {
    /// Learning rate 0.001, ρ 0.9, no momentum, ε 10⁻⁷, not centered.
    fn default() -> Self {
        RmsProp { settings: Settings::new(0.001), rho: 0.9, momentum: 0.0, epsilon: 1e-7, centered: false }
    }
}

impl RmsProp {
    /// Keras's defaults with another learning rate, a number or a [`Schedule`].
    ///
    /// ```
    /// use striate_optim::{Optimizer, RmsProp};
    /// let optimizer = RmsProp::new(1e-4).rho(0.95).momentum(0.9);
    /// assert_eq!(optimizer.config()["learning_rate"], 1e-4);
    /// assert_eq!(optimizer.slots().len(), 2);
    /// ```
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        RmsProp::default().learning_rate(learning_rate)
    }

    /// How much of the mean square is kept at each step, in [0, 1); 0.9 unless set.
    pub fn rho(self, rho: f64) -> Self {
        RmsProp { rho, ..self }
    }

    /// How much of the last step is made again, in [0, 1); 0 unless set.
    pub fn momentum(self, momentum: f64) -> Self {
        RmsProp { momentum, ..self }
    }

    /// What is added inside the root, above 0; 10⁻⁷ unless set.
    pub fn epsilon(self, epsilon: f64) -> Self {
        RmsProp { epsilon, ..self }
    }

    /// Divides by an estimate of the standard deviation instead of the root mean square; off unless set.
    pub fn centered(self, centered: bool) -> Self {
        RmsProp { centered, ..self }
    }

    fn rule(&self, learning_rate: f32) -> UpdateRule {
        UpdateRule::RmsProp {
            learning_rate,
            rho: self.rho as f32,
            momentum: self.momentum as f32,
            epsilon: self.epsilon as f32,
            centered: self.centered,
        }
    }
}

settings_builders!(RmsProp, settings);

impl Optimizer for RmsProp {
    fn class_name(&self) -> &'static str {
        "RMSprop"
    }

    fn name(&self) -> &'static str {
        "rmsprop"
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn slots(&self) -> Vec<Slot> {
        let mut slots = vec![Slot::zeros("velocity")];
        if self.centered {
            slots.push(Slot::zeros("average_gradient"));
        }
        if self.momentum != 0.0 {
            slots.push(Slot::zeros("momentum"));
        }
        slots
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
        let mut config = self.settings.config("rmsprop");
        config["rho"] = json!(self.rho);
        config["momentum"] = json!(self.momentum);
        config["epsilon"] = json!(self.epsilon);
        config["centered"] = json!(self.centered);
        config
    }

    fn validate(&self) -> Result<()> {
        self.settings.validate()?;
        check_fraction("rho", self.rho)?;
        check_fraction("momentum", self.momentum)?;
        check_epsilon(self.epsilon)
    }
}
