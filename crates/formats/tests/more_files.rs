//! Files of many kinds, written by Kerases from 1.2 to 3.15 and compared with what each of them predicts:
//! `xtask/golden/keras_more_files.py` made them.

use flate2::read::GzDecoder;
use serde_json::Value;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use striate_formats::*;
use striate_nn::{Model, Registry};
use striate_tensor::{Device, Shape, Tensor};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/more")
}

fn content(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let packed = fs::read(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    GzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
    bytes
}

fn sizes(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|size| size.as_u64().unwrap() as usize).collect()
}

/// The script's `fill`.
fn fill(sizes: &[usize], seed: u64) -> Vec<f32> {
    let number = |i: u64| ((i + seed * 1_000_003).wrapping_mul(2_654_435_761) % (1 << 32)) as f64 / 2f64.powi(32) - 0.5;
    (0..sizes.iter().product::<usize>() as u64).map(|i| number(i) as f32).collect()
}

/// The largest difference of a model's predictions from those expected.
fn difference(what: &str, model: &Model, entry: &Value) -> f32 {
    let mut inputs = Vec::new();
    for (i, shape) in entry["inputs"].as_array().unwrap().iter().enumerate() {
        let shape = sizes(shape);
        let mut values = fill(&shape, 1000 + i as u64);
        if entry["words"] == true {
            values.iter_mut().for_each(|value| *value = ((*value + 0.5) * 11.0).floor());
        }
        inputs.push(Tensor::from_vec(values, Shape::new(&shape).unwrap(), model.device()).unwrap());
    }
    let outputs = model.predict_on(&inputs).unwrap_or_else(|error| panic!("{what}: {error}"));
    let expected = entry["outputs"].as_array().unwrap();
    assert_eq!(outputs.len(), expected.len(), "{what}");
    let mut worst = 0f32;
    for (got, want) in outputs.iter().zip(expected) {
        assert_eq!(got.shape().to_vec(), sizes(&want["shape"]), "{what}");
        let wanted = want["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32);
        worst = got.to_vec::<f32>().unwrap().iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(worst, f32::max);
    }
    worst
}

/// Loads every file of one Keras and compares its predictions; gives how many files there were.
fn all_of(tag: &str, device: &Device) -> usize {
    let report: Value = serde_json::from_slice(&content(&format!("{tag}.json.gz"))).unwrap();
    let mut files = 0;
    for entry in report["networks"].as_object().unwrap().values() {
        let input_shape = (entry["open"] == true).then(|| sizes(&entry["inputs"][0])[1..].to_vec());
        // Keras 1 does not say which back end wrote a file.
        let theano_kernels = tag.starts_with("k1th").then_some(true);
        let options = ModelOptions { input_shape, theano_kernels };
        let mut whole: Option<Model> = None;
        for name in entry["files"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()) {
            let file = WeightsFile::parse(name, content(&format!("{name}.gz"))).unwrap();
            let model = if name.ends_with(".weights.h5") {
                let mut model = whole.clone().unwrap_or_else(|| panic!("{name}: no model before it"));
                let zeros: Vec<(String, Tensor)> = model
                    .weights()
                    .map(|(spec, value)| (spec.path.clone(), Tensor::zeros(*value.shape(), device).unwrap()))
                    .collect();
                zeros.iter().for_each(|(path, zero)| model.set_weight(path, zero).unwrap());
                let load = LoadOptions { theano_kernels, ..LoadOptions::default() };
                file.load_into(&mut model, &load).unwrap_or_else(|error| panic!("{name}: {error}"));
                model
            } else {
                let file = file.model(&Registry::default(), device, &options);
                file.unwrap_or_else(|error| panic!("{name}: {error}")).model
            };
            let tolerance = entry["tolerance"].as_f64().unwrap() as f32;
            let found = difference(name, &model, entry);
            assert!(found <= tolerance, "{name}: differs by {found:e}");
            whole = Some(model);
            files += 1;
        }
    }
    files
}

#[test]
fn every_file_predicts_as_in_its_keras() {
    let device = striate_testkit::reference::device();
    let mut tags: Vec<String> = Vec::new();
    let mut packed = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        match name.strip_suffix(".json.gz") {
            Some(tag) => tags.push(tag.to_string()),
            None => packed += 1,
        }
    }
    assert!(tags.len() > 5, "{tags:?}");
    let tried: usize = tags.iter().map(|tag| all_of(tag, &device)).sum();
    assert_eq!(tried, packed, "every file is tried");
}
