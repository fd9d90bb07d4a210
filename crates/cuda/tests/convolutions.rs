//! Convolutions by cuDNN, where it is there, beside those of the kernels.

mod common;

use std::sync::Arc;
use striate_cuda::{CudaBackend, CudaOptions, libraries};
use striate_data::ArrayDataset;
use striate_nn::layers::{Conv2D, Dense, Flatten, Softmax};
use striate_nn::{BuildOptions, Sequential};
use striate_optim::Sgd;
use striate_tensor::Activation::{Linear, Relu, Tanh};
use striate_tensor::{ConvSpec, Device, Key, Padding, Precision, Shape, Tensor};
use striate_train::loss::CategoricalCrossentropy;
use striate_train::{Compile, Fit, Progress};

fn open(options: CudaOptions) -> (Arc<CudaBackend>, Device) {
    let backend = Arc::new(CudaBackend::new(options).expect("the device opens once more"));
    (backend.clone(), Device::from(backend))
}

/// One device with cuDNN, where it is there, and one without.
fn both() -> [(Arc<CudaBackend>, Device); 2] {
    [true, false].map(|libraries| open(CudaOptions { libraries, ..CudaOptions::default() }))
}

fn cudnn_is_there() -> bool {
    libraries().iter().any(|library| library.name == "cudnn" && library.found && library.missing.is_empty())
}

/// Numbers from −1 to 1.
fn tensor(shape: &[usize], seed: u64, device: &Device) -> Tensor {
    let key = Key::new(seed);
    let count = shape.iter().product::<usize>() as u64;
    let numbers = (0..count).map(|i| key.word(i) as f32 / 2f32.powi(31) - 1.0).collect();
    Tensor::from_vec(numbers, Shape::new(shape).unwrap(), device).unwrap()
}

fn assert_close(a: &Tensor, b: &Tensor, within: f32, what: &str) {
    let (a, b) = (a.to_vec::<f32>().unwrap(), b.to_vec::<f32>().unwrap());
    assert_eq!(a.len(), b.len(), "{what}");
    for (i, (a, b)) in a.iter().zip(&b).enumerate() {
        assert!((a - b).abs() <= within * (1.0 + b.abs()), "{what}, element {i}: {a} {b}");
    }
}

/// Output with bias and tanh, and the gradients of input, kernel and bias.
fn passes(x: &[usize], kernel: &[usize], spec: &ConvSpec, device: &Device) -> [Tensor; 4] {
    let (x, kernel) = (tensor(x, 1, device), tensor(kernel, 2, device));
    let bias = tensor(&kernel.shape()[kernel.rank() - 1..], 3, device);
    let y = x.conv(&kernel, Some(&bias), spec, Tanh).unwrap();
    let dy = tensor(y.shape(), 4, device);
    let dx = dy.conv_backward_input(&kernel, x.shape(), spec).unwrap();
    let (dk, db) = dy.conv_backward_kernel(&x, kernel.shape(), spec, true).unwrap();
    [y, dx, dk, db.unwrap()]
}

/// Input, kernel, what is special about it, and whether cuDNN can be told of it.
type Case = (&'static [usize], &'static [usize], ConvSpec, bool);

