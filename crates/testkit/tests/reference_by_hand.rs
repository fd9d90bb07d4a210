//! The reference against examples small enough to be worked out by hand.

use striate_tensor::{
    Activation, BinaryOp, ConvSpec, DType, Device, Element, Key, PadMode, Padding, PoolKind, PoolSpec, ReduceOp, Shape,
    Tensor, UpdateRule,
};
use striate_testkit::reference;

fn tensor<T: Element>(values: impl IntoIterator<Item = T>, shape: impl Into<Shape>) -> Tensor {
    Tensor::from_vec(values.into_iter().collect(), shape, &reference::device()).unwrap()
}

/// One device for operands that meet.
fn on<T: Element>(device: &Device, values: impl IntoIterator<Item = T>, shape: impl Into<Shape>) -> Tensor {
    Tensor::from_vec(values.into_iter().collect(), shape, device).unwrap()
}

fn values(x: &Tensor) -> Vec<f64> {
    x.to_f64_vec().unwrap()
}

/// The lecture's vertical edge: the left half of a 6×6 image is 10, the right half 0.
#[test]
fn a_vertical_edge_is_found() {
    let device = reference::device();
    let image = on(&device, (0..36).map(|i| if i % 6 < 3 { 10.0f32 } else { 0.0 }), [1, 6, 6, 1]);
    let kernel = on(&device, [1.0f32, 0.0, -1.0].repeat(3), [3, 3, 1, 1]);
    let y = image.conv(&kernel, None, &ConvSpec::default(), Activation::Linear).unwrap();
    assert_eq!(*y.shape(), Shape::from([1, 4, 4, 1]));
    assert_eq!(y.to_vec::<f32>().unwrap(), [0.0, 30.0, 30.0, 0.0].repeat(4));

    // With padding same the zeros beyond the border make an edge of their own; the outer rows see two rows of the image.
    let same = ConvSpec { padding: Padding::Same, ..ConvSpec::default() };
    let y = values(&image.conv(&kernel, None, &same, Activation::Linear).unwrap());
    assert_eq!(y[..6], [-20.0, 0.0, 20.0, 20.0, 0.0, 0.0]);
    assert_eq!(y[6..12], [-30.0, 0.0, 30.0, 30.0, 0.0, 0.0]);

    // Stride 2 takes every second column, the bias is added, then the activation clips.
    let strided = ConvSpec { strides: [1, 2, 1], ..ConvSpec::default() };
    let bias = on(&device, [-29.0f32], [1]);
    let y = image.conv(&kernel, Some(&bias), &strided, Activation::Relu).unwrap();
    assert_eq!(values(&y), [0.0, 1.0].repeat(4));
}

#[test]
fn a_causal_convolution_sees_no_later_input() {
    let device = reference::device();
    let x = on(&device, [1.0f64, 2.0, 3.0, 4.0], [1, 4, 1]);
    let kernel = on(&device, [10.0f64, 1.0], [2, 1, 1]);
    let causal = ConvSpec { padding: Padding::Causal, dilations: [2; 3], ..ConvSpec::default() };
    let y = x.conv(&kernel, None, &causal, Activation::Linear).unwrap();
    assert_eq!(values(&y), [1.0, 2.0, 13.0, 24.0]);
}

#[test]
fn groups_keep_channels_apart() {
    let device = reference::device();
    let x = on(&device, [1.0f64, 2.0], [1, 1, 2]);
    let spec = ConvSpec { groups: 2, ..ConvSpec::default() };
    // Depthwise with two filters a channel: filters 0 and 1 see channel 0, filters 2 and 3 channel 1.
    let kernel = on(&device, [3.0f64, 5.0, 7.0, 11.0], [1, 1, 4]);
    assert_eq!(values(&x.conv(&kernel, None, &spec, Activation::Linear).unwrap()), [3.0, 5.0, 14.0, 22.0]);
}

#[test]
fn the_gradients_of_a_short_convolution() {
    let device = reference::device();
    let x = on(&device, [1.0f64, 2.0, 3.0], [1, 3, 1]);
    let kernel = on(&device, [10.0f64, 1.0], [2, 1, 1]);
    let dy = on(&device, [1.0f64, 100.0], [1, 2, 1]);
    let spec = ConvSpec::default();
    // y₀ = 10·x₀ + x₁, y₁ = 10·x₁ + x₂.
    assert_eq!(values(&dy.conv_backward_input(&kernel, x.shape(), &spec).unwrap()), [10.0, 1001.0, 100.0]);
    let (dkernel, dbias) = dy.conv_backward_kernel(&x, kernel.shape(), &spec, true).unwrap();
    assert_eq!(values(&dkernel), [201.0, 302.0]);
    assert_eq!(values(&dbias.unwrap()), [101.0]);
}

