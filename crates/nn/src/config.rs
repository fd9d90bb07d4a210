//! Reading a layer's options from Keras's JSON.

use crate::activation::Activation;
use crate::initializer::Initializer;
use crate::regularizer::Regularizer;
use serde_json::{Map, Value, json};
use striate_tensor::{Error, Result};

/// The options of one layer as Keras writes them, with typed access and errors that name layer, key and rule.
#[derive(Debug, Clone, Copy)]
pub struct Config<'a> {
    class: &'a str,
    map: &'a Map<String, Value>,
}

impl<'a> Config<'a> {
    /// The options of a layer of the given Keras class.
    ///
    /// # Errors
    /// [`Error::Model`] unless `value` is an object.
    pub fn new(class: &'a str, value: &'a Value) -> Result<Self> {
        match value.as_object() {
            Some(map) => Ok(Config { class, map }),
            None => Err(Error::model(class, "the config must be an object", value.to_string(), "")),
        }
    }

    /// The Keras class.
    pub fn class(&self) -> &'a str {
        self.class
    }

    /// All keys with their raw values.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
        self.map.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The raw value of a key; `None` if it is absent or null.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn refuse(&self, key: &str, rule: &str) -> Error {
        let received = self.map.get(key).map_or("nothing".to_string(), Value::to_string);
        Error::model(self.class, format!("`{key}` must be {rule}"), received, "")
    }

    fn read<T>(&self, key: &str, default: Option<T>, rule: &str, read: impl FnOnce(&Value) -> Option<T>) -> Result<T> {
        match (self.get(key), default) {
            (None, Some(default)) => Ok(default),
            (None, None) => Err(self.refuse(key, rule)),
            (Some(value), _) => read(value).ok_or_else(|| self.refuse(key, rule)),
        }
    }

    /// A non-negative integer below 2³¹.
    ///
    /// # Errors
    /// [`Error::Model`] if it is missing without a default, or something else.
    pub fn usize(&self, key: &str, default: Option<usize>) -> Result<usize> {
        self.read(key, default, "a non-negative integer", integer)
    }

    /// A number.
    ///
    /// # Errors
    /// As [`Config::usize`].
    pub fn f32(&self, key: &str, default: Option<f32>) -> Result<f32> {
        self.read(key, default, "a number", |value| value.as_f64().map(|v| v as f32))
    }

    /// A truth value.
    ///
    /// # Errors
    /// As [`Config::usize`].
    pub fn bool(&self, key: &str, default: Option<bool>) -> Result<bool> {
        self.read(key, default, "true or false", Value::as_bool)
    }

    /// A text.
    ///
    /// # Errors
    /// As [`Config::usize`].
    pub fn str(&self, key: &str, default: Option<&'a str>) -> Result<&'a str> {
        match self.get(key) {
            Some(value) => value.as_str().ok_or_else(|| self.refuse(key, "a text")),
            None => default.ok_or_else(|| self.refuse(key, "a text")),
        }
    }

    /// An integer for each of N axes; a single one serves all.
    ///
    /// # Errors
    /// As [`Config::usize`].
    pub fn sizes<const N: usize>(&self, key: &str, default: Option<[usize; N]>) -> Result<[usize; N]> {
        self.read(key, default, &format!("an integer or a list of {N}"), |value| {
            if let Some(n) = integer(value) {
                return Some([n; N]);
            }
            let list: Option<Vec<usize>> = value.as_array()?.iter().map(integer).collect();
            list?.try_into().ok()
        })
    }

    /// A list of integers.
    ///
    /// # Errors
    /// As [`Config::usize`].
    pub fn integers(&self, key: &str) -> Result<Vec<i64>> {
        self.read(key, None, "a list of integers", |value| value.as_array()?.iter().map(Value::as_i64).collect())
    }

    /// An activation; linear if absent.
    ///
    /// # Errors
    /// [`Error::Model`] for an unknown name.
    pub fn activation(&self, key: &str) -> Result<Activation> {
        match self.get(key) {
            None => Ok(Activation::default()),
            Some(value) => Activation::from_json(value).map_err(|error| error.at(self.class)),
        }
    }

    /// An initializer.
    ///
    /// # Errors
    /// [`Error::Model`] for an unknown one.
    pub fn initializer(&self, key: &str, default: Initializer) -> Result<Initializer> {
        self.get(key).map_or(Ok(default), |value| Initializer::from_json(value).map_err(|e| e.at(self.class)))
    }

    /// A regularizer, if there is one.
    ///
    /// # Errors
    /// [`Error::Model`] for an unknown one.
    pub fn regularizer(&self, key: &str) -> Result<Option<Regularizer>> {
        self.get(key).map_or(Ok(None), |value| Regularizer::from_json(value).map_err(|e| e.at(self.class)))
    }
}

/// A number as people write it: 0.99, where the nearest float32 as a double would read 0.9900000095367432.
pub(crate) fn number(value: f32) -> Value {
    json!(value.to_string().parse::<f64>().unwrap_or_else(|_| f64::from(value)))
}

fn integer(value: &Value) -> Option<usize> {
    value.as_u64().filter(|&n| n < 1 << 31).map(|n| n as usize)
}
