//! Products on factors of 16 bits: those of the reference on rounded factors; and training by them.

mod common;

use striate_cuda::{CudaBackend, CudaOptions};
use striate_data::{Dataset, Mnist};
use striate_nn::layers::{Conv2D, Dense, Flatten, MaxPooling2D, Softmax};
use striate_nn::{BuildOptions, Sequential};
use striate_optim::Sgd;
use striate_tensor::Activation::{Linear, Relu};
use striate_tensor::{ConvSpec, DType, Device, Key, Padding, Precision, Shape, Tensor};
use striate_train::loss::CategoricalCrossentropy;
use striate_train::{Compile, Fit, LossScale, Progress};

fn open(precision: Precision, libraries: bool) -> Device {
    let options = CudaOptions { precision, libraries, graphs: false, ..CudaOptions::default() };
    Device::new(CudaBackend::new(options).expect("the device opens once more"))
}

/// Numbers from −1 to 1.
fn tensor(shape: &[usize], seed: u64, device: &Device) -> Tensor {
    let key = Key::new(seed);
    let count = shape.iter().product::<usize>() as u64;
    let numbers = (0..count).map(|i| key.word(i) as f32 / 2f32.powi(31) - 1.0).collect();
    Tensor::from_vec(numbers, Shape::new(shape).unwrap(), device).unwrap()
}

const NARROW: [(Precision, DType); 2] = [(Precision::Bf16, DType::Bf16), (Precision::F16, DType::F16)];

fn assert_close(a: &Tensor, b: &Tensor, what: &str) {
    for (i, (a, b)) in a.to_vec::<f32>().unwrap().iter().zip(&b.to_vec::<f32>().unwrap()).enumerate() {
        assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "{what}, element {i}: {a} {b}");
    }
}

#[test]
fn products_and_convolutions_are_those_of_the_rounded_factors() {
    if common::device().is_none() {
        return;
    }
    let reference = striate_testkit::reference::device();
    for (precision, dtype) in NARROW {
        let rounded = |t: &Tensor| t.cast(dtype).unwrap().cast(DType::F32).unwrap();
        for libraries in [true, false] {
            let device = open(precision, libraries);
            let (a, b) = ([3, 17, 30], [30, 20]);
            let y = tensor(&a, 1, &device).matmul(&tensor(&b, 2, &device)).unwrap();
            let expected = rounded(&tensor(&a, 1, &reference)).matmul(&rounded(&tensor(&b, 2, &reference))).unwrap();
            assert_close(&y, &expected, &format!("{precision:?}, a product"));
            let same = ConvSpec { padding: Padding::Same, ..ConvSpec::default() };
            let forms: [(&[usize], &[usize], ConvSpec); 3] = [
                (&[2, 7, 6, 5], &[3, 3, 5, 9], same),
                (&[2, 5, 5, 6], &[3, 3, 1, 6], ConvSpec { groups: 6, ..ConvSpec::default() }),
                (&[2, 4, 4, 7], &[1, 1, 7, 6], ConvSpec::default()),
            ];
            for (x, kernel, spec) in forms {
                let passes = |device: &Device, of: &dyn Fn(&Tensor) -> Tensor| {
                    let (x, kernel) = (of(&tensor(x, 1, device)), of(&tensor(kernel, 2, device)));
                    let y = x.conv(&kernel, None, &spec, Linear).unwrap();
                    let dy = of(&tensor(y.shape(), 4, device));
                    let dx = dy.conv_backward_input(&kernel, x.shape(), &spec).unwrap();
                    [y, dx, dy.conv_backward_kernel(&x, kernel.shape(), &spec, false).unwrap().0]
                };
                let (ours, theirs) = (passes(&device, &Tensor::clone), passes(&reference, &rounded));
                for (ours, theirs) in ours.iter().zip(&theirs) {
                    assert_close(ours, theirs, &format!("{precision:?}, {x:?} by {kernel:?}"));
                }
            }
        }
    }
}

/// Losses of ten steps, and the loss's scale after them.
fn losses(device: &Device, scale: Option<LossScale>) -> (Vec<f64>, Option<LossScale>) {
    let mnist = Mnist::load().unwrap();
    let mut model = Sequential::new([28, 28, 1])
        .add(Conv2D::new(6, 5).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(16, 5).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Flatten)
        .add(Dense::new(10).activation(Softmax))
        .build_on(&BuildOptions { seed: 3, ..BuildOptions::on(device) })
        .unwrap();
    let mut training = model.compile(Sgd::new(0.05), CategoricalCrossentropy, ()).unwrap();
    if scale.is_some() {
        training.set_loss_scale(scale);
    }
    let fit = Fit {
        epochs: 10,
        steps_per_epoch: Some(1),
        batch_size: 16,
        seed: 5,
        progress: Progress::Silent,
        ..Fit::default()
    };
    let losses = training.fit(&mnist.train.take(160), fit).unwrap().series("loss");
    (losses, training.loss_scale().copied())
}

#[test]
fn losses_stay_near_those_of_float32() {
    if common::device().is_none() {
        return;
    }
    let (exact, none) = losses(&open(Precision::F32, true), None);
    assert!(none.is_none() && exact[9] < exact[0], "{exact:?}");
    for (precision, _) in NARROW {
        let (near, scale) = losses(&open(precision, true), None);
        assert_eq!(scale.map(|scale| scale.factor()), (precision == Precision::F16).then_some(65536.0));
        for (near, exact) in near.iter().zip(&exact) {
            assert!((near - exact).abs() < 0.02 * exact, "{precision:?}: {near} {exact}");
        }
        assert_ne!(near, exact);
    }
}

/// A scale beyond float16's range makes infinities of gradients: those steps change nothing, until the scale is small enough.
#[test]
fn a_scale_that_is_too_large_is_halved_and_the_step_left_out() {
    if common::device().is_none() {
        return;
    }
    let device = open(Precision::F16, true);
    let (losses, scale) = losses(&device, Some(LossScale::starting_at(2f32.powi(24)).unwrap()));
    let (factor, good) = scale.map(|scale| (scale.factor(), scale.good_steps())).unwrap();
    assert!(factor < 2f32.powi(24) && good > 0 && losses[9] < losses[0], "{factor} {good} {losses:?}");
}

#[test]
fn recorded_steps_do_not_scale_the_loss_and_that_is_said() {
    if common::device().is_none() {
        return;
    }
    let options = CudaOptions { precision: Precision::F16, graphs: true, ..CudaOptions::default() };
    let refused = CudaBackend::new(options).unwrap_err().to_string();
    assert!(refused.contains("float16 scales the loss") && refused.contains("hint"), "{refused}");
}
