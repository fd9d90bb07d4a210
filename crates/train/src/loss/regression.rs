//! Distances between numbers.

use super::{Loss, mean_of_sample, same_shape};
use striate_autograd::Var;
use striate_tensor::{Result, Tensor};

/// (prediction − target)², averaged over a sample's outputs.
///
/// Source: <https://keras.io/api/losses/regression_losses/>.
#[derive(Debug, Clone, Copy)]
pub struct MeanSquaredError;

/// |prediction − target|, averaged over a sample's outputs.
///
/// Source: <https://keras.io/api/losses/regression_losses/>.
#[derive(Debug, Clone, Copy)]
pub struct MeanAbsoluteError;

impl Loss for MeanSquaredError {
    fn name(&self) -> &'static str {
        "mean_squared_error"
    }

    fn per_sample(&self, prediction: &Var, target: &Tensor) -> Result<Var> {
        same_shape(self.name(), prediction, target)?;
        mean_of_sample(&(prediction - &Var::constant(target.clone()))?.square()?)
    }
}

impl Loss for MeanAbsoluteError {
    fn name(&self) -> &'static str {
        "mean_absolute_error"
    }

    fn per_sample(&self, prediction: &Var, target: &Tensor) -> Result<Var> {
        same_shape(self.name(), prediction, target)?;
        mean_of_sample(&(prediction - &Var::constant(target.clone()))?.abs()?)
    }
}
