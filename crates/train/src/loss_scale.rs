//! Loss scaling: small gradients that 16 bits can still hold.
//!
//! Where a device rounds the factors of products to float16, gradients below 6·10⁻⁸ become zero. So the objective is multiplied by a number
//! before the backward pass, and the gradients are divided by it afterwards. The number is as large as gradients allow: it doubles after many
//! steps that went well, and when a gradient is no finite number the step changes no weight and the number is halved.

use striate_tensor::{Error, Result, Tensor};

/// The factor of the first step.
const START: f32 = 65536.0;
/// So many steps in a row must go well before the factor doubles.
const PATIENCE: u32 = 2000;
/// No factor is larger: the objective must stay a float32.
const MOST: f32 = 1_099_511_627_776.0;
/// A factor below this would not be to blame.
const LEAST: f32 = 1.0 / 16_777_216.0;

/// What the objective is multiplied by before the backward pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossScale {
    factor: f32,
    good: u32,
}

impl Default for LossScale {
    /// Begins with 65536.
    fn default() -> Self {
        LossScale { factor: START, good: 0 }
    }
}

impl LossScale {
    /// Begins with this factor.
    ///
    /// # Errors
    /// [`Error::Argument`] unless it is finite and above 0.
    pub fn starting_at(factor: f32) -> Result<Self> {
        LossScale::restored(factor, 0)
    }

    /// As it was after so many good steps in a row.
    pub(crate) fn restored(factor: f32, good: u32) -> Result<Self> {
        if !(factor.is_finite() && factor > 0.0) {
            return Err(Error::argument("loss scale", "must be finite and above 0", factor.to_string(), ""));
        }
        Ok(LossScale { factor, good })
    }

    /// The factor of the next step.
    pub fn factor(&self) -> f32 {
        self.factor
    }

    /// Good steps since the factor changed.
    pub fn good_steps(&self) -> u32 {
        self.good
    }

    /// The gradients of the objective itself; none if one of them is no finite number, and the step must be left out.
    ///
    /// # Errors
    /// [`Error::NonFinite`] if that happens however small the factor is; what the device reports.
    pub(crate) fn unscale(&mut self, gradients: Vec<Tensor>) -> Result<Option<Vec<Tensor>>> {
        if !all_finite(&gradients)? {
            if self.factor <= LEAST {
                let rule = "gradients must be finite numbers, however little the loss is scaled";
                let hint = "a smaller learning rate, or gradients that are clipped, often helps";
                return Err(Error::non_finite("gradients", rule, "NaN or an infinity", hint));
            }
            *self = LossScale { factor: self.factor / 2.0, good: 0 };
            return Ok(None);
        }
        let back = 1.0 / self.factor;
        let unscaled = gradients.iter().map(|gradient| gradient.affine(back, 0.0)).collect::<Result<_>>()?;
        self.good += 1;
        if self.good == PATIENCE {
            *self = LossScale { factor: (self.factor * 2.0).min(MOST), good: 0 };
        }
        Ok(Some(unscaled))
    }
}

/// Whether all elements are finite; the device is asked once.
fn all_finite(all: &[Tensor]) -> Result<bool> {
    let mut total: Option<Tensor> = None;
    for one in all {
        // Zero times an infinity is no number, and no sum with that is one.
        let sum = one.affine(0.0, 0.0)?.sum_all()?;
        total = Some(match total {
            Some(total) => total.add(&sum)?,
            None => sum,
        });
    }
    total.map_or(Ok(true), |total| Ok(total.item()?.is_finite()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use striate_testkit::reference;

    fn gradients(last: f32) -> Vec<Tensor> {
        let device = reference::device();
        let of = |values: Vec<f32>| Tensor::from_vec(values, [2], &device).unwrap();
        vec![of(vec![1.0, -4.0]), of(vec![0.5, last])]
    }

    #[test]
    fn gradients_are_divided_and_the_factor_doubles_after_many_good_steps() {
        let mut scale = LossScale::starting_at(4.0).unwrap();
        let unscaled = scale.unscale(gradients(8.0)).unwrap().unwrap();
        assert_eq!(unscaled[1].to_vec::<f32>().unwrap(), [0.125, 2.0]);
        assert_eq!((scale.factor(), scale.good_steps()), (4.0, 1));
        scale.good = PATIENCE - 1;
        scale.unscale(gradients(8.0)).unwrap().unwrap();
        assert_eq!((scale.factor(), scale.good_steps()), (8.0, 0));
    }

    #[test]
    fn a_gradient_that_is_no_number_halves_the_factor_until_it_cannot_be_to_blame() {
        let mut scale = LossScale::default();
        for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            assert!(scale.unscale(gradients(bad)).unwrap().is_none());
        }
        assert_eq!(scale.factor(), 8192.0);
        let error = loop {
            match scale.unscale(gradients(f32::NAN)) {
                Ok(none) => assert!(none.is_none()),
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.contains("gradients must be finite numbers") && error.contains("hint"), "{error}");
        assert!(LossScale::starting_at(0.0).is_err() && LossScale::starting_at(f32::INFINITY).is_err());
    }
}
