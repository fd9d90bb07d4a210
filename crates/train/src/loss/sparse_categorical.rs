//! Cross-entropy of classes that are given by their numbers.

use super::{CategoricalCrossentropy, CategoricalCrossentropyWith, Loss};
use crate::labels::labels;
use serde_json::{Value, json};
use striate_autograd::Var;
use striate_tensor::{Result, Tensor};

/// −log of the right class's probability, for labels counted from 0, (n) or (n, 1), and softmax predictions (n, classes).
///
/// It is [`CategoricalCrossentropy`] without the one-hot rows, value for value.
///
/// Source: <https://keras.io/api/losses/probabilistic_losses/#sparsecategoricalcrossentropy-class>.
#[derive(Debug, Clone, Copy)]
pub struct SparseCategoricalCrossentropy;

impl SparseCategoricalCrossentropy {
    /// Predictions are logits: softmax is not applied by the model.
    pub fn from_logits(self) -> SparseCategoricalCrossentropyWith {
        SparseCategoricalCrossentropyWith { categorical: CategoricalCrossentropy.from_logits() }
    }
}

/// [`SparseCategoricalCrossentropy`] with options.
#[derive(Debug, Clone, Copy)]
pub struct SparseCategoricalCrossentropyWith {
    categorical: CategoricalCrossentropyWith,
}

const NAME: &str = "sparse_categorical_crossentropy";

impl Loss for SparseCategoricalCrossentropy {
    fn name(&self) -> &'static str {
        NAME
    }

    fn takes_labels(&self) -> bool {
        true
    }

    fn per_sample(&self, prediction: &Var, target: &Tensor) -> Result<Var> {
        CategoricalCrossentropy.per_sample(prediction, &one_hot(prediction, target)?)
    }
}

impl Loss for SparseCategoricalCrossentropyWith {
    fn name(&self) -> &'static str {
        NAME
    }

    fn config(&self) -> Value {
        json!({
            "module": "keras.losses",
            "class_name": "SparseCategoricalCrossentropy",
            "config": { "from_logits": true, "ignore_class": null },
            "registered_name": null,
        })
    }

    fn takes_labels(&self) -> bool {
        true
    }

    fn per_sample(&self, prediction: &Var, target: &Tensor) -> Result<Var> {
        self.categorical.per_sample(prediction, &one_hot(prediction, target)?)
    }
}

/// The labels as rows of the prediction's shape with a single 1. They are read on the host, so that a wrong one is named.
fn one_hot(prediction: &Var, target: &Tensor) -> Result<Tensor> {
    let shape = prediction.shape();
    let labels = labels(NAME, shape, target)?;
    let mut rows = vec![0f32; shape.elements()];
    for (row, label) in rows.chunks_exact_mut(shape.channels()).zip(labels) {
        row[label] = 1.0;
    }
    Tensor::from_vec(rows, *shape, prediction.device())?.cast(prediction.value().dtype())
}
