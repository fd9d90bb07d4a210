//! Softmax along the last axis, and the cross-entropy on top of it.

use super::host::room;
use striate_tensor::{AlignedVec, Result};

fn largest(row: &[f64]) -> f64 {
    row.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

pub(super) fn softmax(x: &[f64], last: usize) -> Result<AlignedVec<f64>> {
    let mut y = room(x.len())?;
    for (y, x) in y.chunks_mut(last).zip(x.chunks(last)) {
        let max = largest(x);
        for (y, x) in y.iter_mut().zip(x) {
            *y = (x - max).exp();
        }
        let sum: f64 = y.iter().sum();
        y.iter_mut().for_each(|y| *y /= sum);
    }
    Ok(y)
}

pub(super) fn backward(y: &[f64], dy: &[f64], last: usize) -> Result<AlignedVec<f64>> {
    let mut dx = room(y.len())?;
    for ((dx, y), dy) in dx.chunks_mut(last).zip(y.chunks(last)).zip(dy.chunks(last)) {
        let sum: f64 = y.iter().zip(dy).map(|(y, dy)| y * dy).sum();
        for (dx, (y, dy)) in dx.iter_mut().zip(y.iter().zip(dy)) {
            *dx = y * (dy - sum);
        }
    }
    Ok(dx)
}

/// −Σ target·log softmax(logits) for every row, where log softmax(x) = x − max x − ln Σ exp(x − max x). A target of zero adds
/// nothing, even where the logarithm is −∞.
pub(super) fn crossentropy(logits: &[f64], targets: &[f64], last: usize) -> Result<AlignedVec<f64>> {
    let mut loss = room(logits.len() / last)?;
    for (loss, (x, t)) in loss.iter_mut().zip(logits.chunks(last).zip(targets.chunks(last))) {
        let max = largest(x);
        let log_sum = x.iter().map(|x| (x - max).exp()).sum::<f64>().ln();
        *loss = -t.iter().zip(x).filter(|(t, _)| **t != 0.0).map(|(t, x)| t * (x - max - log_sum)).sum::<f64>();
    }
    Ok(loss)
}
