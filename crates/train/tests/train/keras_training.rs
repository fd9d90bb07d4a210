//! Trainings that go over from Keras and back: `xtask/golden/keras_training.py` made the files and let Keras go on with ours.

use flate2::read::GzDecoder;
use serde_json::Value;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use striate_data::ArrayDataset;
use striate_formats::{ModelOptions, WeightsFile};
use striate_nn::{Model, Registry};
use striate_tensor::{Shape, Tensor};
use striate_train::{Compile, Fit, Progress, Training, continue_training, loss::MeanSquaredError};

/// What both programs must agree to.
const TOLERANCE: f32 = 1e-5;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn open(name: &str) -> WeightsFile {
    let mut bytes = Vec::new();
    let packed = fs::read(folder().join(format!("{name}.gz"))).unwrap();
    GzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
    WeightsFile::parse(name, bytes).unwrap()
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&fs::read(folder().join(name)).unwrap()).unwrap()
}

fn model_of(file: &WeightsFile) -> Model {
    let device = striate_testkit::reference::device();
    file.model(&Registry::default(), &device, &ModelOptions::default()).unwrap().model
}

fn fill(sizes: &[usize], seed: u64) -> Vec<f32> {
    let number = |i: u64| ((i + seed * 1_000_003).wrapping_mul(2_654_435_761) % (1 << 32)) as f64 / 2f64.powi(32) - 0.5;
    (0..sizes.iter().product::<usize>() as u64).map(|i| number(i) as f32).collect()
}

/// The script's steps: four samples each.
fn steps(training: &mut Training<'_>, first: u64, count: u64) {
    let graph = training.model().graph();
    let (from, to) = (graph.input_shapes()[0], graph.output_shapes()[0]);
    let device = training.model().device().clone();
    for step in first..first + count {
        let tensor = |shape: &Shape, seed: u64| {
            let shape = shape.with_batch(4).unwrap();
            Tensor::from_vec(fill(shape.as_slice(), seed), shape, &device).unwrap()
        };
        let batch = ArrayDataset::from_tensors(&tensor(&from, 100 + step), &tensor(&to, 200 + step)).unwrap();
        let fit = Fit { epochs: 1, batch_size: 4, shuffle: false, progress: Progress::Silent, ..Fit::default() };
        training.fit(&batch, fit).unwrap();
    }
}

/// Compares with weights under Keras's paths.
fn agrees(what: &str, model: &Model, expected: &Value) {
    let expected = expected.as_object().unwrap();
    let mut compared = 0;
    for (spec, value) in model.weights() {
        let is_it = |path: &&String| **path == spec.path || path.ends_with(&format!("/{}", spec.path));
        let path = expected.keys().find(is_it).unwrap_or_else(|| panic!("{what}: no {}", spec.path));
        for (got, want) in value.to_vec::<f32>().unwrap().iter().zip(expected[path].as_array().unwrap()) {
            let want = want.as_f64().unwrap() as f32;
            assert!((got - want).abs() < TOLERANCE, "{what}: {} is {got} instead of {want}", spec.path);
        }
        compared += 1;
    }
    assert_eq!(compared, expected.len(), "{what}");
}

#[test]
fn what_keras_began_goes_on_as_in_keras() {
    let expected = json("keras_training.json");
    for (name, weights) in expected.as_object().unwrap() {
        for ending in ["keras", "h5"] {
            let file = open(&format!("keras_{name}.{ending}"));
            let mut model = model_of(&file);
            let mut training = continue_training(&mut model, &file).unwrap();
            assert_eq!(training.optimizer().iterations(), 2, "{name}");
            steps(&mut training, 2, 3);
            agrees(&format!("keras_{name}.{ending}"), &model, weights);
        }
    }
}

#[test]
fn what_this_program_wrote_went_on_in_keras() {
    let recorded = json("striate_training.json");
    let target = tempfile::tempdir().unwrap();
    for (name, weights) in recorded["weights"].as_object().unwrap() {
        // The file that Keras read: its next steps were those recorded.
        let file = open(name);
        let mut model = model_of(&file);
        let mut training = continue_training(&mut model, &file).unwrap();
        assert_eq!(training.optimizer().iterations(), 5, "{name}");
        // It is still written so.
        let again = target.path().join(name);
        training.save(&again).unwrap();
        let mut bytes = Vec::new();
        let packed = fs::read(folder().join(format!("{name}.gz"))).unwrap();
        GzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
        assert!(
            fs::read(&again).unwrap() == bytes,
            "{name} is not what Keras read: run xtask/golden/keras_training.py"
        );
        steps(&mut training, 5, 3);
        agrees(name, &model, weights);
    }
}

#[test]
fn another_optimizer_is_refused() {
    let file = open("keras_adam.keras");
    let path = tempfile::tempdir().unwrap();
    let path = path.path().join("adam.keras");
    let mut model = model_of(&file);
    continue_training(&mut model, &file).unwrap().save(&path).unwrap();
    let mut training = model.compile(striate_optim::Sgd::default(), MeanSquaredError, ()).unwrap();
    let error = training.take_over(&path).unwrap_err().to_string();
    assert!(error.contains("must be SGD") && error.contains("Adam"), "{error}");
    let mut training = model.compile(striate_optim::Adam::new(0.5), MeanSquaredError, ()).unwrap();
    training.take_over(&path).unwrap();
    assert_eq!((training.optimizer().iterations(), training.optimizer().learning_rate()), (2, 0.5));
    let error = training.save(path.with_extension("npz")).unwrap_err().to_string();
    assert!(error.contains(".keras and .h5"), "{error}");
}
