//! A run that was stopped and goes on has the bits of one that never was.

use crate::runs::{bars, cpu, model_on, network, quiet};
use std::fs;
use std::path::Path;
use striate_data::ArrayDataset;
use striate_formats::{TensorFile, weights_sha256};
use striate_nn::layers::Dense;
use striate_nn::{BuildOptions, Model};
use striate_optim::{Adam, Engine, Optimizer, RmsProp, Schedule, Sgd};
use striate_tensor::Error;
use striate_train::callback::{EarlyStopping, ReduceLROnPlateau};
use striate_train::loss::{CategoricalCrossentropy, Loss, MeanSquaredError};
use striate_train::metric::Accuracy;
use striate_train::{Callback, Compile, Fit, History};

/// Everything a run leaves behind but its times.
#[derive(Debug, PartialEq)]
struct End {
    weights: String,
    iterations: u64,
    factor: f32,
    slots: Vec<(String, Vec<f32>)>,
    values: Vec<Vec<(String, f64)>>,
}

fn end(history: &History, model: &Model, optimizer: &Engine) -> End {
    let state = optimizer.export_state();
    End {
        weights: weights_sha256(model).unwrap(),
        iterations: state.iterations,
        factor: state.learning_rate_factor,
        slots: state.slots.iter().map(|(name, slot)| (name.clone(), slot.to_vec().unwrap())).collect(),
        values: history.epochs.iter().map(|epoch| epoch.values.clone()).collect(),
    }
}

fn run(optimizer: impl Optimizer + 'static, data: &ArrayDataset, options: Fit<'_>) -> End {
    let mut model = model_on(&cpu(), 5);
    let mut training = model.compile(optimizer, CategoricalCrossentropy, [Accuracy]).unwrap();
    let history = training.fit(data, options).unwrap();
    end(&history, training.model(), training.optimizer())
}

/// Runs `epochs` at once, and again in pieces that end after each of `stops`, each piece in a fresh model.
fn compare<'a, O: Optimizer + Clone + 'static>(
    optimizer: O,
    data: &ArrayDataset,
    epochs: usize,
    stops: &[usize],
    options: impl Fn(usize) -> Fit<'a>,
) {
    let folder = tempfile::tempdir().unwrap();
    let whole = run(optimizer.clone(), data, options(epochs));
    assert_eq!(whole.values.len(), epochs);
    for &stop in stops {
        let checkpoint = folder.path().join(format!("{stop}.safetensors"));
        let part = |epochs| Fit { checkpoint: Some(checkpoint.clone()), resume: true, ..options(epochs) };
        let first = run(optimizer.clone(), data, part(stop));
        assert_eq!(first.values, whole.values[..stop]);
        assert_ne!(first.weights, whole.weights);
        assert_eq!(run(optimizer.clone(), data, part(epochs)), whole, "stopped after {stop}");
        // Nothing is left to do.
        assert_eq!(run(optimizer.clone(), data, part(epochs)), whole);
    }
}

#[test]
fn with_every_optimizer() {
    let data = bars(36, 1);
    compare(RmsProp::default(), &data, 4, &[1, 3], quiet);
    compare(Adam::default(), &data, 3, &[2], quiet);
    compare(Sgd::new(0.05).momentum(0.9), &data, 3, &[1], quiet);
    compare(
        Adam::new(Schedule::ExponentialDecay { initial: 0.01, decay_steps: 5, rate: 0.5, staircase: false }),
        &data,
        3,
        &[1],
        quiet,
    );
}

#[test]
fn in_the_middle_of_a_pass() {
    // 36 samples in batches of 8 are 5 steps; epochs of 3 and of 7 do not divide them.
    let data = bars(36, 1);
    for steps in [3, 7] {
        let options = |epochs| Fit { steps_per_epoch: Some(steps), ..quiet(epochs) };
        compare(Adam::default(), &data, 4, &[1, 2, 3], options);
    }
}

