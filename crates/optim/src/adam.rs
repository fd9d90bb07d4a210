//! Adam: moving means of the gradient and of its square, corrected for their start.

use crate::optimizer::{Optimizer, Slot};
use crate::schedule::Schedule;
use crate::settings::{Settings, check_epsilon, check_fraction, settings_builders};
use serde_json::{Value, json};
use striate_tensor::{Parameter, Result, Tensor, UpdateRule};

/// m ← m + (1 − β₁)(g − m); v ← v + (1 − β₂)(g² − v); w ← w − lr·√(1 − β₂ᵗ)/(1 − β₁ᵗ)·m / (√v + ε).
/// (Kingma and Ba, <https://arxiv.org/abs/1412.6980>; <https://keras.io/api/optimizers/adam/>)
#[derive(Debug, Clone, PartialEq)]
pub struct Adam {
    pub(crate) settings: Settings,
    beta_1: f64,
    beta_2: f64,
    epsilon: f64,
}

impl Default for Adam {
    /// Learning rate 0.001, β₁ 0.9, β₂ 0.999, ε 10⁻⁷.
    fn default() -> Self {
        Adam { settings: Settings::new(0.001), beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 }
    }
}

impl Adam {
    /// Keras's defaults with another learning rate, a number or a [`Schedule`].
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        Adam::default().learning_rate(learning_rate)
    }

    /// How much of the gradient's mean is kept at each step, in [0, 1); 0.9 unless set.
    pub fn beta_1(self, beta_1: f64) -> Self {
        Adam { beta_1, ..self }
    }

    /// How much of the square's mean is kept at each step, in [0, 1); 0.999 unless set.
    pub fn beta_2(self, beta_2: f64) -> Self {
        Adam { beta_2, ..self }
    }

    /// What is added to the root, above 0; 10⁻⁷ unless set.
    pub fn epsilon(self, epsilon: f64) -> Self {
        Adam { epsilon, ..self }
    }

    fn rule(&self, learning_rate: f32, step: u64) -> UpdateRule {
        let (beta_1, beta_2, epsilon) = (self.beta_1 as f32, self.beta_2 as f32, self.epsilon as f32);
        UpdateRule::Adam { learning_rate, beta_1, beta_2, epsilon, step }
    }
}

settings_builders!(Adam, settings);

impl Optimizer for Adam {
    fn class_name(&self) -> &'static str {
        "Adam"
    }

    fn name(&self) -> &'static str {
        "adam"
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn slots(&self) -> Vec<Slot> {
        vec![Slot::zeros("momentum"), Slot::zeros("velocity")]
    }

    fn update(&self, w: &mut Tensor, g: &Tensor, slots: &mut [Tensor], learning_rate: f32, step: u64) -> Result<()> {
        w.update(&self.rule(learning_rate, step), g, slots)
    }

    fn update_all(&self, parameters: &mut [Parameter<'_>], learning_rate: f32, step: u64) -> Result<()> {
        Tensor::update_all(&self.rule(learning_rate, step), parameters)
    }

    fn update_rule(&self, learning_rate: f32, step: u64) -> Option<UpdateRule> {
        Some(self.rule(learning_rate, step))
    }

    fn config(&self) -> Value {
        let mut config = self.settings.config("adam");
        config["beta_1"] = json!(self.beta_1);
        config["beta_2"] = json!(self.beta_2);
        config["epsilon"] = json!(self.epsilon);
        config["amsgrad"] = json!(false);
        config
    }

    fn validate(&self) -> Result<()> {
        self.settings.validate()?;
        check_fraction("beta_1", self.beta_1)?;
        check_fraction("beta_2", self.beta_2)?;
        check_epsilon(self.epsilon)
    }
}