fn cases() -> Vec<Case> {
    let plain = ConvSpec::default;
    let same = || ConvSpec { padding: Padding::Same, ..plain() };
    let explicit = |pad: [(usize, usize); 3]| ConvSpec { padding: Padding::Explicit(pad), ..plain() };
    vec![
        (&[2, 7, 8, 3], &[3, 3, 3, 5], plain(), true),
        (&[2, 7, 8, 3], &[3, 2, 3, 5], same(), false),
        (&[2, 7, 8, 3], &[3, 5, 3, 5], same(), true),
        (&[1, 1, 1, 1], &[1, 1, 1, 1], ConvSpec { strides: [1, 2, 2], ..plain() }, true),
        (&[3, 9, 7, 4], &[3, 3, 4, 6], ConvSpec { strides: [1, 2, 2], ..same() }, true),
        (&[3, 8, 8, 4], &[3, 3, 4, 6], ConvSpec { strides: [1, 2, 2], ..same() }, false),
        (&[3, 9, 8, 4], &[2, 3, 4, 6], ConvSpec { strides: [1, 3, 2], ..plain() }, true),
        (&[2, 9, 9, 3], &[3, 3, 3, 4], ConvSpec { dilations: [1, 2, 3], ..plain() }, true),
        (&[2, 9, 9, 3], &[3, 3, 3, 4], ConvSpec { dilations: [1, 2, 2], ..same() }, true),
        (&[2, 6, 6, 16], &[3, 3, 8, 24], ConvSpec { groups: 2, ..same() }, true),
        (&[2, 6, 5, 24], &[3, 3, 8, 24], ConvSpec { groups: 3, strides: [1, 2, 2], ..plain() }, true),
        (&[2, 6, 6, 6], &[3, 3, 2, 6], ConvSpec { groups: 3, ..same() }, false),
        (&[2, 6, 6, 4], &[1, 1, 4, 9], ConvSpec { strides: [1, 2, 2], ..plain() }, true),
        (&[2, 19, 3], &[4, 3, 5], plain(), true),
        (&[2, 19, 3], &[3, 3, 5], ConvSpec { padding: Padding::Causal, ..plain() }, false),
        (&[2, 19, 3], &[5, 3, 5], ConvSpec { strides: [1, 1, 3], ..same() }, true),
        (&[2, 4, 5, 6, 3], &[2, 3, 2, 3, 4], plain(), true),
        (&[1, 5, 5, 5, 2], &[3, 3, 3, 2, 3], ConvSpec { strides: [2, 1, 2], dilations: [1, 2, 1], ..same() }, true),
        (&[2, 5, 6, 3], &[3, 3, 3, 4], explicit([(0, 0), (2, 2), (1, 1)]), true),
        (&[2, 5, 6, 3], &[3, 3, 3, 4], explicit([(0, 0), (2, 0), (0, 1)]), false),
    ]
}

#[test]
fn convolutions_of_cudnn_and_of_the_kernels_are_the_same_within_rounding() {
    if common::device().is_none() {
        return;
    }
    let [(with, one), (without, other)] = both();
    assert_eq!((with.uses_cudnn(), without.uses_cudnn()), (cudnn_is_there(), false));
    for (x, kernel, spec, is_expressible) in cases() {
        let what = format!("{x:?} by {kernel:?}, {spec:?}");
        let before = with.planned_convolutions().unwrap();
        let (a, b) = (passes(x, kernel, &spec, &one), passes(x, kernel, &spec, &other));
        for (name, (a, b)) in ["output", "input", "kernel", "bias"].iter().zip(a.iter().zip(&b)) {
            assert_close(a, b, 2e-5, &format!("{name} of {what}"));
        }
        let planned = with.planned_convolutions().unwrap() - before;
        assert_eq!(planned, if is_expressible && cudnn_is_there() { 3 } else { 0 }, "{what}");
    }
    assert_eq!(without.planned_convolutions().unwrap(), 0);
}

#[test]
fn cudnn_is_asked_once_for_each_form_and_gives_the_same_bits() {
    if common::device().is_none() {
        return;
    }
    let (backend, device) = open(CudaOptions::default());
    let run =
        || passes(&[2, 7, 8, 3], &[3, 3, 3, 5], &ConvSpec::default(), &device).map(|t| t.to_vec::<f32>().unwrap());
    let first = run();
    let planned = backend.planned_convolutions().unwrap();
    assert_eq!(planned, if cudnn_is_there() { 3 } else { 0 });
    assert_eq!(run(), first);
    assert_eq!(backend.planned_convolutions().unwrap(), planned);
}

/// A part of a batch may begin at any multiple of four bytes, where cuDNN takes no tensor.
#[test]
fn parts_of_a_batch_are_convolved_wherever_they_begin() {
    if common::device().is_none() {
        return;
    }
    let results = both().map(|(_, device)| {
        let (x, kernel) = (tensor(&[3, 3, 3, 1], 1, &device), tensor(&[2, 2, 1, 3], 2, &device));
        let part = x.rows(1..3).unwrap();
        part.conv(&kernel, None, &ConvSpec::default(), Linear).unwrap()
    });
    assert_close(&results[0], &results[1], 1e-5, "a part");
}

