//! Files of Kerases from 1.1 to 3.5, which lie outside of the repository: their folder is named by `STRIATE_DATA`.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
use striate_formats::*;
use striate_nn::layers::{Conv2D, Flatten, MaxPooling2D};
use striate_nn::{BuildOptions, Registry, Sequential};
use striate_tensor::{Activation::Relu, Padding, Shape, Tensor};

/// The folder with `keras/` and `weights/`, or a word on standard error that there is none.
fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("STRIATE_DATA").map(PathBuf::from).filter(|folder| folder.join("keras").is_dir());
    if folder.is_none() {
        eprintln!("skipped: STRIATE_DATA names no folder with keras/");
    }
    folder
}

/// The script's `fill`.
fn fill(elements: usize, seed: u64) -> Vec<f32> {
    let number = |i: u64| ((i + seed * 1_000_003).wrapping_mul(2_654_435_761) % (1 << 32)) as f64 / 2f64.powi(32) - 0.5;
    (0..elements as u64).map(|i| number(i) as f32).collect()
}

fn sizes(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|size| size.as_u64().unwrap() as usize).collect()
}

#[test]
fn every_file_predicts_what_its_keras_would() {
    let Some(data) = data() else { return };
    let device = striate_testkit::reference::device();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/keras_old_files.json");
    let expected: Value = serde_json::from_slice(&fs::read(golden).unwrap()).unwrap();
    let expected = expected.as_object().unwrap();
    assert_eq!(expected.len(), 12);
    for (name, entry) in expected {
        let path = data.join("keras").join(name);
        let file = load(&path, &Registry::default(), &device).unwrap_or_else(|error| panic!("{error}"));
        let shape = Shape::new(&sizes(&entry["input"])).unwrap();
        let x = Tensor::from_vec(fill(shape.elements(), 1000), shape, &device).unwrap();
        let y = file.model.predict_on(&[x]).unwrap().remove(0);
        assert_eq!(y.shape().to_vec(), sizes(&entry["output"]), "{name}");
        let step = entry["step"].as_u64().unwrap() as usize;
        let got: Vec<f32> = y.to_vec::<f32>().unwrap().into_iter().step_by(step).collect();
        let want = entry["values"].as_array().unwrap();
        assert_eq!(got.len(), want.len(), "{name}");
        for (got, want) in got.iter().zip(want) {
            let want = want.as_f64().unwrap() as f32;
            assert!((got - want).abs() < 1e-5 * want.abs().max(1.0), "{name}: {got} instead of {want}");
        }
    }
}

#[test]
fn the_causal_convolution_answers_as_its_keras_recorded() {
    let Some(data) = data() else { return };
    let device = striate_testkit::reference::device();
    let model =
        load(data.join("keras/k2.3.1_seq_conv1d_causal_with_io.h5"), &Registry::default(), &device).unwrap().model;
    let record = WeightsFile::read(data.join("keras/k2.3.1_seq_conv1d_causal_inputs_and_outputs.h5")).unwrap();
    assert_eq!(record.format(), Format::Hdf5);
    let x = record.tensor("inputs/conv0_input").unwrap().to_tensor(&device).unwrap();
    let got = model.predict_on(&[x]).unwrap()[0].to_vec::<f32>().unwrap();
    let want = record.tensor("outputs/conv0").unwrap().to_f32().unwrap();
    assert!(got.iter().zip(&want).all(|(got, want)| (got - want).abs() < 1e-6));
}

#[test]
fn published_weights_are_readable_by_name() {
    let Some(data) = data() else { return };
    let weights = data.join("weights");

    let vgg = WeightsFile::read(weights.join("vgg16_imagenet_notop.safetensors")).unwrap();
    assert_eq!((vgg.elements(), vgg.layers().len()), (14_714_688, 13));
    let first = vgg.tensor("block1_conv1/kernel").unwrap();
    assert_eq!(first.shape(), [3, 3, 3, 64]);
    assert_eq!(first.to_f32().unwrap()[0], 0.429_470_57);

    let squeeze = WeightsFile::read(weights.join("squeezenet_v1.1_imagenet_notop.h5")).unwrap();
    assert_eq!((squeeze.format(), squeeze.elements()), (Format::KerasH5, 722_496));
    assert_eq!(squeeze.layers()[0].name, "conv1");
    assert_eq!(squeeze.tensor("fire2/squeeze1x1/uniform2").unwrap().shape(), [1, 1, 64, 16]);

    let mobile = WeightsFile::read(weights.join("mobilenet_v1_1.0_224_imagenet1001.safetensors")).unwrap();
    let depthwise = mobile.tensor("MobilenetV1/Conv2d_1_depthwise/depthwise_weights").unwrap();
    assert_eq!(depthwise.shape(), [3, 3, 32, 1]);
}

/// VGG16's convolutions, named as in Keras.
fn vgg16() -> Sequential {
    let mut stack = Sequential::new([32, 32, 3]).named("vgg16");
    for (block, (filters, count)) in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)].into_iter().enumerate() {
        for conv in 0..count {
            let layer = Conv2D::new(filters, 3).padding(Padding::Same).activation(Relu);
            stack = stack.add(striate_nn::Call::named(layer, format!("block{}_conv{}", block + 1, conv + 1)));
        }
        stack = stack.add(MaxPooling2D::new(2));
    }
    stack.add(Flatten)
}

#[test]
fn vgg16_is_loaded_quickly() {
    let Some(data) = data() else { return };
    let device = striate_testkit::reference::device();
    let mut model = vgg16().build_on(&BuildOptions::on(&device)).unwrap();
    let start = Instant::now();
    let report = load_weights(&mut model, data.join("weights/vgg16_imagenet_notop.safetensors")).unwrap();
    eprintln!("VGG16: {} tensors in {:.3} s", report.matched.len(), start.elapsed().as_secs_f64());
    assert!(report.is_complete(), "{report}");
    let value = model.weight("block1_conv1/kernel").unwrap().to_vec::<f32>().unwrap();
    assert_eq!(value[0], 0.429_470_57);
}
