//! The networks are Keras's: `xtask/golden/zoo.py` asked it.

use serde_json::Value;
use std::path::Path;
use striate_nn::{BuildOptions, Graph, Model};
use striate_tensor::{Device, Shape, Tensor};
use striate_zoo::{Architecture, FeaturePooling, ZooOptions};

fn golden() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn networks() -> impl Iterator<Item = (Architecture, Value)> {
    let golden = golden();
    assert_eq!(golden.as_object().unwrap().len(), 12);
    Architecture::ALL.into_iter().filter_map(move |network| Some((network, golden.get(network.name())?.clone())))
}

fn sizes(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|size| size.as_u64().unwrap() as usize).collect()
}

fn picture(value: &Value) -> [usize; 3] {
    sizes(value).try_into().unwrap()
}

/// Names and classes of the layers, sorted.
fn layers(graph: &Graph) -> Vec<String> {
    let json = graph.to_json();
    let entries = json["config"]["layers"].as_array().unwrap();
    let mut all: Vec<String> = entries
        .iter()
        .map(|entry| format!("{} {}", entry["name"].as_str().unwrap(), entry["class_name"].as_str().unwrap()))
        .collect();
    all.sort();
    all
}

#[test]
fn layers_and_parameters_are_keras_s() {
    for (network, entry) in networks() {
        let name = network.name();
        let graph = network.graph(&ZooOptions::default()).unwrap();
        assert_eq!(graph.parameter_count() as u64, entry["parameters"].as_u64().unwrap(), "{name}");
        assert_eq!(graph.input_shapes()[0].to_vec(), sizes(&entry["input"]), "{name}");
        let expected: Vec<&str> = entry["layers"].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
        assert_eq!(layers(&graph), expected, "{name}");

        let shape = picture(&entry["features"]["input"]);
        let bare = network.graph(&ZooOptions::features(shape)).unwrap();
        assert_eq!(bare.parameter_count() as u64, entry["parameters_without_top"].as_u64().unwrap(), "{name}");
        assert_eq!(bare.output_shapes()[0].to_vec(), sizes(&entry["output_without_top"]), "{name}");

        let least = network.least_size();
        let max = ZooOptions { pooling: Some(FeaturePooling::Max), ..ZooOptions::features([least, least, 3]) };
        let graph = network.graph(&max).unwrap();
        assert_eq!(graph.layer_names().last(), entry["last_with_max"].as_str(), "{name}");
        assert!(network.graph(&ZooOptions::features([least - 1, least, 3])).is_err(), "{name}");
    }
}

/// The script's `fill`.
fn fill(elements: usize, seed: u64) -> impl Iterator<Item = f64> {
    (0..elements as u64)
        .map(move |i| ((i + seed * 1_000_003).wrapping_mul(2_654_435_761) % (1 << 32)) as f64 / 2f64.powi(32) - 0.5)
}

/// The script's `seed_of`.
fn seed_of(path: &str) -> u64 {
    let hash = path.bytes().fold(2_166_136_261u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619));
    u64::from(hash % (1 << 16))
}

/// The script's `weight_of`.
fn weight_of(path: &str, shape: &Shape, device: &Device) -> Tensor {
    let (scale, offset) = match (path.rsplit('/').next().unwrap(), shape.as_slice()) {
        ("gamma", _) => (0.2, 1.0),
        ("moving_variance", _) => (0.5, 1.0),
        (_, [_]) => (0.2, 0.0),
        (_, [h, w, _, 1]) => ((24.0 / (h * w) as f64).sqrt(), 0.0),
        (_, [rest @ .., _]) => ((24.0 / rest.iter().product::<usize>() as f64).sqrt(), 0.0),
        (_, []) => unreachable!("no network has scalars"),
    };
    let values = fill(shape.elements(), seed_of(path)).map(|v| (offset + scale * v) as f32).collect();
    Tensor::from_vec(values, *shape, device).unwrap()
}

fn agrees(network: Architecture, options: &ZooOptions, expected: &Value) {
    let device = striate_testkit::reference::device();
    let shape = picture(&expected["input"]);
    let options = ZooOptions { input_shape: Some(shape), ..options.clone() };
    let mut model: Model = network.model(&options, &BuildOptions::on(&device)).unwrap();
    let specs: Vec<(String, Shape)> = model.weights().map(|(spec, _)| (spec.path.clone(), spec.shape)).collect();
    for (path, shape) in &specs {
        model.set_weight(path, &weight_of(path, shape, &device)).unwrap();
    }
    let x = fill(shape.iter().product(), 1000).map(|v| (2.0 * v) as f32).collect();
    let x = Tensor::from_vec(x, [1, shape[0], shape[1], shape[2]], &device).unwrap();
    let y = model.predict_on(&[x]).unwrap()[0].to_vec::<f32>().unwrap();
    assert_eq!(y.len() as u64, expected["count"].as_u64().unwrap(), "{}", network.name());
    let want: Vec<f32> = expected["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
    let step = (y.len() / 32).max(1);
    let largest = want.iter().fold(1f32, |max, v| max.max(v.abs()));
    for (got, want) in y.iter().step_by(step).zip(&want) {
        assert!((got - want).abs() < 1e-4 * largest, "{}: {got} instead of {want}", network.name());
    }
}

/// A test for each network, so that they run beside each other.
macro_rules! outputs {
    ($($test:ident: $network:ident;)*) => {
        $(
            #[test]
            fn $test() {
                let entry = golden()[Architecture::$network.name()].clone();
                let features = ZooOptions {
                    include_top: false,
                    pooling: Some(FeaturePooling::Average),
                    ..ZooOptions::default()
                };
                agrees(Architecture::$network, &features, &entry["features"]);
                if entry["top"].is_object() {
                    agrees(Architecture::$network, &ZooOptions { classes: 7, ..ZooOptions::default() }, &entry["top"]);
                }
            }
        )*
    };
}

outputs! {
    vgg16_computes_as_in_keras: Vgg16;
    vgg19_computes_as_in_keras: Vgg19;
    resnet50_computes_as_in_keras: ResNet50;
    resnet101_computes_as_in_keras: ResNet101;
    resnet152_computes_as_in_keras: ResNet152;
    resnet50v2_computes_as_in_keras: ResNet50V2;
    resnet101v2_computes_as_in_keras: ResNet101V2;
    resnet152v2_computes_as_in_keras: ResNet152V2;
    inception_v3_computes_as_in_keras: InceptionV3;
    xception_computes_as_in_keras: Xception;
    mobilenet_computes_as_in_keras: MobileNet;
    mobilenet_v2_computes_as_in_keras: MobileNetV2;
}

#[test]
fn fine_tuning_starts_behind_a_layer_of_each_network() {
    for network in Architecture::ALL {
        let graph = network.graph(&ZooOptions::features([96, 96, 3])).unwrap();
        let (last, count) = (network.last_frozen_layer(), graph.layer_names().count());
        let place = graph.layer_names().position(|name| name == last);
        assert!(place.is_some_and(|place| place + 1 < count), "{}: {last}", network.name());
    }
}
