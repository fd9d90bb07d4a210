//! A model up to a layer: the values are the whole model's, with nested models and other sizes.

use striate_nn::layers::*;
use striate_nn::{BuildOptions, Call, Model, PartEnd, Sequential};
use striate_tensor::Activation::Relu;
use striate_tensor::{Device, Key, Shape, Tensor};
use striate_testkit::reference;

fn random(shape: impl Into<Shape>, seed: u64, device: &Device) -> Tensor {
    let shape = shape.into();
    let mut stream = Key::new(seed).stream();
    let values: Vec<f32> = (0..shape.elements()).map(|_| stream.uniform_in(-1.0, 1.0) as f32).collect();
    Tensor::from_vec(values, shape, device).unwrap()
}

fn nested(device: &Device) -> Model {
    let options = BuildOptions { seed: 3, ..BuildOptions::on(device) };
    let base = Sequential::new([12, 12, 2])
        .named("base")
        .add(Conv2D::new(3, 3).activation(Relu).named("first"))
        .add(BatchNormalization::new())
        .add(Conv2D::new(4, 3).named("second"))
        .build_on(&options)
        .unwrap();
    let whole = Sequential::new([12, 12, 2]).add(base).add(MaxPooling2D::new(2)).add(Flatten).add(Dense::new(2));
    whole.build_on(&options).unwrap()
}

#[test]
fn a_part_gives_what_the_whole_model_has_inside() {
    let device = reference::device();
    let model = nested(&device);
    let x = random([2, 12, 12, 2], 1, &device);
    let paths: Vec<String> = model.layer_paths().into_iter().filter(|path| !path.contains("input")).collect();
    let inner = model.activations(std::slice::from_ref(&x), &paths).unwrap();
    let mut before = x.clone();
    for path in &paths {
        let part = model.part(path, PartEnd::Output, &[]).unwrap();
        let y = part.predict_on(std::slice::from_ref(&x)).unwrap().remove(0);
        assert_eq!(y.to_vec::<f32>().unwrap(), inner[path].to_vec::<f32>().unwrap(), "{path}");
        assert!(part.parameter_count() <= model.parameter_count());
        if path != "base" {
            let part = model.part(path, PartEnd::Input, &[]).unwrap();
            let received = part.predict_on(std::slice::from_ref(&x)).unwrap().remove(0);
            assert_eq!(received.to_vec::<f32>().unwrap(), before.to_vec::<f32>().unwrap(), "{path}");
            before = y;
        }
    }
    let first = model.part("base/first", PartEnd::Output, &[]).unwrap();
    assert_eq!(first.parameter_count(), 3 * 3 * 2 * 3 + 3);
}

#[test]
fn a_part_takes_pictures_of_another_size() {
    let device = reference::device();
    let model = nested(&device);
    let part = model.part("base/second", PartEnd::Output, &[Shape::from([20, 16, 2])]).unwrap();
    assert_eq!(part.graph().output_shapes(), [Shape::from([16, 12, 4])]);
    // In the middle, where no border is near, a larger picture gives what the same pixels gave in the smaller.
    let large = random([1, 20, 16, 2], 2, &device);
    let small = large.crop(&[0, 3, 2, 0], [1, 12, 12, 2]).unwrap();
    let whole = part.predict_on(&[large]).unwrap().remove(0).crop(&[0, 3, 2, 0], [1, 8, 8, 4]).unwrap();
    let same = model.activations(&[small], &["base/second"]).unwrap().remove("base/second").unwrap();
    let pairs = whole.to_vec::<f32>().unwrap().into_iter().zip(same.to_vec::<f32>().unwrap());
    assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-5));
    let error = model.part("dense", PartEnd::Output, &[Shape::from([20, 16, 2])]).unwrap_err().to_string();
    assert!(error.contains("dense/kernel"), "{error}");
}

#[test]
fn layers_are_listed_with_shapes_and_found_by_path() {
    let device = reference::device();
    let model = nested(&device);
    let layers = model.graph().layers();
    assert_eq!(layers.iter().map(|layer| layer.path.clone()).collect::<Vec<_>>(), model.layer_paths());
    let second = layers.iter().find(|layer| layer.path == "base/second").unwrap();
    assert_eq!((second.class, second.output), ("Conv2D", Shape::from([8, 8, 4])));
    assert_eq!(model.graph().layer("base/second").unwrap().class_name(), "Conv2D");
    assert!(model.graph().layer("base/third").is_none());
    let error = model.part("nobody", PartEnd::Output, &[]).unwrap_err().to_string();
    assert!(error.contains("nobody") && error.contains("base/second"), "{error}");
}
