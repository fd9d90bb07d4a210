//! What is reported besides the loss, one metric a file.

mod accuracy;

pub use accuracy::Accuracy;

use std::fmt::Debug;
use striate_tensor::{Result, Tensor};

/// A number that is gathered over batches. Names and meanings are Keras's (<https://keras.io/api/metrics/>).
pub trait Metric: Debug + Send {
    /// Keras's name, `accuracy`.
    fn name(&self) -> &'static str;
    /// Forgets everything.
    fn reset(&mut self);
    /// Takes in one batch.
    ///
    /// # Errors
    /// [`striate_tensor::Error::Shape`] if prediction and target do not fit.
    fn update(&mut self, prediction: &Tensor, target: &Tensor) -> Result<()>;
    /// The value over all batches since the last reset; NaN without any.
    fn value(&self) -> f64;
}
