//! Every op's gradient against central differences, in double precision on the reference device.

use std::sync::Arc;
use striate_autograd::{CustomOp, Var};
use striate_tensor::{
    Activation, BinaryOp, ConvSpec, DType, Device, Key, PadMode, Padding, PoolKind, PoolSpec, ReduceOp, Result, Shape,
    Tensor, UnaryOp,
};
use striate_testkit::gradcheck::check_var;
use striate_testkit::reference;

const ACTIVATIONS: [Activation; 17] = {
    use Activation::*;
    [
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
    ]
};

/// Different numbers in ±`reach`, evenly apart, so that maxima are clear; none near 0 or ±1.
fn spaced(shape: &[usize], reach: f64, seed: u64, device: &Device) -> Tensor {
    let shape = Shape::new(shape).unwrap();
    let n = shape.elements() as f64;
    let order = Key::new(seed).permutation(shape.elements());
    let values: Vec<f64> = order.into_iter().map(|i| reach * ((i as f64 + 0.3) * 2.0 / n - 0.999)).collect();
    Tensor::from_vec(values, shape, device).unwrap()
}

fn tensors(shapes: &[&[usize]]) -> Vec<Tensor> {
    let device = reference::device();
    shapes.iter().enumerate().map(|(i, shape)| spaced(shape, 2.0, 10 + i as u64, &device)).collect()
}

#[track_caller]
fn passes(name: impl Into<String>, inputs: &[Tensor], f: impl Fn(&[Var]) -> Result<Var>) {
    if let Err(failure) = check_var(&name.into(), inputs, f) {
        panic!("{failure}");
    }
}

#[test]
fn activations_of_every_element() {
    let device = reference::device();
    for activation in ACTIVATIONS {
        // Beyond ±6, so that the flat parts of the clipped ones are reached.
        let x = spaced(&[3, 13], 7.4, 1, &device);
        passes(format!("{activation:?}"), &[x], |x| x[0].activate(activation));
    }
}

#[test]
fn elementwise_functions() {
    let device = reference::device();
    let everywhere = [
        UnaryOp::Neg,
        UnaryOp::Abs,
        UnaryOp::Square,
        UnaryOp::Exp,
        UnaryOp::Reciprocal,
        UnaryOp::Affine { scale: -0.7, offset: 1.3 },
        UnaryOp::Clip { low: -0.5, high: 0.8 },
    ];
    for op in everywhere {
        passes(format!("{op:?}"), &[spaced(&[4, 5], 2.0, 2, &device)], |x| x[0].unary(op));
    }
    let positive = spaced(&[4, 5], 2.0, 3, &device).affine(0.5, 1.25).unwrap();
    for op in [UnaryOp::Sqrt, UnaryOp::Log] {
        passes(format!("{op:?}"), std::slice::from_ref(&positive), |x| x[0].unary(op));
    }
    let x = tensors(&[&[2, 3]]);
    passes("shorthands", &x, |x| {
        let one = (&x[0].abs()?.sqrt()? + &x[0].square()?.log()?)?;
        let two = (&x[0].exp()?.reciprocal()? + &x[0].relu()?)?;
        let three = (&x[0].tanh()? + &x[0].softplus()?)?;
        let sum = (&(&(&one + &two)? + &three)? + &x[0].sigmoid()?)?;
        &sum * &x[0].affine(0.5, -0.25)?
    });
    passes("negation and numbers", &x, |x| &(&(&(-&x[0])? * 3.0)? - 0.5)? / 4.0);
}

#[test]
fn binary_functions_with_every_kind_of_broadcasting() {
    let ops = [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Div, BinaryOp::Maximum, BinaryOp::Minimum];
    let shapes: [(&[usize], &[usize]); 6] = [
        (&[2, 3, 4], &[2, 3, 4]),
        (&[2, 3, 4], &[4]),
        (&[4], &[2, 3, 4]),
        (&[2, 1, 4], &[3, 1]),
        (&[2, 3], &[]),
        (&[1], &[5, 2]),
    ];
    let device = reference::device();
    for op in ops {
        for (a, b) in shapes {
            // No two elements of the operands are equal, and no divisor is near 0.
            let a = spaced(a, 1.7, 5, &device);
            let b = spaced(b, 2.3, 6, &device);
            passes(format!("{op:?} {a:?} {b:?}"), &[a, b], |x| x[0].binary(op, &x[1]));
        }
    }
}

