//! What training makes small, one loss a file.

mod binary;
mod categorical;
mod regression;
mod sparse_categorical;

pub use binary::{BinaryCrossentropy, BinaryCrossentropyWith};
pub use categorical::{CategoricalCrossentropy, CategoricalCrossentropyWith};
pub use regression::{MeanAbsoluteError, MeanSquaredError};
pub use sparse_categorical::{SparseCategoricalCrossentropy, SparseCategoricalCrossentropyWith};

use serde_json::{Value, json};
use std::fmt::Debug;
use striate_autograd::Var;
use striate_tensor::{Error, ReduceOp, Result, Tensor};

/// How far predictions are from their targets. Names and formulas are Keras's (<https://keras.io/api/losses/>).
pub trait Loss: Debug + Send + Sync {
    /// Keras's name, `categorical_crossentropy`.
    fn name(&self) -> &'static str;
    /// The loss in Keras's words, for files: its name, or class and options where these are not Keras's defaults.
    fn config(&self) -> Value {
        json!(self.name())
    }
    /// Whether targets are numbers of classes instead of one value for each output.
    fn takes_labels(&self) -> bool {
        false
    }
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

/// A loss of Keras's with options.
fn class_with(class: &str, label_smoothing: f32, from_logits: bool) -> Value {
    // As people write it: 0.1, where the nearest float32 as a double would read 0.10000000149011612.
    let smoothing = label_smoothing.to_string().parse::<f64>().unwrap_or(f64::from(label_smoothing));
    json!({
        "module": "keras.losses",
        "class_name": class,
        "config": { "from_logits": from_logits, "label_smoothing": smoothing },
        "registered_name": null,
    })
}

/// The mean over all axes but the first.
fn mean_of_sample(values: &Var) -> Result<Var> {
    let axes: Vec<usize> = (1..values.shape().rank()).collect();
    if axes.is_empty() { Ok(values.clone()) } else { values.reduce(ReduceOp::Mean, &axes, false) }
}
