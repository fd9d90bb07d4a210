//! Softmax and the cross-entropy that is computed along with it.

use crate::backend::{Context, f32s};
use crate::kernels::{Shared, exp, ln};
use crate::simd::{Kernel, Simd};
use striate_tensor::{Result, Storage, Tensor};

const PIECE: usize = 1 << 12;

/// e^(x − max) of a row, and their sum and the maximum.
#[inline(always)]
fn exponentials<S: Simd>(x: &[f32], out: &mut [f32]) -> (f32, f32) {
    let max = x.iter().fold(f32::NEG_INFINITY, |m, &v| if v > m { v } else { m });
    out.iter_mut().zip(x).for_each(|(out, &x)| *out = exp::<S>(x - max));
    let mut lanes = [0.0; 16];
    let mut blocks = out.chunks_exact(16);
    for block in &mut blocks {
        lanes.iter_mut().zip(block).for_each(|(sum, &v)| *sum += v);
    }
    let rest: f32 = blocks.remainder().iter().sum();
    (lanes.iter().sum::<f32>() + rest, max)
}

struct Rows<'a> {
    x: &'a [f32],
    columns: usize,
    out: &'a mut [f32],
}

impl Kernel for Rows<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for (x, out) in self.x.chunks_exact(self.columns).zip(self.out.chunks_exact_mut(self.columns)) {
            let (sum, _) = exponentials::<S>(x, out);
            let factor = 1.0 / sum;
            out.iter_mut().for_each(|v| *v *= factor);
        }
    }
}

/// y·(dy − Σ dy·y), row by row.
struct RowsBackward<'a> {
    y: &'a [f32],
    dy: &'a [f32],
    columns: usize,
    out: &'a mut [f32],
}

impl Kernel for RowsBackward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let c = self.columns;
        let rows = self.y.chunks_exact(c).zip(self.dy.chunks_exact(c)).zip(self.out.chunks_exact_mut(c));
        for ((y, dy), out) in rows {
            let mut lanes = [0.0f32; 16];
            for (y, dy) in y.chunks(16).zip(dy.chunks(16)) {
                lanes.iter_mut().zip(y).zip(dy).for_each(|((sum, &y), &dy)| *sum = S::fma1(y, dy, *sum));
            }
            let dot: f32 = lanes.iter().sum();
            out.iter_mut().zip(y).zip(dy).for_each(|((out, &y), &dy)| *out = y * (dy - dot));
        }
    }
}

struct RowsLoss<'a> {
    x: &'a [f32],
    targets: &'a [f32],
    columns: usize,
    out: &'a mut [f32],
    loss: &'a mut [f32],
}

impl Kernel for RowsLoss<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let c = self.columns;
        let rows = self.x.chunks_exact(c).zip(self.targets.chunks_exact(c)).zip(self.out.chunks_exact_mut(c));
        for (((x, targets), out), loss) in rows.zip(self.loss) {
            let (sum, max) = exponentials::<S>(x, out);
            let log_sum = ln::<S>(sum);
            let mut lanes = [0.0; 16];
            for (x, targets) in x.chunks(16).zip(targets.chunks(16)) {
                for ((sum, &x), &target) in lanes.iter_mut().zip(x).zip(targets) {
                    // A target of zero adds nothing, even where the logarithm is −∞.
                    *sum += if target == 0.0 { 0.0 } else { target * (log_sum - (x - max)) };
                }
            }
            *loss = lanes.iter().sum();
            let factor = 1.0 / sum;
            out.iter_mut().for_each(|v| *v *= factor);
        }
    }
}

pub(crate) fn softmax(cx: &Context, x: &Tensor) -> Result<Storage> {
    let (data, columns) = (f32s("softmax", x)?, x.shape().channels());
    let mut out = cx.memory.take::<f32>(data.len())?;
    let piece = (PIECE / columns).max(1) * columns;
    cx.threads.pieces(&mut out, piece, 64 * data.len() as u64, |i, out| {
        cx.level.run(Rows { x: &data[i * piece..i * piece + out.len()], columns, out });
    });
    Ok(out.into_storage())
}

pub(crate) fn softmax_backward(cx: &Context, y: &Tensor, dy: &Tensor) -> Result<Storage> {
    let (columns, y, dy) = (y.shape().channels(), f32s("softmax gradient", y)?, f32s("softmax gradient", dy)?);
    let mut out = cx.memory.take::<f32>(y.len())?;
    let piece = (PIECE / columns).max(1) * columns;
    cx.threads.pieces(&mut out, piece, 16 * y.len() as u64, |i, out| {
        let range = i * piece..i * piece + out.len();
        cx.level.run(RowsBackward { y: &y[range.clone()], dy: &dy[range], columns, out });
    });
    Ok(out.into_storage())
}

pub(crate) fn softmax_crossentropy(cx: &Context, logits: &Tensor, targets: &Tensor) -> Result<(Storage, Storage)> {
    let op = "categorical cross-entropy";
    let (columns, x, targets) = (logits.shape().channels(), f32s(op, logits)?, f32s(op, targets)?);
    let mut loss = cx.memory.take::<f32>(x.len() / columns)?;
    let mut out = cx.memory.take::<f32>(x.len())?;
    let rows = (PIECE / columns).max(1);
    let shared = Shared::new(&mut out);
    cx.threads.pieces(&mut loss, rows, 64 * x.len() as u64, |i, loss| {
        let (start, len) = (i * rows * columns, loss.len() * columns);
        // SAFETY: each task has rows of its own.
        let out = unsafe { shared.slice(start, len) };
        let range = start..start + len;
        cx.level.run(RowsLoss { x: &x[range.clone()], targets: &targets[range], columns, out, loss });
    });
    Ok((loss.into_storage(), out.into_storage()))
}
