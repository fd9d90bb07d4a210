//! The same seed gives the same bits.

use crate::runs::{bars, cpu, cpu_with, model_on, quiet, reference};
use std::sync::{Arc, Mutex};
use striate_data::{Batch, BatchContext, Batching, Dataset};
use striate_formats::weights_sha256;
use striate_nn::layers::{Conv2D, Dense, Dropout, Flatten, MaxPooling2D, Softmax};
use striate_nn::{BuildOptions, Sequential};
use striate_optim::{RmsProp, Sgd};
use striate_tensor::Activation::Relu;
use striate_tensor::{Device, Key, Result, Shape};
use striate_train::loss::CategoricalCrossentropy;
use striate_train::metric::Accuracy;
use striate_train::{Compile, Fit};

/// Large enough that several threads have work.
fn train(device: &Device, seed: u64, workers: usize, prefetch: usize) -> (String, Vec<f64>) {
    let mut model = Sequential::new([crate::runs::SIDE, crate::runs::SIDE, 1])
        .add(Conv2D::new(32, 3).activation(Relu))
        .add(Conv2D::new(48, 3).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Flatten)
        .add(Dropout::new(0.5))
        .add(Dense::new(64).activation(Relu))
        .add(Dense::new(3).activation(Softmax))
        .build_on(&BuildOptions { seed, ..BuildOptions::on(device) })
        .unwrap();
    let mut training = model.compile(RmsProp::default(), CategoricalCrossentropy, [Accuracy]).unwrap();
    let options = Fit { batch_size: 64, seed, workers, prefetch, ..quiet(2) };
    let history = training.fit(&bars(200, 1), options).unwrap();
    (weights_sha256(&model).unwrap(), [history.series("loss"), history.series("accuracy")].concat())
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let one = train(&cpu_with(1), 7, 1, 2);
    assert_eq!(train(&cpu_with(2), 7, 1, 2), one);
    assert_eq!(train(&cpu_with(3), 7, 2, 4), one);
    assert_eq!(train(&cpu_with(2), 7, 1, 0), one);
    assert_ne!(train(&cpu_with(2), 8, 1, 2).0, one.0);
}

#[test]
fn the_seed_of_fit_alone_makes_a_difference() {
    let run = |seed| {
        let mut model = model_on(&cpu(), 0);
        let mut training = model.compile(RmsProp::default(), CategoricalCrossentropy, ()).unwrap();
        training.fit(&bars(24, 1), Fit { seed, ..quiet(1) }).unwrap();
        weights_sha256(&model).unwrap()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

/// Notes which samples are asked for.
#[derive(Clone)]
struct Noting<D>(D, Arc<Mutex<Vec<usize>>>);

impl<D: Dataset + Clone + 'static> Dataset for Noting<D> {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn input_shapes(&self) -> Vec<Shape> {
        self.0.input_shapes()
    }
    fn target_shapes(&self) -> Vec<Shape> {
        self.0.target_shapes()
    }
    fn batch(&self, samples: &[usize], context: &BatchContext) -> Result<Batch> {
        self.1.lock().unwrap().extend(samples);
        self.0.batch(samples, context)
    }
}

#[test]
fn every_epoch_sees_all_samples_in_an_order_of_its_own() {
    let orders = |shuffle| {
        let data = Noting(bars(20, 1), Arc::default());
        let mut model = model_on(&cpu(), 0);
        let mut training = model.compile(RmsProp::default(), CategoricalCrossentropy, ()).unwrap();
        training.fit(&data, Fit { shuffle, prefetch: 0, ..quiet(3) }).unwrap();
        let seen = data.1.lock().unwrap();
        let epochs: Vec<Vec<usize>> = seen.chunks(20).map(<[usize]>::to_vec).collect();
        epochs
    };
    let all: Vec<usize> = (0..20).collect();
    assert_eq!(orders(false), [all.clone(), all.clone(), all.clone()]);
    let shuffled = orders(true);
    assert_eq!(shuffled.len(), 3);
    for epoch in &shuffled {
        let mut sorted = epoch.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, all);
    }
    assert!(shuffled[0] != shuffled[1] && shuffled[1] != shuffled[2] && shuffled[0] != all, "{shuffled:?}");
    assert_eq!(orders(true), shuffled);
}

#[test]
fn steps_that_do_not_divide_the_data_still_see_every_sample_once_a_pass() {
    let data = Noting(bars(20, 1), Arc::default());
    let mut model = model_on(&cpu(), 0);
    let mut training = model.compile(RmsProp::default(), CategoricalCrossentropy, ()).unwrap();
    // A pass is 8 + 8 + 4 samples; three epochs of two steps are two passes.
    let options = Fit { steps_per_epoch: Some(2), prefetch: 0, ..quiet(3) };
    let history = training.fit(&data, options).unwrap();
    assert_eq!(history.epochs.len(), 3);
    let seen = data.1.lock().unwrap();
    for pass in [&seen[..20], &seen[20..]] {
        let mut sorted = pass.to_vec();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..20).collect::<Vec<_>>());
    }
}

#[test]
fn the_cpu_and_the_reference_take_the_same_path() {
    let data = bars(16, 1);
    let losses = |device: &Device| -> Vec<f64> {
        let mut model = model_on(device, 3);
        let mut training = model.compile(Sgd::new(0.05).momentum(0.9), CategoricalCrossentropy, [Accuracy]).unwrap();
        let batching = Batching { batch_size: 8, ..Batching::default() };
        let batches: Vec<Batch> = batching.epoch(&data, 0, device).unwrap().map(Result::unwrap).collect();
        (0..10).map(|i| training.step(&batches[i % 2], Key::new(i as u64)).unwrap()).collect()
    };
    let (reference, cpu) = (losses(&reference()), losses(&cpu_with(2)));
    assert!(reference[9] < 0.98 * reference[0], "{reference:?}");
    for (r, c) in reference.iter().zip(&cpu) {
        assert!((r - c).abs() <= 1e-5 * r.abs(), "{reference:?}\n{cpu:?}");
    }
}
