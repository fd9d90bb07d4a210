//! Sums, means and extremes along axes. The order of additions depends on the shape alone.

use crate::backend::{Context, f32s};
use crate::simd::{Kernel, Simd};
use striate_tensor::{MAX_RANK, ReduceOp, Result, Storage, Tensor};

/// Elements that one task combines, in order; tasks' results are combined by a tree.
const CHUNK: usize = 1 << 14;

/// Combines rows of `columns` elements into one row.
pub(crate) struct Fold<'a> {
    pub(crate) op: ReduceOp,
    pub(crate) x: &'a [f32],
    pub(crate) columns: usize,
    pub(crate) out: &'a mut [f32],
}

impl Kernel for Fold<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        match self.op {
            ReduceOp::Max => fold::<S>(self, f32::NEG_INFINITY, |a, b| if b > a { b } else { a }),
            ReduceOp::Min => fold::<S>(self, f32::INFINITY, |a, b| if b < a { b } else { a }),
            _ => fold::<S>(self, 0.0, |a, b| a + b),
        }
    }
}

#[inline(always)]
fn fold<S: Simd>(fold: Fold<'_>, neutral: f32, f: impl Fn(f32, f32) -> f32) {
    let Fold { x, columns, out, .. } = fold;
    if columns >= 64 {
        out.fill(neutral);
        let mut rows = x.chunks_exact(4 * columns);
        for four in &mut rows {
            let (a, rest) = four.split_at(columns);
            let (b, rest) = rest.split_at(columns);
            let (c, d) = rest.split_at(columns);
            let (out, d) = (&mut out[..columns], &d[..columns]);
            for j in 0..columns {
                out[j] = f(out[j], f(f(a[j], b[j]), f(c[j], d[j])));
            }
        }
        for row in rows.remainder().chunks_exact(columns) {
            out.iter_mut().zip(row).for_each(|(out, &x)| *out = f(*out, x));
        }
        return;
    }
    match columns {
        8 => return fixed::<8>(x, out, neutral, f),
        16 => return fixed::<16>(x, out, neutral, f),
        32 => return fixed::<32>(x, out, neutral, f),
        _ => {}
    }
    // Narrow rows: several at once, as many as fill vectors, then those among themselves.
    let together = 128usize.div_ceil(columns);
    let mut acc = [neutral; 192];
    let acc = &mut acc[..together * columns];
    let mut blocks = x.chunks_exact(acc.len());
    for block in &mut blocks {
        acc.iter_mut().zip(block).for_each(|(acc, &x)| *acc = f(*acc, x));
    }
    acc.iter_mut().zip(blocks.remainder()).for_each(|(acc, &x)| *acc = f(*acc, x));
    let mut rows = together;
    while rows > 1 {
        let half = rows / 2;
        let (low, high) = acc.split_at_mut((rows - half) * columns);
        low.iter_mut().zip(&high[..half * columns]).for_each(|(low, &high)| *low = f(*low, high));
        rows -= half;
    }
    out.copy_from_slice(&acc[..columns]);
}

/// Rows whose width the compiler knows, so that what is combined stays in registers.
#[inline(always)]
fn fixed<const N: usize>(x: &[f32], out: &mut [f32], neutral: f32, f: impl Fn(f32, f32) -> f32) {
    let (mut even, mut odd) = ([neutral; N], [neutral; N]);
    let mut pairs = x.chunks_exact(2 * N);
    for pair in &mut pairs {
        let (a, b) = pair.split_at(N);
        let (a, b) = (&a[..N], &b[..N]);
        for j in 0..N {
            even[j] = f(even[j], a[j]);
            odd[j] = f(odd[j], b[j]);
        }
    }
    even.iter_mut().zip(pairs.remainder()).for_each(|(sum, &x)| *sum = f(*sum, x));
    for (out, (&even, &odd)) in out.iter_mut().zip(even.iter().zip(&odd)) {
        *out = f(even, odd);
    }
}

/// Combines (outer, rows, columns) along the middle axis.
fn middle(cx: &Context, op: ReduceOp, x: &[f32], rows: usize, columns: usize, out: &mut [f32]) -> Result<()> {
    if out.is_empty() {
        return Ok(());
    }
    let outer = out.len() / columns;
    let per_chunk = (CHUNK / columns).max(1);
    let chunks = rows.div_ceil(per_chunk).max(1);
    let work = 16 * x.len() as u64;
    let slab = rows * columns;
    if chunks == 1 {
        let group = (CHUNK / slab.max(1)).max(1);
        cx.threads.pieces(out, group * columns, work, |i, out| {
            for (j, out) in out.chunks_exact_mut(columns).enumerate() {
                let start = (i * group + j) * slab;
                cx.level.run(Fold { op, x: &x[start..start + slab], columns, out });
            }
        });
    } else {
        let mut partial = cx.memory.take::<f32>(outer * chunks * columns)?;
        cx.threads.pieces(&mut partial, columns, work, |i, out| {
            let (o, chunk) = (i / chunks, i % chunks);
            let (from, to) = (chunk * per_chunk, ((chunk + 1) * per_chunk).min(rows));
            let x = &x[o * slab + from * columns..o * slab + to * columns];
            cx.level.run(Fold { op, x, columns, out });
        });
        for (out, partial) in out.chunks_exact_mut(columns).zip(partial.chunks_exact(chunks * columns)) {
            tree(cx, op, partial, columns, out);
        }
    }
    if op == ReduceOp::Mean {
        let rows = rows as f32;
        out.iter_mut().for_each(|v| *v /= rows);
    }
    Ok(())
}

