//! Functions of single elements, as `striate-tensor` defines them in double precision.

use super::host::room;
use super::layout::{ravel, unravel};
use striate_tensor::{AlignedVec, BinaryOp, Epilogue, Key, MAX_RANK, Result, Shape, UnaryOp};

pub(super) fn unary(op: UnaryOp, x: &[f64]) -> Result<AlignedVec<f64>> {
    let mut y = room(x.len())?;
    for (y, &x) in y.iter_mut().zip(x) {
        *y = op.apply(x);
    }
    Ok(y)
}

pub(super) fn unary_backward(op: UnaryOp, saved: &[f64], dy: &[f64]) -> Result<AlignedVec<f64>> {
    let mut dx = room(dy.len())?;
    for (dx, (dy, &saved)) in dx.iter_mut().zip(dy.iter().zip(saved)) {
        *dx = dy * op.slope(saved);
    }
    Ok(dx)
}

/// The element of an operand at index `to` of the broadcast shape: axes are aligned at the right, those of size 1 repeat.
fn broadcast(to: &[usize; MAX_RANK], rank: usize, x: &Shape) -> usize {
    let mut index = [0; MAX_RANK];
    for axis in 0..x.rank() {
        index[axis] = if x[axis] == 1 { 0 } else { to[axis + rank - x.rank()] };
    }
    ravel(&index, x)
}

pub(super) fn binary(op: BinaryOp, a: (&[f64], &Shape), b: (&[f64], &Shape), shape: &Shape) -> Result<AlignedVec<f64>> {
    let mut y = room(shape.elements())?;
    for (i, y) in y.iter_mut().enumerate() {
        let index = unravel(i, shape);
        *y = op.apply(a.0[broadcast(&index, shape.rank(), a.1)], b.0[broadcast(&index, shape.rank(), b.1)]);
    }
    Ok(y)
}

pub(super) fn dropout(x: &[f64], rate: f32, key: Key) -> Result<AlignedVec<f64>> {
    let rate = f64::from(rate);
    let threshold = (rate * (1u64 << 32) as f64).round();
    let mut y = room(x.len())?;
    for (i, (y, x)) in y.iter_mut().zip(x).enumerate() {
        *y = if f64::from(key.word(i as u64)) >= threshold { x / (1.0 - rate) } else { 0.0 };
    }
    Ok(y)
}

/// Adds the bias along the last axis, then applies the activation.
pub(super) fn finish(y: &mut [f64], bias: Option<&[f64]>, epilogue: &Epilogue<'_>) {
    for (i, y) in y.iter_mut().enumerate() {
        let bias = bias.map_or(0.0, |bias| bias[i % bias.len()]);
        *y = epilogue.activation.apply(*y + bias);
    }
}
