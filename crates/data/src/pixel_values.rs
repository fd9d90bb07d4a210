//! The range that a picture's values are brought to.

use crate::standardize::{Preprocess, Standardize};
use std::fmt;
use std::str::FromStr;
use striate_tensor::{Error, Result};

/// What the values 0 to 255 of a picture become.
///
/// Source of the two that have names: Keras's applications, <https://keras.io/api/applications/>, whose `preprocess_input` has them as
/// its modes `caffe` and `tf`.
///
/// ```
/// use striate_data::PixelValues;
/// let mut pixel = [255.0, 0.0, 127.5];
/// PixelValues::Symmetric.apply(&mut pixel);
/// assert_eq!(pixel, [1.0, -1.0, 0.0]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PixelValues {
    /// All multiplied by one factor; 1 leaves them as they are.
    Rescale(f32),
    /// The channels of RGB in the order BGR, less ImageNet's mean of each: what VGG and ResNet were trained on.
    Caffe,
    /// From −1 to 1: what Inception, Xception and MobileNet were trained on.
    Symmetric,
}

impl Default for PixelValues {
    /// As they are.
    fn default() -> Self {
        PixelValues::Rescale(1.0)
    }
}

/// ImageNet's means in the order BGR.
const MEANS: [f32; 3] = [103.939, 116.779, 123.68];

impl PixelValues {
    /// Changes values (…, channels) in place; [`PixelValues::Caffe`] takes three channels.
    pub fn apply(self, values: &mut [f32]) {
        match self {
            PixelValues::Rescale(1.0) => {}
            PixelValues::Rescale(factor) => values.iter_mut().for_each(|value| *value *= factor),
            PixelValues::Symmetric => values.iter_mut().for_each(|value| *value = *value / 127.5 - 1.0),
            PixelValues::Caffe => {
                for pixel in values.as_chunks_mut::<3>().0 {
                    let [r, g, b] = *pixel;
                    *pixel = [b - MEANS[0], g - MEANS[1], r - MEANS[2]];
                }
            }
        }
    }

    /// Values 0 to 255 again, as near as rounding allows.
    pub fn undo(self, values: &mut [f32]) {
        match self {
            PixelValues::Rescale(factor) => values.iter_mut().for_each(|value| *value /= factor),
            PixelValues::Symmetric => values.iter_mut().for_each(|value| *value = (*value + 1.0) * 127.5),
            PixelValues::Caffe => {
                for pixel in values.as_chunks_mut::<3>().0 {
                    let [b, g, r] = *pixel;
                    *pixel = [r + MEANS[2], g + MEANS[1], b + MEANS[0]];
                }
            }
        }
    }

    /// The same as a data set's standardization.
    pub fn standardize(self) -> Standardize {
        match self {
            PixelValues::Rescale(rescale) => Standardize { rescale, ..Standardize::default() },
            _ => Standardize {
                preprocessing: Some(Preprocess::new(move |values, _| self.apply(values))),
                ..Standardize::default()
            },
        }
    }
}

impl fmt::Display for PixelValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            PixelValues::Caffe => f.write_str("caffe"),
            PixelValues::Symmetric => f.write_str("symmetric"),
            PixelValues::Rescale(factor) if factor == 255f32.recip() => f.write_str("rescale=1/255"),
            PixelValues::Rescale(factor) => write!(f, "rescale={factor}"),
        }
    }
}

impl FromStr for PixelValues {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let factor = |text: &str| match text.split_once('/') {
            Some((above, below)) => Some(above.parse::<f32>().ok()? / below.parse::<f32>().ok()?),
            None => text.parse::<f32>().ok(),
        };
        let rescale = |text: &str| factor(text).filter(|factor| factor.is_finite() && *factor != 0.0);
        match text {
            "caffe" => Some(PixelValues::Caffe),
            "symmetric" => Some(PixelValues::Symmetric),
            _ => text.strip_prefix("rescale=").and_then(rescale).map(PixelValues::Rescale),
        }
        .ok_or_else(|| {
            Error::argument(
                "pixel values",
                "must be caffe, symmetric or rescale=FACTOR",
                format!("`{text}`"),
                "rescale=1/255 makes them 0 to 1",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_there_and_back() {
        for text in ["caffe", "symmetric", "rescale=1/255", "rescale=0.5"] {
            let values: PixelValues = text.parse().unwrap();
            assert_eq!(values.to_string(), text);
            let mut pixels = [200.0, 100.0, 50.0, 1.0, 2.0, 3.0];
            values.apply(&mut pixels);
            assert_ne!(pixels[0], 200.0);
            values.undo(&mut pixels);
            let expected = [200.0, 100.0, 50.0, 1.0, 2.0, 3.0];
            assert!(pixels.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{text} {pixels:?}");
        }
        let mut pixel = [255.0, 127.5, 0.0];
        PixelValues::Caffe.apply(&mut pixel);
        assert_eq!(pixel, [-103.939, 127.5 - 116.779, 255.0 - 123.68]);
        for text in ["", "tf", "rescale=", "rescale=x", "rescale=1/0", "rescale=0"] {
            assert!(text.parse::<PixelValues>().is_err(), "{text}");
        }
    }
}
