//! What the tape promises: used once, freed as it goes, constants cut off, shared variables summed.

use std::sync::{Arc, Mutex};
use striate_autograd::{CustomOp, Var};
use striate_tensor::{Activation, ConvSpec, Device, Error, Result, Tensor};
use striate_testkit::reference;

fn leaf(values: &[f64], device: &Device) -> Var {
    Var::leaf(Tensor::from_vec(values.to_vec(), [values.len()], device).unwrap())
}

fn gradient(gradients: &striate_autograd::Gradients, of: &Var) -> Vec<f64> {
    gradients.of(of).unwrap().to_f64_vec().unwrap()
}

#[test]
fn a_second_backward_pass_is_an_error() {
    let device = reference::device();
    let x = leaf(&[1.0, 2.0], &device);
    let loss = x.square().unwrap().sum().unwrap();
    loss.backward().unwrap();
    let error = loss.backward().unwrap_err();
    assert!(matches!(error, Error::Argument(_)), "{error}");
    assert!(error.to_string().contains("a tape can be used once"), "{error}");
}

#[test]
fn a_tape_that_shares_ops_with_a_used_one_is_used_too() {
    let device = reference::device();
    let x = leaf(&[1.0, 2.0], &device);
    let shared = x.square().unwrap();
    shared.sum().unwrap().backward().unwrap();
    assert!(shared.mean().unwrap().backward().is_err());
    // The leaf itself can be used again.
    assert_eq!(gradient(&x.sum().unwrap().backward().unwrap(), &x), [1.0, 1.0]);
}

#[test]
fn only_a_single_element_has_a_backward_pass_of_its_own() {
    let device = reference::device();
    let x = leaf(&[1.0, 2.0], &device);
    assert!(matches!(x.square().unwrap().backward(), Err(Error::Shape(_))));
    let dy = Tensor::from_vec(vec![10.0f64, 100.0], [2], &device).unwrap();
    let y = x.square().unwrap();
    assert!(matches!(y.backward_from(dy.reshape([1, 2]).unwrap()), Err(Error::Shape(_))));
    assert_eq!(gradient(&y.backward_from(dy).unwrap(), &x), [20.0, 400.0]);
}

#[test]
fn constants_and_detached_variables_have_no_gradient() {
    let device = reference::device();
    let x = leaf(&[3.0], &device);
    let c = Var::constant(Tensor::from_vec(vec![5.0f64], [1], &device).unwrap());
    assert!(!c.needs_gradient() && !(&c * &c).unwrap().needs_gradient());
    // x·c + detach(x²)·x has slope c + x².
    let y = (&(&x * &c).unwrap() + &(&x.square().unwrap().detach() * &x).unwrap()).unwrap();
    let gradients = y.sum().unwrap().backward().unwrap();
    assert_eq!(gradient(&gradients, &x), [14.0]);
    assert!(gradients.of(&c).is_none());
    let nothing = c.sum().unwrap().backward().unwrap();
    assert!(nothing.of(&x).is_none());
}

#[test]
fn a_variable_used_twice_gets_the_sum_of_its_gradients() {
    let device = reference::device();
    let x = leaf(&[2.0, -1.0], &device);
    // x² + 3x + x·e^x, each through a path of another length.
    let long = (&x * &x.exp().unwrap()).unwrap();
    let y = (&(&(&x * &x).unwrap() + &x.affine(3.0, 0.0).unwrap()).unwrap() + &long).unwrap();
    let gradients = y.sum().unwrap().backward().unwrap();
    for (x, g) in [2.0f64, -1.0].into_iter().zip(gradient(&gradients, &x)) {
        let want = 2.0 * x + 3.0 + (1.0 + x) * x.exp();
        assert!((g - want).abs() < 1e-12, "{g} instead of {want}");
    }
    // A clone is the same variable.
    let same = x.clone();
    assert_eq!(gradient(&x.sum().unwrap().backward().unwrap(), &same), [1.0, 1.0]);
}

#[test]
fn a_leaf_that_does_not_matter_has_no_gradient_and_taking_one_removes_it() {
    let device = reference::device();
    let (x, y) = (leaf(&[1.0], &device), leaf(&[2.0], &device));
    let mut gradients = x.sum().unwrap().backward().unwrap();
    assert!(gradients.of(&y).is_none());
    assert!(gradients.take(&x).is_some() && gradients.take(&x).is_none());
}

