//! Learning, what is refused, and what callbacks see.

use crate::runs::{CLASSES, SIDE, bars, close, cpu, model_on, quiet, reference};
use std::fs;
use std::sync::{Arc, Mutex};
use striate_data::{Array, ArrayDataset, Batch, BatchContext, Dataset};
use striate_formats::weights_sha256;
use striate_nn::layers::{Dense, Flatten};
use striate_nn::{BuildOptions, Sequential};
use striate_optim::{Adam, Sgd};
use striate_tensor::{Error, Result, Shape};
use striate_train::callback::{Flow, Moment};
use striate_train::loss::{CategoricalCrossentropy, MeanSquaredError};
use striate_train::metric::Accuracy;
use striate_train::{Callback, Compile, Fit};

#[test]
fn a_small_network_learns_bars_it_has_not_seen() {
    let (train, test) = (bars(120, 1), bars(60, 2));
    let mut model = model_on(&cpu(), 0);
    let mut training = model.compile(Adam::new(0.01), CategoricalCrossentropy, [Accuracy]).unwrap();
    let options = Fit { validation: Some(&test), ..quiet(6) };
    let history = training.fit(&train, options).unwrap();
    assert_eq!(history.names(), ["loss", "accuracy", "val_loss", "val_accuracy"]);
    assert_eq!(history.epochs.iter().map(|epoch| epoch.epoch).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    let losses = history.series("loss");
    assert!(losses[5] < 0.5 * losses[0], "{losses:?}");
    assert!(history.last("val_accuracy") > Some(0.95), "{history:?}");
    // The last epoch's validation is an evaluation of the trained model.
    let evaluation = training.evaluate(&test).unwrap();
    close(&[evaluation.get("loss").unwrap()], &[history.last("val_loss").unwrap()], 1e-6);
    assert_eq!(evaluation.samples, 60);
    let few = training.evaluate_with(&test, 7, Some(2), striate_train::Progress::Silent).unwrap();
    assert_eq!(few.samples, 14);
    assert_eq!(training.predict(&test).unwrap().shape().to_string(), format!("(60, {CLASSES})"));
}

#[test]
fn one_step_of_gradient_descent_is_the_one_worked_out_by_hand() {
    // y = w·x + b with w = 0.5, b = 0 on (1, 2), (3, 1): errors −1.5 and 0.5.
    let mut model = Sequential::new([1]).add(Dense::new(1)).build_on(&BuildOptions::on(&reference())).unwrap();
    let half = crate::runs::tensor(&[0.5], &[1, 1]);
    model.set_weight("dense/kernel", &half).unwrap();
    let data = |weights: Option<Vec<f32>>| {
        let array = |values: [f32; 2]| Array::floats(values.to_vec(), [2, 1]).unwrap();
        let data = ArrayDataset::new(vec![array([1.0, 3.0])], vec![array([2.0, 1.0])]).unwrap();
        weights.map_or(data.clone(), |weights| data.with_sample_weights(weights).unwrap())
    };
    // Loss, then w − lr·2/n·Σ c·e·x and b − lr·2/n·Σ c·e, where c is the sample's weight.
    for (weights, wanted) in [(None, [1.25, 0.5, 0.1]), (Some(vec![0.0, 2.0]), [0.25, 0.2, -0.1])] {
        let mut model = model.clone();
        let mut training = model.compile(Sgd::new(0.1), MeanSquaredError, ()).unwrap();
        let history = training.fit(&data(weights), Fit { shuffle: false, ..quiet(1) }).unwrap();
        let weight = |path: &str| model.weight(path).unwrap().item().unwrap();
        close(&[history.last("loss").unwrap(), weight("dense/kernel"), weight("dense/bias")], &wanted, 1e-6);
    }
}

#[test]
fn frozen_layers_stay_as_they_were() {
    let mut model = model_on(&cpu(), 0);
    model.set_trainable("conv2d", false).unwrap();
    let before = model.clone();
    let mut training = model.compile(Adam::default(), CategoricalCrossentropy, ()).unwrap();
    training.fit(&bars(24, 1), quiet(1)).unwrap();
    for ((spec, now), (_, then)) in model.weights().zip(before.weights()) {
        let same = now.to_vec::<f32>().unwrap() == then.to_vec::<f32>().unwrap();
        assert_eq!(same, spec.path.starts_with("conv2d/"), "{}", spec.path);
    }
}

/// Notes what it sees; stops after an epoch.
struct Witness {
    name: &'static str,
    notes: Arc<Mutex<Vec<String>>>,
    last: usize,
}

impl Witness {
    fn note(&self, what: &str, moment: &Moment<'_>) {
        let note = format!("{} {what} {}", self.name, moment.history.epochs.len());
        self.notes.lock().unwrap().push(note);
    }
}

impl Callback for Witness {
    fn on_train_begin(&mut self, moment: &mut Moment<'_>) -> Result<()> {
        self.note("begins", moment);
        Ok(())
    }
    fn on_epoch_end(&mut self, moment: &mut Moment<'_>) -> Result<Flow> {
        self.note("sees", moment);
        Ok(if moment.history.epochs.len() == self.last { Flow::Stop } else { Flow::Continue })
    }
    fn on_train_end(&mut self, moment: &mut Moment<'_>) -> Result<()> {
        self.note("ends", moment);
        Ok(())
    }
}

#[test]
fn callbacks_are_called_in_order_and_any_can_stop() {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let witness = |name, last| Box::new(Witness { name, notes: notes.clone(), last }) as Box<dyn Callback>;
    let mut model = model_on(&cpu(), 0);
    let mut training = model.compile(Adam::default(), CategoricalCrossentropy, ()).unwrap();
    let options = Fit { callbacks: vec![witness("a", 2), witness("b", 99)], ..quiet(9) };
    let history = training.fit(&bars(16, 1), options).unwrap();
    assert_eq!(history.epochs.len(), 2);
    let wanted = ["a begins 0", "b begins 0", "a sees 1", "b sees 1", "a sees 2", "b sees 2", "a ends 2", "b ends 2"];
    assert_eq!(*notes.lock().unwrap(), wanted);
}

#[test]
fn impossible_options_are_refused_by_name() {
    let (data, mut model) = (bars(16, 1), model_on(&cpu(), 0));
    let mut training = model.compile(Adam::default(), CategoricalCrossentropy, [Accuracy]).unwrap();
    let cases = [
        ("epochs", Fit { epochs: 0, ..quiet(1) }),
        ("batch_size", Fit { batch_size: 0, ..quiet(1) }),
        ("steps_per_epoch", Fit { steps_per_epoch: Some(0), ..quiet(1) }),
        ("validation_steps", Fit { validation: Some(&data), validation_steps: Some(0), ..quiet(1) }),
        ("workers", Fit { workers: 0, ..quiet(1) }),
    ];
    for (name, options) in cases {
        let error = training.fit(&data, options).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Argument(_)) && text.contains(name) && text.contains("at least 1"), "{text}");
    }
    assert!(training.evaluate_with(&data, 0, None, striate_train::Progress::Silent).is_err());
    let none = training.evaluate_with(&data, 8, Some(0), striate_train::Progress::Silent);
    assert!(matches!(none, Err(Error::Argument(_))));
}

