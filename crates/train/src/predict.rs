//! Predictions for whole data sets.

use crate::training::Training;
use striate_data::{Batching, Dataset};
use striate_nn::Model;
use striate_tensor::{Error, Result, Tensor};

impl Training<'_> {
    /// The first output for all of the data, (samples, …).
    ///
    /// # Errors
    /// As [`predict`].
    pub fn predict(&self, data: &dyn Dataset) -> Result<Tensor> {
        predict(self.model, data, 100)
    }
}

/// The first output of a model for all of the data, (samples, …), computed in batches.
///
/// # Errors
/// [`Error::Shape`] if the data does not fit the model; [`Error::Data`] if there is none.
pub fn predict(model: &Model, data: &dyn Dataset, batch_size: usize) -> Result<Tensor> {
    let batching = Batching { batch_size, prefetch: 1, ..Batching::default() };
    let mut parts = Vec::new();
    for batch in batching.epoch(data, 0, model.device())? {
        let output = model.predict_on(&batch?.inputs)?.into_iter().next();
        parts.push(output.ok_or_else(|| Error::shape(model.name(), "a model has an output", "none", ""))?);
    }
    Tensor::concat(&parts.iter().collect::<Vec<_>>(), 0)
}
