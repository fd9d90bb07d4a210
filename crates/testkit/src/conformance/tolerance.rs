//! How far a result may be from the reference: every bound of the suite is made here.

use striate_tensor::{Activation, DType, UnaryOp};

/// Of a sum, relative to 1 + the sum of its summands' magnitudes. About 80 roundings of float32: room for any order of summation
/// and for Winograd's transforms, none for a forgotten summand.
fn of_sums(dtype: DType) -> f64 {
    if dtype == DType::F64 { 1e-12 } else { 1e-5 }
}

/// Of a function of single elements, relative to the result. About 16 roundings of float32.
fn of_functions(dtype: DType) -> f64 {
    if dtype == DType::F64 { 1e-12 } else { 2e-6 }
}

/// What a sum may be off by, where `magnitude` is the sum of its summands' magnitudes.
pub(super) fn sum(dtype: DType, magnitude: f64) -> f64 {
    of_sums(dtype) * (1.0 + magnitude)
}

/// As [`sum`], for sums that are themselves small, such as probabilities.
pub(super) fn small_sum(dtype: DType, magnitude: f64) -> f64 {
    of_sums(dtype) * (0.01 + magnitude)
}

/// What an elementwise result may be off by: relative where rounding allows that.
pub(super) fn function(op: UnaryOp, dtype: DType, x: f64, y: f64) -> f64 {
    // Below the smallest normal number a device may flush to zero.
    of_functions(dtype) * (y.abs() + floor(op, x)) + f64::from(f32::MIN_POSITIVE)
}

/// What dy · slope may be off by.
pub(super) fn slope(op: UnaryOp, dtype: DType, x: f64, slope: f64, dy: f64) -> f64 {
    // A slope below the smallest normal number may count as zero too.
    let flushed = f64::from(f32::MIN_POSITIVE) * (1.0 + dy.abs());
    of_functions(dtype) * dy.abs() * (slope.abs() + 2.0 * floor(op, x)) + flushed
}

/// What one arithmetic operation may be off by.
pub(super) fn arithmetic(dtype: DType, y: f64) -> f64 {
    of_functions(dtype) * y.abs() + f64::from(f32::MIN_POSITIVE)
}

/// What the activation of a sum may be off by: the sum's own bound carried through the activation, and the activation's.
pub(super) fn activated(activation: Activation, dtype: DType, sum: f64, magnitude: f64) -> f64 {
    let (y, off) = (activation.apply(sum), self::sum(dtype, magnitude));
    let carried = (activation.apply(sum + off) - y).abs().max((activation.apply(sum - off) - y).abs());
    carried + function(UnaryOp::Activation(activation), dtype, sum, y)
}

/// What a weight may be off by after steps that moved it by `moved` in all, with gradients that sum to `gradients` in
/// magnitude.
pub(super) fn weight(dtype: DType, weight: f64, moved: f64, learning_rate: f64, gradients: f64) -> f64 {
    of_functions(dtype) * weight.abs() + 2.0 * of_sums(dtype) * (moved + learning_rate * (1.0 + gradients))
}

/// What an optimizer's slot may be off by; a momentum is a sum of steps, which moved the weight by `moved` in all.
pub(super) fn slot(dtype: DType, slot: f64, moved: f64) -> f64 {
    of_functions(dtype) * (0.1 + slot.abs() + moved)
}

/// An absolute error, in units of the relative one, for functions in which close numbers are subtracted.
fn floor(op: UnaryOp, x: f64) -> f64 {
    use Activation::*;
    match op {
        UnaryOp::Neg | UnaryOp::Abs | UnaryOp::Square | UnaryOp::Sqrt | UnaryOp::Reciprocal | UnaryOp::Exp => 0.0,
        UnaryOp::Clip { .. } => 0.0,
        UnaryOp::Affine { scale, offset } => (x * f64::from(scale)).abs() + f64::from(offset).abs(),
        UnaryOp::Activation(Linear | Relu | Relu6 | LeakyRelu(_) | Exponential) => 0.0,
        _ => 0.1 + 0.1 * x.abs().min(20.0),
    }
}
