//! Files that real Keras wrote, and files that it read: `xtask/golden/keras_files.py` made and judged them.

use flate2::read::GzDecoder;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use striate_formats::*;
use striate_nn::{Model, Registry};
use striate_tensor::{Device, Shape, Tensor};

/// What both sides must agree to.
const TOLERANCE: f32 = 1e-5;

fn device() -> Device {
    static DEVICE: LazyLock<Device> = LazyLock::new(striate_testkit::reference::device);
    DEVICE.clone()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/keras")
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&fs::read(folder().join(name)).unwrap()).unwrap()
}

/// A golden file's content.
fn content(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(&fs::read(folder().join(format!("{name}.gz"))).unwrap()[..]).read_to_end(&mut bytes).unwrap();
    bytes
}

fn open(name: &str) -> WeightsFile {
    WeightsFile::parse(name, content(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The whole of a golden file. A file of Keras 1 on Theano does not say so.
fn model_file(name: &str) -> ModelFile {
    let theano_kernels = name.contains("theano").then_some(true);
    let options = ModelOptions { theano_kernels, ..ModelOptions::default() };
    let file = open(name).into_model(&Registry::default(), &device(), &options);
    file.unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn model_of(name: &str) -> Model {
    model_file(name).model
}

fn sizes(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|size| size.as_u64().unwrap() as usize).collect()
}

/// The script's `fill`.
fn fill(sizes: &[usize], seed: u64) -> Vec<f32> {
    let number = |i: u64| ((i + seed * 1_000_003).wrapping_mul(2_654_435_761) % (1 << 32)) as f64 / 2f64.powi(32) - 0.5;
    (0..sizes.iter().product::<usize>() as u64).map(|i| number(i) as f32).collect()
}

fn agrees(what: &str, model: &Model, entry: &Value, is_channels_first: bool) {
    let inputs: Vec<Tensor> = entry["inputs"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
        .map(|(i, shape)| {
            let shape = sizes(shape);
            let x = Tensor::from_vec(fill(&shape, 1000 + i as u64), Shape::new(&shape).unwrap(), &device()).unwrap();
            if is_channels_first { x.permute(&[0, 3, 1, 2]).unwrap() } else { x }
        })
        .collect();
    let outputs = model.predict_on(&inputs).unwrap_or_else(|error| panic!("{what}: {error}"));
    let expected = entry["outputs"].as_array().unwrap();
    assert_eq!(outputs.len(), expected.len(), "{what}");
    for (got, want) in outputs.iter().zip(expected) {
        assert_eq!(got.shape().to_vec(), sizes(&want["shape"]), "{what}");
        for (i, (got, want)) in got.to_vec::<f32>().unwrap().iter().zip(want["values"].as_array().unwrap()).enumerate()
        {
            let want = want.as_f64().unwrap() as f32;
            assert!((got - want).abs() < TOLERANCE, "{what}: output {i} is {got} instead of {want}");
        }
    }
}

#[test]
fn what_keras_wrote_predicts_as_in_keras() {
    let expected = json("expected.json");
    let mut files = 0;
    for (name, entry) in expected.as_object().unwrap() {
        for file in entry["files"].as_array().unwrap() {
            let file = file.as_str().unwrap();
            files += 1;
            if file.ends_with(".weights.h5") {
                // Into the same network with other weights.
                let mut model = model_of(&format!("{name}.keras"));
                let zeros: Vec<(String, Tensor)> = model
                    .weights()
                    .map(|(spec, value)| (spec.path.clone(), Tensor::zeros(*value.shape(), &device()).unwrap()))
                    .collect();
                zeros.iter().for_each(|(path, zero)| model.set_weight(path, zero).unwrap());
                let report = open(file).load_into(&mut model, &LoadOptions::default()).unwrap();
                assert!(report.is_complete(), "{file}: {report}");
                agrees(file, &model, entry, false);
            } else {
                let model = model_of(file);
                agrees(file, &model, entry, file.contains("theano"));
            }
        }
    }
    assert_eq!(files, 17, "a file was added or lost");
}

#[test]
fn what_is_written_is_what_keras_read() {
    let (expected, written) = (json("expected.json"), json("written.json"));
    let target = tempfile::tempdir().unwrap();
    let mut compared = 0;
    for (name, entry) in expected.as_object().unwrap() {
        // As `striate convert` does.
        let source = entry["files"][0].as_str().unwrap();
        let file = model_file(source);
        let training = open(source).saved_training(&file.model).unwrap();
        for ending in ["keras", "h5", "weights.h5"] {
            let file_name = format!("{name}.{ending}");
            let path = target.path().join(&file_name);
            match &training {
                Some(training) if ending != "weights.h5" => save_training(&file, training, &path).unwrap(),
                _ => save(&file, &path).unwrap(),
            }
            let bytes = fs::read(&path).unwrap();
            if ending != "weights.h5" {
                let back = load(&path, &Registry::default(), &device()).unwrap_or_else(|e| panic!("{file_name}: {e}"));
                assert_eq!(weights_sha256(&back.model).unwrap(), weights_sha256(&file.model).unwrap(), "{file_name}");
                assert_eq!(back.model.summary(), file.model.summary(), "{file_name}");
                match WeightsFile::read(&path).unwrap().saved_training(&back.model).unwrap() {
                    Some(training) => save_training(&back, &training, &path).unwrap(),
                    None => save(&back, &path).unwrap(),
                }
                assert_eq!(fs::read(&path).unwrap(), bytes, "{file_name}: written again it has other bytes");
            }
            let Some(sha256) = written["sha256"][&file_name].as_str() else { continue };
            let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(digest, sha256, "{file_name} is not what Keras read: run xtask/golden/keras_files.py verify");
            compared += 1;
        }
    }
    assert_eq!(compared, written["sha256"].as_object().unwrap().len());
}

#[test]
fn frozen_layers_stay_frozen() {
    for file in ["nested.keras", "nested.h5"] {
        let model = model_of(file);
        let frozen: Vec<&str> = model
            .weights()
            .enumerate()
            .filter(|(i, (spec, _))| spec.is_trainable && !model.is_trainable(*i))
            .map(|(_, (spec, _))| spec.path.as_str())
            .collect();
        assert_eq!(frozen.len(), 2, "{file}: {frozen:?}");
        assert!(frozen[0].starts_with("middle/base/conv2d"), "{file}: {frozen:?}");
    }
}

#[test]
fn the_optimizers_state_is_there() {
    let expected = &json("expected.json")["trained"]["optimizer"];
    for name in ["trained.keras", "trained.h5"] {
        let file = open(name);
        let training = file.training().unwrap();
        let config = training.config.to_string();
        assert!(config.contains("Adam") && config.contains("mse"), "{name}: {config}");
        let values: Vec<Vec<f32>> = training.optimizer.iter().map(|tensor| tensor.to_f32().unwrap()).collect();
        for (got, want) in values.iter().zip(expected.as_array().unwrap()) {
            let want: Vec<f32> = want.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
            assert_eq!(got, &want, "{name}");
        }
        assert_eq!(values.len(), expected.as_array().unwrap().len(), "{name}");
    }
}

#[test]
fn files_say_what_they_are() {
    for (name, format, version) in [
        ("stack.keras", Format::KerasArchive, Some("3.15.1")),
        ("stack_2_13.keras", Format::KerasArchive, Some("2.13.1")),
        ("nested.h5", Format::KerasH5, Some("3.15.1")),
        ("nested.weights.h5", Format::KerasVars, None),
        ("keras1_theano.h5", Format::KerasH5, Some("1.2.2")),
    ] {
        let file = open(name);
        assert_eq!((file.format(), file.keras_version()), (format, version), "{name}");
    }
}
