//! Digits as pictures, so that they can be changed at random.

use std::sync::Arc;
use striate::data::augment::PictureSource;
use striate::data::image_file::{Colour, Picture};
use striate::data::{Batch, BatchContext, Standardize};
use striate::prelude::*;

/// The first `len` samples of a data set of grey bytes with one target, 0..1 as that has them.
#[derive(Debug, Clone)]
pub struct DigitPictures {
    digits: ArrayDataset,
    len: usize,
    standardize: Standardize,
}

impl DigitPictures {
    /// The first `len` digits, or all if there are fewer.
    pub fn first(digits: &ArrayDataset, len: usize) -> Self {
        let standardize = Standardize { rescale: 1.0 / 255.0, ..Standardize::default() };
        DigitPictures { digits: digits.clone(), len: len.min(digits.len()), standardize }
    }
}

impl PictureSource for DigitPictures {
    fn picture(&self, sample: usize) -> Result<Arc<Picture>> {
        let values = self.digits.inputs()[0].gather(&[sample], &device()?)?;
        let (height, width) = (values.shape()[1], values.shape()[2]);
        let bytes = values.as_slice::<f32>()?.iter().map(|value| (value * 255.0).round() as u8).collect();
        Ok(Arc::new(Picture::new(bytes, height, width, Colour::Grey)?))
    }

    fn targets(&self, samples: &[usize], _input: &Tensor, device: &Device) -> Result<Vec<Tensor>> {
        Ok(vec![self.digits.targets()[0].gather(samples, device)?])
    }

    fn standardize(&self) -> &Standardize {
        &self.standardize
    }
}

impl Dataset for DigitPictures {
    fn len(&self) -> usize {
        self.len
    }

    fn input_shapes(&self) -> Vec<Shape> {
        self.digits.input_shapes()
    }

    fn target_shapes(&self) -> Vec<Shape> {
        self.digits.target_shapes()
    }

    fn batch(&self, samples: &[usize], context: &BatchContext) -> Result<Batch> {
        self.digits.batch(samples, context)
    }

    fn fingerprint(&self) -> u64 {
        self.digits.fingerprint()
    }

    fn class_names(&self) -> &[String] {
        self.digits.class_names()
    }
}
