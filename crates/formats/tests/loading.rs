//! Names, orders and options: what is found, what is reported, what is refused.

use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::sync::LazyLock;
use striate_formats::*;
use striate_nn::layers::{BatchNormalization, Conv2D, Dense, DepthwiseConv2D, Flatten};
use striate_nn::{BuildOptions, Call, Model, Registry, Sequential};
use striate_tensor::{Device, Shape, Tensor};

fn device() -> Device {
    static DEVICE: LazyLock<Device> = LazyLock::new(striate_testkit::reference::device);
    DEVICE.clone()
}

fn build(stack: Sequential, seed: u64) -> Model {
    stack.build_on(&BuildOptions { seed, ..BuildOptions::on(&device()) }).unwrap()
}

/// Two layers of weights, under names of the caller.
fn two(first: &str, second: &str, units: usize, seed: u64) -> Model {
    build(Sequential::new([3]).add(Dense::new(4).named(first)).add(Dense::new(units).named(second)), seed)
}

fn digest(model: &Model) -> String {
    weights_sha256(model).unwrap()
}

/// A model that only a config describes, with the weights of its layers from zero up.
fn file_of(config: &Value, tensors: &[(&str, &[usize])]) -> WeightsFile {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    let values: Vec<(String, Tensor)> = tensors
        .iter()
        .map(|(name, shape)| {
            let shape = Shape::new(shape).unwrap();
            let numbers = (0..shape.elements()).map(|i| (i % 7) as f32 / 7.0 - 0.4).collect();
            (name.to_string(), Tensor::from_vec(numbers, shape, &device()).unwrap())
        })
        .collect();
    let metadata = HashMap::from([("model_config".to_string(), config.to_string())]);
    write_tensors(&path, values.iter().map(|(name, value)| (name.clone(), value)), metadata).unwrap();
    WeightsFile::read(path).unwrap()
}

fn model_of(file: WeightsFile) -> Model {
    file.into_model(&Registry::default(), &device(), &ModelOptions::default()).unwrap().model
}

fn input(shape: &[usize]) -> Tensor {
    let shape = Shape::new(shape).unwrap();
    Tensor::from_vec((0..shape.elements()).map(|i| (i * 37 % 101) as f32 / 101.0).collect(), shape, &device()).unwrap()
}

#[test]
fn keras_h5_layers_are_found_by_order_when_their_names_differ() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.hdf5");
    let source = two("dense_7", "dense_8", 2, 1);
    save_h5_weights(&source, &path).unwrap();
    let mut target = two("a", "b", 2, 2);
    let report = load_weights(&mut target, &path).unwrap();
    assert!(report.is_complete(), "{report}");
    assert_eq!(report.matched[0].weight, "a/kernel");
    assert_eq!(report.matched[0].tensor, "dense_7/kernel");
    for (mine, theirs) in [("a/kernel", "dense_7/kernel"), ("b/bias", "dense_8/bias")] {
        let values = |model: &Model, path: &str| model.weight(path).unwrap().to_vec::<f32>().unwrap();
        assert_eq!(values(&target, mine), values(&source, theirs));
    }
    // One layer fewer: Keras refuses, and so do we.
    let mut short = build(Sequential::new([3]).add(Dense::new(4).named("only")), 3);
    let before = digest(&short);
    let error = load_weights(&mut short, &path).unwrap_err().to_string();
    assert!(error.contains("the model has 1 layers with weights, the file 2"), "{error}");
    assert_eq!(digest(&short), before);
}

#[test]
fn by_name_takes_what_is_there_and_leaves_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["w.hdf5", "w.npz", "w.safetensors", "w.keras", "w.weights.h5"] {
        let path = folder.path().join(name);
        let source = two("base", "head", 2, 1);
        if name == "w.hdf5" {
            save_h5_weights(&source, &path).unwrap()
        } else {
            save(&ModelFile::of(source.clone()), &path).unwrap()
        }
        let mut target = two("base", "new_head", 5, 2);
        let head = target.weight("new_head/kernel").unwrap().to_vec::<f32>().unwrap();
        assert!(load_weights(&mut target, &path).is_err(), "{name}");
        let by_name = LoadOptions { by_name: true, ..LoadOptions::default() };
        let mut report = load_weights_with(&mut target, &path, &by_name).unwrap();
        assert_eq!(report.missing, ["new_head/kernel", "new_head/bias"], "{name}");
        report.unexpected.sort();
        let unexpected = if name == "w.keras" || name == "w.weights.h5" {
            ["layers/dense_1/0", "layers/dense_1/1"]
        } else {
            ["head/bias", "head/kernel"]
        };
        assert_eq!(report.unexpected, unexpected, "{name}");
        assert_eq!(report.matched.len(), 2, "{name}");
        assert_eq!(target.weight("new_head/kernel").unwrap().to_vec::<f32>().unwrap(), head, "{name}");
        assert!(report.to_string().ends_with("2 matched, 0 of another shape, 2 missing, 2 unexpected"), "{report}");
    }
}

