//! One model on two back ends.

use striate_autograd::Var;
use striate_nn::layers::*;
use striate_nn::{BuildOptions, Call, Model, Run, Sequential, Symbol};
use striate_tensor::Activation::{Gelu, LeakyRelu, Relu, Tanh};
use striate_tensor::{Device, Key, PadMode, Padding, Shape, Tensor};
use striate_testkit::reference;

const TOLERANCE: f32 = 1e-5;

fn random(shape: impl Into<Shape>, device: &Device) -> Tensor {
    let shape = shape.into();
    let mut stream = Key::new(9).stream();
    let values: Vec<f32> = (0..shape.elements()).map(|_| stream.uniform_in(-1.0, 1.0) as f32).collect();
    Tensor::from_vec(values, shape, device).unwrap()
}

#[track_caller]
fn near(what: &str, got: &Tensor, want: &Tensor) {
    assert_eq!(got.shape(), want.shape(), "{what}");
    for (i, (a, b)) in got.to_vec::<f32>().unwrap().iter().zip(want.to_vec::<f32>().unwrap()).enumerate() {
        assert!((a - b).abs() <= TOLERANCE * b.abs().max(1.0), "{what}, element {i}: {a} and {b}");
    }
}

/// Outputs, gradients and statistics of one training step, and the outputs of a prediction.
fn compare(model: &Model, input: impl Into<Shape>) {
    let (cpu, law) = (striate_cpu::device().unwrap(), reference::device());
    let input = input.into();
    // Weights are a function of the seed, on any device: here they move.
    let results = [&law, &cpu].map(|device| {
        let mut model = model.to_device(device).unwrap();
        let x = random(input, device);
        let prediction = model.predict_on(std::slice::from_ref(&x)).unwrap().remove(0);
        let variables = model.variables();
        let x = Var::leaf(x);
        let run = Run::training(Key::new(4));
        let y = model.run(std::slice::from_ref(&x), &variables, &run).unwrap().remove(0);
        let dy = random(*y.shape(), device);
        let mut gradients = y.backward_from(dy).unwrap();
        model.apply_updates(&run).unwrap();
        let mut all = vec![("prediction".to_string(), prediction), ("training".to_string(), y.into_value())];
        all.push(("gradient of the input".into(), gradients.take(&x).unwrap()));
        for ((spec, value), variable) in model.weights().zip(&variables) {
            match gradients.take(variable) {
                Some(gradient) => all.push((format!("gradient of {}", spec.path), gradient)),
                None => all.push((spec.path.clone(), value.clone())),
            }
        }
        all
    });
    assert_eq!(results[0].len(), results[1].len());
    for ((what, want), (_, got)) in results[0].iter().zip(&results[1]) {
        near(&format!("{}: {what}", model.name()), got, want);
    }
}

fn options() -> BuildOptions {
    BuildOptions::on(&reference::device())
}

#[test]
fn an_image_network_with_every_kind_of_layer() {
    let image = Symbol::input([12, 12, 3]).unwrap();
    let x = Rescaling::new(0.5).offset(0.1).call(&image).unwrap();
    let x = Conv2D::new(8, 3).padding(Padding::Same).fill(PadMode::Replicate).activation(Relu).call(&x).unwrap();
    let x = BatchNormalization::new().call(&x).unwrap();
    let a = SeparableConv2D::new(8, 3).padding(Padding::Same).activation(Gelu).call(&x).unwrap();
    let b = DepthwiseConv2D::new([3, 1]).padding(Padding::Same).activation(LeakyRelu(0.1)).call(&x).unwrap();
    let b = PReLU::new().shared_axes([1, 2]).call(&b).unwrap();
    let x = Concatenate::default().call([&a, &b]).unwrap();
    let x = MaxPooling2D::new(3).strides(2).padding(Padding::Same).call(&x).unwrap();
    let x = Conv2D::new(8, 3).groups(2).strides(2).drop_connect(0.2).call(&x).unwrap();
    let x = LayerNormalization::new().call(&x).unwrap();
    let x = Conv2DTranspose::new(4, 3).strides(2).padding(Padding::Same).activation(Tanh).call(&x).unwrap();
    let up = UpSampling2D::new(2).call(&x).unwrap();
    let smooth = UpSampling2D::new(2).interpolation(Interpolation::Bilinear).call(&x).unwrap();
    let x = Multiply.call([&up, &smooth]).unwrap();
    let x = SpatialDropout2D::new(0.25).call(&x).unwrap();
    let x = ReLU::new().max_value(0.75).negative_slope(0.1).call(&x).unwrap();
    let x = Cropping2D::new(1).call(&x).unwrap();
    let x = ZeroPadding2D::new(1).mode(PadMode::Reflect).call(&x).unwrap();
    let x = AveragePooling2D::new(2).call(&x).unwrap();
    let x = Permute::new([3, 1, 2]).call(&x).unwrap();
    let x = Dropout::new(0.3).call(&Flatten.call(&x).unwrap()).unwrap();
    let x = GaussianNoise::new(0.1).call(&x).unwrap();
    let class = Dense::new(5).activation(Softmax).call(&x).unwrap();
    compare(&Model::from_symbols("image", &[image], &[class], &options()).unwrap(), [3, 12, 12, 3]);
}

#[test]
fn a_series_network() {
    let model = Sequential::new([20, 4])
        .named("series")
        .add(Conv1D::new(6, 3).padding(Padding::Causal).dilation_rate(2).activation(Relu))
        .add(MaxPooling1D::new(2))
        .add(SeparableConv1D::new(6, 3).activation(Tanh))
        .add(Conv1DTranspose::new(4, 3).strides(2))
        .add(DepthwiseConv1D::new(2).depth_multiplier(2))
        .add(GlobalAveragePooling1D::new())
        .add(RepeatVector::new(3))
        .add(GlobalMaxPooling1D::new())
        .add(Dense::new(2))
        .build_on(&options())
        .unwrap();
    compare(&model, [5, 20, 4]);
}

#[test]
fn a_volume_network() {
    let model = Sequential::new([6, 6, 6, 2])
        .named("volume")
        .add(Conv3D::new(4, 3).activation(Relu))
        .add(UpSampling3D::new(2))
        .add(AveragePooling3D::new(2))
        .add(Conv3DTranspose::new(2, 2))
        .add(GlobalMaxPooling3D::new())
        .add(ELU::default())
        .build_on(&options())
        .unwrap();
    compare(&model, [2, 6, 6, 6, 2]);
}

#[test]
fn weights_start_alike_on_every_device() {
    let build = |device: &Device| {
        let model = Sequential::new([6, 6, 2]).add(Conv2D::new(4, 3)).add(Flatten).add(Dense::new(3));
        model.build_on(&BuildOptions { seed: 3, ..BuildOptions::on(device) }).unwrap()
    };
    let (cpu, law) = (build(&striate_cpu::device().unwrap()), build(&reference::device()));
    for ((spec, a), (_, b)) in cpu.weights().zip(law.weights()) {
        assert_eq!(a.to_vec::<f32>().unwrap(), b.to_vec::<f32>().unwrap(), "{}", spec.path);
    }
}
