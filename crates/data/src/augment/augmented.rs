//! A data set of pictures, each changed at random whenever it is asked for.

use super::Augmentation;
use crate::dataset::{Batch, BatchContext, Dataset};
use crate::image_batch::rows;
use crate::image_file::Picture;
use crate::standardize::Standardize;
use std::sync::Arc;
use striate_tensor::{Device, Result, Shape, Tensor};

/// A data set whose one input is a picture that can be had as bytes.
pub trait PictureSource: Dataset {
    /// A sample's picture, (height, width, channels) of [`Dataset::input_shapes`].
    ///
    /// # Errors
    /// As [`Dataset::batch`].
    fn picture(&self, sample: usize) -> Result<Arc<Picture>>;

    /// The samples' targets, of which one may be the input itself.
    ///
    /// # Errors
    /// As [`Dataset::batch`].
    fn targets(&self, samples: &[usize], input: &Tensor, device: &Device) -> Result<Vec<Tensor>>;

    /// What is done to a picture's values before they leave.
    fn standardize(&self) -> &Standardize;
}

/// A data set of pictures, each changed by an [`Augmentation`] and then standardized as the source has it.
///
/// Sample i of an epoch has the same variant whatever batch it is in and whichever thread makes it.
#[derive(Debug, Clone)]
pub struct Augmented<D> {
    source: D,
    augmentation: Augmentation,
}

impl<D: PictureSource> Augmented<D> {
    /// Wraps a data set.
    ///
    /// # Errors
    /// As [`Augmentation::check`].
    pub fn new(source: D, augmentation: Augmentation) -> Result<Self> {
        augmentation.check()?;
        Ok(Augmented { source, augmentation })
    }

    /// The pictures as they are.
    pub fn source(&self) -> &D {
        &self.source
    }

    /// What is drawn.
    pub fn augmentation(&self) -> &Augmentation {
        &self.augmentation
    }
}

impl<D: PictureSource + Clone + 'static> Dataset for Augmented<D> {
    fn len(&self) -> usize {
        self.source.len()
    }

    fn input_shapes(&self) -> Vec<Shape> {
        self.source.input_shapes()
    }

    fn target_shapes(&self) -> Vec<Shape> {
        self.source.target_shapes()
    }

    fn batch(&self, samples: &[usize], context: &BatchContext) -> Result<Batch> {
        let shape = self.source.input_shapes().first().copied().unwrap_or(Shape::from([0]));
        let input = rows(samples.len(), &shape, &context.device, |i, row| {
            let picture = self.source.picture(samples[i])?;
            let key = context.key.fold(samples[i] as u64);
            self.augmentation.draw(key, picture.height(), picture.width()).apply_into(&picture, row)?;
            self.source.standardize().apply(row, &shape);
            Ok(())
        })?;
        let targets = self.source.targets(samples, &input, &context.device)?;
        Batch::new(vec![input], targets, samples.len())
    }

    fn class_names(&self) -> &[String] {
        self.source.class_names()
    }
}