#[test]
fn a_tie_of_maximum_and_minimum_goes_to_the_first_operand() {
    let device = reference::device();
    let tie = || Var::leaf(Tensor::from_vec(vec![1.5f64], [1], &device).unwrap());
    for op in [BinaryOp::Maximum, BinaryOp::Minimum] {
        let (a, b) = (tie(), tie());
        let gradients = a.binary(op, &b).unwrap().sum().unwrap().backward().unwrap();
        assert_eq!(gradients.of(&a).unwrap().to_f64_vec().unwrap(), [1.0], "{op:?}");
        assert_eq!(gradients.of(&b).unwrap().to_f64_vec().unwrap(), [0.0], "{op:?}");
    }
}

#[test]
fn comparisons_have_no_gradient() {
    let x = tensors(&[&[4], &[4]]);
    let (a, b) = (Var::leaf(x[0].clone()), Var::leaf(x[1].clone()));
    for op in [BinaryOp::Greater, BinaryOp::GreaterEqual, BinaryOp::Equal] {
        let gradients = a.binary(op, &b).unwrap().sum().unwrap().backward().unwrap();
        assert!(gradients.of(&a).is_none() && gradients.of(&b).is_none(), "{op:?}");
    }
}

#[test]
fn convolution_in_one_two_and_three_axes() {
    let plain = ConvSpec::default();
    let uneven = Padding::Explicit([(1, 2), (0, 1), (2, 0)]);
    let cases: [(&[usize], &[usize], ConvSpec); 9] = [
        (&[2, 7, 3], &[3, 3, 2], plain),
        (&[2, 8, 2], &[3, 2, 2], ConvSpec { strides: [3; 3], padding: Padding::Same, ..plain }),
        (&[1, 7, 3], &[2, 3, 2], ConvSpec { padding: Padding::Causal, dilations: [3; 3], ..plain }),
        (&[2, 5, 4, 2], &[3, 2, 2, 3], plain),
        (&[1, 6, 5, 2], &[3, 3, 2, 2], ConvSpec { strides: [2, 1, 1], padding: Padding::Same, ..plain }),
        (&[1, 6, 7, 2], &[2, 3, 2, 2], ConvSpec { dilations: [2, 3, 1], padding: uneven, ..plain }),
        (&[1, 5, 4, 4], &[2, 2, 2, 6], ConvSpec { groups: 2, strides: [2; 3], ..plain }),
        (&[2, 4, 4, 3], &[3, 3, 1, 6], ConvSpec { groups: 3, padding: Padding::Same, ..plain }),
        (&[1, 4, 3, 4, 2], &[2, 2, 3, 1, 4], ConvSpec { groups: 2, padding: uneven, strides: [1, 2, 2], ..plain }),
    ];
    for (i, (x, kernel, spec)) in cases.into_iter().enumerate() {
        let inputs = tensors(&[x, kernel, &[kernel[kernel.len() - 1]]]);
        passes(format!("conv {i}"), &inputs, |x| x[0].conv(&x[1], Some(&x[2]), &spec, Activation::Linear));
        passes(format!("conv {i} without bias"), &inputs[..2], |x| x[0].conv(&x[1], None, &spec, Activation::Tanh));
    }
}

#[test]
fn convolution_with_every_fused_activation() {
    let inputs = tensors(&[&[1, 4, 5, 2], &[2, 3, 2, 2], &[2]]);
    for activation in ACTIVATIONS {
        passes(format!("conv {activation:?}"), &inputs, |x| {
            x[0].conv(&x[1], Some(&x[2]), &ConvSpec::default(), activation)
        });
    }
}

