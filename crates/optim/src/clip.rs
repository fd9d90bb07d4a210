//! Cutting large gradients.

use crate::settings::check;
use striate_tensor::{Result, Tensor, UnaryOp};

/// How large gradients are cut before a step.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Clip {
    /// Not at all.
    #[default]
    None,
    /// Each element to −limit..limit: Keras's `clipvalue`.
    Value(f64),
    /// Each weight's gradient to a norm of at most limit: Keras's `clipnorm`.
    Norm(f64),
    /// All gradients together to a norm of at most limit: Keras's `global_clipnorm`.
    GlobalNorm(f64),
}

impl Clip {
    /// Refuses limits that are not positive.
    ///
    /// # Errors
    /// [`striate_tensor::Error::Argument`] naming the limit.
    pub fn validate(&self) -> Result<()> {
        let (name, limit) = match *self {
            Clip::None => return Ok(()),
            Clip::Value(limit) => ("clipvalue", limit),
            Clip::Norm(limit) => ("clipnorm", limit),
            Clip::GlobalNorm(limit) => ("global_clipnorm", limit),
        };
        check(name, limit, "above 0", |limit| limit > 0.0)
    }

    /// The gradients, cut. All work stays on their device; a gradient that is not finite makes its cut one so too.
    ///
    /// # Errors
    /// What the device reports.
    pub fn apply(&self, gradients: &[Tensor]) -> Result<Vec<Tensor>> {
        match *self {
            Clip::None => Ok(gradients.to_vec()),
            Clip::Value(limit) => {
                let limit = limit as f32;
                gradients.iter().map(|g| g.unary(UnaryOp::Clip { low: -limit, high: limit })).collect()
            }
            Clip::Norm(limit) => gradients.iter().map(|g| g.mul(&scale(sum_of_squares(g)?, limit)?)).collect(),
            Clip::GlobalNorm(limit) => {
                let mut squares = gradients.iter().map(sum_of_squares);
                let Some(first) = squares.next() else { return Ok(Vec::new()) };
                let total = squares.try_fold(first?, |total, square| total.add(&square?))?;
                let scale = scale(total, limit)?;
                gradients.iter().map(|g| g.mul(&scale)).collect()
            }
        }
    }
}

fn sum_of_squares(gradient: &Tensor) -> Result<Tensor> {
    gradient.unary(UnaryOp::Square)?.sum_all()
}

/// limit / max(norm, limit), computed as 1 / max(norm / limit, 1), which is exactly 1 for a norm below the limit.
fn scale(squares: Tensor, limit: f64) -> Result<Tensor> {
    let ratio = squares.unary(UnaryOp::Sqrt)?.affine((1.0 / limit) as f32, 0.0)?;
    ratio.unary(UnaryOp::Clip { low: 1.0, high: f32::INFINITY })?.unary(UnaryOp::Reciprocal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use striate_tensor::{Device, Error};

    fn gradients(device: &Device) -> Vec<Tensor> {
        // Norms 5 and 12; 13 together.
        let tensor = |v: Vec<f32>| Tensor::from_vec(v.clone(), [v.len()], device).unwrap();
        vec![tensor(vec![3.0, -4.0]), tensor(vec![12.0])]
    }

    fn clipped(clip: Clip) -> Vec<Vec<f32>> {
        let device = striate_testkit::reference::device();
        clip.apply(&gradients(&device)).unwrap().iter().map(|g| g.to_vec().unwrap()).collect()
    }

    #[test]
    fn limits_hold_as_keras_defines_them() {
        assert_eq!(clipped(Clip::Value(3.5)), [vec![3.0, -3.5], vec![3.5]]);
        assert_eq!(clipped(Clip::Norm(10.0)), [vec![3.0, -4.0], vec![10.0]]);
        assert_eq!(clipped(Clip::GlobalNorm(26.0)), [vec![3.0, -4.0], vec![12.0]]);
        let halved = clipped(Clip::GlobalNorm(6.5)).concat();
        assert!(halved.iter().zip([1.5, -2.0, 6.0]).all(|(a, b)| (a - b).abs() < 1e-6), "{halved:?}");
    }

    #[test]
    fn zero_and_non_finite_gradients_stay_what_they_are() {
        let device = striate_testkit::reference::device();
        for clip in [Clip::Norm(1.0), Clip::GlobalNorm(1.0)] {
            let cut = |values: Vec<f32>| {
                let gradient = Tensor::from_vec(values, [2], &device).unwrap();
                clip.apply(&[gradient]).unwrap()[0].to_vec::<f32>().unwrap()
            };
            assert_eq!(cut(vec![0.0, 0.0]), [0.0, 0.0]);
            assert!(cut(vec![f32::NAN, 1.0])[0].is_nan());
            assert!(cut(vec![f32::INFINITY, 1.0])[0].is_nan());
        }
        assert!(Clip::GlobalNorm(1.0).apply(&[]).unwrap().is_empty());
    }

    #[test]
    fn limits_must_be_positive() {
        for clip in [Clip::Value(0.0), Clip::Norm(-1.0), Clip::GlobalNorm(f64::NAN)] {
            assert!(matches!(clip.validate(), Err(Error::Argument(_))), "{clip:?}");
        }
    }
}
