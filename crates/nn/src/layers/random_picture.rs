//! Keras's layers that change pictures at random.

use crate::config::Config;
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, Result, Shape};

/// The classes that do nothing in prediction.
pub(super) const CLASSES: [&str; 27] = [
    "AugMix",
    "CutMix",
    "Equalization",
    "MixUp",
    "RandAugment",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomElasticTransform",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHeight",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomWidth",
    "RandomZoom",
    "Solarization",
];
/// What is no option of the picture's change.
const COMMON: [&str; 6] = ["name", "trainable", "dtype", "batch_shape", "batch_input_shape", "registered_name"];

/// A layer of Keras that changes pictures at random in training, kept so that models which have one can be used and saved again:
/// `RandomFlip`, `RandomRotation`, `RandomZoom`, `RandomContrast`, `RandomErasing`, `CutMix` and more.
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
        let options = config.entries().filter(|(key, value)| !COMMON.contains(key) && !value.is_null());
        let options = options.map(|(key, value)| (key.to_string(), value.clone())).collect();
        Ok(Arc::new(RandomPicture::new(config.class(), options)?))
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
