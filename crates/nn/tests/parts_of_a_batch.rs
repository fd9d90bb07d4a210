//! Large values are computed for a part of the batch at a time, and pooling in the convolution's own pass: neither may show.

use striate_autograd::Var;
use striate_cpu::{CpuBackend, CpuOptions};
use striate_nn::layers::*;
use striate_nn::{BuildOptions, Call, Model, Run, Sequential};
use striate_tensor::Activation::Relu;
use striate_tensor::{Device, Key, Padding, Tensor};

fn model(device: &Device) -> Model {
    // 96·96·64 numbers a sample, then 24·24·64.
    let graph = Sequential::new([96, 96, 3])
        .add(Conv2D::new(64, 3).activation(Relu).padding(Padding::Same).named("first"))
        .add(Conv2D::new(64, 3).activation(Relu).padding(Padding::Same).named("second"))
        .add(MaxPooling2D::new(2).named("half"))
        .add(MaxPooling2D::new(2).named("quarter"))
        .add(Dropout::new(0.5))
        .add(Flatten)
        .add(Dense::new(4).named("head"))
        .graph()
        .unwrap();
    Model::from_graph(graph, &BuildOptions::on(device)).unwrap()
}

#[test]
fn a_large_batch_gives_what_its_samples_give() {
    let device = Device::new(CpuBackend::new(CpuOptions::default()).unwrap());
    let mut model = model(&device);
    let mut stream = Key::new(4).stream();
    let pixels = (0..15 * 96 * 96 * 3).map(|_| stream.uniform() as f32).collect();
    let images = Tensor::from_vec(pixels, [15, 96, 96, 3], &device).unwrap();

    // Capturing takes the batch whole and keeps every value.
    let names = ["second", "quarter", "head"];
    let whole = model.activations(std::slice::from_ref(&images), &names).unwrap();
    let parts = model.predict_on(std::slice::from_ref(&images)).unwrap().remove(0);
    assert_eq!(parts.to_vec::<f32>().unwrap(), whole["head"].to_vec::<f32>().unwrap());
    assert_eq!(whole["second"].shape()[..], [15, 96, 96, 64]);

    // A frozen base in a training pass: the head learns, dropout is what it is for the batch as a whole.
    let run_with = |model: &Model, run: Run| {
        let head = model.run(&[Var::constant(images.clone())], &model.variables(), &run).unwrap().remove(0);
        head.value().to_vec::<f32>().unwrap()
    };
    let trained_whole = run_with(&model, Run::training(Key::new(1)));
    ["first", "second"].iter().for_each(|layer| model.set_trainable(layer, false).unwrap());
    assert_eq!(run_with(&model, Run::training(Key::new(1))), trained_whole);
}
