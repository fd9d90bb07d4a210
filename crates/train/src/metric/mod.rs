//! What is reported besides the loss, one metric a file.

mod accuracy;
mod auc;
mod confusion_matrix;
mod f1;
mod positives;
mod precision;
mod recall;
mod sparse_accuracy;
mod top_k;

pub use accuracy::Accuracy;
pub use auc::Auc;
pub use confusion_matrix::ConfusionMatrix;
pub use f1::{Average, F1};
pub use precision::Precision;
pub use recall::Recall;
pub use sparse_accuracy::SparseCategoricalAccuracy;
pub use top_k::TopKCategoricalAccuracy;

use std::fmt::Debug;
use striate_tensor::{Error, Result, Tensor};

/// A number that is gathered over batches. Names and meanings are Keras's (<https://keras.io/api/metrics/>).
pub trait Metric: Debug + Send {
    /// Keras's name, `accuracy`.
    fn name(&self) -> &'static str;
    /// Forgets everything.
    fn reset(&mut self);
    /// Takes in one batch.
    ///
    /// # Errors
    /// [`Error::Shape`] if prediction and target do not fit.
    fn update(&mut self, prediction: &Tensor, target: &Tensor) -> Result<()>;
    /// The value over all batches since the last reset; NaN without any.
    fn value(&self) -> f64;
}

/// Prediction and target must have one shape.
fn same_shape(metric: &str, prediction: &Tensor, target: &Tensor) -> Result<()> {
    if prediction.shape() == target.shape() && prediction.rank() > 0 {
        return Ok(());
    }
    Err(Error::shape(
        metric,
        "prediction and target must have the same shape (n, …)",
        format!("prediction {}, target {}", prediction.shape(), target.shape()),
        "class indices become one-hot rows with one_hot",
    ))
}