#[test]
fn convolution_gives_only_the_gradients_that_are_needed() {
    let x = tensors(&[&[1, 4, 4, 2], &[3, 3, 2, 2], &[2]]);
    for wanted in 0..3 {
        let vars: Vec<Var> =
            (0..3).map(|i| if i == wanted { Var::leaf(x[i].clone()) } else { Var::constant(x[i].clone()) }).collect();
        let all: Vec<Var> = x.iter().cloned().map(Var::leaf).collect();
        let gradient = |vars: &[Var]| {
            let y = vars[0].conv(&vars[1], Some(&vars[2]), &ConvSpec::default(), Activation::Tanh).unwrap();
            let gradients = y.sum().unwrap().backward().unwrap();
            gradients.of(&vars[wanted]).unwrap().to_f64_vec().unwrap()
        };
        assert_eq!(gradient(&vars), gradient(&all), "input {wanted}");
    }
}

#[test]
fn transposed_convolution_in_one_two_and_three_axes() {
    let plain = ConvSpec::default();
    // (x, kernel (spatial…, channels, filters), output, spec): the output convolves to x.
    let cases = [
        (&[2, 3, 2][..], &[3, 4, 2][..], &[2, 5, 4][..], plain),
        (&[1, 3, 2], &[3, 1, 2], &[1, 8, 1], ConvSpec { strides: [2; 3], dilations: [1; 3], ..plain }),
        (&[2, 3, 4, 2], &[3, 3, 3, 2], &[2, 6, 8, 3], ConvSpec { strides: [2; 3], padding: Padding::Same, ..plain }),
        (&[1, 3, 2, 2], &[2, 3, 1, 2], &[1, 5, 6, 1], ConvSpec { dilations: [2; 3], ..plain }),
        (&[1, 2, 3, 4], &[2, 2, 2, 4], &[1, 3, 4, 4], ConvSpec { groups: 2, ..plain }),
        (&[1, 2, 2, 2, 2], &[2, 2, 2, 1, 2], &[1, 4, 3, 4, 1], ConvSpec { strides: [2, 1, 2], ..plain }),
    ];
    for (i, (x, kernel, output, spec)) in cases.into_iter().enumerate() {
        let output = Shape::new(output).unwrap();
        passes(format!("transposed conv {i}"), &tensors(&[x, kernel]), |x| x[0].conv_transpose(&x[1], &output, &spec));
    }
}

#[test]
fn matrix_products_of_every_rank() {
    let shapes: [(&[usize], &[usize]); 4] =
        [(&[3, 4], &[4, 2]), (&[2, 3, 4], &[4, 2]), (&[3, 4], &[2, 4, 2]), (&[2, 3, 4], &[2, 4, 5])];
    for (a, b) in shapes {
        let inputs = tensors(&[a, b, &[b[b.len() - 1]]]);
        passes(format!("matmul {a:?} {b:?}"), &inputs[..2], |x| x[0].matmul(&x[1]));
        for activation in ACTIVATIONS {
            passes(format!("matmul {a:?} {b:?} {activation:?}"), &inputs, |x| {
                x[0].matmul_with(&x[1], Some(&x[2]), activation)
            });
        }
    }
}

#[test]
fn pooling() {
    for kind in [PoolKind::Max, PoolKind::Average] {
        for shape in [&[2, 9, 3][..], &[2, 5, 6, 2], &[1, 4, 5, 3, 2]] {
            for (window, stride, padding) in
                [(2, 2, Padding::Valid), (3, 1, Padding::Same), (3, 2, Padding::Explicit([(1, 2); 3]))]
            {
                let spec = PoolSpec { kind, window: [window; 3], strides: [stride; 3], padding };
                passes(format!("{spec:?}"), &tensors(&[shape]), |x| x[0].pool(&spec));
            }
        }
    }
}

/// The maximum drops the gradients of values that a ReLU cut off, and the ReLU relies on it only where all gradients came
/// that way.
#[test]
fn maximum_over_a_relu() {
    let pool = PoolSpec { kind: PoolKind::Max, window: [2; 3], strides: [2; 3], padding: Padding::Valid };
    let overlapping = PoolSpec { strides: [1; 3], ..pool };
    let inputs = tensors(&[&[2, 6, 5, 2], &[3, 3, 2, 3], &[3]]);
    let conv = |x: &[Var]| x[0].conv(&x[1], Some(&x[2]), &ConvSpec::default(), Activation::Relu);
    for spec in [pool, overlapping] {
        passes("conv, relu, maximum", &inputs, |x| conv(x)?.pool(&spec));
        passes("relu, maximum", &inputs[..1], |x| x[0].relu()?.pool(&spec));
        passes("relu, used twice", &inputs, |x| {
            let y = conv(x)?;
            let total = |y: Var| y.reduce(ReduceOp::Sum, &[0, 1, 2, 3], false);
            &total(y.pool(&spec)?)? + &total(y.square()?)?
        });
        let average = PoolSpec { kind: PoolKind::Average, ..spec };
        passes("relu, both poolings", &inputs, |x| {
            let y = conv(x)?;
            &y.pool(&spec)? + &y.pool(&average)?
        });
    }
}

