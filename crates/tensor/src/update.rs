//! How an optimizer changes a parameter: the rules back ends run as one fused pass.

use crate::error::Result;
use crate::tensor::Tensor;

/// One of the parameters that [`Tensor::update_all`] changes.
#[derive(Debug)]
pub struct Parameter<'a> {
    /// Its name, for errors: `conv2d/kernel`.
    pub path: &'a str,
    /// The parameter, changed in place.
    pub weight: &'a mut Tensor,
    /// Of the parameter's shape.
    pub gradient: &'a Tensor,
    /// As many tensors of the parameter's shape as [`UpdateRule::slots`] says, changed in place.
    pub slots: &'a mut [Tensor],
    /// What the parameter is multiplied by before the rule changes it: 1 − decay·lr with weight decay, else 1.
    pub kept: f32,
}

impl Parameter<'_> {
    /// Shrinks the parameter as [`Parameter::kept`] says, in new memory: for whom the step itself does not.
    ///
    /// # Errors
    /// What the device reports.
    pub fn decay(&mut self) -> Result<()> {
        if self.kept != 1.0 {
            *self.weight = self.weight.affine(self.kept, 0.0)?;
        }
        Ok(())
    }
}

/// One step of an optimizer on one parameter. Formulas are Keras 3's (<https://keras.io/api/optimizers/>).
///
/// `slots` are the optimizer's own tensors, of the parameter's shape, zero at the start.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum UpdateRule {
    /// w ← w − lr·g; with momentum m ← µ·m − lr·g, w ← w + m, or w + µ·m − lr·g (Nesterov). Slot: m if µ ≠ 0.
    Sgd {
        /// Step size lr.
        learning_rate: f32,
        /// µ in [0, 1).
        momentum: f32,
        /// Look ahead along the momentum.
        nesterov: bool,
    },
    /// v ← ρ·v + (1 − ρ)·g²; step = lr·g / √(v + ε) (centered: √(v − a² + ε), a ← ρ·a + (1 − ρ)·g); w ← w − step, or with
    /// momentum m ← µ·m + step, w ← w − m. Slots: v, then a if centered, then m if µ ≠ 0.
    RmsProp {
        /// Step size lr.
        learning_rate: f32,
        /// ρ in [0, 1).
        rho: f32,
        /// µ in [0, 1).
        momentum: f32,
        /// ε, inside the root.
        epsilon: f32,
        /// Divide by an estimate of the standard deviation instead of the root mean square.
        centered: bool,
    },
    /// m ← m + (1 − β₁)(g − m); v ← v + (1 − β₂)(g² − v); w ← w − lr·√(1 − β₂ᵗ)/(1 − β₁ᵗ)·m / (√v + ε). Slots: m, v.
    Adam {
        /// Step size lr.
        learning_rate: f32,
        /// β₁.
        beta_1: f32,
        /// β₂.
        beta_2: f32,
        /// ε, outside the root.
        epsilon: f32,
        /// t, 1 for the first step.
        step: u64,
    },
}

impl UpdateRule {
    /// How many tensors of the parameter's shape the rule keeps.
    pub fn slots(&self) -> usize {
        match *self {
            UpdateRule::Sgd { momentum, .. } => usize::from(momentum != 0.0),
            UpdateRule::RmsProp { momentum, centered, .. } => 1 + usize::from(centered) + usize::from(momentum != 0.0),
            UpdateRule::Adam { .. } => 2,
        }
    }

    /// The new value of one weight, in double precision: what every back end is held to. `slots` is changed in place.
    pub fn apply(&self, weight: f64, gradient: f64, slots: &mut [f64]) -> f64 {
        match *self {
            UpdateRule::Sgd { learning_rate, momentum, nesterov } => {
                let (lr, mu) = (f64::from(learning_rate), f64::from(momentum));
                let Some(m) = slots.first_mut() else { return weight - lr * gradient };
                *m = mu * *m - lr * gradient;
                weight + if nesterov { mu * *m - lr * gradient } else { *m }
            }
            UpdateRule::RmsProp { learning_rate, rho, momentum, epsilon, centered } => {
                let rho = f64::from(rho);
                slots[0] = rho * slots[0] + (1.0 - rho) * gradient * gradient;
                let mut square = slots[0] + f64::from(epsilon);
                if centered {
                    slots[1] = rho * slots[1] + (1.0 - rho) * gradient;
                    square -= slots[1] * slots[1];
                }
                let step = f64::from(learning_rate) * gradient / square.sqrt();
                if momentum == 0.0 {
                    return weight - step;
                }
                let m = &mut slots[1 + usize::from(centered)];
                *m = f64::from(momentum) * *m + step;
                weight - *m
            }
            UpdateRule::Adam { learning_rate, beta_1, beta_2, epsilon, step } => {
                let (b1, b2) = (f64::from(beta_1), f64::from(beta_2));
                slots[0] += (1.0 - b1) * (gradient - slots[0]);
                slots[1] += (1.0 - b2) * (gradient * gradient - slots[1]);
                let t = step as f64;
                let rate = f64::from(learning_rate) * (1.0 - b2.powf(t)).sqrt() / (1.0 - b1.powf(t));
                weight - rate * slots[0] / (slots[1].sqrt() + f64::from(epsilon))
            }
        }
    }
}
