//! Layers against numbers worked out by hand from Keras's definitions.

use striate_autograd::Var;
use striate_nn::layers::*;
use striate_nn::{BuildOptions, Instance, Model, Run, Sequential};
use striate_tensor::{DType, Device, Key, Padding, Shape, Tensor};
use striate_testkit::reference;

fn model(input: impl Into<Shape>, layer: impl Into<Instance>) -> Model {
    let options = BuildOptions { dtype: DType::F64, ..BuildOptions::on(&reference::device()) };
    Sequential::new(input).add(layer.into().with_name("layer")).build_on(&options).unwrap()
}

fn tensor(values: &[f64], shape: impl Into<Shape>, device: &Device) -> Tensor {
    Tensor::from_vec(values.to_vec(), shape, device).unwrap()
}

fn set(model: &mut Model, path: &str, values: &[f64]) {
    let shape = *model.weight(path).unwrap().shape();
    let value = tensor(values, shape, model.device());
    model.set_weight(path, &value).unwrap();
}

fn run(model: &Model, x: &[f64], shape: impl Into<Shape>, run: &Run) -> Tensor {
    let x = Var::constant(tensor(x, shape, model.device()));
    model.run(&[x], &model.constants(), run).unwrap().remove(0).into_value()
}

fn predict(model: &Model, x: &[f64], shape: impl Into<Shape>) -> Vec<f64> {
    run(model, x, shape, &Run::inference()).to_f64_vec().unwrap()
}

#[track_caller]
fn near(got: &[f64], want: &[f64]) {
    let close = got.len() == want.len() && got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6);
    assert!(close, "{got:?} instead of {want:?}");
}

#[test]
fn a_transposed_convolution_spreads_its_kernel() {
    for (padding, want) in
        [(Padding::Valid, &[1.0, 10.0, 102.0, 20.0, 200.0][..]), (Padding::Same, &[1.0, 10.0, 102.0, 20.0])]
    {
        let mut model = model([2, 1], Conv1DTranspose::new(1, 3).strides(2).padding(padding).use_bias(false));
        set(&mut model, "layer/kernel", &[1.0, 10.0, 100.0]);
        near(&predict(&model, &[1.0, 2.0], [1, 2, 1]), want);
    }
}

#[test]
fn transposed_convolutions_have_keras_output_lengths() {
    // (input, kernel, stride, dilation, padding, output padding) to the length.
    let (valid, same) = (Padding::Valid, Padding::Same);
    for (n, kernel, stride, dilation, padding, more, want) in [
        (4, 3, 1, 1, valid, None, 6),
        (4, 3, 2, 1, valid, None, 9),
        (4, 2, 3, 1, valid, None, 12),
        (4, 3, 2, 1, valid, Some(1), 10),
        (4, 3, 1, 2, valid, None, 8),
        (4, 3, 1, 1, same, None, 4),
        (4, 3, 2, 1, same, None, 8),
        (4, 3, 2, 1, same, Some(0), 7),
        (4, 3, 2, 1, same, Some(1), 8),
        (4, 4, 2, 1, same, Some(1), 7),
    ] {
        let mut layer = Conv1DTranspose::new(1, kernel).strides(stride).dilation_rate(dilation).padding(padding);
        if let Some(more) = more {
            layer = layer.output_padding(more);
        }
        let graph = Sequential::new([n, 1]).add(layer).graph().unwrap();
        assert_eq!(graph.output_shapes()[0], Shape::from([want, 1]), "kernel {kernel}, stride {stride}, {padding:?}");
    }
    let refused = |layer: Conv1DTranspose| Sequential::new([4, 1]).add(layer).graph().unwrap_err().to_string();
    let error = refused(Conv1DTranspose::new(1, 3).strides(2).output_padding(2));
    assert!(error.contains("output_padding must be below the stride"), "{error}");
    let error = refused(Conv1DTranspose::new(1, 4).strides(2).padding(same).output_padding(0));
    assert!(error.contains("a convolution must take the output back to the input"), "{error}");
}

#[test]
fn a_depthwise_convolution_keeps_channels_apart() {
    let mut model = model([2, 2], DepthwiseConv1D::new(1).depth_multiplier(2));
    set(&mut model, "layer/kernel", &[1.0, 10.0, 100.0, 1000.0]);
    set(&mut model, "layer/bias", &[0.0, 0.0, 0.0, 0.5]);
    near(&predict(&model, &[1.0, 2.0, 3.0, 4.0], [1, 2, 2]), &[1.0, 10.0, 200.0, 2000.5, 3.0, 30.0, 400.0, 4000.5]);
}

