//! The small models and data that the tests train.

use std::sync::LazyLock;
use striate_cpu::{CpuBackend, CpuOptions};
use striate_data::{Array, ArrayDataset};
use striate_nn::layers::{Conv2D, Dense, Dropout, Flatten, MaxPooling2D, Softmax};
use striate_nn::{BuildOptions, Model, Sequential};
use striate_tensor::Activation::Relu;
use striate_tensor::{Device, Key, Tensor};
use striate_train::{Fit, Progress};

pub const SIDE: usize = 8;
pub const CLASSES: usize = 3;

/// One reference device for all tests.
pub fn reference() -> Device {
    static REFERENCE: LazyLock<Device> = LazyLock::new(striate_testkit::reference::device);
    REFERENCE.clone()
}

/// The CPU with a number of threads.
pub fn cpu_with(threads: usize) -> Device {
    Device::new(CpuBackend::new(CpuOptions { threads: Some(threads), ..CpuOptions::default() }).unwrap())
}

/// One CPU device for all tests that need no other.
pub fn cpu() -> Device {
    static CPU: LazyLock<Device> = LazyLock::new(|| cpu_with(1));
    CPU.clone()
}

/// Two convolutions, dropout, two dense layers.
pub fn network() -> Sequential {
    Sequential::new([SIDE, SIDE, 1])
        .add(Conv2D::new(8, 3).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(8, 2).activation(Relu))
        .add(Flatten)
        .add(Dropout::new(0.25))
        .add(Dense::new(16).activation(Relu))
        .add(Dense::new(CLASSES).activation(Softmax))
}

/// [`network`] with weights of a seed.
pub fn model_on(device: &Device, seed: u64) -> Model {
    network().build_on(&BuildOptions { seed, ..BuildOptions::on(device) }).unwrap()
}

/// Noisy pictures with a bright bar whose place is the class.
pub fn bars(samples: usize, seed: u64) -> ArrayDataset {
    let mut stream = Key::new(seed).stream();
    let labels: Vec<u8> = (0..samples).map(|i| (i % CLASSES) as u8).collect();
    let pixels = labels.iter().flat_map(|&label| (0..SIDE * SIDE).map(move |i| (label, i / SIDE)));
    let pixels = pixels
        .map(|(label, row)| {
            let bar = if row / 2 == usize::from(label) { 0.6 } else { 0.0 };
            (bar + stream.uniform_in(0.0, 0.4)) as f32
        })
        .collect();
    let images = Array::floats(pixels, [samples, SIDE, SIDE, 1]).unwrap();
    ArrayDataset::new(vec![images], vec![Array::one_hot(&labels, CLASSES).unwrap()]).unwrap()
}

/// Quiet, with batches of 8.
pub fn quiet<'a>(epochs: usize) -> Fit<'a> {
    Fit { epochs, batch_size: 8, progress: Progress::Silent, ..Fit::default() }
}

/// A tensor of float32 on the reference device.
pub fn tensor(values: &[f32], shape: &[usize]) -> Tensor {
    Tensor::from_vec(values.to_vec(), striate_tensor::Shape::new(shape).unwrap(), &reference()).unwrap()
}

/// A tensor of float64 on the reference device.
pub fn double(values: &[f64], shape: &[usize]) -> Tensor {
    Tensor::from_vec(values.to_vec(), striate_tensor::Shape::new(shape).unwrap(), &reference()).unwrap()
}

/// Panics unless each value is within `tolerance` of the wanted one.
#[track_caller]
pub fn close(got: &[f64], wanted: &[f64], tolerance: f64) {
    let near = got.len() == wanted.len() && got.iter().zip(wanted).all(|(g, w)| (g - w).abs() <= tolerance);
    assert!(near, "{got:?} instead of {wanted:?}");
}