/// 1 + 2⁻¹² has no place in TF32: float32 keeps it, TF32 makes it 1.
#[test]
fn tf32_reaches_convolutions_and_float32_does_not_round() {
    if common::device().is_none() {
        return;
    }
    let fine = 1.0 + 2f32.powi(-12);
    let convolved = |options: CudaOptions| {
        let (_, device) = open(options);
        let x = Tensor::from_vec(vec![fine; 4], [1, 2, 2, 1], &device).unwrap();
        let kernel = Tensor::from_vec(vec![1.0f32; 4], [2, 2, 1, 1], &device).unwrap();
        let spec = ConvSpec::default();
        let y = x.conv(&kernel, None, &spec, Linear).unwrap();
        let one = Tensor::from_vec(vec![1.0f32], [1, 1, 1, 1], &device).unwrap();
        let (dk, _) = one.conv_backward_kernel(&x, kernel.shape(), &spec, false).unwrap();
        let dx = one.conv_backward_input(&x.reshape([2, 2, 1, 1]).unwrap(), x.shape(), &spec).unwrap();
        [y, dk, dx].map(|t| t.to_vec::<f32>().unwrap()[0])
    };
    assert_eq!(convolved(CudaOptions::default()), [4.0 * fine, fine, fine]);
    assert_eq!(convolved(CudaOptions { libraries: false, ..CudaOptions::default() }), [4.0 * fine, fine, fine]);
    let tf32 = CudaOptions { precision: Precision::Tf32, ..CudaOptions::default() };
    if cudnn_is_there() && CudaBackend::new(tf32).is_ok() {
        assert_eq!(convolved(tf32), [4.0, 1.0, 1.0]);
    }
}

/// The workspace of a recorded convolution is the recording's own.
#[test]
fn replayed_steps_with_cudnn_have_the_bits_of_plain_ones() {
    if common::device().is_none() {
        return;
    }
    let train = |graphs: bool| {
        let (backend, device) = open(CudaOptions { graphs, ..CudaOptions::default() });
        let mut model = Sequential::new([9, 9, 3])
            .add(Conv2D::new(8, 3).activation(Relu))
            .add(Conv2D::new(6, 3).strides(2).activation(Relu))
            .add(Flatten)
            .add(Dense::new(3).activation(Softmax))
            .build_on(&BuildOptions { seed: 3, ..BuildOptions::on(&device) })
            .unwrap();
        let classes: Vec<f32> = (0..32 * 3).map(|i| f32::from(u8::from((i / 3 * 7) % 3 == i % 3))).collect();
        let targets = Tensor::from_vec(classes, [32, 3], &device).unwrap();
        let data = ArrayDataset::from_tensors(&tensor(&[32, 9, 9, 3], 7, &device), &targets).unwrap();
        let losses = {
            let mut training = model.compile(Sgd::new(0.05), CategoricalCrossentropy, ()).unwrap();
            let fit = Fit { epochs: 3, batch_size: 8, seed: 5, progress: Progress::Silent, ..Fit::default() };
            training.fit(&data, fit).unwrap().series("loss")
        };
        let weights: Vec<Vec<f32>> = model.weights().map(|(_, value)| value.to_vec().unwrap()).collect();
        (losses, weights, backend.replays(), backend.planned_convolutions().unwrap())
    };
    let (plain, recorded) = (train(false), train(true));
    assert_eq!((&plain.0, &plain.1), (&recorded.0, &recorded.1));
    assert!(plain.2 == 0 && recorded.2 >= 20, "{} {}", plain.2, recorded.2);
    // Three passes and two, as the pictures need no gradient.
    assert_eq!((plain.3, recorded.3), if cudnn_is_there() { (5, 5) } else { (0, 0) });
}