#[test]
fn skip_mismatch_leaves_weights_of_another_shape() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["w.hdf5", "w.weights.h5", "w.safetensors"] {
        let path = folder.path().join(name);
        let source = two("base", "head", 2, 1);
        if name == "w.hdf5" {
            save_h5_weights(&source, &path).unwrap()
        } else {
            save(&ModelFile::of(source.clone()), &path).unwrap()
        }
        let mut target = two("base", "head", 5, 2);
        let before = digest(&target);
        let error = load_weights(&mut target, &path).unwrap_err().to_string();
        assert!(
            error.contains("head/kernel has shape (4, 2) instead of (4, 5)") && error.contains("head/bias"),
            "{error}"
        );
        assert_eq!(digest(&target), before, "{name}");
        let skip = LoadOptions { skip_mismatch: true, ..LoadOptions::default() };
        let report = load_weights_with(&mut target, &path, &skip).unwrap();
        assert_eq!((report.matched.len(), report.mismatched.len()), (2, 2), "{name}");
        assert_eq!(
            (report.mismatched[0].weight.as_str(), &report.mismatched[0].found[..]),
            ("head/kernel", &[4, 2][..])
        );
    }
}

#[test]
fn torch_names_and_orders_by_a_mapping() {
    let stack = Sequential::new([6, 6, 2])
        .add(Conv2D::new(3, 3).named("conv"))
        .add(BatchNormalization::new().named("norm"))
        .add(DepthwiseConv2D::new(3).named("deep"))
        .add(Flatten)
        .add(Dense::new(2).named("fc"));
    let mut model = build(stack, 1);
    let values: Vec<(String, Tensor)> = [
        ("features.0.weight", &[3, 2, 3, 3][..]),
        ("features.0.bias", &[3]),
        ("features.1.weight", &[3]),
        ("features.1.bias", &[3]),
        ("features.1.running_mean", &[3]),
        ("features.1.running_var", &[3]),
        ("features.1.num_batches_tracked", &[]),
        ("features.2.weight", &[3, 1, 3, 3]),
        ("features.2.bias", &[3]),
        ("classifier.weight", &[2, 12]),
        ("classifier.bias", &[2]),
    ]
    .iter()
    .map(|(name, shape)| (name.to_string(), input(shape)))
    .collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("torch.safetensors");
    write_tensors(&path, values.iter().map(|(n, v)| (n.clone(), v)), HashMap::new()).unwrap();
    let renaming = Renaming::new()
        .rule("features.0.*", "conv.*")
        .rule("features.1.*", "norm.*")
        .rule("features.2.*", "deep.*")
        .rule("classifier.*", "fc.*");
    let options = LoadOptions { renaming, ..LoadOptions::default() };
    let report = load_weights_with(&mut model, &path, &options).unwrap();
    assert_eq!(report.unexpected, ["features.1.num_batches_tracked"]);
    assert_eq!((report.matched.len(), report.missing.len()), (10, 0), "{report}");
    let kernel = model.weight("conv/kernel").unwrap().to_vec::<f32>().unwrap();
    let torch = values[0].1.to_vec::<f32>().unwrap();
    // kernel[h, w, in, out] = weight[out, in, h, w].
    for (h, w, i, o) in [(0, 0, 0, 0), (2, 1, 1, 2), (1, 2, 0, 1)] {
        assert_eq!(kernel[((h * 3 + w) * 2 + i) * 3 + o], torch[((o * 2 + i) * 3 + h) * 3 + w]);
    }
    let variance = model.weight("norm/moving_variance").unwrap().to_vec::<f32>().unwrap();
    assert_eq!(variance, values[5].1.to_vec::<f32>().unwrap());
}

