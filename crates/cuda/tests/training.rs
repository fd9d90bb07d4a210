//! Training on a CUDA device beside the CPU: the same losses within rounding, and models that move between them.

mod common;

use striate_cpu::{CpuBackend, CpuOptions};
use striate_data::{Dataset, Mnist};
use striate_nn::layers::{Conv2D, Dense, Dropout, Flatten, MaxPooling2D, Softmax};
use striate_nn::{BuildOptions, Model, Sequential};
use striate_optim::{Adam, AdamW, Engine, Optimizer, RmsProp, Sgd};
use striate_tensor::Activation::Relu;
use striate_tensor::{ConvAlgorithm, DType, Device, Error, Key, Tensor, UnaryOp};
use striate_train::loss::CategoricalCrossentropy;
use striate_train::metric::Accuracy;
use striate_train::{Compile, Fit, Progress};

fn cpu() -> Device {
    Device::new(CpuBackend::new(CpuOptions::default()).unwrap())
}

/// The lecture's network.
fn network() -> Sequential {
    Sequential::new([28, 28, 1])
        .add(Conv2D::new(32, 3).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(64, 3).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(64, 3).activation(Relu))
        .add(Flatten)
        .add(Dense::new(64).activation(Relu))
        .add(Dense::new(10).activation(Softmax))
}

/// One of LeNet's size, with dropout.
fn small() -> Sequential {
    Sequential::new([28, 28, 1])
        .add(Conv2D::new(6, 5).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(16, 5).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Flatten)
        .add(Dropout::new(0.3))
        .add(Dense::new(32).activation(Relu))
        .add(Dense::new(10).activation(Softmax))
}

fn built(network: Sequential, device: &Device) -> Model {
    network.build_on(&BuildOptions { seed: 3, ..BuildOptions::on(device) }).unwrap()
}

/// Loss of each of `steps` steps of `batch` digits: one step an epoch.
fn losses(
    model: &mut Model,
    mnist: &Mnist,
    optimizer: impl Optimizer + 'static,
    steps: usize,
    batch: usize,
) -> Vec<f64> {
    let mut training = model.compile(optimizer, CategoricalCrossentropy, [Accuracy]).unwrap();
    let options = Fit {
        epochs: steps,
        steps_per_epoch: Some(1),
        batch_size: batch,
        seed: 5,
        progress: Progress::Silent,
        ..Fit::default()
    };
    training.fit(&mnist.train.take(2000), options).unwrap().series("loss")
}

/// The largest relative difference up to each step.
fn apart(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut largest = 0f64;
    let pairs = a.iter().zip(b);
    pairs
        .map(|(a, b)| {
            largest = largest.max((a - b).abs() / b.abs());
            largest
        })
        .collect()
}

#[test]
fn ten_steps_on_mnist_have_the_losses_of_the_cpu() {
    let Some(device) = common::device() else { return };
    let mnist = Mnist::load().unwrap();
    let on = |device: &Device| losses(&mut built(network(), device), &mnist, Sgd::new(0.01), 10, 16);
    let (on_gpu, on_cpu) = (on(&device), on(&cpu()));
    assert_eq!(on_gpu.len(), 10);
    let apart = apart(&on_gpu, &on_cpu);
    assert!(apart[9] <= 1e-4, "{apart:?}\n{on_gpu:?}\n{on_cpu:?}");
    // A loss that does not move would agree as well.
    assert!(on_cpu[9] != on_cpu[0]);
}

/// Against the CPU's direct algorithm: with RMSprop, whose first steps are nearly as long for a small gradient as for a large one, the
/// CPU's own direct and Winograd losses are a hundredth apart after ten steps.
#[test]
fn ten_steps_of_rmsprop_on_mnist_have_the_losses_of_the_cpus_direct_algorithm() {
    let Some(device) = common::device() else { return };
    let mnist = Mnist::load().unwrap();
    let direct = CpuOptions { algorithm: ConvAlgorithm::Direct, ..CpuOptions::default() };
    let direct = Device::new(CpuBackend::new(direct).unwrap());
    let on = |device: &Device| losses(&mut built(network(), device), &mnist, RmsProp::default(), 10, 16);
    let (on_gpu, on_cpu) = (on(&device), on(&direct));
    let apart = apart(&on_gpu, &on_cpu);
    assert!(apart[9] <= 1e-4 && on_cpu[9] < on_cpu[0], "{apart:?}\n{on_gpu:?}\n{on_cpu:?}");
}

