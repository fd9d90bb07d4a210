//! Pictures at a given size, inside the network.

use super::interpolation::{Interpolation, positive, resample};
use super::{require_axes, require_channels_last};
use crate::config::{Config, number};
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, PadMode, Result, Shape};

/// What happens to a picture whose proportions are not the target's.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum AspectRatio {
    /// It is stretched.
    #[default]
    Stretch,
    /// Its middle is cut out first.
    Crop,
    /// It is put in the middle of a larger one of this value first.
    Pad(f32),
}

/// Brings pictures to height × width.
///
/// # Shapes
/// (n, rows, columns, channels) → (n, height, width, channels).
///
/// # Parameters
/// interpolation bilinear; no antialiasing, so that a picture made much smaller loses lines; stretched to the target's proportions.
///
/// # Errors
/// An input that is no picture or empty; a size of 0.
///
/// Source: <https://keras.io/api/layers/preprocessing_layers/image_preprocessing/resizing/>.
#[derive(Debug, Clone)]
pub struct Resizing {
    size: [usize; 2],
    interpolation: Interpolation,
    aspect_ratio: AspectRatio,
    antialias: bool,
}

impl Resizing {
    /// To height × width.
    pub fn new(height: usize, width: usize) -> Self {
        Resizing {
            size: [height, width],
            interpolation: Interpolation::Bilinear,
            aspect_ratio: AspectRatio::Stretch,
            antialias: false,
        }
    }

    /// Where the elements between come from. Default [`Interpolation::Bilinear`].
    pub fn interpolation(self, interpolation: Interpolation) -> Self {
        Resizing { interpolation, ..self }
    }

    /// What becomes of other proportions. Default [`AspectRatio::Stretch`].
    pub fn aspect_ratio(self, aspect_ratio: AspectRatio) -> Self {
        Resizing { aspect_ratio, ..self }
    }

    /// Whether all elements count when a picture becomes smaller. Default false.
    pub fn antialias(self, antialias: bool) -> Self {
        Resizing { antialias, ..self }
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        require_channels_last(config)?;
        let is_cropped = config.bool("crop_to_aspect_ratio", Some(false))?;
        let is_padded = config.bool("pad_to_aspect_ratio", Some(false))?;
        let aspect_ratio = match (is_cropped, is_padded) {
            (false, false) => AspectRatio::Stretch,
            (true, false) => AspectRatio::Crop,
            (false, true) => AspectRatio::Pad(config.f32("fill_value", Some(0.0))?),
            (true, true) => {
                let rule = "only one of `crop_to_aspect_ratio` and `pad_to_aspect_ratio` can be true";
                return Err(Error::model(config.class(), rule, "both", ""));
            }
        };
        Ok(Arc::new(Resizing {
            size: [config.usize("height", None)?, config.usize("width", None)?],
            interpolation: Interpolation::from_name(config.class(), config.str("interpolation", Some("bilinear"))?)?,
            aspect_ratio,
            antialias: config.bool("antialias", Some(false))?,
        }))
    }

    /// The picture with the target's proportions, rounded as Keras rounds.
    fn proportioned(&self, x: &Var) -> Result<Var> {
        let [samples, rows, columns, channels] = x.shape().as_slice() else { return Ok(x.clone()) };
        let [height, width] = self.size;
        let like = |side: usize, wanted: usize, other: usize| ((side * wanted) as f32 / other as f32) as usize;
        let (fit_rows, fit_columns) = (like(*columns, height, width), like(*rows, width, height));
        match self.aspect_ratio {
            AspectRatio::Stretch => Ok(x.clone()),
            AspectRatio::Crop => {
                let (kept_rows, kept_columns) = (fit_rows.clamp(1, *rows), fit_columns.clamp(1, *columns));
                let start = [0, (rows - kept_rows) / 2, (columns - kept_columns) / 2, 0];
                x.crop(&start, [*samples, kept_rows, kept_columns, *channels])
            }
            AspectRatio::Pad(value) => {
                let side = |fit: usize, size: usize| (fit.max(size) - size) / 2;
                let (above, left) = (side(fit_rows, *rows), side(fit_columns, *columns));
                x.pad(&[(0, 0), (above, above), (left, left), (0, 0)], PadMode::Constant(value))
            }
        }
    }
}

impl Layer for Resizing {
    fn class_name(&self) -> &'static str {
        "Resizing"
    }

    fn config(&self) -> Map<String, Value> {
        let fill = if let AspectRatio::Pad(value) = self.aspect_ratio { value } else { 0.0 };
        Map::from_iter([
            ("height".into(), json!(self.size[0])),
            ("width".into(), json!(self.size[1])),
            ("interpolation".into(), json!(self.interpolation.name())),
            ("crop_to_aspect_ratio".into(), json!(self.aspect_ratio == AspectRatio::Crop)),
            ("pad_to_aspect_ratio".into(), json!(matches!(self.aspect_ratio, AspectRatio::Pad(_)))),
            ("fill_mode".into(), json!("constant")),
            ("fill_value".into(), number(fill)),
            ("antialias".into(), json!(self.antialias)),
            ("data_format".into(), json!("channels_last")),
        ])
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        require_axes("Resizing", 2, input)?;
        positive("Resizing", "height", self.size[0])?;
        positive("Resizing", "width", self.size[1])?;
        if input.elements() == 0 {
            let received = crate::graph::batch_shape(input);
            return Err(Error::shape("Resizing", "the picture must not be empty", received, ""));
        }
        // What lies between the two axes must fit in memory as well.
        Shape::new(&[self.size[0], input[1], input[2]])?;
        Shape::new(&[self.size[0], self.size[1], input.channels()])
    }

    fn forward(&self, x: &Var, _ctx: &Context<'_>) -> Result<Var> {
        let x = self.proportioned(x)?;
        let y = resample(&x, 1, self.size[0], self.interpolation, self.antialias)?;
        resample(&y, 2, self.size[1], self.interpolation, self.antialias)
    }

    fn is_per_sample(&self) -> bool {
        true
    }
}
