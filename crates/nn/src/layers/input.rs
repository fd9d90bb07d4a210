//! The input of a model.

use crate::config::Config;
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, Result, Shape};

/// The input of a model. Models make it themselves from the shape they are given.
///
/// # Shapes
/// None → (n, shape…).
#[derive(Debug, Clone)]
pub struct InputLayer {
    shape: Shape,
}

impl InputLayer {
    /// An input of the given shape, without the batch axis.
    pub fn new(shape: impl Into<Shape>) -> Self {
        InputLayer { shape: shape.into() }
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        let value = config.get("batch_shape").or_else(|| config.get("batch_input_shape")).unwrap_or(&Value::Null);
        Ok(Arc::new(InputLayer { shape: shape_from_json(config.class(), value)? }))
    }
}

/// A shape from Keras's list with an open batch axis, `[null, 28, 28, 1]`.
pub(crate) fn shape_from_json(subject: &str, value: &Value) -> Result<Shape> {
    let refuse = || {
        Error::model(
            subject,
            "the input shape must be a list of a batch axis and known sizes",
            value.to_string(),
            "a model with open spatial sizes needs an input shape, such as 224x224x3",
        )
    };
    let list = value.as_array().filter(|list| !list.is_empty()).ok_or_else(refuse)?;
    let sizes: Option<Vec<usize>> = list[1..].iter().map(|size| size.as_u64().map(|n| n as usize)).collect();
    Shape::new(&sizes.ok_or_else(refuse)?)
}

impl Layer for InputLayer {
    fn class_name(&self) -> &'static str {
        "InputLayer"
    }

    fn config(&self) -> Map<String, Value> {
        let mut shape = vec![Value::Null];
        shape.extend(self.shape.iter().map(|&size| json!(size)));
        Map::from_iter([("batch_shape".into(), Value::Array(shape)), ("dtype".into(), json!("float32"))])
    }

    fn build(&self, _input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        Ok(self.shape)
    }

    fn forward(&self, x: &Var, _ctx: &Context<'_>) -> Result<Var> {
        Ok(x.clone())
    }
}
