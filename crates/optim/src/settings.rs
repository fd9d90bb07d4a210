//! What all optimizers have in common.

use crate::clip::Clip;
use crate::schedule::Schedule;
use serde_json::{Value, json};
use striate_tensor::{Error, Result};

/// Learning rate, weight decay and clipping: Keras's base class, and its config keys.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The learning rate by step.
    pub learning_rate: Schedule,
    /// Before each step a weight shrinks to w − w·decay·lr; not at all if none.
    pub weight_decay: Option<f64>,
    /// How large gradients are cut.
    pub clip: Clip,
}

impl Settings {
    /// A learning rate, without decay and clipping.
    pub fn new(learning_rate: impl Into<Schedule>) -> Self {
        Settings { learning_rate: learning_rate.into(), weight_decay: None, clip: Clip::None }
    }

    /// Refuses values outside their ranges.
    ///
    /// # Errors
    /// [`Error::Argument`] naming the value.
    pub fn validate(&self) -> Result<()> {
        self.learning_rate.validate()?;
        self.clip.validate()?;
        check("weight_decay", self.weight_decay.unwrap_or(0.0), "at least 0", |decay| decay >= 0.0)
    }

    /// Keras's keys for these settings; what is not offered has Keras's default.
    pub fn config(&self, name: &str) -> Value {
        let clip = |wanted: fn(&Clip) -> Option<f64>| wanted(&self.clip);
        json!({
            "name": name,
            "learning_rate": self.learning_rate.config(),
            "weight_decay": self.weight_decay,
            "clipnorm": clip(|clip| if let Clip::Norm(limit) = clip { Some(*limit) } else { None }),
            "global_clipnorm": clip(|clip| if let Clip::GlobalNorm(limit) = clip { Some(*limit) } else { None }),
            "clipvalue": clip(|clip| if let Clip::Value(limit) = clip { Some(*limit) } else { None }),
            "use_ema": false,
            "ema_momentum": 0.99,
            "ema_overwrite_frequency": null,
            "loss_scale_factor": null,
            "gradient_accumulation_steps": null,
        })
    }
}

/// Refuses a hyperparameter that is not finite or fails `holds`.
pub(crate) fn check(name: &str, value: f64, rule: &str, holds: impl Fn(f64) -> bool) -> Result<()> {
    if value.is_finite() && holds(value) {
        return Ok(());
    }
    Err(Error::argument(name, format!("must be {rule}"), value.to_string(), ""))
}

/// Refuses a decay rate or momentum outside [0, 1).
pub(crate) fn check_fraction(name: &str, value: f64) -> Result<()> {
    check(name, value, "in [0, 1)", |value| (0.0..1.0).contains(&value))
}

/// Refuses an ε that is not positive.
pub(crate) fn check_epsilon(value: f64) -> Result<()> {
    check("epsilon", value, "above 0", |epsilon| epsilon > 0.0)
}

/// The methods that set [`Settings`], for a type that has them in the given field.
macro_rules! settings_builders {
    ($type:ty, $($field:ident).+) => {
        impl $type {
            /// Replaces learning rate, weight decay and clipping at once.
            pub fn with_settings(mut self, settings: crate::Settings) -> Self {
                self.$($field).+ = settings;
                self
            }

            /// Sets the learning rate, a number or a [`Schedule`](crate::Schedule).
            pub fn learning_rate(mut self, learning_rate: impl Into<crate::Schedule>) -> Self {
                self.$($field).+.learning_rate = learning_rate.into();
                self
            }

            /// Shrinks each weight to w − w·decay·lr before the step; at least 0.
            pub fn weight_decay(mut self, decay: f64) -> Self {
                self.$($field).+.weight_decay = Some(decay);
                self
            }

            /// Limits each element of a gradient to −limit..limit, instead of any other clipping.
            pub fn clipvalue(mut self, limit: f64) -> Self {
                self.$($field).+.clip = crate::Clip::Value(limit);
                self
            }

            /// Limits the norm of each weight's gradient, instead of any other clipping.
            pub fn clipnorm(mut self, limit: f64) -> Self {
                self.$($field).+.clip = crate::Clip::Norm(limit);
                self
            }

            /// Limits the norm of all gradients together, instead of any other clipping.
            pub fn global_clipnorm(mut self, limit: f64) -> Self {
                self.$($field).+.clip = crate::Clip::GlobalNorm(limit);
                self
            }
        }
    };
}
pub(crate) use settings_builders;
