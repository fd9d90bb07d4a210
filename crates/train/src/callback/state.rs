//! What a callback keeps in a checkpoint.

use serde_json::{Map, Value};
use striate_tensor::{Error, Result, Tensor};

/// What a callback keeps in a checkpoint.
#[derive(Debug, Clone, Default)]
pub struct CallbackState {
    /// Numbers and texts by name.
    pub values: Map<String, Value>,
    /// Tensors by name.
    pub tensors: Vec<(String, Tensor)>,
}

impl CallbackState {
    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.tensors.is_empty()
    }

    /// A count of that name.
    ///
    /// # Errors
    /// [`Error::Data`] if there is none.
    pub fn count(&self, name: &str) -> Result<usize> {
        let count = self.values.get(name).and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok());
        count.ok_or_else(|| self.lacks(name))
    }

    /// A number of that name; `None` if it was null.
    ///
    /// # Errors
    /// [`Error::Data`] if there is none.
    pub fn number(&self, name: &str) -> Result<Option<f64>> {
        match self.values.get(name) {
            Some(Value::Null) => Ok(None),
            Some(value) if value.is_number() => Ok(value.as_f64()),
            _ => Err(self.lacks(name)),
        }
    }

    fn lacks(&self, name: &str) -> Error {
        let names: Vec<&str> = self.values.keys().map(String::as_str).collect();
        Error::data(
            "checkpoint",
            format!("a callback's state must hold `{name}`"),
            format!("{names:?}"),
            "go on with the callbacks of the first run, in the same order",
        )
    }
}
