//! Sums, means and extremes along axes.

use super::host::room;
use super::layout::{ravel, unravel};
use striate_tensor::{AlignedVec, Error, MAX_RANK, ReduceOp, Result, Shape};

pub(super) fn reduce(op: ReduceOp, x: &[f64], shape: &Shape, reduced: &[bool; MAX_RANK]) -> Result<AlignedVec<f64>> {
    let mut kept = shape.to_vec();
    let mut count = 1;
    for axis in 0..shape.rank() {
        if reduced[axis] {
            count *= shape[axis];
            kept[axis] = 1;
        }
    }
    let kept = Shape::new(&kept)?;
    let mut y = room(kept.elements())?;
    y.fill(match op {
        ReduceOp::Sum | ReduceOp::Mean => 0.0,
        ReduceOp::Max => f64::NEG_INFINITY,
        ReduceOp::Min => f64::INFINITY,
        other => {
            return Err(Error::argument("reference", "the reduction must be a known one", format!("{other:?}"), ""));
        }
    });
    for (i, &x) in x.iter().enumerate() {
        let mut index = unravel(i, shape);
        for axis in 0..shape.rank() {
            if reduced[axis] {
                index[axis] = 0;
            }
        }
        let y = &mut y[ravel(&index, &kept)];
        *y = match op {
            ReduceOp::Max => y.max(x),
            ReduceOp::Min => y.min(x),
            _ => *y + x,
        };
    }
    if op == ReduceOp::Mean {
        y.iter_mut().for_each(|y| *y /= count as f64);
    }
    Ok(y)
}

pub(super) fn argmax(x: &[f64], last: usize) -> Result<AlignedVec<f64>> {
    let mut y = room(x.len() / last)?;
    for (y, row) in y.iter_mut().zip(x.chunks(last)) {
        let mut best = 0;
        for (i, &x) in row.iter().enumerate() {
            if x > row[best] {
                best = i;
            }
        }
        *y = best as f64;
    }
    Ok(y)
}
