//! The reference against arithmetic done elsewhere, `golden/primitives.py`.

use striate_tensor::{Activation, ConvSpec, DType, Device, Padding, PoolKind, PoolSpec, Tensor, UnaryOp, UpdateRule};
use striate_testkit::golden::Golden;
use striate_testkit::reference;

const TOLERANCE: f64 = 1e-13;

fn golden() -> (Golden, Device) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/primitives.json");
    (Golden::load(path).unwrap(), reference::device())
}

fn holds(golden: &Golden, name: &str, got: &Tensor) {
    if let Err(failure) = golden.compare(name, got, TOLERANCE) {
        panic!("{failure}");
    }
}

#[test]
fn convolutions_and_their_gradients() {
    let (golden, device) = golden();
    let plain = ConvSpec::default();
    let pads = |vertical, horizontal| Padding::Explicit([vertical, horizontal, (0, 0)]);
    let cases = [
        ("conv_plain", plain),
        ("conv_same_strided", ConvSpec { strides: [2; 3], padding: Padding::Same, ..plain }),
        ("conv_dilated_grouped", ConvSpec { dilations: [2; 3], padding: pads((1, 2), (0, 3)), groups: 2, ..plain }),
        ("conv_depthwise", ConvSpec { padding: pads((1, 0), (1, 1)), groups: 3, ..plain }),
    ];
    for (name, spec) in cases {
        let of = |part: &str| golden.tensor(&format!("{name}/{part}"), DType::F64, &device).unwrap();
        let (x, kernel, bias, dy) = (of("x"), of("kernel"), of("bias"), of("dy"));
        let y = x.conv(&kernel, Some(&bias), &spec, Activation::Linear).unwrap();
        holds(&golden, &format!("{name}/y"), &y);
        holds(&golden, &format!("{name}/dx"), &dy.conv_backward_input(&kernel, x.shape(), &spec).unwrap());
        let (dkernel, dbias) = dy.conv_backward_kernel(&x, kernel.shape(), &spec, true).unwrap();
        holds(&golden, &format!("{name}/dkernel"), &dkernel);
        holds(&golden, &format!("{name}/dbias"), &dbias.unwrap());
    }
}

#[test]
fn pooling_and_its_gradients() {
    let (golden, device) = golden();
    let of = |part: &str| golden.tensor(&format!("pool/{part}"), DType::F64, &device).unwrap();
    let (x, dy) = (of("x"), of("dy"));
    for (name, kind) in [("max", PoolKind::Max), ("average", PoolKind::Average)] {
        let spec = PoolSpec { kind, window: [3; 3], strides: [2; 3], padding: Padding::Same };
        let (y, indices) = x.pool(&spec, true).unwrap();
        holds(&golden, &format!("pool/{name}/y"), &y);
        holds(&golden, &format!("pool/{name}/dx"), &dy.pool_backward(x.shape(), indices.as_ref(), &spec).unwrap());
    }
}

#[test]
fn softmax_and_crossentropy() {
    let (golden, device) = golden();
    let of = |part: &str| golden.tensor(&format!("softmax/{part}"), DType::F64, &device).unwrap();
    let y = of("x").softmax().unwrap();
    holds(&golden, "softmax/y", &y);
    holds(&golden, "softmax/dx", &of("dy").softmax_backward(&y).unwrap());
    let (loss, probabilities) = of("x").softmax_crossentropy(&of("targets")).unwrap();
    holds(&golden, "softmax/loss", &loss);
    holds(&golden, "softmax/y", &probabilities);
}

#[test]
fn matrix_products_of_every_transposition() {
    let (golden, device) = golden();
    let of = |part: &str| golden.tensor(&format!("matmul/{part}"), DType::F64, &device).unwrap();
    for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
        let turned = |x: Tensor, turn: bool| if turn { x.permute(&[1, 0]).unwrap() } else { x };
        let (a, b) = (turned(of("a"), ta), turned(of("b"), tb));
        holds(&golden, "matmul/c", &a.matmul_with(ta, &b, tb, None, Activation::Linear).unwrap());
    }
}

#[test]
fn activations() {
    use Activation::*;
    let (golden, device) = golden();
    let x = golden.tensor("activation/x", DType::F64, &device).unwrap();
    let named = [
        ("relu", Relu),
        ("relu6", Relu6),
        ("elu", Elu(1.0)),
        ("selu", Selu),
        ("sigmoid", Sigmoid),
        ("hard_sigmoid", HardSigmoid),
        ("tanh", Tanh),
        ("softsign", Softsign),
        ("softplus", Softplus),
        ("silu", Silu),
        ("gelu", Gelu),
        ("gelu_tanh", GeluTanh),
    ];
    for (name, activation) in named {
        holds(&golden, &format!("activation/{name}"), &x.unary(UnaryOp::Activation(activation)).unwrap());
    }
}

#[test]
fn optimizer_steps() {
    let (golden, device) = golden();
    let of = |part: &str| golden.tensor(&format!("update/{part}"), DType::F64, &device).unwrap();
    // The options are powers of two or rounded to float32 in both.
    type OfStep = fn(u64) -> UpdateRule;
    let rules: [(&str, OfStep); 3] = [
        ("sgd_nesterov", |_| UpdateRule::Sgd { learning_rate: 0.125, momentum: 0.75, nesterov: true }),
        ("rmsprop", |_| UpdateRule::RmsProp {
            learning_rate: 0.125,
            rho: 0.875,
            momentum: 0.0,
            epsilon: 1e-3,
            centered: false,
        }),
        ("adam", |step| UpdateRule::Adam { learning_rate: 0.125, beta_1: 0.75, beta_2: 0.875, epsilon: 1e-3, step }),
    ];
    for (name, rule) in rules {
        let mut weight = of("weight");
        let zeros = || Tensor::full([5], 0.0, DType::F64, &device).unwrap();
        let mut slots: Vec<Tensor> = (0..rule(1).slots()).map(|_| zeros()).collect();
        for step in 1..=3 {
            weight.update(&rule(step), &of(&format!("gradient{step}")), &mut slots).unwrap();
        }
        // ε is a float32 here and a float64 there.
        golden.compare(&format!("update/{name}"), &weight, 1e-9).unwrap();
    }
}

#[test]
fn golden_files_are_checked() {
    let (golden, device) = golden();
    assert!(golden.names().any(|name| name == "matmul/c"));
    let error = golden.array("matmul/d").unwrap_err().to_string();
    assert!(error.contains("matmul/d") && error.contains("matmul/c"), "{error}");
    let mut x = golden.tensor("matmul/c", DType::F64, &device).unwrap();
    holds(&golden, "matmul/c", &x);
    x.make_mut::<f64>().unwrap()[7] += 1e-9;
    assert!(golden.compare("matmul/c", &x, TOLERANCE).unwrap_err().contains("element 7"));
    x.make_mut::<f64>().unwrap()[7] = f64::NAN;
    assert!(golden.compare("matmul/c", &x, 1.0).is_err());
    assert!(Golden::load("no/such/file.json").is_err());
    assert!(Golden::load(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).is_err());
}
