//! Damaged and made-up files: any answer will do but a panic, an abort or a hang.
//!
//! `PROPTEST_CASES=100000` tries more; the same entry points are fuzz targets in `fuzz/`.

use flate2::read::GzDecoder;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::LazyLock;
use striate_formats::*;
use striate_nn::{BuildOptions, Model, Registry, Sequential, layers::Dense};
use striate_tensor::{Device, Tensor};

fn device() -> Device {
    static DEVICE: LazyLock<Device> = LazyLock::new(striate_testkit::reference::device);
    DEVICE.clone()
}

/// One file of each format, some of them twice.
fn seeds() -> &'static [(String, Vec<u8>)] {
    static SEEDS: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/keras");
        let mut seeds = Vec::new();
        for name in
            ["trained.h5", "trained.keras", "keras1_theano.h5", "nested.weights.h5", "adapted.keras", "nested.h5"]
        {
            let mut bytes = Vec::new();
            let packed = fs::read(folder.join(format!("{name}.gz"))).unwrap();
            GzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
            seeds.push((name.to_string(), bytes));
        }
        let target = tempfile::tempdir().unwrap();
        for name in ["m.keras", "m.h5", "m.weights.h5", "m.npz", "m.safetensors"] {
            save(&ModelFile::of(small()), target.path().join(name)).unwrap();
            seeds.push((name.to_string(), fs::read(target.path().join(name)).unwrap()));
        }
        seeds
    });
    &SEEDS
}

fn small() -> Model {
    Sequential::new([3]).add(Dense::new(2)).build_on(&BuildOptions::on(&device())).unwrap()
}

/// All that can be done with a file.
fn try_everything(bytes: Vec<u8>) {
    let Ok(file) = WeightsFile::parse("file", bytes) else { return };
    let mut model = small();
    let lenient = LoadOptions { by_name: true, skip_mismatch: true, ..LoadOptions::default() };
    let _ = file.load_into(&mut model, &LoadOptions::default());
    let _ = file.load_into(&mut model, &lenient);
    let _ = file.saved_training(&model);
    file.tensors().for_each(|(_, tensor)| _ = tensor.to_f32());
    let Ok(whole) = file.model(&Registry::default(), &device(), &ModelOptions::default()) else { return };
    let _ = file.saved_training(&whole.model);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(400), ..ProptestConfig::default() })]

    #[test]
    fn damaged_bytes(
        seed in any::<Index>(),
        edits in prop::collection::vec((any::<Index>(), any::<u8>()), 1..6),
    ) {
        let (_, bytes) = seed.get(seeds());
        let mut bytes = bytes.clone();
        for (at, value) in edits {
            *at.get_mut(&mut bytes) = value;
        }
        try_everything(bytes);
    }

    #[test]
    fn truncated_and_repeated(seed in any::<Index>(), cut in any::<Index>(), from in any::<Index>(), len in 0usize..64) {
        let (_, bytes) = seed.get(seeds());
        try_everything(bytes[..cut.index(bytes.len())].to_vec());
        // A part of the file once more at another place.
        let (from, to) = (from.index(bytes.len()), cut.index(bytes.len()));
        let len = len.min(bytes.len() - from.max(to));
        let mut spliced = bytes.clone();
        spliced.copy_within(from..from + len, to);
        try_everything(spliced);
    }

    #[test]
    fn interesting_numbers(seed in any::<Index>(), at in any::<Index>(), number in prop::sample::select(vec![
        0u64, 1, u64::MAX, i64::MAX as u64, 1 << 32, u64::from(u32::MAX), 1 << 40, 0x8000_0000,
    ]), width in prop::sample::select(vec![1usize, 2, 4, 8])) {
        let (_, bytes) = seed.get(seeds());
        let mut bytes = bytes.clone();
        let at = at.index(bytes.len() - 8);
        bytes[at..at + width].copy_from_slice(&number.to_le_bytes()[..width]);
        try_everything(bytes);
    }

    #[test]
    fn changed_configs(at in any::<Index>(), other in any::<Index>(), what in 0u8..5) {
        for config in configs() {
            let mut config = config.clone();
            let paths = pointers(&config);
            let (from, to) = (at.get(&paths), other.get(&paths));
            let taken = config.pointer(to).cloned().unwrap_or_default();
            if let Some(value) = config.pointer_mut(from) {
                *value = match what {
                    0 => Value::Null,
                    1 => json!(1u64 << 40),
                    2 => json!("x"),
                    3 => json!([[], {}, -1]),
                    _ => taken,
                };
            }
            try_everything(safetensors_with(&config));
        }
    }
}

