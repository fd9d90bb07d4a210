//! Keras's layers that change pictures at random.

use crate::config::Config;
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, Result, Shape};

/// The classes, and the options that they may have.
const CLASSES: [&str; 7] = [
    "RandomBrightness",
    "RandomContrast",
    "RandomFlip",
    "RandomRotation",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
];
const OPTIONS: [&str; 12] = [
    "mode",
    "factor",
    "x_factor",
    "y_factor",
    "height_factor",
    "width_factor",
    "fill_mode",
    "fill_value",
    "interpolation",
    "value_range",
    "data_format",
    "seed",
];

/// A layer of Keras that changes pictures at random in training, kept so that models which have one can be used and saved again:
/// `RandomFlip`, `RandomRotation`, `RandomZoom`, `RandomTranslation`, `RandomShear`, `RandomContrast`, `RandomBrightness`.
///
/// It does what Keras's layer does in prediction: nothing. It does nothing in training either; random changes belong to the
/// data here, see `augment` of striate-data.
///
/// # Shapes
/// (n, …) → the same.
///
/// Source: <https://keras.io/api/layers/preprocessing_layers/image_augmentation/>.
#[derive(Debug, Clone)]
pub struct RandomPicture {
    class: &'static str,
    options: Map<String, Value>,
}

impl RandomPicture {
    /// The layer of a class, with Keras's options.
    ///
    /// # Errors
    /// [`Error::Argument`] for another class.
    pub fn new(class: &str, options: Map<String, Value>) -> Result<Self> {
        match CLASSES.into_iter().find(|&known| known == class) {
            Some(class) => Ok(RandomPicture { class, options }),
            None => {
                let rule = format!("the class must be one of {}", CLASSES.join(", "));
                Err(Error::argument("RandomPicture", rule, format!("`{class}`"), ""))
            }
        }
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        let options = OPTIONS.iter().filter_map(|&key| Some((key.to_string(), config.get(key)?.clone())));
        Ok(Arc::new(RandomPicture::new(config.class(), options.collect())?))
    }
}

impl Layer for RandomPicture {
    fn class_name(&self) -> &'static str {
        self.class
    }

    fn config(&self) -> Map<String, Value> {
        self.options.clone()
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        Ok(*input)
    }

    fn forward(&self, x: &Var, _ctx: &Context<'_>) -> Result<Var> {
        Ok(x.clone())
    }

    fn is_per_sample(&self) -> bool {
        true
    }
}
