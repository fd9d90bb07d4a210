//! What training makes small, one loss a file.

mod binary;
mod categorical;
mod regression;

pub use binary::{BinaryCrossentropy, BinaryCrossentropyWith};
pub use categorical::{CategoricalCrossentropy, CategoricalCrossentropyWith};
pub use regression::{MeanAbsoluteError, MeanSquaredError};

use std::fmt::Debug;
use striate_autograd::Var;
use striate_tensor::{Error, ReduceOp, Result, Tensor};

/// How far predictions are from their targets. Names and formulas are Keras's (<https://keras.io/api/losses/>).
pub trait Loss: Debug + Send + Sync {
    /// Keras's name, `categorical_crossentropy`.
    fn name(&self) -> &'static str;
    /// One value for each sample, (n).
    ///
    /// # Errors
    /// [`Error::Shape`] if prediction and target do not fit.
    fn per_sample(&self, prediction: &Var, target: &Tensor) -> Result<Var>;
}

/// Probabilities are kept this far from 0 and 1 where a logarithm is taken of them, as in Keras.
const EPSILON: f32 = 1e-7;

/// Prediction and target must have one shape.
fn same_shape(loss: &str, prediction: &Var, target: &Tensor) -> Result<()> {
    if prediction.shape() == target.shape() && prediction.shape().rank() > 0 {
        return Ok(());
    }
    Err(Error::shape(
        loss,
        "prediction and target must have the same shape (n, …)",
        format!("prediction {}, target {}", prediction.shape(), target.shape()),
        "class indices become one-hot rows with one_hot",
    ))
}

/// The mean over all axes but the first.
fn mean_of_sample(values: &Var) -> Result<Var> {
    let axes: Vec<usize> = (1..values.shape().rank()).collect();
    if axes.is_empty() { Ok(values.clone()) } else { values.reduce(ReduceOp::Mean, &axes, false) }
}