#[test]
fn reductions_of_every_kind_along_every_set_of_axes() {
    for op in [ReduceOp::Sum, ReduceOp::Mean, ReduceOp::Max, ReduceOp::Min] {
        for axes in [&[][..], &[0], &[1], &[2], &[0, 2], &[1, 2], &[0, 1, 2]] {
            for keep in [false, true] {
                passes(format!("{op:?} {axes:?} {keep}"), &tensors(&[&[2, 3, 4]]), |x| x[0].reduce(op, axes, keep));
            }
        }
    }
    let x = tensors(&[&[2, 3, 2, 4]]);
    passes("sum", &x, |x| x[0].sum());
    passes("mean", &x, |x| x[0].mean());
    passes("mean over space", &x, |x| x[0].mean_spatial(false));
    passes("mean over space, kept", &x, |x| x[0].mean_spatial(true));
}

#[test]
fn equal_winners_of_an_extremum_share_the_gradient() {
    let device = reference::device();
    let x = Var::leaf(Tensor::from_vec(vec![3.0f64, 1.0, 3.0, 3.0], [1, 4], &device).unwrap());
    let gradients = x.reduce(ReduceOp::Max, &[1], false).unwrap().sum().unwrap().backward().unwrap();
    let third = 1.0 / 3.0;
    assert_eq!(gradients.of(&x).unwrap().to_f64_vec().unwrap(), [third, 0.0, third, third]);
}

#[test]
fn borders_crops_and_changes_of_layout() {
    for mode in [PadMode::Constant(0.0), PadMode::Constant(1.5), PadMode::Replicate, PadMode::Reflect] {
        let pads = [(0, 0), (2, 1), (1, 2), (0, 0)];
        passes(format!("pad {mode:?}"), &tensors(&[&[2, 3, 4, 2]]), |x| x[0].pad(&pads, mode));
    }
    let x = tensors(&[&[2, 3, 4, 2]]);
    passes("crop", &x, |x| x[0].crop(&[1, 0, 1, 0], [1, 2, 3, 2]));
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [0, 3, 1, 2], [2, 0, 3, 1]] {
        passes(format!("permute {order:?}"), &x, |x| x[0].permute(&order));
    }
    passes("reshape", &x, |x| x[0].reshape([4, 12]));
    passes("flatten", &x, |x| x[0].flatten());
    for axis in 0..4 {
        passes(format!("repeat along axis {axis}"), &x, |x| x[0].repeat(axis, 3));
    }
}

#[test]
fn repeating_puts_copies_side_by_side() {
    let device = reference::device();
    let x = Var::constant(Tensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2], &device).unwrap());
    let rows = x.repeat(0, 2).unwrap();
    assert_eq!(rows.shape(), &Shape::from([4, 2]));
    assert_eq!(rows.value().to_vec::<f32>().unwrap(), [1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0]);
    let columns = x.repeat(1, 3).unwrap();
    assert_eq!(columns.shape(), &Shape::from([2, 6]));
    assert_eq!(columns.value().to_vec::<f32>().unwrap(), [1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 4.0, 4.0, 4.0]);
    assert_eq!(x.repeat(1, 0).unwrap().shape(), &Shape::from([2, 0]));
    assert!(x.repeat(2, 2).is_err());
}

#[test]
fn concatenation_along_every_axis() {
    for axis in 0..3 {
        let mut shapes = [[2, 3, 2]; 3];
        shapes[1][axis] = 1;
        shapes[2][axis] = 4;
        let inputs = tensors(&[&shapes[0], &shapes[1], &shapes[2]]);
        passes(format!("concatenate along axis {axis}"), &inputs, |x| Var::concat(&[&x[0], &x[1], &x[2]], axis));
        passes("the same part twice", &inputs[..1], |x| Var::concat(&[&x[0], &x[0]], axis));
    }
}

