//! A data set of pictures, each changed at random whenever it is asked for.

use super::{Augmentation, PictureChange, RandomErasing};
use crate::dataset::{Batch, BatchContext, Dataset};
use crate::fingerprint::Fingerprint;
use crate::image_batch::rows;
use crate::image_file::Picture;
use crate::standardize::Standardize;
use std::sync::Arc;
use striate_tensor::{Device, Error, Key, Resampling, Result, Shape, Tensor};

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
/// Other changes may come before: [`Augmented::first`]; and a rectangle may be wiped out after: [`Augmented::erasing`]. Sample
/// i of an epoch is changed in the same way whatever batch it is in and whichever thread makes it.
#[derive(Debug, Clone)]
pub struct Augmented<D> {
    source: D,
    augmentation: Augmentation,
    first: Vec<Arc<dyn PictureChange>>,
    erasing: Option<RandomErasing>,
}

impl<D: PictureSource> Augmented<D> {
    /// Wraps a data set.
    ///
    /// # Errors
    /// As [`Augmentation::check`].
    pub fn new(source: D, augmentation: Augmentation) -> Result<Self> {
        augmentation.check()?;
        Ok(Augmented { source, augmentation, first: Vec::new(), erasing: None })
    }

    /// This data set with a change that comes before the augmentation and after the changes that were named already.
    ///
    /// # Errors
    /// As [`PictureChange::check`].
    pub fn first(mut self, change: impl PictureChange + 'static) -> Result<Self> {
        change.check()?;
        self.first.push(Arc::new(change));
        Ok(self)
    }

    /// This data set with rectangles wiped out after all else.
    ///
    /// # Errors
    /// As [`RandomErasing::check`].
    pub fn erasing(mut self, erasing: RandomErasing) -> Result<Self> {
        erasing.check()?;
        self.erasing = Some(erasing);
        Ok(self)
    }

    /// The pictures as they are.
    pub fn source(&self) -> &D {
        &self.source
    }

    /// What is drawn.
    pub fn augmentation(&self) -> &Augmentation {
        &self.augmentation
    }

    /// A sample's picture after the first changes.
    fn picture(&self, sample: usize, key: Key, shape: &Shape) -> Result<Arc<Picture>> {
        let mut picture = self.source.picture(sample)?;
        for (place, change) in self.first.iter().enumerate() {
            picture = Arc::new(change.apply(&picture, key.fold_str("first").fold(place as u64))?);
        }
        if picture.shape() != *shape {
            let rule = format!("changes must give pictures of {shape}, as output_size has it");
            return Err(Error::shape("Augmented", rule, picture.shape().to_string(), ""));
        }
        Ok(picture)
    }

    /// The inputs made by the device from the pictures' bytes, a quarter of what would be brought there otherwise; none where the device
    /// does not resample, or something else than geometry and a factor is wanted. The values are the same to the bit.
    fn on_device(&self, samples: &[usize], shape: &Shape, context: &BatchContext) -> Result<Option<Tensor>> {
        let colours = self.augmentation.channel_shift_range != 0.0 || self.augmentation.brightness_range.is_some();
        let scale = self.source.standardize().only_factor();
        let (Some(scale), true) = (scale, context.device.resamples() && !colours && self.erasing.is_none()) else {
            return Ok(None);
        };
        let (mut bytes, mut views) = (Vec::with_capacity(samples.len() * shape.elements()), Vec::new());
        for &sample in samples {
            let key = context.key.fold(sample as u64);
            let picture = self.picture(sample, key, shape)?;
            bytes.extend_from_slice(picture.bytes());
            let variant = self.augmentation.draw(key, picture.height(), picture.width());
            views.push(variant.view(picture.height(), picture.width()));
        }
        let border = self.augmentation.fill_mode.border(self.augmentation.cval);
        let pictures = Tensor::from_vec(bytes, shape.with_batch(samples.len())?, &context.device)?;
        pictures.resample(&Resampling { views: &views, border, scale }).map(Some)
    }

    fn input_shape(&self) -> Shape {
        let shape = self.source.input_shapes().first().copied().unwrap_or(Shape::from([0]));
        let &[height, width, channels] = shape.as_slice() else { return shape };
        let (height, width) = self.first.iter().fold((height, width), |size, change| change.output_size(size));
        Shape::from([height, width, channels])
    }
}

impl<D: PictureSource + Clone + 'static> Dataset for Augmented<D> {
    fn len(&self) -> usize {
        self.source.len()
    }

    fn sample_name(&self, sample: usize) -> Option<String> {
        self.source.sample_name(sample)
    }

    fn fingerprint(&self) -> u64 {
        let changes = format!("{:?} {:?} {:?}", self.augmentation, self.first, self.erasing);
        Fingerprint::new().number(self.source.fingerprint()).text(&changes).value()
    }

    fn input_shapes(&self) -> Vec<Shape> {
        vec![self.input_shape()]
    }

    fn target_shapes(&self) -> Vec<Shape> {
        // A target that is the input follows its size.
        let own = self.source.input_shapes();
        let follow = |shape: Shape| if own.contains(&shape) { self.input_shape() } else { shape };
        self.source.target_shapes().into_iter().map(follow).collect()
    }

    fn batch(&self, samples: &[usize], context: &BatchContext) -> Result<Batch> {
        let shape = self.input_shape();
        if let Some(input) = self.on_device(samples, &shape, context)? {
            let targets = self.source.targets(samples, &input, &context.device)?;
            return Batch::new(vec![input], targets, samples.len());
        }
        let input = rows(samples.len(), &shape, &context.device, |i, row| {
            let key = context.key.fold(samples[i] as u64);
            let picture = self.picture(samples[i], key, &shape)?;
            self.augmentation.draw(key, picture.height(), picture.width()).apply_into(&picture, row)?;
            if let Some(erasing) = &self.erasing {
                erasing.apply(row, &shape, key);
            }
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