#[test]
fn softmax_and_sigmoid_remember_their_logits() {
    let device = reference::device();
    let x = leaf(&[1.0, 2.0], &device).reshape([1, 2]).unwrap();
    let values = |v: &Var| v.value().to_f64_vec().unwrap();
    assert_eq!(values(x.softmax().unwrap().logits().unwrap()), [1.0, 2.0]);
    assert_eq!(values(x.sigmoid().unwrap().logits().unwrap()), [1.0, 2.0]);
    let eye = Var::constant(Tensor::from_vec(vec![1.0f64, 0.0, 0.0, 1.0], [2, 2], &device).unwrap());
    let dense = x.matmul_with(&eye, None, Activation::Sigmoid).unwrap();
    assert_eq!(values(dense.logits().unwrap()), [1.0, 2.0]);
    assert!(x.tanh().unwrap().logits().is_none() && (&dense + 1.0).unwrap().logits().is_none());
}

/// The identity, whose backward pass notes how many bytes live.
struct Gauge {
    device: Device,
    readings: Arc<Mutex<Vec<usize>>>,
}

impl CustomOp for Gauge {
    fn name(&self) -> &'static str {
        "gauge"
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        Ok(inputs[0].clone())
    }

    fn backward(&self, _inputs: &[&Tensor], _output: &Tensor, dy: &Tensor) -> Result<Vec<Option<Tensor>>> {
        self.readings.lock().unwrap().push(self.device.memory().live);
        Ok(vec![Some(dy.clone())])
    }
}

#[test]
fn the_backward_pass_frees_what_the_ops_saved_as_it_goes() {
    let device = reference::device();
    let readings = Arc::new(Mutex::new(Vec::new()));
    let start = device.memory().live;
    let x = Var::leaf(Tensor::from_vec(vec![0.5f64; 1000], [1000], &device).unwrap());
    let one = device.memory().live - start;
    assert!(one >= 8000, "{one} bytes for 1000 elements");
    let mut y = x.clone();
    for _ in 0..5 {
        let gauge = Gauge { device: device.clone(), readings: readings.clone() };
        y = Var::custom(Arc::new(gauge), &[&y]).unwrap().tanh().unwrap();
    }
    let loss = y.sum().unwrap();
    drop(y);
    let forward = device.memory().live;
    assert!(forward >= start + 6 * one, "five outputs and the leaf are kept, {} bytes", forward - start);
    let gradients = loss.backward().unwrap();
    let readings = readings.lock().unwrap();
    assert_eq!(readings.len(), 5);
    for pair in readings.windows(2) {
        assert!(pair[1] + one <= pair[0], "each op frees what it saved: {readings:?}");
    }
    let after = device.memory().live;
    assert!(after <= start + 2 * one + 64, "the leaf, its gradient and the loss are left, {} bytes", after - start);
    drop((gradients, loss, x));
    assert_eq!(device.memory().live, start);
}

#[test]
fn dropping_a_tape_unused_frees_it() {
    let device = reference::device();
    let start = device.memory().live;
    let x = Var::leaf(Tensor::full([1, 8, 8, 2], 0.5, striate_tensor::DType::F64, &device).unwrap());
    let kernel = Var::leaf(Tensor::full([3, 3, 2, 4], 0.1, striate_tensor::DType::F64, &device).unwrap());
    let y = x.conv(&kernel, None, &ConvSpec::default(), Activation::Relu).unwrap();
    let loss = y.sum().unwrap();
    drop((x, kernel, y));
    assert!(device.memory().live > start);
    drop(loss);
    assert_eq!(device.memory().live, start);
}

#[test]
fn ops_on_constants_keep_nothing() {
    let device = reference::device();
    let x = Var::constant(Tensor::full([1000], 0.5, striate_tensor::DType::F64, &device).unwrap());
    let one = device.memory().live;
    let mut y = x.clone();
    for _ in 0..5 {
        y = y.tanh().unwrap();
    }
    assert!(device.memory().live <= 2 * one);
}

#[test]
fn an_error_in_a_custom_op_names_it() {
    let device = reference::device();
    struct Picky;
    impl CustomOp for Picky {
        fn name(&self) -> &'static str {
            "picky"
        }
        fn forward(&self, inputs: &[&Tensor]) -> Result<Tensor> {
            inputs[0].reshape([7])
        }
        fn backward(&self, _: &[&Tensor], _: &Tensor, _: &Tensor) -> Result<Vec<Option<Tensor>>> {
            Ok(vec![None])
        }
    }
    let error = Var::custom(Arc::new(Picky), &[&leaf(&[1.0], &device)]).unwrap_err();
    assert!(error.to_string().starts_with("picky: reshape: "), "{error}");
}