#[test]
fn softmax_and_its_crossentropy() {
    passes("softmax", &tensors(&[&[3, 4]]), |x| x[0].softmax());
    passes("softmax of sequences", &tensors(&[&[2, 3, 4]]), |x| x[0].softmax());
    let hard = vec![0.0, 1.0, 0.0, 1.0, 0.0, 0.0];
    let soft = vec![0.2, 0.5, 0.3, 0.1, 0.6, 0.3];
    let unnormalised = vec![0.2, 1.5, 0.3, 0.0, 0.4, 0.1];
    for (name, targets) in [("one-hot", hard), ("soft", soft), ("unnormalised", unnormalised)] {
        let targets: Vec<f64> = targets;
        let x = tensors(&[&[2, 3]]);
        let targets = Tensor::from_vec(targets, [2, 3], x[0].device()).unwrap();
        passes(format!("{name} cross-entropy"), &x, |x| x[0].softmax_crossentropy(&targets));
        let sequence = targets.reshape([1, 2, 3]).unwrap();
        passes(format!("{name} cross-entropy of sequences"), &x, |x| {
            x[0].reshape([1, 2, 3])?.softmax_crossentropy(&sequence)
        });
    }
}

#[test]
fn dropout_with_a_fixed_key() {
    for rate in [0.0, 0.3, 0.8] {
        passes(format!("dropout {rate}"), &tensors(&[&[5, 7]]), |x| x[0].dropout(rate, Key::new(4)));
    }
}

/// x³ with its slope written by hand; `lie` makes it wrong.
struct Cube {
    lie: bool,
}

impl CustomOp for Cube {
    fn name(&self) -> &'static str {
        "cube"
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        inputs[0].mul(inputs[0])?.mul(inputs[0])
    }

    fn backward(&self, inputs: &[&Tensor], _output: &Tensor, dy: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let slope = inputs[0].mul(inputs[0])?.affine(if self.lie { 2.0 } else { 3.0 }, 0.0)?;
        Ok(vec![Some(slope.mul(dy)?)])
    }
}

#[test]
fn an_op_of_your_own() {
    let cube = |lie: bool| move |x: &[Var]| Var::custom(Arc::new(Cube { lie }), &[&x[0]]);
    let x = tensors(&[&[2, 3]]);
    passes("cube", &x, cube(false));
    assert!(check_var("a wrong cube", &x, cube(true)).is_err());
}

#[test]
fn gradients_keep_the_element_type() {
    let device = reference::device();
    let x = Var::leaf(Tensor::full([2, 4, 4, 1], 0.5, DType::F32, &device).unwrap());
    let y = x.repeat(1, 2).unwrap().mean_spatial(false).unwrap();
    let gradients = (&y + 1.0).unwrap().sum().unwrap().backward().unwrap();
    assert_eq!(gradients.of(&x).unwrap().dtype(), DType::F32);
}

#[test]
fn rows_of_a_table() {
    let device = reference::device();
    let rows = Tensor::from_vec(vec![2.0f32, 0.0, 2.0, 1.0], [2, 2], &device).unwrap();
    passes("take_rows", &tensors(&[&[3, 2]]), |x| x[0].take_rows(&rows));
    let table = Var::leaf(Tensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2], &device).unwrap());
    let picked = table.take_rows(&Tensor::from_vec(vec![1.0f32, 1.0, 0.0], [3], &device).unwrap()).unwrap();
    assert_eq!(picked.value().to_vec::<f32>().unwrap(), [3.0, 4.0, 3.0, 4.0, 1.0, 2.0]);
    let gradients = picked.sum().unwrap().backward().unwrap();
    assert_eq!(gradients.of(&table).unwrap().to_vec::<f32>().unwrap(), [1.0, 1.0, 2.0, 2.0]);
    for wrong in [2.0f32, -1.0, f32::NAN, f32::INFINITY] {
        assert!(table.take_rows(&Tensor::from_vec(vec![wrong], [1], &device).unwrap()).is_err(), "{wrong}");
    }
}
