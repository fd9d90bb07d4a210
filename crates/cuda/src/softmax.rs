//! Softmax and the cross-entropy on top of it.

use crate::context::{Context, Grid, f32s, stored};
use striate_tensor::{DType, Result, Storage, Tensor};

const FILE: &str = "softmax";

#[repr(C)]
#[derive(Clone, Copy)]
struct Softmax {
    x: u64,
    t: u64,
    y: u64,
    loss: u64,
    rows: i64,
    n: i64,
}

/// Runs a kernel over the rows of `like`.
///
/// # Safety
/// x, t (where the kernel reads it) and y must have the elements of `like`, and loss, where written, one for each row.
unsafe fn run(cx: &Context, kernel: &'static str, like: &Tensor, [x, t, y, loss]: [u64; 4]) -> Result<()> {
    let n = like.shape().channels();
    let rows = like.elements() / n.max(1);
    if rows == 0 {
        return Ok(());
    }
    let arguments = Softmax { x, t, y, loss, rows: rows as i64, n: n as i64 };
    // SAFETY: Softmax is the kernels' struct; the rest is the caller's promise.
    unsafe { cx.launch(FILE, kernel, Grid::rows(rows), &arguments) }
}

pub(crate) fn softmax(cx: &Context, x: &Tensor) -> Result<Storage> {
    let from = f32s("softmax", x)?;
    let y = cx.take(x.elements(), DType::F32)?;
    // SAFETY: y has x's elements.
    unsafe { run(cx, "softmax", x, [from, 0, y.address(), 0])? };
    stored(y)
}

pub(crate) fn softmax_backward(cx: &Context, y: &Tensor, dy: &Tensor) -> Result<Storage> {
    let (of_y, of_dy) = (f32s("softmax gradient", y)?, f32s("softmax gradient", dy)?);
    let dx = cx.take(y.elements(), DType::F32)?;
    // SAFETY: all have y's elements, as the tensor's method checked.
    unsafe { run(cx, "softmax_backward", y, [of_y, of_dy, dx.address(), 0])? };
    stored(dx)
}

pub(crate) fn softmax_crossentropy(cx: &Context, logits: &Tensor, targets: &Tensor) -> Result<(Storage, Storage)> {
    let op = "categorical cross-entropy";
    let (x, t) = (f32s(op, logits)?, f32s(op, targets)?);
    let y = cx.take(logits.elements(), DType::F32)?;
    let loss = cx.take(logits.elements() / logits.shape().channels().max(1), DType::F32)?;
    // SAFETY: targets and y have the logits' elements, loss one for each row.
    unsafe { run(cx, "softmax_crossentropy", logits, [x, t, y.address(), loss.address()])? };
    Ok((stored(loss)?, stored(y)?))
}
