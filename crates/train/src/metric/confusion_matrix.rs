//! Which class is taken for which.

use super::same_shape;
use crate::training::Training;
use striate_data::{Batching, Dataset};
use striate_tensor::{Error, Result, Tensor};

/// The most classes that are counted: their pairs take 128 MiB.
const MAX_CLASSES: usize = 4096;

/// How often samples of each class were taken for each class.
///
/// ```
/// use striate_tensor::Tensor;
/// use striate_train::metric::ConfusionMatrix;
/// let device = striate_testkit::reference::device();
/// let prediction = Tensor::from_vec(vec![0.9f32, 0.1, 0.6, 0.4], [2, 2], &device)?;
/// let target = Tensor::from_vec(vec![1.0f32, 0.0, 0.0, 1.0], [2, 2], &device)?;
/// let mut matrix = ConfusionMatrix::new(2)?;
/// matrix.update(&prediction, &target)?;
/// assert_eq!((matrix.count(0, 0), matrix.count(1, 0)), (1, 1)); // class 1 was taken for class 0 once
/// # Ok::<(), striate_tensor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfusionMatrix {
    classes: usize,
    counts: Vec<u64>,
}

impl ConfusionMatrix {
    /// No sample yet.
    ///
    /// # Errors
    /// [`Error::Argument`] for fewer than 2 or more than 4096 classes.
    pub fn new(classes: usize) -> Result<Self> {
        if !(2..=MAX_CLASSES).contains(&classes) {
            let rule = format!("the number of classes must be in 2..={MAX_CLASSES}");
            return Err(Error::argument("confusion matrix", rule, classes.to_string(), ""));
        }
        Ok(ConfusionMatrix { classes, counts: vec![0; classes * classes] })
    }

    /// Takes in rows of probabilities and one-hot targets, (n, classes); or, of two classes, single probabilities (n, 1), which are
    /// class 1 above 0.5.
    ///
    /// # Errors
    /// [`Error::Shape`] for other shapes.
    pub fn update(&mut self, prediction: &Tensor, target: &Tensor) -> Result<()> {
        same_shape("confusion matrix", prediction, target)?;
        let columns = prediction.shape().channels();
        let classes = |tensor: &Tensor| -> Result<Vec<usize>> {
            if columns == 1 {
                return Ok(tensor.to_f64_vec()?.into_iter().map(|p| usize::from(p > 0.5)).collect());
            }
            Ok(tensor.argmax()?.to_vec::<i32>()?.into_iter().map(|class| class as usize).collect())
        };
        if prediction.rank() < 2 || columns.max(2) != self.classes {
            let rule = format!("predictions must have a column for each of {} classes", self.classes);
            return Err(Error::shape("confusion matrix", rule, prediction.shape().to_string(), ""));
        }
        for (predicted, actual) in classes(prediction)?.into_iter().zip(classes(target)?) {
            self.counts[actual * self.classes + predicted] += 1;
        }
        Ok(())
    }

    /// Takes in one sample of class `actual` that was taken for class `predicted`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a class that there is not.
    pub fn add(&mut self, actual: usize, predicted: usize) -> Result<()> {
        let most = actual.max(predicted);
        if most >= self.classes {
            let rule = format!("a class must be below {}", self.classes);
            return Err(Error::argument("confusion matrix", rule, most.to_string(), ""));
        }
        self.counts[actual * self.classes + predicted] += 1;
        Ok(())
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// How many samples of class `actual` were taken for class `predicted`; 0 for classes that there are not.
    pub fn count(&self, actual: usize, predicted: usize) -> u64 {
        self.rows().nth(actual).and_then(|row| row.get(predicted)).copied().unwrap_or(0)
    }

    /// For each actual class, the counts by predicted class.
    pub fn rows(&self) -> impl Iterator<Item = &[u64]> {
        self.counts.chunks_exact(self.classes)
    }
}

impl Training<'_> {
    /// Which class the model takes for which, over all of the data.
    ///
    /// # Errors
    /// [`Error::Shape`] if the data does not fit the model; [`Error::Data`] if there is none, or no target.
    pub fn confusion_matrix(&self, data: &dyn Dataset) -> Result<ConfusionMatrix> {
        let columns = self.model.graph().output_shapes()[0].channels();
        let mut matrix = ConfusionMatrix::new(columns.max(2))?;
        for batch in
            (Batching { batch_size: 100, prefetch: 1, ..Batching::default() }).epoch(data, 0, self.model.device())?
        {
            let batch = batch?;
            let no_target = || Error::data("confusion matrix", "the data must have a target", "none", "");
            let target = batch.targets.first().ok_or_else(no_target)?;
            matrix.update(&self.model.predict_on(&batch.inputs)?[0], target)?;
        }
        Ok(matrix)
    }
}
