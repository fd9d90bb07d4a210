//! What a data set is.

use crate::fingerprint::Fingerprint;
use crate::subset::Subset;
use std::sync::Arc;
use striate_tensor::{Device, Error, Key, Result, Shape, Tensor};

/// Samples in the form a model takes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Batch {
    /// One tensor (samples, …) for each input of the model.
    pub inputs: Vec<Tensor>,
    /// One tensor (samples, …) for each output of the model.
    pub targets: Vec<Tensor>,
    /// How much each sample counts in the loss, (samples); without it all count 1.
    pub weights: Option<Tensor>,
    /// The number of samples.
    pub samples: usize,
}

impl Batch {
    /// A batch of inputs and targets in which all samples count alike.
    ///
    /// # Errors
    /// [`Error::Shape`] if a tensor's leading axis is not `samples`.
    pub fn new(inputs: Vec<Tensor>, targets: Vec<Tensor>, samples: usize) -> Result<Self> {
        for tensor in inputs.iter().chain(&targets) {
            check_samples(tensor, samples)?;
        }
        Ok(Batch { inputs, targets, weights: None, samples })
    }

    /// This batch with a weight for each sample, (samples).
    ///
    /// # Errors
    /// [`Error::Shape`] for any other shape.
    pub fn with_weights(self, weights: Tensor) -> Result<Self> {
        weights.has_shape("sample weights", &Shape::from([self.samples]))?;
        Ok(Batch { weights: Some(weights), ..self })
    }
}

fn check_samples(tensor: &Tensor, samples: usize) -> Result<()> {
    if tensor.shape().first() == Some(&samples) {
        return Ok(());
    }
    let rule = format!("the leading axis of every tensor must be the number of samples, {samples}");
    Err(Error::shape("Batch", rule, tensor.shape().to_string(), ""))
}

/// What a [`Dataset`] is told besides the samples' indices.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BatchContext {
    /// The source of this epoch's random choices. A choice about sample i comes from `key.fold(i)`, so that it
    /// depends neither on the batch that the sample is in nor on the thread that makes it.
    pub key: Key,
    /// Where the batch is wanted.
    pub device: Device,
}

impl BatchContext {
    /// A context with this epoch's key and the device that the batch is for.
    pub fn new(key: Key, device: &Device) -> Self {
        BatchContext { key, device: device.clone() }
    }
}

/// A number of samples, any of which can be asked for.
///
/// An implementation is a cheap handle: cloning shares its memory, which lets worker threads have one of their own.
///
/// ```
/// use striate_data::{Batch, BatchContext, Dataset};
/// use striate_tensor::{Result, Shape, Tensor};
///
/// /// x and 2x + 1 for x = 0, 1, 2, …
/// #[derive(Clone)]
/// struct Line(usize);
///
/// impl Dataset for Line {
///     fn len(&self) -> usize {
///         self.0
///     }
///     fn input_shapes(&self) -> Vec<Shape> {
///         vec![Shape::from([1])]
///     }
///     fn target_shapes(&self) -> Vec<Shape> {
///         vec![Shape::from([1])]
///     }
///     fn batch(&self, samples: &[usize], context: &BatchContext) -> Result<Batch> {
///         let x: Vec<f32> = samples.iter().map(|&i| i as f32).collect();
///         let y = x.iter().map(|x| 2.0 * x + 1.0).collect();
///         let tensor = |values| Tensor::from_vec(values, [samples.len(), 1], &context.device);
///         Batch::new(vec![tensor(x)?], vec![tensor(y)?], samples.len())
///     }
/// }
///
/// let (train, validation) = Line(10).split(0.2)?;
/// assert_eq!((train.len(), validation.len()), (8, 2));
/// # Ok::<(), striate_tensor::Error>(())
/// ```
pub trait Dataset: Share + Send + Sync {
    /// The number of samples.
    fn len(&self) -> usize;

    /// The shape of each input of one sample.
    fn input_shapes(&self) -> Vec<Shape>;

    /// The shape of each target of one sample.
    fn target_shapes(&self) -> Vec<Shape>;

    /// The samples of these indices, in this order; an index may come several times. May be called from several threads.
    ///
    /// # Errors
    /// [`Error::Shape`] for an index not below [`Dataset::len`]; [`Error::Data`] for a sample that cannot be read.
    fn batch(&self, samples: &[usize], context: &BatchContext) -> Result<Batch>;

    /// The names of the classes by index; empty where there are none.
    fn class_names(&self) -> &[String] {
        &[]
    }

    /// What people call a sample: of a photograph its class's folder and its file. Default none.
    fn sample_name(&self, _sample: usize) -> Option<String> {
        None
    }

    /// What tells these samples from others of the same number and shapes: the same number in every process for the same samples read the
    /// same way. A run that goes on holds that of its data against that of the data it began with. Default: of number, shapes and class
    /// names alone.
    fn fingerprint(&self) -> u64 {
        let shapes = format!("{:?} {:?}", self.input_shapes(), self.target_shapes());
        let print = Fingerprint::new().number(self.len() as u64).text(&shapes);
        self.class_names().iter().fold(print, |print, name| print.text(name)).value()
    }

    /// Whether there is no sample.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first `n` samples, or all if there are fewer.
    fn take(&self, n: usize) -> Subset {
        Subset::range(self.share(), 0..n.min(self.len()))
    }

    /// Parts the samples as Keras's `validation_split` does: the last `fraction` of them, not shuffled, is the second part.
    ///
    /// # Errors
    /// [`Error::Argument`] unless 0 < fraction < 1; [`Error::Data`] if a part would be empty.
    fn split(&self, fraction: f64) -> Result<(Subset, Subset)> {
        if !(fraction > 0.0 && fraction < 1.0) {
            return Err(Error::argument("split", "the fraction must be in (0, 1)", fraction.to_string(), ""));
        }
        let (n, first) = (self.len(), (self.len() as f64 * (1.0 - fraction)).floor() as usize);
        if first == 0 || first >= n {
            return Err(Error::data(
                "split",
                "both parts must have samples",
                format!("{n} samples, fraction {fraction}"),
                "",
            ));
        }
        let all = self.share();
        Ok((Subset::range(all.clone(), 0..first), Subset::range(all, first..n)))
    }
}

/// Another handle to the same data set; every [`Dataset`] that can be cloned has it.
pub trait Share {
    /// A handle that lives as long as it is held.
    fn share(&self) -> Arc<dyn Dataset>;
}

impl<D: Dataset + Clone + 'static> Share for D {
    fn share(&self) -> Arc<dyn Dataset> {
        Arc::new(self.clone())
    }
}

impl Dataset for Arc<dyn Dataset> {
    fn len(&self) -> usize {
        (**self).len()
    }
    fn input_shapes(&self) -> Vec<Shape> {
        (**self).input_shapes()
    }
    fn target_shapes(&self) -> Vec<Shape> {
        (**self).target_shapes()
    }
    fn batch(&self, samples: &[usize], context: &BatchContext) -> Result<Batch> {
        (**self).batch(samples, context)
    }
    fn class_names(&self) -> &[String] {
        (**self).class_names()
    }
    fn fingerprint(&self) -> u64 {
        (**self).fingerprint()
    }
    fn sample_name(&self, sample: usize) -> Option<String> {
        (**self).sample_name(sample)
    }
}