#[test]
fn pooling_two_by_two() {
    #[rustfmt::skip]
    let image = tensor([
        12.0f32, 20.0, 30.0, 0.0,
        8.0, 12.0, 2.0, 0.0,
        34.0, 70.0, 37.0, 4.0,
        112.0, 100.0, 25.0, 12.0,
    ], [1, 4, 4, 1]);
    let spec = |kind| PoolSpec { kind, window: [2; 3], strides: [2; 3], padding: Padding::Valid };
    let (y, indices) = image.pool(&spec(PoolKind::Max), true).unwrap();
    assert_eq!(values(&y), [20.0, 30.0, 112.0, 37.0]);
    let indices = indices.unwrap();
    assert_eq!(indices.to_vec::<u8>().unwrap(), [1, 0, 2, 0]);
    assert_eq!(values(&image.pool(&spec(PoolKind::Average), false).unwrap().0), [13.0, 8.0, 79.0, 19.5]);

    let dy = on(image.device(), [1.0f32, 2.0, 3.0, 4.0], [1, 2, 2, 1]);
    let dx = dy.pool_backward(image.shape(), Some(&indices), &spec(PoolKind::Max)).unwrap();
    #[rustfmt::skip]
    assert_eq!(values(&dx), [
        0.0, 1.0, 2.0, 0.0,
        0.0, 0.0, 0.0, 0.0,
        0.0, 0.0, 4.0, 0.0,
        3.0, 0.0, 0.0, 0.0,
    ]);
}

#[test]
fn the_first_of_equals_wins_and_padding_does_not_count() {
    let x = tensor([-5.0f64, -5.0, -7.0], [1, 3, 1]);
    let spec = |kind| PoolSpec { kind, window: [3; 3], strides: [1; 3], padding: Padding::Same };
    let (y, indices) = x.pool(&spec(PoolKind::Max), true).unwrap();
    assert_eq!(values(&y), [-5.0, -5.0, -5.0]);
    assert_eq!(indices.unwrap().to_vec::<u8>().unwrap(), [1, 0, 0]);
    let (y, _) = x.pool(&spec(PoolKind::Average), false).unwrap();
    assert_eq!(values(&y), [-5.0, -17.0 / 3.0, -6.0]);
}

#[test]
fn borders_of_zeros_ones_and_the_nearest_and_mirrored_element() {
    let x = tensor([1.0f32, 2.0, 3.0, 4.0], [2, 2]);
    let around = [(1, 1), (1, 1)];
    let padded = |mode| values(&x.pad(&around, mode).unwrap());
    #[rustfmt::skip]
    assert_eq!(padded(PadMode::Constant(0.0)), [
        0.0, 0.0, 0.0, 0.0,
        0.0, 1.0, 2.0, 0.0,
        0.0, 3.0, 4.0, 0.0,
        0.0, 0.0, 0.0, 0.0,
    ]);
    #[rustfmt::skip]
    assert_eq!(padded(PadMode::Constant(1.0)), [
        1.0, 1.0, 1.0, 1.0,
        1.0, 1.0, 2.0, 1.0,
        1.0, 3.0, 4.0, 1.0,
        1.0, 1.0, 1.0, 1.0,
    ]);
    #[rustfmt::skip]
    assert_eq!(padded(PadMode::Replicate), [
        1.0, 1.0, 2.0, 2.0,
        1.0, 1.0, 2.0, 2.0,
        3.0, 3.0, 4.0, 4.0,
        3.0, 3.0, 4.0, 4.0,
    ]);
    let row = tensor([1i32, 2, 3, 4], [4]);
    assert_eq!(values(&row.pad(&[(3, 2)], PadMode::Reflect).unwrap()), [4.0, 3.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 2.0]);
    let dy = tensor((1..=9).map(f64::from), [9]);
    let dx = dy.pad_backward(row.shape(), &[(3, 2)], PadMode::Reflect).unwrap();
    assert_eq!(values(&dx), [4.0, 3.0 + 5.0 + 9.0, 2.0 + 6.0 + 8.0, 1.0 + 7.0]);
}

