//! Penalties on weights, added to the loss.

use crate::config::number;
use serde_json::{Value, json};
use striate_autograd::Var;
use striate_tensor::{Error, Result};

/// A penalty l1·Σ|w| + l2·Σw² (<https://keras.io/api/layers/regularizers/>).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Regularizer {
    /// The factor of the sum of absolute values.
    pub l1: f32,
    /// The factor of the sum of squares.
    pub l2: f32,
}

impl Regularizer {
    /// l1·Σ|w|.
    pub fn l1(l1: f32) -> Self {
        Regularizer { l1, l2: 0.0 }
    }

    /// l2·Σw².
    pub fn l2(l2: f32) -> Self {
        Regularizer { l1: 0.0, l2 }
    }

    /// l1·Σ|w| + l2·Σw².
    pub fn l1_l2(l1: f32, l2: f32) -> Self {
        Regularizer { l1, l2 }
    }

    /// The penalty of a weight or an activity; `None` if both factors are 0.
    ///
    /// # Errors
    /// Those of the ops.
    pub fn penalty(&self, w: &Var) -> Result<Option<Var>> {
        let l1 = (self.l1 != 0.0).then(|| w.abs()?.sum()?.affine(self.l1, 0.0)).transpose()?;
        let l2 = (self.l2 != 0.0).then(|| w.square()?.sum()?.affine(self.l2, 0.0)).transpose()?;
        match (l1, l2) {
            (Some(l1), Some(l2)) => (&l1 + &l2).map(Some),
            (one, None) | (None, one) => Ok(one),
        }
    }

    /// Keras's serialized form.
    pub fn to_json(self) -> Value {
        let (class, config) = match (self.l1, self.l2) {
            (l1, 0.0) => ("L1", json!({ "l1": number(l1) })),
            (0.0, l2) => ("L2", json!({ "l2": number(l2) })),
            (l1, l2) => ("L1L2", json!({ "l1": number(l1), "l2": number(l2) })),
        };
        json!({ "module": "keras.regularizers", "class_name": class, "config": config, "registered_name": null })
    }

    /// The regularizer of Keras's serialized form; `None` for null.
    ///
    /// # Errors
    /// [`Error::Model`] for an unknown one.
    pub fn from_json(value: &Value) -> Result<Option<Regularizer>> {
        if value.is_null() {
            return Ok(None);
        }
        let name = value.as_str().or_else(|| value["class_name"].as_str()).unwrap_or_default();
        let factor = |key: &str, default: f32| value["config"][key].as_f64().map_or(default, |v| v as f32);
        match name.to_lowercase().replace('_', "").as_str() {
            "l1" => Ok(Some(Regularizer::l1(factor("l1", 0.01)))),
            "l2" => Ok(Some(Regularizer::l2(factor("l2", 0.01)))),
            "l1l2" => Ok(Some(Regularizer::l1_l2(factor("l1", 0.0), factor("l2", 0.0)))),
            _ => Err(Error::model("regularizer", "the class must be L1, L2 or L1L2", format!("`{value}`"), "")),
        }
    }
}
