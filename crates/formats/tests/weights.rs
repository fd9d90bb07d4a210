//! Weights that fit a model, and those that do not.

use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use striate_formats::{ModelFile, TensorFile, load, load_weights, save, weights_sha256, write_tensors};
use striate_nn::layers::{Conv2D, Dense, Flatten};
use striate_nn::{BuildOptions, Model, Registry, Sequential};
use striate_tensor::{Device, Error, Tensor};

fn device() -> Device {
    striate_testkit::reference::device()
}

/// A convolution of `filters` and a dense layer of two units.
fn model(filters: usize, seed: u64) -> Model {
    let options = BuildOptions { seed, ..BuildOptions::on(&device()) };
    let stack = Sequential::new([5, 5, 1]).add(Conv2D::new(filters, 3)).add(Flatten).add(Dense::new(2));
    stack.build_on(&options).unwrap()
}

fn digest(model: &Model) -> String {
    weights_sha256(model).unwrap()
}

/// Writes a model's weights, without those whose paths are `left_out`, and one more named `extra`.
fn write(model: &Model, path: &Path, left_out: &[&str], extra: Option<&str>) {
    let more = Tensor::zeros([3], model.device()).unwrap();
    let own = model.weights().map(|(spec, value)| (spec.path.clone(), value));
    let own = own.filter(|(path, _)| !left_out.contains(&path.as_str()));
    write_tensors(path, own.chain(extra.map(|name| (name.into(), &more))), HashMap::new()).unwrap();
}

#[test]
fn weights_of_the_same_network_are_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let source = model(4, 1);
    for extra in [None, Some("optimizer/iterations")] {
        write(&source, &path, &[], extra);
        let mut target = model(4, 2);
        assert_ne!(digest(&target), digest(&source));
        load_weights(&mut target, &path).unwrap();
        assert_eq!(digest(&target), digest(&source));
    }
}

#[test]
fn missing_and_misshapen_weights_are_all_named_and_nothing_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let mut target = model(4, 2);
    let before = digest(&target);
    let mut refuse = |words: &[&str]| {
        let error = load_weights(&mut target, &path).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Model(_)) && text.starts_with(&path.display().to_string()), "{text}");
        for word in ["the file must hold every weight of the model", "the file holds "].iter().chain(words) {
            assert!(text.contains(word), "{word:?} is not in {text}");
        }
        assert_eq!(digest(&target), before);
    };
    write(&model(4, 1), &path, &["conv2d/bias", "dense/kernel"], Some("head"));
    refuse(&["conv2d/bias is missing", "dense/kernel is missing", "head"]);
    write(&model(6, 1), &path, &[], None);
    refuse(&[
        "conv2d/kernel has shape (3, 3, 1, 6) instead of (3, 3, 1, 4)",
        "conv2d/bias has shape (6,) instead of (4,)",
        "dense/kernel has shape (54, 2) instead of (36, 2)",
    ]);
}

#[test]
fn halves_are_read_and_an_element_type_that_is_not_leaves_the_model_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half.safetensors");
    let mut target = model(4, 2);
    let before = digest(&target);
    // Only the last weight is of another type.
    let mut write = |other: Dtype, size: usize, bits: &[u8]| {
        let numbers: Vec<(String, Vec<usize>, Dtype, Vec<u8>)> = target
            .weights()
            .map(|(spec, value)| {
                let is_other = spec.path == "dense/bias";
                let bytes = if is_other { bits.repeat(value.elements()) } else { vec![0; 4 * value.elements()] };
                assert_eq!(bytes.len(), value.elements() * if is_other { size } else { 4 });
                (spec.path.clone(), value.shape().to_vec(), if is_other { other } else { Dtype::F32 }, bytes)
            })
            .collect();
        let views = numbers
            .iter()
            .map(|(name, shape, dtype, bytes)| (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
        fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
        load_weights(&mut target, &path).map(|_| digest(&target))
    };
    let error = write(Dtype::F8_E4M3, 1, &[0x38]).unwrap_err();
    assert!(matches!(error, Error::Model(_)) && error.to_string().contains("dense/bias is missing"), "{error}");
    assert_ne!(write(Dtype::F16, 2, &[0x00, 0x3e]).unwrap(), before);
    assert_eq!(target.weight("dense/bias").unwrap().to_vec::<f32>().unwrap(), [1.5, 1.5]);
}

#[test]
fn a_model_file_must_hold_just_its_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let model = model(4, 1);
    let refuse = |words: &[&str]| {
        let text = load(&path, &Registry::default(), &device()).unwrap_err().to_string();
        assert!(text.starts_with(&path.display().to_string()), "{text}");
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    write(&model, &path, &[], None);
    refuse(&["must hold `model_config` in its metadata", "received weights only", "--weights"]);
    let metadata = |config: &str| HashMap::from([("model_config".to_string(), config.to_string())]);
    let config = model.graph().to_json().to_string();
    let own = || model.weights().map(|(spec, value)| (spec.path.clone(), value));
    write_tensors(&path, own().skip(1), metadata(&config)).unwrap();
    refuse(&["the weights must be those the layers declare", "layers of 114 parameters"]);
    write_tensors(&path, own(), metadata("{")).unwrap();
    refuse(&["metadata must be JSON"]);
    write_tensors(&path, own(), metadata(&config.replace("Conv2D", "Conv9D"))).unwrap();
    assert!(load(&path, &Registry::default(), &device()).unwrap_err().to_string().contains("Conv9D"));
    // As many numbers, under other names.
    let renamed = own().map(|(name, value)| (name.replace("dense", "top"), value));
    write_tensors(&path, renamed, metadata(&config)).unwrap();
    refuse(&["dense/kernel is missing", "top/bias"]);
    write_tensors(&path, own(), metadata(&config)).unwrap();
    assert_eq!(digest(&load(&path, &Registry::default(), &device()).unwrap().model), digest(&model));
}

#[test]
fn what_is_no_regular_file_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = vec![folder.path().to_path_buf()];
    paths.extend(cfg!(unix).then(|| "/dev/zero".into()));
    for path in paths {
        let error = TensorFile::read(&path).unwrap_err();
        assert!(matches!(error, Error::Data(_)) && error.to_string().contains("regular file"), "{error}");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("taken.keras");
    fs::create_dir(&path).unwrap();
    let error = save(&ModelFile::of(model(4, 1)), &path).unwrap_err();
    assert!(matches!(error, Error::Io { .. }) && error.to_string().contains("writing failed"), "{error}");
    assert!(save(&ModelFile::of(model(4, 1)), folder.path().join("no/such/folder.keras")).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn the_digest_sees_every_weight() {
    let model = model(4, 1);
    for (spec, value) in model.weights() {
        let mut other = model.clone();
        other.set_weight(&spec.path, &value.affine(1.0, 1e-3).unwrap()).unwrap();
        assert_ne!(digest(&other), digest(&model), "{}", spec.path);
    }
    assert_eq!(digest(&model), digest(&model.to_device(&device()).unwrap()));
}