/// Combines rows in rounds of 64, so that the rounding error grows with the logarithm of their number.
fn tree(cx: &Context, op: ReduceOp, rows: &[f32], columns: usize, out: &mut [f32]) {
    if rows.len() <= 64 * columns {
        return cx.level.run(Fold { op, x: rows, columns, out });
    }
    let mut next = vec![0.0; rows.len().div_ceil(64 * columns) * columns];
    for (x, out) in rows.chunks(64 * columns).zip(next.chunks_exact_mut(columns)) {
        cx.level.run(Fold { op, x, columns, out });
    }
    tree(cx, op, &next, columns, out);
}

/// The sums of the columns of (…, columns): the bias's gradient.
pub(crate) fn columns(cx: &Context, x: &[f32], columns: usize, out: &mut [f32]) -> Result<()> {
    if columns == 0 {
        return Ok(());
    }
    middle(cx, ReduceOp::Sum, x, x.len() / columns, columns, out)
}

/// Adds each part of `out.len()` elements to `out`, in order.
pub(crate) fn add_parts(cx: &Context, parts: &[f32], out: &mut [f32]) {
    struct AddParts<'a> {
        parts: &'a [f32],
        stride: usize,
        start: usize,
        out: &'a mut [f32],
    }
    impl Kernel for AddParts<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self) {
            let len = self.out.len();
            for part in self.parts.chunks_exact(self.stride) {
                let part = &part[self.start..self.start + len];
                self.out.iter_mut().zip(part).for_each(|(out, &v)| *out += v);
            }
        }
    }
    if parts.is_empty() {
        return;
    }
    let stride = out.len();
    const PIECE: usize = 2048;
    cx.threads.pieces(out, PIECE, 16 * parts.len() as u64, |i, out| {
        cx.level.run(AddParts { parts, stride, start: i * PIECE, out });
    });
}

pub(crate) fn reduce(cx: &Context, op: ReduceOp, x: &Tensor, reduced: &[bool; MAX_RANK]) -> Result<Storage> {
    let data = f32s("reduction", x)?;
    // Neighbouring axes of one kind are one axis.
    let mut axes: Vec<(usize, bool)> = Vec::new();
    for (&size, &reduced) in x.shape().iter().zip(reduced) {
        match axes.last_mut() {
            _ if size == 1 => {}
            Some((last, kind)) if *kind == reduced => *last *= size,
            _ => axes.push((size, reduced)),
        }
    }
    let kept: usize = axes.iter().filter(|axis| !axis.1).map(|axis| axis.0).product();
    let mut out = cx.memory.take::<f32>(kept)?;
    match axes[..] {
        [] => out.copy_from_slice(data),
        [(_, false)] => out.copy_from_slice(data),
        [(rows, true)] => middle(cx, op, data, rows, 1, &mut out)?,
        [(_, false), (rows, true)] => middle(cx, op, data, rows, 1, &mut out)?,
        [(rows, true), (columns, false)] | [(_, false), (rows, true), (columns, false)] => {
            middle(cx, op, data, rows, columns, &mut out)?;
        }
        _ => {
            let kinds = |kind| (0..x.rank()).filter(move |&axis| reduced[axis] == kind);
            let order: Vec<usize> = kinds(false).chain(kinds(true)).collect();
            let turned = crate::layout::permute(cx, x, &order)?;
            let data = turned.as_host().and_then(|host| host.as_slice::<f32>()).unwrap_or(&[]);
            middle(cx, op, data, data.len() / kept.max(1), 1, &mut out)?;
        }
    }
    Ok(out.into_storage())
}

pub(crate) fn argmax(cx: &Context, x: &Tensor) -> Result<Storage> {
    let (data, columns) = (f32s("argmax", x)?, x.shape().channels());
    let mut out = cx.memory.take::<i32>(data.len() / columns.max(1))?;
    let group = (CHUNK / columns.max(1)).max(1);
    cx.threads.pieces(&mut out, group, 16 * data.len() as u64, |i, out| {
        let rows = data[i * group * columns..].chunks_exact(columns);
        for (out, row) in out.iter_mut().zip(rows) {
            let mut best = 0;
            for (j, &v) in row.iter().enumerate() {
                if v > row[best] {
                    best = j;
                }
            }
            *out = best as i32;
        }
    });
    Ok(out.into_storage())
}
