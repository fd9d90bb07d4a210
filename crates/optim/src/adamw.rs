//! Adam with weight decay of its own, apart from the gradient.

use crate::adam::Adam;
use crate::optimizer::{Optimizer, Slot};
use crate::schedule::Schedule;
use crate::settings::{Settings, settings_builders};
use serde_json::Value;
use striate_tensor::{Parameter, Result, Tensor, UpdateRule};

/// w ← w − w·decay·lr, then a step of [`Adam`].
/// (Loshchilov and Hutter, <https://arxiv.org/abs/1711.05101>; <https://keras.io/api/optimizers/adamw/>)
#[derive(Debug, Clone, PartialEq)]
pub struct AdamW {
    /// Carries the decay in its settings.
    adam: Adam,
}

impl Default for AdamW {
    /// Weight decay 0.004; the rest as [`Adam`].
    fn default() -> Self {
        AdamW { adam: Adam::default().weight_decay(0.004) }
    }
}

impl AdamW {
    /// Keras's defaults with another learning rate, a number or a [`Schedule`].
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        AdamW::default().learning_rate(learning_rate)
    }

    /// How much of the gradient's mean is kept at each step, in [0, 1); 0.9 unless set.
    pub fn beta_1(self, beta_1: f64) -> Self {
        AdamW { adam: self.adam.beta_1(beta_1) }
    }

    /// How much of the square's mean is kept at each step, in [0, 1); 0.999 unless set.
    pub fn beta_2(self, beta_2: f64) -> Self {
        AdamW { adam: self.adam.beta_2(beta_2) }
    }

    /// What is added to the root, above 0; 10⁻⁷ unless set.
    pub fn epsilon(self, epsilon: f64) -> Self {
        AdamW { adam: self.adam.epsilon(epsilon) }
    }
}

settings_builders!(AdamW, adam.settings);

impl Optimizer for AdamW {
    fn class_name(&self) -> &'static str {
        "AdamW"
    }

    fn name(&self) -> &'static str {
        "adamw"
    }

    fn settings(&self) -> &Settings {
        self.adam.settings()
    }

    fn slots(&self) -> Vec<Slot> {
        self.adam.slots()
    }

    fn update(&self, w: &mut Tensor, g: &Tensor, slots: &mut [Tensor], learning_rate: f32, step: u64) -> Result<()> {
        self.adam.update(w, g, slots, learning_rate, step)
    }

    fn update_all(&self, parameters: &mut [Parameter<'_>], learning_rate: f32, step: u64) -> Result<()> {
        self.adam.update_all(parameters, learning_rate, step)
    }

    fn update_rule(&self, learning_rate: f32, step: u64) -> Option<UpdateRule> {
        self.adam.update_rule(learning_rate, step)
    }

    fn config(&self) -> Value {
        let mut config = self.adam.config();
        config["name"] = self.name().into();
        config
    }

    fn validate(&self) -> Result<()> {
        self.adam.validate()
    }
}