#[test]
fn files_are_known_by_content_not_by_ending() {
    let folder = tempfile::tempdir().unwrap();
    let source = ModelFile::of(two("a", "b", 2, 1));
    for (name, format) in [
        ("m.keras", Format::KerasArchive),
        ("m.h5", Format::KerasH5),
        ("m.safetensors", Format::Safetensors),
        ("m.npz", Format::Npz),
        ("m.weights.h5", Format::KerasVars),
    ] {
        let path = folder.path().join(name);
        save(&source, &path).unwrap();
        let disguised = folder.path().join("model.bin");
        fs::rename(&path, &disguised).unwrap();
        assert_eq!(WeightsFile::read(&disguised).unwrap().format(), format);
        if !matches!(format, Format::Npz | Format::KerasVars) {
            let back = load(&disguised, &Registry::default(), &device()).unwrap();
            assert_eq!(digest(&back.model), digest(&source.model), "{name}");
        }
    }
    let error = save(&source, folder.path().join("m.onnx")).unwrap_err().to_string();
    assert!(error.contains("ONNX, which is not there yet"), "{error}");
    let error = save(&source, folder.path().join("model")).unwrap_err().to_string();
    assert!(error.contains("no ending") && error.contains(".keras, .h5"), "{error}");
    assert!(save(&source, folder.path().join("m.pkl")).unwrap_err().to_string().contains("`.pkl`"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn class_names_and_preprocessing_survive_every_format_with_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let class_names = vec!["cat".to_string(), "größe".to_string()];
    let source = ModelFile {
        class_names: class_names.clone(),
        preprocessing: "digit".into(),
        ..ModelFile::of(two("a", "b", 2, 1))
    };
    for name in ["m.keras", "m.h5", "m.safetensors"] {
        save(&source, folder.path().join(name)).unwrap();
        let back = load(folder.path().join(name), &Registry::default(), &device()).unwrap();
        assert_eq!((&back.class_names, back.preprocessing.as_str()), (&class_names, "digit"), "{name}");
    }
}

#[test]
fn channels_first_layers_compute_on_permuted_inputs() {
    let conv = |name: &str, format: &str, inputs: Value| {
        json!({ "class_name": "Conv2D", "name": name, "inbound_nodes": inputs, "config": {
            "name": name, "filters": 3, "kernel_size": [3, 3], "padding": "same", "data_format": format, "activation": "relu",
        } })
    };
    let pool = |format: &str, inputs: Value| {
        json!({ "class_name": "MaxPooling2D", "name": "pool", "inbound_nodes": inputs, "config": {
            "name": "pool", "pool_size": [2, 2], "strides": [2, 2], "data_format": format,
        } })
    };
    let norm = |axis: i64, inputs: Value| json!({ "class_name": "BatchNormalization", "name": "norm", "inbound_nodes": inputs, "config": { "name": "norm", "axis": [axis] } });
    let plain = |class: &str, name: &str, options: Value, inputs: Value| {
        let mut config = json!({ "name": name });
        config.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        json!({ "class_name": class, "name": name, "inbound_nodes": inputs, "config": config })
    };
    let from = |name: &str| json!([[[name, 0, 0, {}]]]);
    let network = |first: bool| {
        let format = if first { "channels_first" } else { "channels_last" };
        let shape = if first { json!([null, 2, 6, 4]) } else { json!([null, 6, 4, 2]) };
        let axis = if first { 1 } else { -1 };
        json!({ "class_name": "Model", "config": { "name": "m", "layers": [
            plain("InputLayer", "in", json!({ "batch_input_shape": shape }), json!([])),
            conv("one", format, from("in")),
            plain("Activation", "act", json!({ "activation": "tanh" }), from("one")),
            norm(axis, from("act")),
            conv("two", format, from("norm")),
            plain("Concatenate", "cat", json!({ "axis": axis }), json!([[["two", 0, 0, {}], ["act", 0, 0, {}]]])),
            pool(format, from("cat")),
            plain("Flatten", "flat", json!({ "data_format": format }), from("pool")),
            plain("Dense", "out", json!({ "units": 2 }), from("flat")),
        ], "input_layers": [["in", 0, 0]], "output_layers": [["out", 0, 0]] } })
    };
    let tensors: &[(&str, &[usize])] = &[
        ("one/kernel", &[3, 3, 2, 3]),
        ("one/bias", &[3]),
        ("norm/gamma", &[3]),
        ("norm/beta", &[3]),
        ("norm/moving_mean", &[3]),
        ("norm/moving_variance", &[3]),
        ("two/kernel", &[3, 3, 3, 3]),
        ("two/bias", &[3]),
        ("out/kernel", &[36, 2]),
        ("out/bias", &[2]),
    ];
    let set_variance = |model: &mut Model| {
        model
            .set_weight("norm/moving_variance", &Tensor::full([3], 0.5, striate_tensor::DType::F32, &device()).unwrap())
            .unwrap();
    };
    let (mut last, mut first) =
        (model_of(file_of(&network(false), tensors)), model_of(file_of(&network(true), tensors)));
    set_variance(&mut last);
    set_variance(&mut first);
    let x = input(&[2, 6, 4, 2]);
    let y = last.predict_on(std::slice::from_ref(&x)).unwrap()[0].to_vec::<f32>().unwrap();
    let turned = x.permute(&[0, 3, 1, 2]).unwrap();
    let z = first.predict_on(&[turned]).unwrap()[0].to_vec::<f32>().unwrap();
    assert!(y.iter().zip(&z).all(|(a, b)| (a - b).abs() < 1e-5), "{y:?} {z:?}");
    // Permutes that would undo each other are left out: one in, one before each joint, one after it.
    let permutes = first.graph().layer_names().filter(|name| name.contains("channels_")).count();
    assert_eq!(permutes, 4, "{:?}", first.graph().layer_names().collect::<Vec<_>>());
}

#[test]
fn references_of_every_keras() {
    // The inner model's calls are counted from 1, as tf.keras did; kwargs of a call are no inputs.
    let inner = json!({ "class_name": "Functional", "name": "inner", "inbound_nodes": [[["in", 0, 0, { "training": false }]]], "config": {
        "name": "inner", "input_layers": [["x", 0, 0]], "output_layers": [["d", 0, 0]], "layers": [
            { "class_name": "InputLayer", "name": "x", "config": { "batch_input_shape": [null, 3], "name": "x" }, "inbound_nodes": [] },
            { "class_name": "Dense", "name": "d", "config": { "name": "d", "units": 2 }, "inbound_nodes": [[["x", 0, 0, {}]]] },
        ] } });
    let tensor = |name: &str, call: usize| json!({ "class_name": "__keras_tensor__", "config": { "shape": [null, 2], "dtype": "float32", "keras_history": [name, call, 0] } });
    let config = json!({ "class_name": "Functional", "config": { "name": "m", "layers": [
        { "class_name": "InputLayer", "name": "in", "config": { "batch_shape": [null, 3], "name": "in" }, "inbound_nodes": [] },
        inner,
        { "class_name": "Dense", "name": "e", "config": { "name": "e", "units": 2 }, "inbound_nodes": [
            { "args": [tensor("inner", 1)], "kwargs": {} }, { "args": [tensor("e", 0)], "kwargs": { "mask": null } },
        ] },
        { "class_name": "Add", "name": "sum", "config": { "name": "sum" }, "inbound_nodes": [{ "args": [[tensor("e", 0), tensor("e", 1)]], "kwargs": {} }] },
    ], "input_layers": ["in", 0, 0], "output_layers": ["sum", 0, 0] } });
    let tensors: &[(&str, &[usize])] =
        &[("inner/d/kernel", &[3, 2]), ("inner/d/bias", &[2]), ("e/kernel", &[2, 2]), ("e/bias", &[2])];
    let model = model_of(file_of(&config, tensors));
    assert_eq!(model.graph().output_shapes()[0].to_vec(), [2]);
    assert_eq!(model.parameter_count(), 14);
}

#[test]
fn open_sizes_are_filled_on_request() {
    let config = json!({ "class_name": "Sequential", "config": [
        { "class_name": "Conv2D", "config": { "name": "c", "filters": 1, "kernel_size": 3, "batch_input_shape": [null, null, null, 1] } },
        { "class_name": "GlobalAveragePooling2D", "config": { "name": "g" } },
    ] });
    let tensors: &[(&str, &[usize])] = &[("c/kernel", &[3, 3, 1, 1]), ("c/bias", &[1])];
    let open = || file_of(&config, tensors);
    let error = open().into_model(&Registry::default(), &device(), &ModelOptions::default()).unwrap_err().to_string();
    assert!(error.contains("input shape"), "{error}");
    let options = ModelOptions { input_shape: Some(vec![9, 7, 1]), ..ModelOptions::default() };
    let model = open().into_model(&Registry::default(), &device(), &options).unwrap().model;
    assert_eq!(model.graph().input_shapes()[0].to_vec(), [9, 7, 1]);
}
