//! The callbacks, led through histories made by hand.

use crate::runs::{bars, cpu, model_on, quiet, reference};
use std::fs;
use striate_formats::weights_sha256;
use striate_nn::layers::Dense;
use striate_nn::{BuildOptions, Model, Registry, Sequential};
use striate_optim::{Adam, Engine, Sgd};
use striate_tensor::{Error, Tensor};
use striate_train::callback::{CsvLog, EarlyStopping, Flow, Mode, Moment, ReduceLROnPlateau, SaveBest};
use striate_train::loss::CategoricalCrossentropy;
use striate_train::{Callback, Compile, EpochRecord, Fit, History};

/// A run without any training: epoch by epoch, the history gets a value and the model's bias the epoch's number.
struct Stage {
    model: Model,
    optimizer: Engine,
    history: History,
}

impl Stage {
    fn new() -> Stage {
        let model = Sequential::new([1]).add(Dense::new(1)).build_on(&BuildOptions::on(&reference())).unwrap();
        Stage { model, optimizer: Engine::new(Sgd::new(1.0)).unwrap(), history: History::default() }
    }

    fn moment(&mut self) -> Moment<'_> {
        Moment { model: &mut self.model, optimizer: &mut self.optimizer, history: &self.history }
    }

    fn epoch(&mut self, callback: &mut dyn Callback, name: &str, value: f64) -> Flow {
        let epoch = self.history.epochs.len() + 1;
        let values = vec![(name.to_string(), value)];
        self.history.epochs.push(EpochRecord { epoch, values, ..EpochRecord::default() });
        let bias = Tensor::from_vec(vec![epoch as f32], [1], self.model.device()).unwrap();
        self.model.set_weight("dense/bias", &bias).unwrap();
        callback.on_epoch_end(&mut self.moment()).unwrap()
    }

    fn bias(&self) -> f64 {
        self.model.weight("dense/bias").unwrap().item().unwrap()
    }
}

/// The epoch after which training stops, and the one whose weights the model then has.
fn stops(mut callback: EarlyStopping, name: &str, values: &[f64]) -> (usize, f64) {
    let mut stage = Stage::new();
    callback.on_train_begin(&mut stage.moment()).unwrap();
    let stopped = values.iter().position(|&value| stage.epoch(&mut callback, name, value) == Flow::Stop);
    callback.on_train_end(&mut stage.moment()).unwrap();
    (stopped.map_or(0, |epoch| epoch + 1), stage.bias())
}

#[test]
fn early_stopping_waits_as_keras_does() {
    let falls = [1.0, 0.5, 0.6, 0.55, 0.4, 0.41, 0.42, 0.43];
    assert_eq!(stops(EarlyStopping::new(), "val_loss", &falls), (3, 3.0));
    assert_eq!(stops(EarlyStopping::new().patience(2), "val_loss", &falls), (4, 4.0));
    assert_eq!(stops(EarlyStopping::new().patience(3), "val_loss", &falls), (8, 8.0));
    assert_eq!(stops(EarlyStopping::new().patience(4), "val_loss", &falls), (0, 8.0));
    let restore = || EarlyStopping::new().restore_best_weights(true);
    assert_eq!(stops(restore().patience(3), "val_loss", &falls), (8, 5.0));
    // Also where patience never ran out.
    assert_eq!(stops(restore().patience(9), "val_loss", &falls), (0, 5.0));
    // 0.4 is not better than 0.5 by more than 0.1.
    assert_eq!(stops(restore().patience(3).min_delta(0.11), "val_loss", &falls), (5, 2.0));
    // What is not looked at is not remembered either.
    assert_eq!(stops(restore().start_from_epoch(2), "val_loss", &falls), (6, 5.0));
    // Better, but never better than the baseline.
    assert_eq!(stops(restore().patience(5).baseline(0.1), "val_loss", &falls), (6, 5.0));
}

#[test]
fn the_direction_goes_by_the_name() {
    let rises = [0.5, 0.7, 0.6, 0.65];
    let watch = |name: &str| EarlyStopping::new().monitor(name).restore_best_weights(true);
    for name in ["val_accuracy", "auc", "val_f1_score", "top_k_categorical_accuracy", "recall", "precision"] {
        assert_eq!(stops(watch(name), name, &rises), (3, 2.0), "{name}");
    }
    assert_eq!(stops(watch("loss"), "loss", &rises), (2, 1.0));
    assert_eq!(stops(watch("loss").mode(Mode::Max), "loss", &rises), (3, 2.0));
    assert_eq!(stops(watch("accuracy").mode(Mode::Min), "accuracy", &rises), (2, 1.0));
    // NaN is never better, not even than nothing.
    assert_eq!(stops(watch("auc").patience(2), "auc", &[f64::NAN, f64::NAN, 0.5]), (2, 1.0));
}