/// `PROPTEST_CASES`, or the given number.
fn cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The configs of golden files, of two dialects.
fn configs() -> &'static [Value] {
    static CONFIGS: LazyLock<Vec<Value>> = LazyLock::new(|| {
        let models = seeds().iter().filter(|(name, _)| matches!(name.as_str(), "nested.h5" | "keras1_theano.h5"));
        models
            .map(|(name, bytes)| WeightsFile::parse(name, bytes.clone()).unwrap().model_config().unwrap().clone())
            .collect()
    });
    &CONFIGS
}

/// The JSON pointers of all values inside a value.
fn pointers(value: &Value) -> Vec<String> {
    fn walk(value: &Value, path: &str, found: &mut Vec<String>) {
        found.push(path.to_string());
        match value {
            Value::Array(list) => list.iter().enumerate().for_each(|(i, v)| walk(v, &format!("{path}/{i}"), found)),
            Value::Object(map) => {
                let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
                map.iter().for_each(|(key, v)| walk(v, &format!("{path}/{}", escaped(key)), found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(value, "", &mut found);
    found
}

/// A file with a config and a few thousand numbers.
fn safetensors_with(config: &Value) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    let numbers = Tensor::zeros([64, 64], &device()).unwrap();
    let metadata = HashMap::from([("model_config".to_string(), config.to_string())]);
    write_tensors(&path, [("x/y".to_string(), &numbers)], metadata).unwrap();
    fs::read(path).unwrap()
}

#[test]
fn models_in_models_without_end_are_refused() {
    let mut config = json!({ "class_name": "Sequential", "config": { "name": "m", "layers": [] } });
    for _ in 0..30 {
        config = json!({ "class_name": "Sequential", "config": { "name": "m", "layers": [config] } });
    }
    let file = WeightsFile::parse("f", safetensors_with(&config)).unwrap();
    let error = file.into_model(&Registry::default(), &device(), &ModelOptions::default()).unwrap_err().to_string();
    assert!(error.contains("nested deeper"), "{error}");
}

#[test]
fn a_config_of_more_weights_than_the_file_holds_is_refused_before_they_are_made() {
    let dense = |units: u64| json!({ "class_name": "Dense", "config": { "name": "d", "units": units, "batch_input_shape": [null, 1 << 30] } });
    let config = json!({ "class_name": "Sequential", "config": [dense((1 << 30) - 1)] });
    let file = WeightsFile::parse("f", safetensors_with(&config)).unwrap();
    let error = file.into_model(&Registry::default(), &device(), &ModelOptions::default()).unwrap_err().to_string();
    assert!(error.contains("4096 numbers for layers of"), "{error}");
}

#[test]
fn every_layer_that_cannot_be_made_is_named_at_once() {
    let layer = |class: &str, name: &str, more: Value| {
        let mut options = Map::from_iter([("name".to_string(), json!(name))]);
        options.extend(more.as_object().unwrap().clone());
        json!({ "class_name": class, "config": options })
    };
    let config = json!({ "class_name": "Sequential", "config": { "name": "m", "layers": [
        layer("InputLayer", "in", json!({ "batch_shape": [null, 4] })),
        layer("Lambda", "mine", json!({})),
        layer("Dense", "fine", json!({ "units": 2 })),
        layer("Dense", "odd", json!({ "units": -2 })),
        layer("Attention", "look", json!({})),
        layer("Activation", "act", json!({ "activation": "snake" })),
    ] } });
    let file = WeightsFile::parse("f", safetensors_with(&config)).unwrap();
    let error = file.into_model(&Registry::default(), &device(), &ModelOptions::default()).unwrap_err().to_string();
    for part in ["`mine` is a Lambda", "`look` is a Attention", "`odd`", "`units`", "`act`", "snake"] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
    assert!(!error.contains("fine"), "{error}");
}
