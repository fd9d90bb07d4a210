//! Every size around the register tile: small enough to run under valgrind's memcheck as well (`cargo xtask memcheck`).
//!
//! Buffers are made exactly as long as they must be, so that a read or write past the end is seen.

use striate_cpu::{CpuBackend, CpuOptions, Isa};
use striate_tensor::{
    Activation, BinaryOp, ConvAlgorithm, ConvSpec, Device, Key, Padding, PoolKind, PoolSpec, ReduceOp, Shape, Tensor,
    UnaryOp,
};

fn devices() -> Vec<(Isa, Device)> {
    Isa::available()
        .into_iter()
        .map(|isa| {
            let options = CpuOptions { threads: Some(1), isa: Some(isa), ..CpuOptions::default() };
            (isa, Device::new(CpuBackend::new(options).unwrap()))
        })
        .collect()
}

fn random(shape: &[usize], seed: u64, device: &Device) -> Tensor {
    let shape = Shape::new(shape).unwrap();
    let mut stream = Key::new(seed).stream();
    let mut values = Vec::with_capacity(shape.elements());
    values.extend((0..shape.elements()).map(|_| stream.uniform_in(-1.0, 1.0) as f32));
    Tensor::from_vec(values, shape, device).unwrap()
}

fn close(what: &str, found: &Tensor, wanted: &Tensor, bound: f64) {
    let (a, b) = (found.to_f64_vec().unwrap(), wanted.to_f64_vec().unwrap());
    for (i, (a, b)) in a.iter().zip(&b).enumerate() {
        assert!((a - b).abs() <= bound, "{what}, element {i}: {a} instead of {b}");
    }
}

/// Runs `work` on every instruction set and holds each result to the reference's.
fn hold(what: &str, bound: f64, work: impl Fn(&Device) -> Vec<Tensor>) {
    let wanted = work(&striate_testkit::reference::device());
    for (isa, device) in devices() {
        for (found, wanted) in work(&device).iter().zip(&wanted) {
            close(&format!("{isa} {what}"), found, wanted, bound);
        }
    }
}

#[test]
fn convolutions_of_every_small_size() {
    let mut draw = Key::new(11).stream();
    let mut draw = |low: u64, high: u64| (low + draw.below(high - low + 1)) as usize;
    for size in 1..=40 {
        let (h, w) = if size % 2 == 0 { (size, draw(1, 6)) } else { (draw(1, 6), size) };
        let (c, k, n) = (draw(1, 70), draw(1, 40), draw(1, 2));
        for algorithm in [ConvAlgorithm::Direct, ConvAlgorithm::Winograd] {
            let spec = ConvSpec { padding: Padding::Same, algorithm, ..ConvSpec::default() };
            hold(&format!("{algorithm:?} {n}x{h}x{w}x{c} to {k}"), 2e-3, |device| {
                let (x, kernel) = (random(&[n, h, w, c], 1, device), random(&[3, 3, c, k], 2, device));
                let y = x.conv(&kernel, Some(&random(&[k], 3, device)), &spec, Activation::Relu).unwrap();
                let dy = random(y.shape(), 4, device);
                let dx = dy.conv_backward_input(&kernel, x.shape(), &spec).unwrap();
                let (dw, db) = dy.conv_backward_kernel(&x, kernel.shape(), &spec, true).unwrap();
                vec![y, dx, dw, db.unwrap()]
            });
        }
    }
}

#[test]
fn strided_dilated_grouped_and_depthwise_convolutions() {
    for (groups, c, k) in [(1, 5, 9), (2, 6, 10), (3, 9, 3), (7, 7, 7), (13, 13, 13), (20, 20, 40)] {
        for (stride, dilation) in [(1, 1), (2, 1), (1, 2), (3, 1)] {
            let spec = ConvSpec {
                strides: [stride; 3],
                dilations: [dilation; 3],
                padding: Padding::Same,
                groups,
                ..ConvSpec::default()
            };
            hold(&format!("groups {groups}, {c} to {k}, stride {stride}, dilation {dilation}"), 1e-3, |device| {
                let (x, kernel) = (random(&[2, 7, 9, c], 1, device), random(&[3, 2, c / groups, k], 2, device));
                let y = x.conv(&kernel, None, &spec, Activation::Tanh).unwrap();
                let dy = random(y.shape(), 4, device);
                let dx = dy.conv_backward_input(&kernel, x.shape(), &spec).unwrap();
                let (dw, _) = dy.conv_backward_kernel(&x, kernel.shape(), &spec, false).unwrap();
                vec![y, dx, dw]
            });
        }
    }
}