#[test]
fn data_that_does_not_fit_is_refused_and_changes_nothing() {
    let mut model = model_on(&cpu(), 0);
    let before = weights_sha256(&model).unwrap();
    let mut training = model.compile(Adam::default(), CategoricalCrossentropy, [Accuracy]).unwrap();
    let images = |samples: usize, side: usize| {
        Array::floats(vec![0.5; samples * side * side], [samples, side, side, 1]).unwrap()
    };
    let labels = |samples: usize, classes: usize| Array::one_hot(&vec![0u8; samples], classes).unwrap();
    let refuse = |training: &mut striate_train::Training<'_>, inputs, targets, words: &[&str]| {
        let data = ArrayDataset::new(inputs, targets).unwrap();
        let text = training.fit(&data, quiet(1)).unwrap_err().to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
        let text = training.evaluate(&data).unwrap_err().to_string();
        assert!(words[1..].iter().all(|word| text.contains(word)), "evaluate: {text}");
    };
    refuse(&mut training, vec![images(0, SIDE)], vec![labels(0, CLASSES)], &["", "at least one sample"]);
    refuse(
        &mut training,
        vec![images(4, SIDE)],
        vec![labels(4, 5)],
        &["epoch 1, step 1", "categorical_crossentropy", "prediction (4, 3), target (4, 5)"],
    );
    refuse(
        &mut training,
        vec![images(4, SIDE + 1)],
        vec![labels(4, CLASSES)],
        &["epoch 1, step 1", "received (4, 9, 9, 1)"],
    );
    refuse(&mut training, vec![images(4, SIDE)], vec![], &["epoch 1, step 1", "one target for each output"]);
    assert_eq!(weights_sha256(&model).unwrap(), before);
    // Labels outside the classes are refused when the data is made.
    let text = Array::one_hot(&[0u8, 3], CLASSES).unwrap_err().to_string();
    assert!(text.contains("labels must be below classes = 3") && text.contains("label 3 of sample 1"), "{text}");
}

