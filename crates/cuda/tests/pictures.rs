//! Pictures changed by the device: the very values of the CPU.

mod common;

use std::sync::Arc;
use striate_cpu::{CpuBackend, CpuOptions};
use striate_data::augment::{Augmentation, Augmented, FillMode, PictureSource};
use striate_data::image_file::{Colour, Picture};
use striate_data::{Batch, BatchContext, Dataset, Standardize};
use striate_tensor::{Device, Error, Key, PictureBorder, PictureView, Resampling, Result, Shape, Tensor};

/// Pictures of noise.
#[derive(Clone)]
struct Noise {
    colour: Colour,
    size: [usize; 2],
    standardize: Standardize,
}

impl Dataset for Noise {
    fn len(&self) -> usize {
        7
    }
    fn input_shapes(&self) -> Vec<Shape> {
        vec![Shape::from([self.size[0], self.size[1], self.colour.channels()])]
    }
    fn target_shapes(&self) -> Vec<Shape> {
        self.input_shapes()
    }
    fn batch(&self, _samples: &[usize], _context: &BatchContext) -> Result<Batch> {
        Err(Error::data("noise", "batches come from Augmented", "a batch", ""))
    }
}

impl PictureSource for Noise {
    fn picture(&self, sample: usize) -> Result<Arc<Picture>> {
        let ([height, width], key) = (self.size, Key::new(sample as u64));
        let bytes = (0..height * width * self.colour.channels()).map(|i| key.word(i as u64) as u8).collect();
        Picture::new(bytes, height, width, self.colour).map(Arc::new)
    }
    fn targets(&self, _samples: &[usize], input: &Tensor, _device: &Device) -> Result<Vec<Tensor>> {
        Ok(vec![input.clone()])
    }
    fn standardize(&self) -> &Standardize {
        &self.standardize
    }
}

fn bits(data: &Augmented<Noise>, device: &Device) -> Vec<u32> {
    let samples = [3, 0, 6, 2];
    let batch = data.batch(&samples, &BatchContext::new(Key::new(11), device)).unwrap();
    batch.inputs[0].to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

#[test]
fn pictures_changed_on_the_device_have_the_bits_of_the_cpu() {
    let Some(device) = common::device() else { return };
    let cpu = Device::new(CpuBackend::new(CpuOptions::default()).unwrap());
    assert!(device.resamples() && !cpu.resamples());
    let wild = Augmentation {
        rotation_range: 180.0,
        width_shift_range: 0.9.into(),
        height_shift_range: 0.9.into(),
        shear_range: 30.0,
        zoom_range: (0.3, 2.5).into(),
        horizontal_flip: true,
        vertical_flip: true,
        cval: 41.5,
        ..Augmentation::default()
    };
    let flips = Augmentation { horizontal_flip: true, vertical_flip: true, ..Augmentation::default() };
    let shades = Augmentation { channel_shift_range: 30.0, rotation_range: 20.0, ..Augmentation::default() };
    let plain = Standardize::default();
    let scaled = Standardize { rescale: 1.0 / 255.0, ..Standardize::default() };
    let centred = Standardize { samplewise_center: true, ..Standardize::default() };
    for (colour, size) in
        [(Colour::Rgb, [23, 31]), (Colour::Grey, [17, 9]), (Colour::Rgb, [1, 40]), (Colour::Rgba, [12, 1])]
    {
        for fill_mode in [FillMode::Nearest, FillMode::Constant, FillMode::Reflect, FillMode::Wrap] {
            let cases = [(&wild, &scaled), (&wild, &plain), (&flips, &plain), (&shades, &plain), (&wild, &centred)];
            for (i, (augmentation, standardize)) in cases.into_iter().enumerate() {
                let source = Noise { colour, size, standardize: standardize.clone() };
                let data = Augmented::new(source, Augmentation { fill_mode, ..augmentation.clone() }).unwrap();
                let (found, wanted) = (bits(&data, &device), bits(&data, &cpu));
                let differ = found.iter().zip(&wanted).position(|(a, b)| a != b);
                let values = |at: usize| (f32::from_bits(found[at]), f32::from_bits(wanted[at]));
                assert!(
                    found.len() == wanted.len() && differ.is_none(),
                    "{colour:?} {size:?} {fill_mode:?}, case {i}, element {differ:?}: {:?}",
                    differ.map(values)
                );
            }
        }
    }
}

/// Bytes go to the device, not numbers: a quarter of the memory.
#[test]
fn resampling_takes_bytes_and_refuses_what_does_not_fit() {
    let Some(device) = common::device() else { return };
    let view = PictureView { matrix: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], flip_horizontal: true, flip_vertical: false };
    let views = [view; 2];
    let how = Resampling { views: &views, border: PictureBorder::Nearest, scale: 0.5 };
    let pictures = Tensor::from_vec(vec![2u8, 4, 6, 8], [2, 1, 2, 1], &device).unwrap();
    assert_eq!(pictures.resample(&how).unwrap().to_vec::<f32>().unwrap(), [2.0, 1.0, 4.0, 3.0]);
    let one = Resampling { views: &views[..1], ..how };
    assert!(matches!(pictures.resample(&one), Err(Error::Shape(_))));
    let numbers = Tensor::from_vec(vec![0f32; 4], [2, 1, 2, 1], &device).unwrap();
    assert!(matches!(numbers.resample(&how), Err(Error::DType(_))));
    assert!(matches!(pictures.resample(&Resampling { scale: f32::NAN, ..how }), Err(Error::Argument(_))));
    let none = Tensor::from_vec(Vec::<u8>::new(), [0, 3, 3, 1], &device).unwrap();
    assert_eq!(none.resample(&Resampling { views: &[], ..how }).unwrap().elements(), 0);
    let cpu = Device::new(CpuBackend::new(CpuOptions::default()).unwrap());
    let elsewhere = Tensor::from_vec(vec![2u8, 4, 6, 8], [2, 1, 2, 1], &cpu).unwrap();
    assert!(matches!(elsewhere.resample(&how), Err(Error::Device(_))));
}