#[test]
fn with_validation_and_weights_and_without_shuffling() {
    let (data, validation) = (bars(36, 1), bars(12, 2));
    let options = |epochs| Fit {
        validation: Some(&validation),
        class_weight: Some(vec![1.0, 0.3, 2.0]),
        shuffle: false,
        workers: 2,
        ..quiet(epochs)
    };
    compare(RmsProp::default(), &data, 3, &[2], options);
}

#[test]
fn with_callbacks_that_change_the_learning_rate() {
    let data = bars(36, 1);
    let options = |epochs| {
        // No improvement is ever enough, so that the rate falls after each second epoch.
        let reduce = ReduceLROnPlateau::new().monitor("loss").min_delta(10.0).patience(2).factor(0.5).cooldown(1);
        Fit { callbacks: vec![Box::new(reduce) as Box<dyn Callback>], ..quiet(epochs) }
    };
    compare(Adam::default(), &data, 6, &[1, 2, 3, 4, 5], options);
}

#[test]
fn a_run_that_stopped_early_is_at_its_end_with_its_best_weights() {
    let folder = tempfile::tempdir().unwrap();
    let data = bars(36, 1);
    let options = |epochs, path: &Path| {
        let stop = EarlyStopping::new().monitor("loss").min_delta(10.0).patience(2).restore_best_weights(true);
        Fit {
            callbacks: vec![Box::new(stop) as Box<dyn Callback>],
            checkpoint: Some(path.into()),
            resume: true,
            ..quiet(epochs)
        }
    };
    let whole = run(Adam::default(), &data, options(9, &folder.path().join("whole")));
    assert_eq!(whole.values.len(), 3, "one best epoch and two without a better one");
    // The best weights are those after the first epoch.
    let first = run(Adam::default(), &data, quiet(1));
    assert_eq!(whole.weights, first.weights);
    // Stopped after the first and the second epoch, and after the end.
    let path = folder.path().join("parts");
    for epochs in [1, 2, 9, 9] {
        let part = run(Adam::default(), &data, options(epochs, &path));
        assert_eq!(part.weights, whole.weights, "{epochs}");
        assert_eq!(part.values.len(), epochs.min(3));
    }
    assert_eq!(run(Adam::default(), &data, options(9, &path)), whole);
}

/// What resuming from `path` says under other circumstances.
fn refusal(
    model: Model,
    optimizer: impl Optimizer + 'static,
    loss: impl Loss + 'static,
    data: &ArrayDataset,
    options: Fit<'_>,
) -> (Error, bool) {
    let mut model = model;
    let before = weights_sha256(&model).unwrap();
    let error = model.compile(optimizer, loss, ()).unwrap().fit(data, options).unwrap_err();
    let same = weights_sha256(&model).unwrap() == before;
    (error, same)
}

