//! The moving average of the weights.

use crate::runs::{bars, close, cpu, model_on, quiet};
use striate_data::{Array, ArrayDataset};
use striate_formats::weights_sha256;
use striate_nn::layers::{BatchNormalization, Dense};
use striate_nn::{BuildOptions, Sequential};
use striate_optim::{RmsProp, Sgd};
use striate_tensor::Result;
use striate_train::callback::{EarlyStopping, Flow, Moment};
use striate_train::loss::{CategoricalCrossentropy, MeanSquaredError};
use striate_train::metric::Accuracy;
use striate_train::{Callback, Compile, Fit};

/// One weight w, loss (w·1 − 1)²: each step of rate 0.25 halves what is left to 1.
fn halving() -> (striate_nn::Model, ArrayDataset) {
    let layer = Dense::new(1).use_bias(false).kernel_initializer(striate_nn::Initializer::Zeros);
    let model = Sequential::new([1]).add(layer).build_on(&BuildOptions::on(&cpu())).unwrap();
    let ones = || vec![Array::floats(vec![1.0; 4], [4, 1]).unwrap()];
    (model, ArrayDataset::new(ones(), ones()).unwrap())
}

/// The weight at the end of each epoch, as callbacks see it.
struct Seen<'a>(&'a mut Vec<f64>);

impl Callback for Seen<'_> {
    fn on_epoch_end(&mut self, moment: &mut Moment<'_>) -> Result<Flow> {
        self.0.push(moment.model.weight("dense/kernel").unwrap().to_f64_vec()?[0]);
        Ok(Flow::Continue)
    }
}

#[test]
fn it_is_the_one_worked_out_by_hand() {
    let (mut model, data) = halving();
    let mut training = model.compile(Sgd::new(0.25), MeanSquaredError, ()).unwrap();
    let mut seen = Vec::new();
    let callbacks: Vec<Box<dyn Callback>> = vec![Box::new(Seen(&mut seen))];
    let options = Fit { batch_size: 4, ema_momentum: Some(0.5), validation: Some(&data), callbacks, ..quiet(3) };
    let history = training.fit(&data, options).unwrap();
    // Weights 1/2, 3/4, 7/8. What the average keeps of itself is (1 + t)/(10 + t) for t = 0, 1, 2, below 1/2.
    let first = 0.9 * 0.5;
    let second = 2.0 / 11.0 * first + 9.0 / 11.0 * 0.75;
    let third = 3.0 / 12.0 * second + 9.0 / 12.0 * 0.875;
    close(&seen, &[first, second, third], 1e-6);
    // Training losses are the weights' own, validation's the averages'.
    close(&history.series("loss"), &[1.0, 0.25, 0.0625], 1e-6);
    close(&history.series("val_loss"), &[first, second, third].map(|w| (w - 1.0) * (w - 1.0)), 1e-6);
    close(&training.model().weight("dense/kernel").unwrap().to_f64_vec().unwrap(), &[third], 1e-6);
}

#[test]
fn statistics_are_averaged_too_and_the_momentum_caps_the_warm_up() {
    let network = Sequential::new([1]).add(BatchNormalization::new().momentum(0.0)).add(Dense::new(1));
    let mut model = network.build_on(&BuildOptions::on(&cpu())).unwrap();
    let x = Array::floats(vec![1.0, 3.0], [2, 1]).unwrap();
    let data = ArrayDataset::new(vec![x.clone()], vec![x]).unwrap();
    let mut training = model.compile(Sgd::new(0.0), MeanSquaredError, ()).unwrap();
    training.fit(&data, Fit { batch_size: 2, ema_momentum: Some(0.0), ..quiet(1) }).unwrap();
    let mean = training.model().weight("batch_normalization/moving_mean").unwrap().to_f64_vec().unwrap();
    close(&mean, &[2.0], 1e-6);
    for wrong in [1.0, -0.1, f64::NAN] {
        let error = training.fit(&data, Fit { ema_momentum: Some(wrong), ..quiet(1) }).unwrap_err();
        assert!(error.to_string().contains("ema_momentum: must be in [0, 1)"), "{error}");
    }
}

#[test]
fn the_best_average_comes_back() {
    let (mut model, data) = halving();
    // What is left to 1 grows by half at each step.
    let mut training = model.compile(Sgd::new(1.25), MeanSquaredError, ()).unwrap();
    let mut seen = Vec::new();
    let stop = EarlyStopping::new().patience(2).restore_best_weights(true);
    let callbacks: Vec<Box<dyn Callback>> = vec![Box::new(Seen(&mut seen)), Box::new(stop)];
    let options = Fit { batch_size: 4, ema_momentum: Some(0.5), validation: Some(&data), callbacks, ..quiet(9) };
    let history = training.fit(&data, options).unwrap();
    let losses = history.series("val_loss");
    let best = losses.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
    assert!(losses.len() < 9 && best + 1 < losses.len(), "{losses:?}");
    close(&training.model().weight("dense/kernel").unwrap().to_f64_vec().unwrap(), &[seen[best]], 0.0);
}

#[test]
fn a_run_that_was_stopped_goes_on_with_its_average() {
    let data = bars(36, 1);
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("checkpoint.safetensors");
    let run = |epochs: usize, ema_momentum, checkpoint| {
        let mut model = model_on(&cpu(), 5);
        let mut training = model.compile(RmsProp::default(), CategoricalCrossentropy, [Accuracy]).unwrap();
        let options = Fit { ema_momentum, checkpoint, resume: true, validation: Some(&data), ..quiet(epochs) };
        let history = training.fit(&data, options)?;
        let values: Vec<_> = history.epochs.iter().map(|epoch| epoch.values.clone()).collect();
        Ok::<_, striate_tensor::Error>((weights_sha256(&model)?, values))
    };
    let whole = run(4, Some(0.9), None).unwrap();
    let kept = || Some(checkpoint.clone());
    run(2, Some(0.9), kept()).unwrap();
    let other = run(4, Some(0.8), kept()).unwrap_err().to_string();
    assert!(other.contains("the ema_momentum it began with") && other.contains("0.8 instead of 0.9"), "{other}");
    assert_eq!(run(4, Some(0.9), kept()).unwrap(), whole);
    // Nothing is left to do, and the result is the same.
    assert_eq!(run(4, Some(0.9), kept()).unwrap(), whole);
    assert_ne!(run(4, None, None).unwrap().0, whole.0);
}

#[test]
fn a_validation_that_fails_leaves_the_weights_themselves() {
    let (mut model, data) = halving();
    let wide = Array::floats(vec![1.0; 8], [4, 2]).unwrap();
    let wrong = ArrayDataset::new(vec![wide.clone()], vec![wide]).unwrap();
    let mut training = model.compile(Sgd::new(0.25), MeanSquaredError, ()).unwrap();
    let options = Fit { batch_size: 4, ema_momentum: Some(0.5), validation: Some(&wrong), ..quiet(1) };
    training.fit(&data, options).unwrap_err();
    close(&training.model().weight("dense/kernel").unwrap().to_f64_vec().unwrap(), &[0.5], 1e-6);
}
