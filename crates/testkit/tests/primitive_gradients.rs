//! Every primitive that is the gradient of another one, against central differences.

use striate_autograd::Var;
use striate_tensor::{
    Activation, BinaryOp, ConvSpec, DType, Device, Key, PadMode, Padding, PoolKind, PoolSpec, ReduceOp, Result, Shape,
    Tensor, UnaryOp,
};
use striate_testkit::gradcheck::{check, check_var};
use striate_testkit::reference;

/// Different numbers between −2 and 2, no two closer than 4 / elements, so that maxima are clear; none near 0 or ±1.
fn distinct(shape: impl Into<Shape>, seed: u64, device: &Device) -> Tensor {
    let shape = shape.into();
    let n = shape.elements();
    let values: Vec<f64> =
        Key::new(seed).permutation(n).into_iter().map(|i| -2.0 + (i as f64 + 0.3) * 4.0 / n as f64 + 1e-3).collect();
    Tensor::from_vec(values, shape, device).unwrap()
}

#[track_caller]
fn passes(outcome: Result<(), String>) {
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn convolution() {
    let device = reference::device();
    let plain = ConvSpec::default();
    let uneven = Padding::Explicit([(1, 2), (0, 1), (2, 0)]);
    let cases: [(&[usize], &[usize], ConvSpec); 6] = [
        (&[2, 7, 3], &[3, 3, 2], ConvSpec { padding: Padding::Causal, dilations: [2; 3], ..plain }),
        (&[2, 5, 4, 2], &[3, 2, 2, 3], plain),
        (&[1, 6, 5, 2], &[3, 3, 2, 2], ConvSpec { strides: [2, 1, 1], padding: Padding::Same, ..plain }),
        (&[1, 5, 4, 4], &[2, 2, 2, 6], ConvSpec { groups: 2, padding: uneven, ..plain }),
        (&[1, 4, 4, 3], &[3, 3, 1, 6], ConvSpec { groups: 3, padding: Padding::Same, ..plain }),
        (&[1, 4, 3, 4, 2], &[2, 2, 3, 2, 2], ConvSpec { padding: uneven, strides: [1, 2, 2], ..plain }),
    ];
    for (i, (x, kernel, spec)) in cases.into_iter().enumerate() {
        let (x, kernel) = (Shape::new(x).unwrap(), Shape::new(kernel).unwrap());
        let inputs = [distinct(x, 1, &device), distinct(kernel, 2, &device), distinct(kernel.channels(), 3, &device)];
        for activation in [Activation::Linear, Activation::Tanh] {
            passes(check(
                &format!("convolution {i} {activation:?}"),
                &inputs,
                |inputs| inputs[0].conv(&inputs[1], Some(&inputs[2]), &spec, activation),
                |inputs, dy| {
                    let y = inputs[0].conv(&inputs[1], Some(&inputs[2]), &spec, activation)?;
                    let dy = dy.unary_backward(UnaryOp::Activation(activation), &y)?;
                    let (dkernel, dbias) = dy.conv_backward_kernel(&inputs[0], &kernel, &spec, true)?;
                    let dx = dy.conv_backward_input(&inputs[1], &x, &spec)?;
                    Ok([Some(dx), Some(dkernel), dbias].into_iter().flatten().collect())
                },
            ));
        }
    }
}

#[test]
fn pooling() {
    let device = reference::device();
    for kind in [PoolKind::Max, PoolKind::Average] {
        for (i, shape) in [&[2, 9, 3][..], &[2, 5, 6, 2], &[1, 4, 5, 3, 2]].into_iter().enumerate() {
            for (window, stride, padding) in
                [(2, 2, Padding::Valid), (3, 1, Padding::Same), (3, 2, Padding::Explicit([(1, 2); 3]))]
            {
                let spec = PoolSpec { kind, window: [window; 3], strides: [stride; 3], padding };
                let x = distinct(Shape::new(shape).unwrap(), 4, &device);
                passes(check(
                    &format!("pooling {i} {spec:?}"),
                    &[x],
                    |inputs| Ok(inputs[0].pool(&spec, false)?.0),
                    |inputs, dy| {
                        let indices = inputs[0].pool(&spec, true)?.1;
                        Ok(vec![dy.pool_backward(inputs[0].shape(), indices.as_ref(), &spec)?])
                    },
                ));
            }
        }
    }
}

#[test]
fn padding() {
    let device = reference::device();
    for mode in [PadMode::Constant(0.5), PadMode::Replicate, PadMode::Reflect] {
        let pads = [(0, 0), (2, 1), (1, 2), (0, 0)];
        passes(check(
            &format!("padding {mode:?}"),
            &[distinct([2, 3, 4, 2], 5, &device)],
            |inputs| inputs[0].pad(&pads, mode),
            |inputs, dy| Ok(vec![dy.pad_backward(inputs[0].shape(), &pads, mode)?]),
        ));
    }
}

#[test]
fn elementwise_functions() {
    use Activation::*;
    let device = reference::device();
    let activations = [
        Linear,
        Relu,
        Relu6,
        LeakyRelu(0.2),
        LeakyRelu(-0.3),
        Elu(1.0),
        Elu(-0.5),
        Selu,
        Sigmoid,
        HardSigmoid,
        Tanh,
        Exponential,
        Softsign,
        Softplus,
        Silu,
        Gelu,
        GeluTanh,
    ];
    let mut ops = vec![
        UnaryOp::Neg,
        UnaryOp::Abs,
        UnaryOp::Square,
        UnaryOp::Sqrt,
        UnaryOp::Reciprocal,
        UnaryOp::Exp,
        UnaryOp::Log,
        UnaryOp::Affine { scale: -1.5, offset: 0.25 },
        UnaryOp::Clip { low: -0.5, high: 0.75 },
    ];
    ops.extend(activations.map(UnaryOp::Activation));
    for op in ops {
        // From −8 to 8, so that every piece of every function is met.
        let mut x = distinct([23], 6, &device).affine(4.0, 0.0).unwrap();
        if matches!(op, UnaryOp::Sqrt | UnaryOp::Log | UnaryOp::Reciprocal) {
            x = x.unary(UnaryOp::Abs).unwrap();
        }
        passes(check(
            &format!("{op:?}"),
            &[x],
            |inputs| inputs[0].unary(op),
            |inputs, dy| {
                let saved = if op.slope_from_output() { inputs[0].unary(op)? } else { inputs[0].clone() };
                Ok(vec![dy.unary_backward(op, &saved)?])
            },
        ));
    }
}

#[test]
fn broadcasting_is_undone_by_sums() {
    let device = reference::device();
    let inputs = [distinct([2, 3, 4], 7, &device), distinct([3, 1], 8, &device)];
    passes(check(
        "product with broadcasting",
        &inputs,
        |inputs| inputs[0].binary(BinaryOp::Mul, &inputs[1]),
        |inputs, dy| Ok(vec![dy.mul(&inputs[1])?, dy.mul(&inputs[0])?.sum_to(inputs[1].shape())?]),
    ));
}

#[test]
fn matrix_product_with_bias() {
    let device = reference::device();
    let inputs = [distinct([2, 3, 4], 9, &device), distinct([5, 4], 10, &device), distinct([5], 11, &device)];
    passes(check(
        "matrix product",
        &inputs,
        |inputs| inputs[0].matmul_with(false, &inputs[1], true, Some(&inputs[2]), Activation::Linear),
        |inputs, dy| {
            let db = dy.matmul_with(true, &inputs[0], false, None, Activation::Linear)?;
            Ok(vec![
                dy.matmul(&inputs[1])?,
                db.reduce(ReduceOp::Sum, &[0], false)?,
                dy.reduce(ReduceOp::Sum, &[0, 1], false)?,
            ])
        },
    ));
}

#[test]
fn softmax_and_crossentropy() {
    let device = reference::device();
    let x = distinct([3, 5], 12, &device);
    passes(check(
        "softmax",
        std::slice::from_ref(&x),
        |inputs| inputs[0].softmax(),
        |inputs, dy| Ok(vec![dy.softmax_backward(&inputs[0].softmax()?)?]),
    ));
    let targets = distinct([3, 5], 13, &device).softmax().unwrap();
    passes(check(
        "cross-entropy",
        &[x],
        |inputs| Ok(inputs[0].softmax_crossentropy(&targets)?.0),
        // Targets that sum to 1: softmax − targets.
        |inputs, dy| {
            let difference = inputs[0].softmax_crossentropy(&targets)?.1.sub(&targets)?;
            Ok(vec![difference.mul(&dy.reshape([3, 1])?)?])
        },
    ));
}

#[test]
fn dropout_passes_gradients_where_it_passed_values() {
    let device = reference::device();
    let key = Key::new(14);
    passes(check(
        "dropout",
        &[distinct([40], 15, &device)],
        |inputs| inputs[0].dropout(0.4, key),
        |_, dy| Ok(vec![dy.dropout(0.4, key)?]),
    ));
}

#[test]
fn a_wrong_gradient_is_reported_with_its_place() {
    let device = reference::device();
    let inputs = [distinct([3], 16, &device), distinct([4], 17, &device)];
    let forward = |inputs: &[Tensor]| Tensor::concat(&[&inputs[0], &inputs[1]], 0);
    let right = |_: &[Tensor], dy: &Tensor| Ok(vec![dy.rows(0..3)?, dy.rows(3..7)?]);
    passes(check("concat", &inputs, forward, right));
    let wrong = |inputs: &[Tensor], dy: &Tensor| {
        let mut gradients = right(inputs, dy)?;
        gradients[1].make_mut::<f64>()?[2] *= 1.0 + 1e-5;
        Ok(gradients)
    };
    let failure = check("concat", &inputs, forward, wrong).unwrap_err();
    assert!(failure.contains("input 1 (4,) at element 2"), "{failure}");
    let nan = |inputs: &[Tensor], dy: &Tensor| {
        let mut gradients = right(inputs, dy)?;
        gradients[0].make_mut::<f64>()?[0] = f64::NAN;
        Ok(gradients)
    };
    assert!(check("concat", &inputs, forward, nan).is_err());
    let short = |inputs: &[Tensor], dy: &Tensor| Ok(right(inputs, dy)?[..1].to_vec());
    assert!(check("concat", &inputs, forward, short).is_err());
    let single = [inputs[0].cast(DType::F32).unwrap(), inputs[1].cast(DType::F32).unwrap()];
    assert!(check("concat", &single, forward, right).unwrap_err().contains("float64"));
}

#[test]
fn the_tape_is_checked_and_a_cut_in_it_is_found() {
    let device = reference::device();
    let inputs = [distinct([1, 5, 2], 18, &device), distinct([3, 2, 2], 19, &device)];
    let spec = ConvSpec { padding: Padding::Same, ..ConvSpec::default() };
    passes(check_var("layer", &inputs, |inputs| inputs[0].conv(&inputs[1], None, &spec, Activation::Gelu)));
    let cut = |inputs: &[Var]| inputs[0].conv(&inputs[1].detach(), None, &spec, Activation::Gelu);
    let failure = check_var("cut", &inputs, cut).unwrap_err();
    assert!(failure.contains("input 1"), "{failure}");
}