#[test]
fn a_value_that_is_not_there_is_named() {
    let mut stage = Stage::new();
    stage.history.epochs.push(EpochRecord { epoch: 1, values: vec![("loss".into(), 1.0)], ..EpochRecord::default() });
    let folder = tempfile::tempdir().unwrap();
    let callbacks: [Box<dyn Callback>; 3] = [
        Box::new(EarlyStopping::new()),
        Box::new(ReduceLROnPlateau::new()),
        Box::new(SaveBest::new(folder.path().join("best"))),
    ];
    for mut callback in callbacks {
        let error = callback.on_epoch_end(&mut stage.moment()).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Argument(_)), "{text}");
        assert!(
            text.contains("must be one of loss; received `val_loss`") && text.contains("validation data"),
            "{text}"
        );
    }
    let refused = EarlyStopping::new().min_delta(-1.0).on_train_begin(&mut stage.moment()).unwrap_err();
    assert!(refused.to_string().contains("min_delta"), "{refused}");
}

#[test]
fn the_learning_rate_falls_on_a_plateau() {
    let rates = |mut callback: ReduceLROnPlateau, values: &[f64]| -> Vec<f32> {
        let mut stage = Stage::new();
        callback.on_train_begin(&mut stage.moment()).unwrap();
        let mut rates = Vec::new();
        for &value in values {
            assert_eq!(stage.epoch(&mut callback, "val_loss", value), Flow::Continue);
            rates.push(stage.optimizer.learning_rate());
        }
        rates
    };
    let flat = [1.0; 6];
    let reduce = || ReduceLROnPlateau::new().factor(0.5);
    assert_eq!(rates(reduce().patience(2), &flat), [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]);
    assert_eq!(rates(reduce().patience(1), &flat), [1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125]);
    assert_eq!(rates(reduce().patience(1).min_lr(0.3), &flat), [1.0, 0.5, 0.3, 0.3, 0.3, 0.3]);
    // The epochs after a reduction are not counted: one rests, and then patience begins anew.
    assert_eq!(rates(reduce().patience(1).cooldown(2), &flat), [1.0, 0.5, 0.5, 0.25, 0.25, 0.125]);
    // A fall by less than min_delta is none.
    let slow = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5];
    assert_eq!(rates(reduce().patience(1), &slow), [1.0; 6]);
    assert_eq!(rates(reduce().patience(1).min_delta(0.15), &slow), [1.0, 0.5, 0.5, 0.25, 0.25, 0.125]);
    let mut stage = Stage::new();
    let error = ReduceLROnPlateau::new().factor(1.0).on_train_begin(&mut stage.moment()).unwrap_err();
    assert!(error.to_string().contains("the factor must be in [0, 1); received 1"), "{error}");
}

#[test]
fn the_best_model_is_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("best.safetensors");
    let mut callback = SaveBest::new(&path).monitor("accuracy").describe(vec!["yes".into()], "digit");
    let mut stage = Stage::new();
    callback.on_train_begin(&mut stage.moment()).unwrap();
    for (value, best) in [(f64::NAN, 0.0), (0.5, 2.0), (0.4, 2.0), (0.6, 4.0), (0.6, 4.0)] {
        stage.epoch(&mut callback, "accuracy", value);
        if best == 0.0 {
            assert!(!path.exists());
            continue;
        }
        let file = striate_formats::load(&path, &Registry::default(), &reference()).unwrap();
        assert_eq!(file.model.weight("dense/bias").unwrap().item().unwrap(), best);
        assert_eq!((file.class_names, file.preprocessing.as_str()), (vec!["yes".to_string()], "digit"));
    }
    fs::create_dir(folder.path().join("taken.keras")).unwrap();
    let mut refused = SaveBest::new(folder.path().join("taken.keras")).monitor("accuracy");
    let error = refused.on_epoch_end(&mut stage.moment()).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
}