#[test]
fn a_small_network_learns_digits_and_its_model_moves_to_the_cpu() {
    let Some(device) = common::device() else { return };
    let mnist = Mnist::load().unwrap();
    let (train, test) = (mnist.train.take(480), mnist.test.take(100));
    let mut model = built(small(), &device);
    let options = || Fit { epochs: 4, batch_size: 32, progress: Progress::Silent, ..Fit::default() };
    let history = {
        let mut training = model.compile(Adam::new(0.003), CategoricalCrossentropy, [Accuracy]).unwrap();
        training.fit(&train, options()).unwrap()
    };
    let losses = history.series("loss");
    assert!(losses[3] < 0.6 * losses[0], "{losses:?}");
    // The same weights on the CPU answer the same, and dropout was the same there.
    let mut moved = model.to_device(&cpu()).unwrap();
    let evaluate = |model: &mut Model| {
        let mut training = model.compile(Adam::default(), CategoricalCrossentropy, [Accuracy]).unwrap();
        let evaluation = training.evaluate(&test).unwrap();
        (evaluation.get("loss").unwrap(), evaluation.get("accuracy").unwrap())
    };
    let ((gpu, accuracy), (cpu_loss, cpu_accuracy)) = (evaluate(&mut model), evaluate(&mut moved));
    assert!((gpu - cpu_loss).abs() < 1e-4 * cpu_loss && accuracy == cpu_accuracy, "{gpu} {cpu_loss}");
    let mut on_cpu = built(small(), &cpu());
    let mut training = on_cpu.compile(Adam::new(0.003), CategoricalCrossentropy, [Accuracy]).unwrap();
    let same = training.fit(&train, options()).unwrap().series("loss");
    for (gpu, cpu) in losses.iter().zip(&same) {
        assert!((gpu - cpu).abs() < 0.02 * cpu, "{losses:?}\n{same:?}");
    }
}