#[test]
fn a_separable_convolution_is_a_depthwise_and_a_pointwise_one() {
    let mut model = model([3, 2], SeparableConv1D::new(1, 2));
    set(&mut model, "layer/depthwise_kernel", &[1.0, 10.0, 2.0, 20.0]);
    set(&mut model, "layer/pointwise_kernel", &[1.0, -1.0]);
    set(&mut model, "layer/bias", &[0.25]);
    // Depthwise: (x₀ + 2x₁ of channel 0, 10x₀ + 20x₁ of channel 1).
    near(&predict(&model, &[1.0, 0.0, 2.0, 1.0, 3.0, 2.0], [1, 3, 2]), &[5.0 - 20.0 + 0.25, 8.0 - 50.0 + 0.25]);
}

#[test]
fn up_sampling_repeats_or_interpolates_between_centres() {
    let nearest = model([1, 2, 1], UpSampling2D::new([2, 3]));
    near(&predict(&nearest, &[1.0, 2.0], [1, 1, 2, 1]), &[1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
    let bilinear = model([1, 2, 1], UpSampling2D::new([1, 2]).interpolation(Interpolation::Bilinear));
    near(&predict(&bilinear, &[0.0, 1.0], [1, 1, 2, 1]), &[0.0, 0.25, 0.75, 1.0]);
    // tf.image.resize of ((0, 4), (8, 12)) to 4×4.
    let square = model([2, 2, 1], UpSampling2D::new(2).interpolation(Interpolation::Bilinear));
    let row = [0.0, 1.0, 3.0, 4.0];
    let want: Vec<f64> = [0.0, 2.0, 6.0, 8.0].iter().flat_map(|down| row.map(|x| x + down)).collect();
    near(&predict(&square, &[0.0, 4.0, 8.0, 12.0], [1, 2, 2, 1]), &want);
}

#[test]
fn croppings_orders_and_repetitions() {
    let cropped = model([3, 3, 1], Cropping2D::sides([(1, 0), (0, 2)]));
    near(&predict(&cropped, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0], [1, 3, 3, 1]), &[4.0, 7.0]);
    let turned = model([2, 3], Permute::new([2, 1]));
    near(&predict(&turned, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1, 2, 3]), &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    let repeated = model([2], RepeatVector::new(3));
    near(&predict(&repeated, &[1.0, 2.0], [1, 2]), &[1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
}

#[test]
fn rectifiers() {
    let all = model([5], ReLU::new().max_value(4.0).negative_slope(0.5).threshold(1.0));
    near(&predict(&all, &[-1.0, 0.5, 1.0, 3.0, 5.0], [1, 5]), &[-1.0, -0.25, 1.0, 3.0, 4.0]);
    let flat = model([3], ReLU::new().threshold(2.0));
    near(&predict(&flat, &[-1.0, 1.5, 2.5], [1, 3]), &[0.0, 0.0, 2.5]);
    let low = model([3], ReLU::new().max_value(1.0));
    near(&predict(&low, &[-1.0, 0.5, 2.5], [1, 3]), &[0.0, 0.5, 1.0]);
    near(&predict(&model([2], LeakyReLU::default()), &[-2.0, 2.0], [1, 2]), &[-0.6, 2.0]);
    near(&predict(&model([2], ELU::new(2.0)), &[-1.0, 2.0], [1, 2]), &[2.0 * (-1.0f64).exp_m1(), 2.0]);
    let mut learnt = model([2, 2], PReLU::new().shared_axes([1]));
    set(&mut learnt, "layer/alpha", &[0.5, -1.0]);
    near(&predict(&learnt, &[-2.0, -2.0, 3.0, 3.0], [1, 2, 2]), &[-1.0, 2.0, 3.0, 3.0]);
    assert!(Sequential::new([2]).add(ReLU::new().threshold(-1.0)).graph().is_err());
}

#[test]
fn batch_normalisation_learns_its_statistics() {
    let mut model = model([1], BatchNormalization::new());
    let x = [1.0, 2.0, 3.0, 6.0];
    // Mean 3, variance 3.5; at the start the moving ones are 0 and 1.
    near(&predict(&model, &x, [4, 1]), &x.map(|x| x / 1.001f64.sqrt()));
    let training = Run::training(Key::new(1));
    let y = run(&model, &x, [4, 1], &training).to_f64_vec().unwrap();
    near(&y, &x.map(|x| (x - 3.0) / 3.501f64.sqrt()));
    // Nothing changes before the step is taken over.
    near(&predict(&model, &x, [4, 1]), &x.map(|x| x / 1.001f64.sqrt()));
    model.apply_updates(&training).unwrap();
    near(&model.weight("layer/moving_mean").unwrap().to_f64_vec().unwrap(), &[0.03]);
    near(&model.weight("layer/moving_variance").unwrap().to_f64_vec().unwrap(), &[0.99 + 0.035]);
    near(&predict(&model, &x, [4, 1]), &x.map(|x| (x - 0.03) / 1.026f64.sqrt()));
}

#[test]
fn a_frozen_batch_normalisation_uses_what_it_has_learnt() {
    let mut model = model([1], BatchNormalization::new());
    set(&mut model, "layer/moving_mean", &[2.0]);
    set(&mut model, "layer/moving_variance", &[4.0]);
    model.set_trainable("layer", false).unwrap();
    let x = [1.0, 2.0, 3.0, 6.0];
    let training = Run::training(Key::new(1));
    let y = run(&model, &x, [4, 1], &training).to_f64_vec().unwrap();
    near(&y, &x.map(|x| (x - 2.0) / 4.001f64.sqrt()));
    model.apply_updates(&training).unwrap();
    near(&model.weight("layer/moving_mean").unwrap().to_f64_vec().unwrap(), &[2.0]);
}

#[test]
fn batch_normalisation_inside_a_nested_model_updates_the_outer_one() {
    let device = reference::device();
    let options = BuildOptions { dtype: DType::F64, ..BuildOptions::on(&device) };
    let inner = Sequential::new([1]).named("inner").add(BatchNormalization::new()).build_on(&options).unwrap();
    let mut outer = Sequential::new([1]).add(Dense::new(1)).add(inner).build_on(&options).unwrap();
    set(&mut outer, "dense/kernel", &[1.0]);
    let training = Run::training(Key::new(1));
    run(&outer, &[1.0, 2.0, 3.0, 6.0], [4, 1], &training);
    outer.apply_updates(&training).unwrap();
    near(&outer.weight("inner/batch_normalization/moving_mean").unwrap().to_f64_vec().unwrap(), &[0.03]);
}

#[test]
fn layer_normalisation_is_that_of_the_sample() {
    let mut model = model([4], LayerNormalization::new());
    set(&mut model, "layer/gamma", &[1.0, 2.0, 1.0, 1.0]);
    set(&mut model, "layer/beta", &[0.0, 0.0, 5.0, 0.0]);
    let norm = |x: f64| (x - 3.0) / 3.501f64.sqrt();
    let want = [norm(1.0), 2.0 * norm(2.0), norm(3.0) + 5.0, norm(6.0)];
    near(&predict(&model, &[1.0, 2.0, 3.0, 6.0], [1, 4]), &want);
}

#[test]
fn spatial_dropout_drops_whole_channels() {
    let model = model([3, 2, 8], SpatialDropout2D::new(0.5));
    let x: Vec<f64> = (0..2 * 3 * 2 * 8).map(|i| i as f64 + 1.0).collect();
    let y = run(&model, &x, [2, 3, 2, 8], &Run::training(Key::new(3))).to_f64_vec().unwrap();
    let mut dropped = 0;
    for sample in 0..2 {
        for channel in 0..8 {
            let at = |position: usize| (sample * 6 + position) * 8 + channel;
            let is_dropped = y[at(0)] == 0.0;
            dropped += usize::from(is_dropped);
            for position in 0..6 {
                let want = if is_dropped { 0.0 } else { 2.0 * x[at(position)] };
                assert_eq!(y[at(position)], want, "sample {sample}, channel {channel}");
            }
        }
    }
    assert!((3..=13).contains(&dropped), "{dropped} of 16 channels dropped at rate 0.5");
}

#[test]
fn noises_have_their_moments() {
    let n = 20_000;
    let moments = |layer: Instance| {
        let model = model([n], layer);
        let y = run(&model, &vec![2.0; n], [1, n], &Run::training(Key::new(3))).to_f64_vec().unwrap();
        let mean = y.iter().sum::<f64>() / n as f64;
        (mean, (y.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / n as f64).sqrt())
    };
    let (mean, deviation) = moments(GaussianNoise::new(0.5).into());
    assert!((mean - 2.0).abs() < 0.02 && (deviation - 0.5).abs() < 0.01, "{mean} {deviation}");
    // √(0.2 / 0.8) = 0.5, times 2.
    let (mean, deviation) = moments(GaussianDropout::new(0.2).into());
    assert!((mean - 2.0).abs() < 0.04 && (deviation - 1.0).abs() < 0.02, "{mean} {deviation}");
    let (mean, deviation) = moments(Dropout::new(0.2).into());
    assert!((mean - 2.0).abs() < 0.04 && (deviation - 1.0).abs() < 0.02, "{mean} {deviation}");
}

#[test]
fn drop_connect_drops_weights_and_not_outputs() {
    let n = 24;
    let mut model = model([n], Dense::new(n).use_bias(false).drop_connect(0.25));
    let kernel: Vec<f64> = (1..=n * n).map(|i| i as f64).collect();
    set(&mut model, "layer/kernel", &kernel);
    // Each sample picks one row of the kernel, so that the output is the kernel as the pass sees it.
    let eye: Vec<f64> = (0..n * n).map(|i| f64::from(u8::from(i / n == i % n))).collect();
    near(&predict(&model, &eye, [n, n]), &kernel);
    let step = |key: u64| run(&model, &eye, [n, n], &Run::training(Key::new(key))).to_f64_vec().unwrap();
    let seen = step(1);
    let dropped = seen.iter().filter(|w| **w == 0.0).count();
    for (seen, kernel) in seen.iter().zip(&kernel) {
        assert!(*seen == 0.0 || (seen - kernel / 0.75).abs() < 1e-9, "{seen} of {kernel}");
    }
    assert!((90..=200).contains(&dropped), "{dropped} of 576 dropped at rate 0.25");
    assert_ne!(seen, step(2));
    // All samples of a step see the same weights.
    let twice = run(&model, &eye[..n].repeat(2), [2, n], &Run::training(Key::new(1))).to_f64_vec().unwrap();
    assert_eq!(twice[..n], twice[n..]);
    assert!(Sequential::new([2]).add(Dense::new(1).drop_connect(1.0)).graph().is_err());
    assert!(Sequential::new([4, 4, 1]).add(Conv2D::new(1, 2).drop_connect(-0.1)).graph().is_err());
}

/// Values of Keras 3.15 for (i + 1)^1.5 / 10.
#[test]
fn groups_of_channels_are_normalized_as_in_keras() {
    let mut model = model([3, 4], GroupNormalization::new(2));
    set(&mut model, "layer/gamma", &[1.0, 2.0, 0.5, -1.0]);
    set(&mut model, "layer/beta", &[0.0, 0.1, 0.2, 0.3]);
    let x: Vec<f64> = (1..13).map(|i| f64::from(i).powf(1.5) / 10.0).collect();
    let want = [
        -1.204_003_3,
        -1.987_131_2,
        -0.427_496_1,
        1.346_406_5,
        -0.310_716_0,
        0.095_705_0,
        0.068_112_0,
        0.258_233_7,
        1.077_400_8,
        3.066_064_6,
        0.736_255_5,
        -1.150_898_0,
    ];
    near(&predict(&model, &x, [1, 3, 4]), &want);
}

#[test]
fn vectors_get_length_one_and_zeros_stay() {
    let model = model([2], UnitNormalization::default());
    near(&predict(&model, &[3.0, 4.0, 0.0, 0.0], [2, 2]), &[0.6, 0.8, 0.0, 0.0]);
}

#[test]
fn the_middle_is_where_keras_has_it() {
    let model = model([5, 5, 1], CenterCrop::new(2, 3));
    let x: Vec<f64> = (0..25).map(f64::from).collect();
    near(&predict(&model, &x, [1, 5, 5, 1]), &[6.0, 7.0, 8.0, 11.0, 12.0, 13.0]);
}

#[test]
fn every_step_goes_through_the_same_layer() {
    let mut model = model([2, 2], TimeDistributed::new(Dense::new(1)));
    set(&mut model, "layer/kernel", &[1.0, 10.0]);
    set(&mut model, "layer/bias", &[0.5]);
    near(&predict(&model, &[1.0, 2.0, 3.0, 4.0], [1, 2, 2]), &[21.5, 43.5]);
}

#[test]
fn activity_costs_what_keras_says_and_alpha_dropout_keeps_mean_and_variance() {
    let penalized = model([2], ActivityRegularization::new(0.5, 0.25));
    let training = Run::training(Key::new(1));
    run(&penalized, &[1.0, -2.0, 3.0, 0.0], [2, 2], &training);
    let total: f64 = training.take_losses().iter().map(|loss| loss.value().to_f64_vec().unwrap()[0]).sum();
    near(&[total], &[3.25]);
    let dropping = model([10_000], AlphaDropout::new(0.3));
    let x: Vec<f64> = (0..10_000).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
    let y = run(&dropping, &x, [1, 10_000], &Run::training(Key::new(2))).to_f64_vec().unwrap();
    let mean = y.iter().sum::<f64>() / 1e4;
    let variance = y.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 1e4;
    assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.05, "mean {mean}, variance {variance}");
}
