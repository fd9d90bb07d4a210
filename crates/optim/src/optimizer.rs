//! What an optimizer is.

use crate::settings::Settings;
use serde_json::Value;
use std::fmt;
use striate_tensor::{Parameter, Result, Tensor, UpdateRule};

/// A tensor that an optimizer keeps for each weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slot {
    /// Its name in checkpoints: `velocity`.
    pub name: &'static str,
    /// The value of all elements before the first step.
    pub start: f32,
}

impl Slot {
    /// A slot that starts at zero.
    pub const fn zeros(name: &'static str) -> Self {
        Slot { name, start: 0.0 }
    }
}

/// The hyperparameters of an optimizer and how one weight changes. A new optimizer is one file that implements this;
/// [`crate::Engine`] does the rest.
///
/// ```
/// use serde_json::Value;
/// use striate_optim::{Engine, Optimizer, Settings, Slot};
/// use striate_tensor::{BinaryOp, Result, Tensor, UnaryOp};
///
/// /// a ← a + g²; w ← w − lr·g / √(a + 10⁻⁷).
/// #[derive(Debug, Clone)]
/// struct Adagrad(Settings);
///
/// impl Optimizer for Adagrad {
///     fn class_name(&self) -> &'static str {
///         "Adagrad"
///     }
///     fn name(&self) -> &'static str {
///         "adagrad"
///     }
///     fn settings(&self) -> &Settings {
///         &self.0
///     }
///     fn slots(&self) -> Vec<Slot> {
///         vec![Slot { name: "accumulator", start: 0.1 }]
///     }
///     fn update(&self, w: &mut Tensor, g: &Tensor, slots: &mut [Tensor], learning_rate: f32, _step: u64) -> Result<()> {
///         slots[0] = slots[0].add(&g.unary(UnaryOp::Square)?)?;
///         let root = slots[0].affine(1.0, 1e-7)?.unary(UnaryOp::Sqrt)?;
///         *w = w.sub(&g.binary(BinaryOp::Div, &root)?.affine(learning_rate, 0.0)?)?;
///         Ok(())
///     }
///     fn config(&self) -> Value {
///         self.0.config(self.name())
///     }
///     fn validate(&self) -> Result<()> {
///         self.0.validate()
///     }
/// }
///
/// let device = striate_testkit::reference::device();
/// let mut w = Tensor::from_vec(vec![1.0f32], [1], &device)?;
/// let mut engine = Engine::new(Adagrad(Settings::new(0.5)))?;
/// let gradient = w.clone();
/// engine.step(&mut [("w", &mut w)], &[gradient])?;
/// assert!((w.item()? - (1.0 - 0.5 / 1.1f64.sqrt())).abs() < 1e-5);
/// # Ok::<(), striate_tensor::Error>(())
/// ```
pub trait Optimizer: fmt::Debug + Send + Sync {
    /// Keras's class name: `RMSprop`.
    fn class_name(&self) -> &'static str;

    /// The first part of the slots' names in checkpoints: `rmsprop`.
    fn name(&self) -> &'static str;

    /// What all optimizers have: learning rate, weight decay, clipping.
    fn settings(&self) -> &Settings;

    /// The tensors it keeps for each weight.
    fn slots(&self) -> Vec<Slot>;

    /// Changes one weight and its slots, which have the weight's shape and come in the order of [`Optimizer::slots`]. The
    /// gradient is clipped and the weight decayed by then; `step` is 1 the first time.
    ///
    /// # Errors
    /// What the device reports.
    fn update(
        &self,
        weight: &mut Tensor,
        gradient: &Tensor,
        slots: &mut [Tensor],
        learning_rate: f32,
        step: u64,
    ) -> Result<()>;

    /// Changes all weights of a step, decay included. Unless an optimizer knows better it is [`Parameter::decay`] and [`Optimizer::update`] on one
    /// after another; those of this crate hand the device all of them at once.
    ///
    /// # Errors
    /// As [`Optimizer::update`], at the weight's path.
    fn update_all(&self, parameters: &mut [Parameter<'_>], learning_rate: f32, step: u64) -> Result<()> {
        parameters.iter_mut().try_for_each(|one| {
            let stepped =
                one.decay().and_then(|()| self.update(one.weight, one.gradient, one.slots, learning_rate, step));
            stepped.map_err(|error| error.at(one.path))
        })
    }

    /// The rule by which a device changes a weight in one pass, where [`Optimizer::update`] is just that: a device that recorded a step
    /// gets the next step's rule from here. Without one steps are not recorded.
    fn update_rule(&self, learning_rate: f32, step: u64) -> Option<UpdateRule> {
        let _ = (learning_rate, step);
        None
    }

    /// Keras's config: what `get_config` returns.
    fn config(&self) -> Value;

    /// Refuses hyperparameters outside their ranges.
    ///
    /// # Errors
    /// [`striate_tensor::Error::Argument`] naming the hyperparameter.
    fn validate(&self) -> Result<()>;
}

impl Optimizer for Box<dyn Optimizer> {
    fn class_name(&self) -> &'static str {
        (**self).class_name()
    }
    fn name(&self) -> &'static str {
        (**self).name()
    }
    fn settings(&self) -> &Settings {
        (**self).settings()
    }
    fn slots(&self) -> Vec<Slot> {
        (**self).slots()
    }
    fn update(&self, w: &mut Tensor, g: &Tensor, slots: &mut [Tensor], learning_rate: f32, step: u64) -> Result<()> {
        (**self).update(w, g, slots, learning_rate, step)
    }
    fn update_all(&self, parameters: &mut [Parameter<'_>], learning_rate: f32, step: u64) -> Result<()> {
        (**self).update_all(parameters, learning_rate, step)
    }
    fn update_rule(&self, learning_rate: f32, step: u64) -> Option<UpdateRule> {
        (**self).update_rule(learning_rate, step)
    }
    fn config(&self) -> Value {
        (**self).config()
    }
    fn validate(&self) -> Result<()> {
        (**self).validate()
    }
}