#[test]
fn a_run_begun_on_one_device_goes_on_on_the_other() {
    let Some(device) = common::device() else { return };
    let train = Mnist::load().unwrap().train.take(96);
    let folder = std::env::temp_dir().join(format!("striate-cuda-resume-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let run = |device: &Device, name: &str, epochs: usize| {
        let mut model = built(small(), device);
        let mut training = model.compile(Adam::new(0.003), CategoricalCrossentropy, ()).unwrap();
        let options = Fit {
            epochs,
            batch_size: 32,
            checkpoint: Some(folder.join(name)),
            resume: true,
            progress: Progress::Silent,
            ..Fit::default()
        };
        training.fit(&train, options).unwrap().series("loss")
    };
    let whole = run(&cpu(), "whole", 3);
    run(&cpu(), "moved", 1);
    let middle = run(&device, "moved", 2);
    let moved = run(&cpu(), "moved", 3);
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!((middle.len(), moved.len()), (2, 3));
    assert_eq!(moved[0], whole[0]);
    for (moved, whole) in moved.iter().zip(&whole) {
        assert!((moved - whole).abs() < 1e-3 * whole, "{moved} {whole}");
    }
}

#[test]
fn dropout_has_the_very_bits_of_the_cpu() {
    let Some(device) = common::device() else { return };
    let values: Vec<f32> = (0..1003).map(|i| (i as f32 - 500.0) / 7.0).collect();
    let key = Key::new(77).fold_str("dropout");
    let drop = |device: &Device| {
        let x = Tensor::from_vec(values.clone(), [1003], device).unwrap();
        x.dropout(0.4, key).unwrap().to_vec::<f32>().unwrap()
    };
    assert_eq!(drop(&device), drop(&cpu()));
}

#[test]
fn a_training_step_in_its_stride_takes_no_new_memory() {
    use striate_cuda::{CudaBackend, CudaOptions};
    if common::device().is_none() {
        return;
    }
    let device = Device::new(CudaBackend::new(CudaOptions { pooling: true, ..CudaOptions::default() }).unwrap());
    let mut model = built(small(), &device);
    let train = Mnist::load().unwrap().train.take(64);
    let mut training = model.compile(Adam::default(), CategoricalCrossentropy, ()).unwrap();
    let mut held = Vec::new();
    for _ in 0..3 {
        let options = Fit { steps_per_epoch: Some(2), batch_size: 16, progress: Progress::Silent, ..Fit::default() };
        training.fit(&train, options).unwrap();
        let stats = device.memory();
        held.push(stats.live + stats.cached);
    }
    assert!(held[2] == held[1], "live and cached memory after each fit: {held:?}");
}

#[test]
fn more_memory_than_any_device_has_is_an_error_and_the_device_goes_on() {
    let Some(device) = common::device() else { return };
    let error = Tensor::zeros([1 << 40], &device).unwrap_err();
    assert!(matches!(error, Error::OutOfMemory { bytes, .. } if bytes >= 1 << 42), "{error}");
    assert_eq!(Tensor::full([3], 2.5, DType::F32, &device).unwrap().sum_all().unwrap().item().unwrap(), 7.5);
}

#[test]
fn tensors_of_other_devices_and_types_are_refused() {
    let Some(device) = common::device() else { return };
    let x = Tensor::from_vec(vec![1.0f64], [1], &device).unwrap();
    let error = x.unary(UnaryOp::Exp).unwrap_err().to_string();
    assert!(error.contains("float32") && error.contains("float64"), "{error}");
    let host = Tensor::from_vec(vec![1.0f32], [1], &cpu()).unwrap();
    assert!(device.unary(UnaryOp::Exp, &host).is_err());
    assert!(host.add(&x.cast(DType::F32).unwrap()).is_err());
    assert!(x.as_slice::<f64>().unwrap_err().to_string().contains("to_vec"));
}

/// Steps with weight decay on the device, and on the CPU: it shrinks weights there in a pass of its own.
#[test]
fn weights_decay_as_on_the_cpu() {
    let Some(device) = common::device() else { return };
    let after = |device: &Device| {
        let mut weights: Vec<Tensor> = [5, 1500]
            .map(|n| Tensor::from_vec((0..n).map(|i| (i as f32 * 0.37).sin()).collect(), [n], device).unwrap())
            .into();
        let gradients: Vec<Tensor> = weights.iter().map(|w| w.unary(UnaryOp::Square).unwrap()).collect();
        let mut engine = Engine::new(AdamW::new(0.01).weight_decay(0.5)).unwrap();
        for _ in 0..6 {
            let mut named: Vec<(&str, &mut Tensor)> = ["a", "b"].into_iter().zip(&mut weights).collect();
            engine.step(&mut named, &gradients).unwrap();
        }
        weights.iter().flat_map(|w| w.to_vec::<f32>().unwrap()).collect::<Vec<_>>()
    };
    for (i, (gpu, cpu)) in after(&device).iter().zip(after(&cpu())).enumerate() {
        assert!((gpu - cpu).abs() <= 1e-6 + 1e-5 * cpu.abs(), "weight {i}: {gpu} {cpu}");
    }
}

/// One launch changes every weight, decay included: the number of kernels does not grow with the number of weights.
#[test]
fn an_optimizer_step_is_one_launch() {
    use striate_cuda::{CudaBackend, CudaOptions};
    if common::device().is_none() {
        return;
    }
    let backend = std::sync::Arc::new(CudaBackend::new(CudaOptions::default()).unwrap());
    let device = Device::from(backend.clone());
    let launches = |weights: usize| {
        let mut all: Vec<Tensor> =
            (1..=weights).map(|n| Tensor::full([700 * n], 1.0, DType::F32, &device).unwrap()).collect();
        let gradients: Vec<Tensor> = all.iter().map(|w| w.affine(0.5, 0.0).unwrap()).collect();
        let paths: Vec<String> = (0..weights).map(|i| format!("w{i}")).collect();
        let mut engine = Engine::new(Adam::new(0.1)).unwrap();
        let before = backend.launches();
        let mut named: Vec<(&str, &mut Tensor)> = paths.iter().map(String::as_str).zip(&mut all).collect();
        engine.step(&mut named, &gradients).unwrap();
        let launches = backend.launches() - before;
        for weight in &all {
            assert!(weight.to_vec::<f32>().unwrap().iter().all(|&w| (w - 0.9).abs() < 1e-4));
        }
        launches
    };
    assert_eq!((launches(1), launches(40)), (1, 1));
}
