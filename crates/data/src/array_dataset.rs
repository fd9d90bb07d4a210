//! A data set that is held in memory.

use crate::array::Array;
use crate::dataset::{Batch, BatchContext, Dataset};
use crate::fingerprint::Fingerprint;
use std::sync::Arc;
use striate_tensor::{Error, Result, Shape, Tensor};

/// Samples held in memory: one or several inputs and targets for each.
///
/// ```
/// use striate_data::{Array, ArrayDataset, Dataset};
/// let images = Array::bytes(vec![0, 255, 128, 7], [2, 2, 1], 255.0)?; // two images of 2 × 1 pixels
/// let labels = Array::one_hot(&[1u8, 0], 2)?;
/// let data = ArrayDataset::new(vec![images], vec![labels])?;
/// assert_eq!((data.len(), data.input_shapes()[0].to_string()), (2, "(2, 1)".into()));
/// # Ok::<(), striate_tensor::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ArrayDataset {
    inputs: Vec<Array>,
    targets: Vec<Array>,
    weights: Option<Array>,
    class_names: Arc<[String]>,
    samples: usize,
    /// Of what the arrays were computed from.
    source: Option<u64>,
}

impl ArrayDataset {
    /// A data set of arrays with equally many samples; `targets` may be empty where only predictions are wanted.
    ///
    /// # Errors
    /// [`Error::Shape`] if the arrays differ in their number of samples, or there is no input.
    pub fn new(inputs: Vec<Array>, targets: Vec<Array>) -> Result<Self> {
        let samples = inputs
            .first()
            .map(Array::samples)
            .ok_or_else(|| Error::shape("ArrayDataset", "there must be at least one input", "none", ""))?;
        let data = ArrayDataset { inputs, targets, weights: None, class_names: Arc::new([]), samples, source: None };
        data.inputs.iter().chain(&data.targets).try_for_each(|array| data.check(array))?;
        Ok(data)
    }

    /// A data set of one input and one target, whose leading axes are the samples.
    ///
    /// # Errors
    /// As [`ArrayDataset::new`].
    pub fn from_tensors(input: &Tensor, target: &Tensor) -> Result<Self> {
        ArrayDataset::new(vec![Array::from_tensor(input)?], vec![Array::from_tensor(target)?])
    }

    /// This data set with the names of its classes, as many as the first target has columns.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of names.
    pub fn with_class_names(self, names: Vec<String>) -> Result<Self> {
        let classes = self.targets.first().map_or(0, |target| target.sample_shape().channels());
        if names.len() != classes {
            let rule = format!("there must be one name for each of {classes} classes");
            return Err(Error::shape("class names", rule, names.len().to_string(), ""));
        }
        Ok(ArrayDataset { class_names: names.into(), ..self })
    }

    /// This data set with a weight for each sample, by which its loss is multiplied.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of weights; [`Error::Data`] for one that is negative or not finite.
    pub fn with_sample_weights(self, weights: Vec<f32>) -> Result<Self> {
        if let Some((i, weight)) = weights.iter().enumerate().find(|(_, w)| !(w.is_finite() && **w >= 0.0)) {
            let rule = "weights must be finite and not negative";
            return Err(Error::data("sample weights", rule, format!("{weight} for sample {i}"), ""));
        }
        let samples = weights.len();
        let weights = Array::floats(weights, [samples])?;
        self.check(&weights)?;
        Ok(ArrayDataset { weights: Some(weights), ..self })
    }

    /// This data set as one that was computed from another with that [`Dataset::fingerprint`]: it keeps that, where devices compute
    /// values that differ in their last bits.
    pub fn computed_from(self, fingerprint: u64) -> Self {
        ArrayDataset { source: Some(fingerprint), ..self }
    }

    /// The inputs.
    pub fn inputs(&self) -> &[Array] {
        &self.inputs
    }

    /// The targets.
    pub fn targets(&self) -> &[Array] {
        &self.targets
    }

    fn check(&self, array: &Array) -> Result<()> {
        if array.samples() == self.samples {
            return Ok(());
        }
        Err(Error::shape(
            "ArrayDataset",
            format!("every array must have {} samples, as the first input has", self.samples),
            array.shape().to_string(),
            "",
        ))
    }
}

impl Dataset for ArrayDataset {
    fn len(&self) -> usize {
        self.samples
    }

    fn input_shapes(&self) -> Vec<Shape> {
        self.inputs.iter().map(Array::sample_shape).collect()
    }

    fn target_shapes(&self) -> Vec<Shape> {
        self.targets.iter().map(Array::sample_shape).collect()
    }

    fn batch(&self, samples: &[usize], context: &BatchContext) -> Result<Batch> {
        let gather = |arrays: &[Array]| arrays.iter().map(|a| a.gather(samples, &context.device)).collect();
        let (inputs, targets): (Result<_>, Result<_>) = (gather(&self.inputs), gather(&self.targets));
        let batch = Batch::new(inputs?, targets?, samples.len())?;
        match &self.weights {
            Some(weights) => batch.with_weights(weights.gather(samples, &context.device)?),
            None => Ok(batch),
        }
    }

    fn class_names(&self) -> &[String] {
        &self.class_names
    }

    fn fingerprint(&self) -> u64 {
        if let Some(source) = self.source {
            return source;
        }
        let arrays = self.inputs.iter().chain(&self.targets).chain(&self.weights);
        arrays.fold(Fingerprint::new(), |print, array| array.mark(print)).value()
    }
}
