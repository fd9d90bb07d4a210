//! Which element of the input each element of the output comes from.

use super::host::room;
use striate_tensor::{AlignedVec, MAX_RANK, PadGeometry, PadMode, Result, Shape};

/// The index along each axis of element `i`.
pub(super) fn unravel(i: usize, shape: &Shape) -> [usize; MAX_RANK] {
    let mut rest = i;
    let mut index = [0; MAX_RANK];
    for axis in (0..shape.rank()).rev() {
        index[axis] = rest % shape[axis];
        rest /= shape[axis];
    }
    index
}

/// The element at an index along each axis.
pub(super) fn ravel(index: &[usize; MAX_RANK], shape: &Shape) -> usize {
    (0..shape.rank()).fold(0, |i, axis| i * shape[axis] + index[axis])
}

/// The element of `x` at element `i` of the permuted `shape`.
pub(super) fn permuted(i: usize, x: &Shape, order: &[usize], shape: &Shape) -> usize {
    let to = unravel(i, shape);
    let mut from = [0; MAX_RANK];
    for (axis, &source) in order.iter().enumerate() {
        from[source] = to[axis];
    }
    ravel(&from, x)
}

/// The element of `x` at element `i` of the box `shape` that begins at `start`.
pub(super) fn cropped(i: usize, x: &Shape, start: &[usize], shape: &Shape) -> usize {
    let mut index = unravel(i, shape);
    for (index, start) in index.iter_mut().zip(start) {
        *index += start;
    }
    ravel(&index, x)
}

/// The element of `x` that element `i` of the padded `shape` repeats; none where it is the constant.
pub(super) fn padded(i: usize, x: &Shape, g: &PadGeometry, shape: &Shape) -> Option<usize> {
    let mut index = unravel(i, shape);
    for axis in 0..x.rank() {
        let (last, before) = (x[axis].wrapping_sub(1), g.pads[axis].0);
        let inside = index[axis] >= before && index[axis] - before < x[axis];
        index[axis] = match g.mode {
            _ if inside => index[axis] - before,
            PadMode::Constant(_) => return None,
            PadMode::Replicate if index[axis] < before => 0,
            PadMode::Replicate => last,
            PadMode::Reflect if index[axis] < before => before - index[axis],
            PadMode::Reflect => last - (index[axis] - before - last),
        };
    }
    Some(ravel(&index, x))
}

/// The gradient of padding: each element of `dy` is added to the element that it repeats.
pub(super) fn pad_backward(dy: &[f64], g: &PadGeometry, x: &Shape, shape: &Shape) -> Result<AlignedVec<f64>> {
    let mut dx = room(x.elements())?;
    for (i, dy) in dy.iter().enumerate() {
        if let Some(source) = padded(i, x, g, shape) {
            dx[source] += dy;
        }
    }
    Ok(dx)
}

/// The part, and its element, at element `i` of the concatenation.
pub(super) fn concatenated(i: usize, parts: &[&Shape], axis: usize, shape: &Shape) -> (usize, usize) {
    let mut index = unravel(i, shape);
    let mut part = 0;
    while index[axis] >= parts[part][axis] {
        index[axis] -= parts[part][axis];
        part += 1;
    }
    (part, ravel(&index, parts[part]))
}
