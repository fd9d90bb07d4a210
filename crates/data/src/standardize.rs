//! What is done to a picture's numbers just before the network gets them.

use crate::featurewise::Featurewise;
use std::fmt;
use std::sync::Arc;
use striate_tensor::{Error, Result, Shape};

/// A function on one picture's values: 0..255, (height, width, channels), row-major, changed in place.
#[derive(Clone)]
pub struct Preprocess(Arc<Function>);

type Function = dyn Fn(&mut [f32], &Shape) + Send + Sync;

impl Preprocess {
    /// Wraps a function or a closure; it is called from several threads.
    pub fn new(function: impl Fn(&mut [f32], &Shape) + Send + Sync + 'static) -> Self {
        Preprocess(Arc::new(function))
    }
}

impl fmt::Debug for Preprocess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Preprocess")
    }
}

/// Keras's `ImageDataGenerator.standardize`: function, factor, the picture's own mean and deviation, the set's mean, deviation and
/// whitening, in this order. Nothing is done by default.
///
/// ```
/// use striate_data::Standardize;
/// use striate_tensor::Shape;
/// let standardize = Standardize { rescale: 0.5, ..Standardize::default() };
/// let mut values = [0.0, 51.0, 255.0];
/// standardize.apply(&mut values, &Shape::from([1, 3, 1]));
/// assert_eq!(values, [0.0, 25.5, 127.5]);
/// ```
#[derive(Debug, Clone)]
pub struct Standardize {
    /// Is called first: `preprocessing_function`.
    pub preprocessing: Option<Preprocess>,
    /// What every value is multiplied with; 1 unless set.
    pub rescale: f32,
    /// Subtracts the picture's mean over all its values.
    pub samplewise_center: bool,
    /// Divides by the picture's standard deviation + 10⁻⁶; centres, too.
    pub samplewise_std_normalization: bool,
    /// Standardizes by the set that the picture is of; see [`crate::ImageFolder::with_featurewise`].
    pub featurewise: Option<Arc<Featurewise>>,
}

impl Default for Standardize {
    fn default() -> Self {
        Standardize {
            preprocessing: None,
            rescale: 1.0,
            samplewise_center: false,
            samplewise_std_normalization: false,
            featurewise: None,
        }
    }
}

impl Standardize {
    /// Works on one picture's values, (height, width, channels).
    pub fn apply(&self, values: &mut [f32], shape: &Shape) {
        self.apply_alone(values, shape);
        if let Some(numbers) = &self.featurewise {
            numbers.apply(values);
        }
    }

    /// All but what the set has to do with.
    pub(crate) fn apply_alone(&self, values: &mut [f32], shape: &Shape) {
        if let Some(Preprocess(function)) = &self.preprocessing {
            function(values, shape);
        }
        if self.rescale != 1.0 {
            values.iter_mut().for_each(|v| *v *= self.rescale);
        }
        let mean = |values: &[f32], f: &dyn Fn(f64) -> f64| {
            values.iter().map(|&v| f(f64::from(v))).sum::<f64>() / values.len().max(1) as f64
        };
        if self.samplewise_center || self.samplewise_std_normalization {
            let centre = mean(values, &|v| v) as f32;
            values.iter_mut().for_each(|v| *v -= centre);
        }
        if self.samplewise_std_normalization {
            let centre = mean(values, &|v| v);
            let deviation = mean(values, &|v| (v - centre).powi(2)).sqrt() as f32 + 1e-6;
            values.iter_mut().for_each(|v| *v /= deviation);
        }
    }

    /// The factor of all values, if there is nothing but that.
    pub(crate) fn only_factor(&self) -> Option<f32> {
        let more = self.preprocessing.is_some()
            || self.samplewise_center
            || self.samplewise_std_normalization
            || self.featurewise.is_some();
        (!more).then_some(self.rescale)
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.rescale.is_finite() {
            return Ok(());
        }
        Err(Error::argument("rescale", "must be finite", self.rescale.to_string(), "1/255 makes values 0..1"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_function_factor_mean_deviation() {
        let standardize = Standardize {
            preprocessing: Some(Preprocess::new(|values, _| values.iter_mut().for_each(|v| *v += 1.0))),
            rescale: 2.0,
            samplewise_center: true,
            ..Standardize::default()
        };
        let shape = Shape::from([1, 2, 1]);
        let mut values = [0.0, 4.0];
        standardize.apply(&mut values, &shape);
        assert_eq!(values, [-4.0, 4.0]);
        let unit = Standardize { samplewise_std_normalization: true, ..Standardize::default() };
        let mut values = [7.0, 9.0];
        unit.apply(&mut values, &shape);
        assert!((values[0] + 1.0).abs() < 1e-5 && (values[1] - 1.0).abs() < 1e-5, "{values:?}");
        let mut flat = [3.0, 3.0];
        unit.apply(&mut flat, &shape);
        assert_eq!(flat, [0.0, 0.0]);
        assert!(Standardize { rescale: f32::NAN, ..Standardize::default() }.check().is_err());
    }
}