#[test]
fn depthwise_windows_of_every_small_size() {
    let mut draw = Key::new(12).stream();
    let mut draw = |low: u64, high: u64| (low + draw.below(high - low + 1)) as usize;
    let windows = [[3, 3], [3, 3], [5, 5], [7, 7], [1, 3], [2, 5], [4, 7], [5, 3]];
    for size in 1..=40 {
        let (h, w) = if size % 2 == 0 { (size, draw(1, 20)) } else { (draw(1, 20), size) };
        let (c, n, kernel) = (draw(2, 70), draw(1, 3), windows[size % windows.len()]);
        for stride in [1, 2] {
            for padding in [Padding::Same, Padding::Valid] {
                if padding == Padding::Valid && (h < kernel[0] || w < kernel[1]) {
                    continue;
                }
                let spec = ConvSpec { strides: [stride; 3], padding, groups: c, ..ConvSpec::default() };
                hold(&format!("{n}x{h}x{w}x{c}, {kernel:?} windows, stride {stride}, {padding:?}"), 1e-3, |device| {
                    let (x, kernel) =
                        (random(&[n, h, w, c], 1, device), random(&[kernel[0], kernel[1], 1, c], 2, device));
                    let y = x.conv(&kernel, Some(&random(&[c], 3, device)), &spec, Activation::Relu).unwrap();
                    let dy = random(y.shape(), 4, device);
                    let dx = dy.conv_backward_input(&kernel, x.shape(), &spec).unwrap();
                    let (dw, db) = dy.conv_backward_kernel(&x, kernel.shape(), &spec, true).unwrap();
                    vec![y, dx, dw, db.unwrap()]
                });
            }
        }
    }
    // One and three axes, and more padding than the window is wide.
    for (x, kernel) in [(vec![2, 19, 20], vec![3, 1, 20]), (vec![1, 4, 9, 11, 18], vec![1, 3, 3, 1, 18])] {
        for (before, after) in [(0, 0), (1, 2), (4, 5)] {
            let padded = |axis: usize| (axis > 0) == (x.len() > 3);
            let padding = Padding::Explicit([0, 1, 2].map(|axis| if padded(axis) { (before, after) } else { (0, 0) }));
            let spec = ConvSpec { padding, groups: *x.last().unwrap(), ..ConvSpec::default() };
            hold(&format!("{x:?} by {kernel:?}, {padding:?}"), 1e-3, |device| {
                let (x, kernel) = (random(&x, 1, device), random(&kernel, 2, device));
                let y = x.conv(&kernel, None, &spec, Activation::Elu(1.0)).unwrap();
                let dy = random(y.shape(), 4, device);
                let dx = dy.conv_backward_input(&kernel, x.shape(), &spec).unwrap();
                let (dw, _) = dy.conv_backward_kernel(&x, kernel.shape(), &spec, false).unwrap();
                vec![y, dx, dw]
            });
        }
    }
}

#[test]
fn products_of_every_small_size() {
    for m in 1..=14 {
        for (k, n) in [(1, 1), (3, 15), (8, 16), (5, 17), (16, 33), (7, 64)] {
            hold(&format!("{m}x{k} times {k}x{n}"), 1e-4, |device| {
                let plain = Activation::Linear;
                let (a, b) = (random(&[m, k], 1, device), random(&[k, n], 2, device));
                let (at, bt) = (a.permute(&[1, 0]).unwrap(), b.permute(&[1, 0]).unwrap());
                let bias = random(&[n], 3, device);
                vec![
                    a.matmul_with(false, &b, false, Some(&bias), Activation::Sigmoid).unwrap(),
                    at.matmul_with(true, &b, false, None, plain).unwrap(),
                    a.matmul_with(false, &bt, true, None, plain).unwrap(),
                    at.matmul_with(true, &bt, true, None, plain).unwrap(),
                ]
            });
        }
    }
}

#[test]
fn pooling_and_passes_over_every_small_length() {
    for n in (1..=40).chain([63, 64, 65, 127]) {
        hold(&format!("length {n}"), 1e-4, |device| {
            let (a, b) = (random(&[n], 1, device), random(&[n], 2, device));
            let softmax = a.softmax().unwrap();
            vec![
                a.unary(UnaryOp::Exp).unwrap(),
                a.activate(Activation::Gelu).unwrap(),
                a.unary_backward(UnaryOp::Activation(Activation::Relu), &b).unwrap(),
                a.binary(BinaryOp::Maximum, &b).unwrap(),
                a.reduce(ReduceOp::Sum, &[0], false).unwrap(),
                a.dropout(0.3, Key::new(4)).unwrap(),
                b.softmax_backward(&softmax).unwrap(),
                softmax,
            ]
        });
    }
    for c in [1, 2, 7, 8, 9, 16, 33] {
        for (window, stride) in [(2, 2), (3, 2), (3, 1)] {
            for kind in [PoolKind::Max, PoolKind::Average] {
                let spec = PoolSpec { kind, window: [window; 3], strides: [stride; 3], padding: Padding::Same };
                hold(&format!("{kind:?} {window} stride {stride}, {c} channels"), 1e-5, |device| {
                    let x = random(&[2, 5, 7, c], 1, device);
                    let (y, indices) = x.pool(&spec, true).unwrap();
                    let dx = random(y.shape(), 2, device).pool_backward(x.shape(), indices.as_ref(), &spec).unwrap();
                    vec![y, dx]
                });
            }
        }
    }
}
