//! Classes that count more than others.

use crate::labels::labels;
use striate_data::{Batch, Dataset};
use striate_tensor::{Error, Result, Shape, Tensor};

/// A factor of the loss for each class, by class index, as Keras's `class_weight`
/// (<https://keras.io/api/models/model_training_apis/#fit-method>).
#[derive(Debug)]
pub(crate) struct ClassWeights {
    weights: Vec<f32>,
    has_labels: bool,
}

impl ClassWeights {
    /// One weight for each class of the data's only target; two for a target of one probability; `labels_of` so many
    /// where the target is a label.
    pub(crate) fn new(weights: Vec<f32>, data: &dyn Dataset, labels_of: Option<usize>) -> Result<Self> {
        let refuse = |rule: String, received: String| Err(Error::argument("class_weight", rule, received, ""));
        let targets = data.target_shapes();
        let [target] = &targets[..] else {
            return refuse("needs data with exactly one target".into(), format!("{} targets", targets.len()));
        };
        let classes = labels_of.unwrap_or_else(|| target.elements().max(2));
        if target.rank() > 1 || (labels_of.is_some() && target.elements() != 1) {
            return refuse("needs one row of classes as target".into(), target.to_string());
        }
        if weights.len() != classes {
            return refuse(format!("must hold one weight for each of {classes} classes"), weights.len().to_string());
        }
        if let Some((class, weight)) = weights.iter().enumerate().find(|(_, w)| !(w.is_finite() && **w >= 0.0)) {
            return refuse("must be finite and not negative".into(), format!("{weight} for class {class}"));
        }
        Ok(ClassWeights { weights, has_labels: labels_of.is_some() })
    }

    pub(crate) fn values(&self) -> &[f32] {
        &self.weights
    }

    /// The batch with the weight of each sample's class multiplied into its own.
    pub(crate) fn apply(&self, batch: Batch) -> Result<Batch> {
        let target = &batch.targets[0];
        let classes: Vec<usize> = if self.has_labels {
            labels("class_weight", &Shape::from([batch.samples, self.weights.len()]), target)?
        } else if target.rank() < 2 || target.shape().channels() == 1 {
            target.to_vec::<f32>()?.into_iter().map(|t| usize::from(t > 0.5)).collect()
        } else {
            target.argmax()?.to_vec::<i32>()?.into_iter().map(|class| class as usize).collect()
        };
        let weights: Vec<f32> = classes.into_iter().map(|class| self.weights[class]).collect();
        let mut weights = Tensor::from_vec(weights, [batch.samples], target.device())?;
        if let Some(own) = &batch.weights {
            weights = weights.mul(own)?;
        }
        batch.with_weights(weights)
    }
}
