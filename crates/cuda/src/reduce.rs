//! Reductions and argmax.

use crate::context::{Context, Grid, f32s, stored};
use striate_tensor::{DType, Error, MAX_RANK, ReduceOp, Result, Shape, Storage, Tensor};

const FILE: &str = "reduce";

#[repr(C)]
#[derive(Clone, Copy)]
struct Reduce {
    x: u64,
    y: u64,
    outer: i64,
    n: i64,
    inner: i64,
    piece: i64,
    pieces: i64,
    divisor: f32,
    op: i32,
}

/// Shorter sums are one thread's work.
const SERIAL: usize = 64;
/// What a block of 128 threads adds up at once.
const BLOCK: usize = 4096;

/// The axes as runs of (size, reduced), neighbours of one kind joined, those of size 1 left out.
fn runs(shape: &Shape, reduced: &[bool; MAX_RANK]) -> Vec<(usize, bool)> {
    let mut runs: Vec<(usize, bool)> = Vec::new();
    for (axis, &size) in shape.iter().enumerate() {
        if size == 1 {
            continue;
        }
        match runs.last_mut() {
            Some(last) if last.1 == reduced[axis] => last.0 *= size,
            _ => runs.push((size, reduced[axis])),
        }
    }
    runs
}

/// How (outer, n, inner) is reduced in one pass: pieces of this many elements, by single threads or by blocks.
fn plan(n: usize, inner: usize) -> (usize, bool) {
    if n <= SERIAL {
        (n, true)
    } else if inner >= 32 {
        // Neighbouring threads read neighbouring columns; long columns are cut so that there are enough threads.
        (if n > 1 << 16 { 256 } else { SERIAL }, true)
    } else {
        (BLOCK.min(n), false)
    }
}

/// Reduces (outer, n, inner) along n; `finish` divides the results.
fn along(
    cx: &Context,
    op: i32,
    x: u64,
    (outer, mut n, inner): (usize, usize, usize),
    finish: f32,
) -> Result<crate::memory::CudaBuffer> {
    let mut from = x;
    let mut kept = None;
    loop {
        let (piece, serial) = plan(n, inner);
        let pieces = n.div_ceil(piece.max(1)).max(1);
        let results = outer * pieces * inner;
        let buffer = cx.take(results, DType::F32)?;
        if results > 0 {
            let arguments = Reduce {
                x: from,
                y: buffer.address(),
                outer: outer as i64,
                n: n as i64,
                inner: inner as i64,
                piece: piece.max(1) as i64,
                pieces: pieces as i64,
                divisor: if pieces == 1 { finish } else { 1.0 },
                op,
            };
            let (kernel, grid) = if serial {
                ("reduce_serial", Grid::elements(results))
            } else {
                ("reduce_block", Grid::blocks(results))
            };
            // SAFETY: Reduce is the kernels' struct; x has outer·n·inner elements, y outer·pieces·inner.
            unsafe { cx.launch(FILE, kernel, grid, &arguments)? };
        }
        // The pass before has been read by now, in the stream's order.
        drop(kept.take());
        if pieces == 1 {
            return Ok(buffer);
        }
        (from, n) = (buffer.address(), pieces);
        kept = Some(buffer);
    }
}

/// The sum over rows of (rows, columns): a bias's gradient.
pub(crate) fn column_sums(cx: &Context, x: u64, rows: usize, columns: usize) -> Result<Storage> {
    stored(along(cx, 0, x, (1, rows, columns), 1.0)?)
}

pub(crate) fn reduce(cx: &Context, op: ReduceOp, x: &Tensor, reduced: &[bool; MAX_RANK]) -> Result<Storage> {
    let from = f32s("reduction", x)?;
    let code = match op {
        ReduceOp::Sum | ReduceOp::Mean => 0,
        ReduceOp::Max => 1,
        ReduceOp::Min => 2,
        other => return Err(Error::argument("cuda", "the reduction must be a known one", format!("{other:?}"), "")),
    };
    let count: usize = (0..x.rank()).filter(|&axis| reduced[axis]).map(|axis| x.shape()[axis]).product();
    let mut finish = if op == ReduceOp::Mean { count as f32 } else { 1.0 };
    let mut runs = runs(x.shape(), reduced);
    let mut from = from;
    let mut last = None;
    // One run of reduced axes after the other, the last first: it is the one with neighbours in memory.
    while let Some(place) = runs.iter().rposition(|run| run.1) {
        let size = |runs: &[(usize, bool)]| -> usize { runs.iter().map(|run| run.0).product() };
        let sizes = (size(&runs[..place]), runs[place].0, size(&runs[place + 1..]));
        let buffer = along(cx, code, from, sizes, std::mem::replace(&mut finish, 1.0))?;
        from = buffer.address();
        last = Some(buffer);
        runs.remove(place);
    }
    match last {
        Some(buffer) => stored(buffer),
        // Nothing to combine; a mean over axes of size 1 divides by 1.
        None => crate::layout::copy(cx, x),
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Argmax {
    x: u64,
    y: u64,
    rows: i64,
    n: i64,
}

pub(crate) fn argmax(cx: &Context, x: &Tensor) -> Result<Storage> {
    let from = f32s("argmax", x)?;
    let n = x.shape().channels();
    let rows = x.elements() / n.max(1);
    let buffer = cx.take(rows, DType::I32)?;
    if rows > 0 {
        crate::context::int("argmax", n)?;
        let arguments = Argmax { x: from, y: buffer.address(), rows: rows as i64, n: n as i64 };
        // SAFETY: Argmax is the kernel's struct; x has rows of n elements, y one for each.
        unsafe { cx.launch(FILE, "argmax", Grid::rows(rows), &arguments)? };
    }
    stored(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_axes_of_one_kind_are_one_run() {
        let mut reduced = [false; MAX_RANK];
        (reduced[0], reduced[1], reduced[3]) = (true, true, true);
        assert_eq!(runs(&Shape::from([2, 3, 4, 5]), &reduced), [(6, true), (4, false), (5, true)]);
        assert_eq!(runs(&Shape::from([1, 1, 1]), &reduced), []);
    }

    #[test]
    fn every_plan_makes_progress() {
        for n in [0, 1, 64, 65, 4096, 4097, 65_536, 65_537, 10_000_000] {
            for inner in [0, 1, 31, 32, 1000] {
                let (piece, _) = plan(n, inner);
                assert!(n <= 1 || piece > 1, "{n} {inner}");
            }
        }
    }
}