#[test]
fn layout_moves_every_type() {
    let x = tensor([1i64, 2, 3, 4, 5, i64::MAX], [2, 3]);
    assert_eq!(x.permute(&[1, 0]).unwrap().to_vec::<i64>().unwrap(), [1, 4, 2, 5, 3, i64::MAX]);
    assert_eq!(x.crop(&[0, 1], [2, 2]).unwrap().to_vec::<i64>().unwrap(), [2, 3, 5, i64::MAX]);
    assert_eq!(x.gather(&[1, 1, 0]).unwrap().to_vec::<i64>().unwrap(), [4, 5, i64::MAX, 4, 5, i64::MAX, 1, 2, 3]);
    let both = Tensor::concat(&[&x, &x.crop(&[0, 0], [2, 1]).unwrap()], 1).unwrap();
    assert_eq!(both.to_vec::<i64>().unwrap(), [1, 2, 3, 1, 4, 5, i64::MAX, 4]);
    let second = x.rows(1..2).unwrap();
    assert_eq!(second.permute(&[1, 0]).unwrap().to_vec::<i64>().unwrap(), [4, 5, i64::MAX]);
    let bytes = tensor([-1.5f32, 2.9, 300.0], [3]).cast(DType::U8).unwrap();
    assert_eq!(bytes.to_vec::<u8>().unwrap(), [0, 2, 255]);
}

#[test]
fn reductions_and_broadcasting() {
    let device = reference::device();
    let x = on(&device, [3.0f64, 1.0, 2.0, 6.0, 6.0, 0.0], [2, 3]);
    assert_eq!(values(&x.reduce(ReduceOp::Sum, &[0], false).unwrap()), [9.0, 7.0, 2.0]);
    assert_eq!(values(&x.reduce(ReduceOp::Mean, &[1], true).unwrap()), [2.0, 4.0]);
    assert_eq!(values(&x.reduce(ReduceOp::Max, &[0, 1], false).unwrap()), [6.0]);
    assert_eq!(values(&x.reduce(ReduceOp::Min, &[1], false).unwrap()), [1.0, 0.0]);
    assert_eq!(x.argmax().unwrap().to_vec::<i32>().unwrap(), [0, 0]);
    let column = on(&device, [2.0f64, 4.0], [2, 1]);
    assert_eq!(values(&x.binary(BinaryOp::GreaterEqual, &column).unwrap()), [1.0, 0.0, 1.0, 1.0, 1.0, 0.0]);
    let empty = on::<f64>(&device, [], [0, 3]);
    assert_eq!(values(&empty.reduce(ReduceOp::Sum, &[0], false).unwrap()), [0.0; 3]);
}

#[test]
fn dropout_keeps_what_the_key_says() {
    let key = Key::new(5);
    let x = tensor(vec![3.0f64; 40], [40]);
    for (i, y) in values(&x.dropout(0.25, key).unwrap()).into_iter().enumerate() {
        assert_eq!(y, if key.word(i as u64) >= 1 << 30 { 4.0 } else { 0.0 });
    }
}

#[test]
fn momentum_is_kept_and_shared_memory_is_not_touched() {
    let device = reference::device();
    let start = on(&device, [1.0f32, 2.0], [2]);
    let (mut weight, mut slots) = (start.clone(), [on(&device, [0.0f32, 0.0], [2])]);
    let rule = UpdateRule::Sgd { learning_rate: 0.5, momentum: 0.5, nesterov: false };
    let gradient = on(&device, [2.0f32, -4.0], [2]);
    weight.update(&rule, &gradient, &mut slots).unwrap();
    assert_eq!((values(&weight), values(&slots[0])), (vec![0.0, 4.0], vec![-1.0, 2.0]));
    weight.update(&rule, &gradient, &mut slots).unwrap();
    assert_eq!((values(&weight), values(&slots[0])), (vec![-1.5, 7.0], vec![-1.5, 3.0]));
    assert_eq!(values(&start), [1.0, 2.0]);
}

#[test]
fn bytes_are_counted_while_tensors_live() {
    let device = reference::device();
    let x = on(&device, vec![0.0f32; 100], [100]);
    let y = x.affine(1.0, 1.0).unwrap();
    assert_eq!((device.memory().live, device.memory().peak), (800, 800));
    drop((x, y));
    assert_eq!((device.memory().live, device.memory().peak), (0, 800));
}
