//! An op of your own is one file: forward and backward side by side, and a check of one against the other.
//!
//! `cargo run --release --example custom_op`

use std::sync::Arc;
use striate::prelude::*;
use striate::tensor::UnaryOp;

/// x·tanh(softplus(x)). Misra 2019, "Mish", <https://arxiv.org/abs/1908.08681>.
///
/// Written with tensor methods, so it runs on every device.
struct Mish;

impl CustomOp for Mish {
    fn name(&self) -> &'static str {
        "mish"
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let x = inputs[0];
        x.mul(&x.activate(Softplus)?.activate(Tanh)?)
    }

    fn backward(&self, inputs: &[&Tensor], _output: &Tensor, dy: &Tensor) -> Result<Vec<Option<Tensor>>> {
        // With t = tanh(softplus(x)): mish′ = t + x·(1 − t²)·sigmoid(x).
        let x = inputs[0];
        let t = x.activate(Softplus)?.activate(Tanh)?;
        let slope = t.unary(UnaryOp::Square)?.affine(-1.0, 1.0)?.mul(&x.activate(Sigmoid)?)?.mul(x)?.add(&t)?;
        Ok(vec![Some(dy.mul(&slope)?)])
    }
}

fn mish(x: &Var) -> Result<Var> {
    Var::custom(Arc::new(Mish), &[x])
}

fn main() -> Result<()> {
    let device = device()?;
    let points: Vec<f32> = (-6..=6).map(|i| i as f32 / 2.0).collect();
    let x = Var::leaf(Tensor::from_vec(points.clone(), [points.len()], &device)?);
    let y = mish(&x)?;
    let gradients = y.sum()?.backward()?;
    let slopes = gradients.of(&x).map(Tensor::to_vec::<f32>).transpose()?.unwrap_or_default();

    let value = |v: f32| mish(&Var::constant(Tensor::scalar(v, &device)?))?.value().item();
    println!("     x     mish  slope  central difference");
    for ((&x, y), slope) in points.iter().zip(y.value().to_vec::<f32>()?).zip(slopes) {
        let h = 1e-2;
        let numeric = (value(x + h)? - value(x - h)?) / (2.0 * f64::from(h));
        println!("{x:6.2} {y:8.4} {slope:6.3} {numeric:8.3}");
        assert!((f64::from(slope) - numeric).abs() < 1e-3);
    }
    Ok(())
}