#[test]
fn the_table_grows_by_a_line_an_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.csv");
    let run = |mut callback: CsvLog, values: &[f64]| {
        let mut stage = Stage::new();
        callback.on_train_begin(&mut stage.moment()).unwrap();
        values.iter().for_each(|&value| _ = stage.epoch(&mut callback, "loss", value));
    };
    let read = || fs::read_to_string(&path).unwrap();
    let header = "epoch,loss,seconds,images_per_second\n";
    run(CsvLog::new(&path), &[0.5, 0.25]);
    let first = format!("{header}1,0.5,0.000,0.0\n2,0.25,0.000,0.0\n");
    assert_eq!(read(), first);
    run(CsvLog::new(&path).append(true), &[0.75]);
    assert_eq!(read(), format!("{first}1,0.75,0.000,0.0\n"));
    // A line that was cut off is replaced.
    fs::write(&path, format!("{first}3,0.1")).unwrap();
    run(CsvLog::new(&path).append(true), &[0.75]);
    assert_eq!(read(), format!("{first}1,0.75,0.000,0.0\n"));
    run(CsvLog::new(&path), &[1.0]);
    assert_eq!(read(), format!("{header}1,1,0.000,0.0\n"));
    // Another table is not spoilt.
    fs::write(&path, "name,age\nx,3\n").unwrap();
    let mut stage = Stage::new();
    let mut callback = CsvLog::new(&path).append(true);
    callback.on_train_begin(&mut stage.moment()).unwrap();
    stage.history.epochs.push(EpochRecord { epoch: 1, values: vec![("loss".into(), 1.0)], ..EpochRecord::default() });
    let text = callback.on_epoch_end(&mut stage.moment()).unwrap_err().to_string();
    assert!(text.contains("columns epoch,loss") && text.contains("received name,age"), "{text}");
    assert_eq!(read(), "name,age\nx,3\n");
}

#[test]
fn a_resumed_run_goes_on_in_the_same_table() {
    let folder = tempfile::tempdir().unwrap();
    let data = bars(16, 1);
    let run = |name: &str, epochs: usize| {
        let path = folder.path().join(format!("{name}.csv"));
        let mut model = model_on(&cpu(), 0);
        let mut training = model.compile(Adam::default(), CategoricalCrossentropy, ()).unwrap();
        let options = Fit {
            checkpoint: Some(folder.path().join(format!("{name}.safetensors"))),
            resume: true,
            callbacks: vec![Box::new(CsvLog::new(&path).append(true))],
            ..quiet(epochs)
        };
        training.fit(&data, options).unwrap();
        (fs::read_to_string(path).unwrap(), weights_sha256(&model).unwrap())
    };
    let earlier = "epoch,loss,seconds,images_per_second\n1,2.0,0.100,10.0\n";
    for name in ["whole", "parts"] {
        fs::write(folder.path().join(format!("{name}.csv")), earlier).unwrap();
    }
    let whole = run("whole", 3);
    run("parts", 1);
    // As if the process had been killed after the line and before the checkpoint.
    let path = folder.path().join("parts.csv");
    fs::write(&path, fs::read_to_string(&path).unwrap() + "2,0.9,0.100,10.0\n").unwrap();
    let parts = run("parts", 3);
    let numbers = |table: &str| -> Vec<String> {
        table.lines().map(|line| line.split(',').take(2).collect::<Vec<_>>().join(",")).collect()
    };
    assert_eq!(numbers(&parts.0), numbers(&whole.0));
    assert!(parts.0.starts_with(earlier), "{}", parts.0);
    assert_eq!((parts.0.lines().count(), &parts.1), (5, &whole.1));
}

#[test]
fn callbacks_that_are_missing_or_others_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = bars(16, 1);
    let run = |epochs: usize, callbacks: Vec<Box<dyn Callback>>| {
        let mut model = model_on(&cpu(), 0);
        let mut training = model.compile(Adam::default(), CategoricalCrossentropy, ()).unwrap();
        let checkpoint = Some(folder.path().join("run.safetensors"));
        training.fit(&data, Fit { checkpoint, resume: true, callbacks, ..quiet(epochs) })
    };
    let stop = || EarlyStopping::new().monitor("loss").patience(5);
    run(1, vec![Box::new(stop())]).unwrap();
    let text = run(2, vec![]).unwrap_err().to_string();
    assert!(text.contains("0 callbacks; number 1 is missing"), "{text}");
    let text = run(2, vec![Box::new(ReduceLROnPlateau::new().monitor("loss"))]).unwrap_err().to_string();
    assert!(text.contains("must hold `resting`") && text.contains("in the same order"), "{text}");
    assert_eq!(run(2, vec![Box::new(stop())]).unwrap().epochs.len(), 2);
}