#[test]
fn other_circumstances_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let data = bars(36, 1);
    let options = || Fit { checkpoint: Some(path.clone()), resume: true, ..quiet(2) };
    let fresh = || model_on(&cpu(), 5);
    fresh()
        .compile(Adam::default(), CategoricalCrossentropy, ())
        .unwrap()
        .fit(&data, Fit { epochs: 1, ..options() })
        .unwrap();
    let kept = fs::read(&path).unwrap();
    let wider = network().add(Dense::new(3)).build_on(&BuildOptions::on(&cpu())).unwrap();
    let mut frozen = fresh();
    frozen.set_trainable("conv2d", false).unwrap();
    let loss = CategoricalCrossentropy;
    let cases = [
        ("seed", "1 instead of 0", refusal(fresh(), Adam::default(), loss, &data, Fit { seed: 1, ..options() })),
        (
            "batch_size",
            "9 instead of 8",
            refusal(fresh(), Adam::default(), loss, &data, Fit { batch_size: 9, ..options() }),
        ),
        (
            "steps_per_epoch",
            "2 instead of 5",
            refusal(fresh(), Adam::default(), loss, &data, Fit { steps_per_epoch: Some(2), ..options() }),
        ),
        (
            "shuffle",
            "false instead of true",
            refusal(fresh(), Adam::default(), loss, &data, Fit { shuffle: false, ..options() }),
        ),
        (
            "class_weight",
            "instead of null",
            refusal(fresh(), Adam::default(), loss, &data, Fit { class_weight: Some(vec![1.0; 3]), ..options() }),
        ),
        ("samples", "37 instead of 36", refusal(fresh(), Adam::default(), loss, &bars(37, 1), options())),
        ("model", "another model", refusal(wider, Adam::default(), loss, &data, options())),
        ("frozen", "conv2d/kernel", refusal(frozen, Adam::default(), loss, &data, options())),
        ("loss", "MeanSquaredError", refusal(fresh(), Adam::default(), MeanSquaredError, &data, options())),
        ("optimizer", "0.002", refusal(fresh(), Adam::new(0.002), loss, &data, options())),
        ("optimizer", "rmsprop", refusal(fresh(), RmsProp::default(), loss, &data, options())),
    ];
    for (name, received, (error, unchanged)) in cases {
        let text = error.to_string();
        assert!(matches!(error, Error::Data(_)) && unchanged, "{text}");
        assert!(text.starts_with(&path.display().to_string()), "{text}");
        assert!(text.contains(&format!("a run goes on with the {name} it began with")), "{text}");
        assert!(text.contains(received) && text.contains("start afresh without resuming"), "{text}");
    }
    assert_eq!(fs::read(&path).unwrap(), kept);
    // Without `resume` the file is simply replaced.
    fresh().compile(Sgd::new(0.1), loss, ()).unwrap().fit(&data, Fit { resume: false, ..options() }).unwrap();
    assert_ne!(fs::read(&path).unwrap(), kept);
}

#[test]
fn damaged_checkpoints_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let data = bars(16, 1);
    let options = || Fit { checkpoint: Some(path.clone()), resume: true, ..quiet(2) };
    let resume = || {
        let mut model = model_on(&cpu(), 5);
        let mut training = model.compile(Adam::default(), CategoricalCrossentropy, ()).unwrap();
        training.fit(&data, options()).map(|history| history.epochs.len())
    };
    let mut model = model_on(&cpu(), 5);
    let mut training = model.compile(Adam::default(), CategoricalCrossentropy, ()).unwrap();
    training.fit(&data, Fit { epochs: 1, ..options() }).unwrap();
    let whole = fs::read(&path).unwrap();
    for cut in [0, 7, 8, 60, whole.len() / 3, whole.len() - 1] {
        fs::write(&path, &whole[..cut]).unwrap();
        let error = resume().unwrap_err();
        assert!(matches!(error, Error::Data(_)), "cut at {cut}: {error}");
        assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
    }
    // A model file is no checkpoint.
    striate_formats::save(&striate_formats::ModelFile::of(model_on(&cpu(), 5)), &path).unwrap();
    let text = resume().unwrap_err().to_string();
    assert!(text.contains("the file must hold a run's state"), "{text}");
    // Each key of the state is missed, and each bit flipped in the header is borne.
    let header = String::from_utf8_lossy(&whole).into_owned();
    for key in ["iterations", "is_stopped", "learning_rate_factor", "history", "callbacks"] {
        let at = header.find(&format!("\\\"{key}\\\"")).unwrap_or_else(|| panic!("no {key}"));
        let mut bytes = whole.clone();
        bytes[at + 2] = b'X';
        fs::write(&path, &bytes).unwrap();
        let error = resume().unwrap_err();
        assert!(matches!(error, Error::Data(_)), "{key}: {error}");
    }
    let length = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    for i in (0..length).step_by(211) {
        let mut bytes = whole.clone();
        bytes[i] ^= 0x15;
        fs::write(&path, &bytes).unwrap();
        // Any answer will do but a panic.
        let _ = resume();
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(resume().unwrap(), 2);
    assert!(TensorFile::read(&path).unwrap().names().any(|name| name.starts_with("optimizer/adam/")));
}