/// Fails at one sample.
#[derive(Clone)]
struct Damaged(ArrayDataset);

impl Dataset for Damaged {
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
        if samples.contains(&13) {
            return Err(Error::data("picture 13", "must be readable", "noise", ""));
        }
        self.0.batch(samples, context)
    }
}

#[test]
fn a_sample_that_cannot_be_read_ends_training_with_its_own_error() {
    let mut model = model_on(&cpu(), 0);
    let mut training = model.compile(Adam::default(), CategoricalCrossentropy, ()).unwrap();
    let error = training.fit(&Damaged(bars(16, 1)), quiet(3)).unwrap_err();
    assert_eq!(error.to_string(), "picture 13: must be readable; received noise");
}

/// Bars that take their time.
#[derive(Clone)]
struct Slow(ArrayDataset);

impl Dataset for Slow {
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
        std::thread::sleep(std::time::Duration::from_millis(5));
        self.0.batch(samples, context)
    }
}

#[test]
fn the_time_that_data_was_waited_for_is_told() {
    let mut model = model_on(&cpu(), 1);
    let mut training = model.compile(Sgd::new(0.01), CategoricalCrossentropy, ()).unwrap();
    let history = training.fit(&Slow(bars(40, 1)), quiet(2)).unwrap();
    for epoch in &history.epochs {
        // Five batches.
        assert!(epoch.data_wait_share * epoch.seconds >= 0.025 && epoch.data_wait_share <= 1.0, "{epoch:?}");
    }
}

#[test]
fn a_loss_that_is_no_number_is_told_with_its_step_and_leaves_files_alone() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("run.safetensors");
    let data = bars(32, 1);
    let network = || {
        let stack = Sequential::new([SIDE, SIDE, 1]).add(Flatten).add(Dense::new(CLASSES));
        stack.build_on(&BuildOptions::on(&cpu())).unwrap()
    };
    let run = |rate: f32, data: &ArrayDataset| {
        let mut model = network();
        let mut training = model.compile(Sgd::new(rate), MeanSquaredError, ()).unwrap();
        let options = Fit { checkpoint: Some(checkpoint.clone()), ..quiet(2) };
        training.fit(data, options)
    };
    run(0.001, &data).unwrap();
    let before = fs::read(&checkpoint).unwrap();
    // The second step's loss is beyond float32.
    let error = run(1e30, &data).unwrap_err();
    assert!(matches!(error.root(), Error::NonFinite(_)), "{error}");
    let text = error.to_string();
    assert!(text.starts_with("epoch 1, step 2: loss: the loss must be a finite number"), "{text}");
    assert!(text.contains("learning rate"), "{text}");
    // The only step's loss is finite, but the weights it leads to are not.
    let pixels = Array::floats(vec![100.0; 8 * SIDE * SIDE], [8, SIDE, SIDE, 1]).unwrap();
    let bright = ArrayDataset::new(vec![pixels], vec![Array::one_hot(&[0u8; 8], CLASSES).unwrap()]).unwrap();
    let error = run(f32::MAX, &bright).unwrap_err();
    assert!(matches!(error.root(), Error::NonFinite(_)), "{error}");
    assert!(error.to_string().starts_with("epoch 1/dense/"), "{error}");
    assert_eq!(fs::read(&checkpoint).unwrap(), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_model_needs_as_many_losses_as_outputs() {
    let mut model = model_on(&cpu(), 0);
    let error = model.compile(Adam::default(), Vec::new(), ()).unwrap_err();
    assert!(error.to_string().contains("one loss for each output"), "{error}");
    assert!(matches!(model.compile(Adam::new(-1.0), MeanSquaredError, ()), Err(Error::Argument(_))));
}
