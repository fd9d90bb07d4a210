//! Pooling, vectorised over channels.

use crate::backend::{Context, elements, f32s};
use crate::kernels::Shared;
use crate::simd::{Kernel, Simd};
use std::ops::Range;
use striate_tensor::{Element, PoolGeometry, PoolKind, Result, Storage, Tensor};

/// Output rows: all that has the same sample, depth and height.
fn rows_per_sample(g: &PoolGeometry) -> usize {
    g.output[0] * g.output[1]
}

/// The taps of a window along one axis that lie inside the input: (first tap, first input, how many).
fn taps(g: &PoolGeometry, axis: usize, position: usize) -> (usize, usize, usize) {
    let start = (position * g.strides[axis]) as isize - g.pad_before[axis] as isize;
    let first = (-start).max(0) as usize;
    let input = (start + first as isize) as usize;
    (first, input, (g.window[axis] - first).min(g.input[axis].saturating_sub(input)))
}

/// A winner's index in its window.
trait Index: Element + Default {
    fn of(tap: usize) -> Self;
    fn tap(self) -> i32;
}
impl Index for u8 {
    #[inline(always)]
    fn of(tap: usize) -> u8 {
        tap as u8
    }
    #[inline(always)]
    fn tap(self) -> i32 {
        i32::from(self)
    }
}
impl Index for i32 {
    #[inline(always)]
    fn of(tap: usize) -> i32 {
        tap as i32
    }
    #[inline(always)]
    fn tap(self) -> i32 {
        self
    }
}

/// One output row of a maximum; `indices` is empty if they are not wanted.
struct MaxRow<'a, I> {
    g: &'a PoolGeometry,
    /// The sample.
    x: &'a [f32],
    depth: usize,
    height: usize,
    y: &'a mut [f32],
    indices: &'a mut [I],
}

impl<I: Index> Kernel for MaxRow<'_, I> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let MaxRow { g, x, .. } = self;
        let c = g.channels;
        let ([t0, i0, n0], [t1, i1, n1]) = (taps(g, 0, self.depth).into(), taps(g, 1, self.height).into());
        let pixel = |d: usize, h: usize, w: usize| {
            let at = ((d * g.input[1] + h) * g.input[2] + w) * c;
            &x[at..at + c]
        };
        let two_by_two = g.window == [1, 2, 2] && n1 == 2;
        for (ow, y) in self.y.chunks_exact_mut(c).enumerate() {
            let (t2, i2, n2) = taps(g, 2, ow);
            let indices = if self.indices.is_empty() { &mut [][..] } else { &mut self.indices[ow * c..(ow + 1) * c] };
            if two_by_two && n2 == 2 {
                let four = [pixel(i0, i1, i2), pixel(i0, i1, i2 + 1), pixel(i0, i1 + 1, i2), pixel(i0, i1 + 1, i2 + 1)];
                max_of_four(four, y, indices);
                continue;
            }
            let mut first = true;
            for d in 0..n0 {
                for h in 0..n1 {
                    for w in 0..n2 {
                        let x = pixel(i0 + d, i1 + h, i2 + w);
                        let tap = I::of(((t0 + d) * g.window[1] + t1 + h) * g.window[2] + t2 + w);
                        if first {
                            y.copy_from_slice(x);
                            indices.fill(tap);
                            first = false;
                        } else if indices.is_empty() {
                            y.iter_mut().zip(x).for_each(|(y, &x)| *y = if x > *y { x } else { *y });
                        } else {
                            for ((y, &x), index) in y.iter_mut().zip(x).zip(indices.iter_mut()) {
                                *index = if x > *y { tap } else { *index };
                                *y = if x > *y { x } else { *y };
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Channels that the loops over 2×2 windows take at a time: a length known beforehand becomes whole vectors.
const LANES: usize = 16;

/// LANES elements from `at` on, or as many as there are, then zeros. A copy: it is known not to overlap anything.
#[inline(always)]
fn some<T: Copy + Default>(from: &[T], at: usize) -> [T; LANES] {
    let mut lanes = [T::default(); LANES];
    if at + LANES <= from.len() {
        lanes.copy_from_slice(&from[at..at + LANES]);
    } else {
        lanes[..from.len() - at].copy_from_slice(&from[at..]);
    }
    lanes
}

/// Writes what [`some`] read.
#[inline(always)]
fn put<T: Copy>(to: &mut [T], at: usize, lanes: &[T; LANES]) {
    if at + LANES <= to.len() {
        to[at..at + LANES].copy_from_slice(lanes);
    } else {
        let left = to.len() - at;
        to[at..].copy_from_slice(&lanes[..left]);
    }
}

#[inline(always)]
fn max_of_four<I: Index>(four: [&[f32]; 4], y: &mut [f32], indices: &mut [I]) {
    for at in (0..y.len()).step_by(LANES) {
        let [a, b, c, d] = [some(four[0], at), some(four[1], at), some(four[2], at), some(four[3], at)];
        let mut best = [0.0; LANES];
        let mut which = [0i32; LANES];
        for i in 0..LANES {
            let (top, first) = if b[i] > a[i] { (b[i], 1) } else { (a[i], 0) };
            let (bottom, second) = if d[i] > c[i] { (d[i], 3) } else { (c[i], 2) };
            best[i] = if bottom > top { bottom } else { top };
            which[i] = if bottom > top { second } else { first };
        }
        put(y, at, &best);
        if !indices.is_empty() {
            let mut taps = [I::default(); LANES];
            for i in 0..LANES {
                taps[i] = I::of(which[i] as usize);
            }
            put(indices, at, &taps);
        }
    }
}

/// One output row of a mean.
struct MeanRow<'a> {
    g: &'a PoolGeometry,
    x: &'a [f32],
    depth: usize,
    height: usize,
    y: &'a mut [f32],
}

impl Kernel for MeanRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let MeanRow { g, x, .. } = self;
        let c = g.channels;
        let ((_, i0, n0), (_, i1, n1)) = (taps(g, 0, self.depth), taps(g, 1, self.height));
        for (ow, y) in self.y.chunks_exact_mut(c).enumerate() {
            let (_, i2, n2) = taps(g, 2, ow);
            y.fill(0.0);
            for d in 0..n0 {
                for h in 0..n1 {
                    for w in 0..n2 {
                        let at = (((i0 + d) * g.input[1] + i1 + h) * g.input[2] + i2 + w) * c;
                        y.iter_mut().zip(&x[at..at + c]).for_each(|(y, &x)| *y += x);
                    }
                }
            }
            let count = (n0 * n1 * n2) as f32;
            y.iter_mut().for_each(|y| *y /= count);
        }
    }
}

/// The maxima of row `height` of the output of a single sample `x` without depth, and their taps unless `indices` is empty.
pub(crate) fn max_row(cx: &Context, g: &PoolGeometry, x: &[f32], height: usize, y: &mut [f32], indices: &mut [u8]) {
    cx.level.run(MaxRow { g, x, depth: 0, height, y, indices });
}

fn maximum<I: Index>(cx: &Context, x: &[f32], g: &PoolGeometry, with: bool) -> Result<(Storage, Option<Storage>)> {
    let (row, rows, sample) = (g.output[2] * g.channels, rows_per_sample(g), g.input_positions() * g.channels);
    let len = g.batch * rows * row;
    let mut y = cx.memory.take::<f32>(len)?;
    let mut indices = cx.memory.take::<I>(if with { len } else { 0 })?;
    let shared = Shared::new(&mut indices);
    if let Some(group) = 4096usize.checked_div(row) {
        let group = group.max(1);
        cx.threads.pieces(&mut y, group * row, 8 * x.len() as u64, |i, y| {
            for (r, y) in y.chunks_exact_mut(row).enumerate() {
                let index = i * group + r;
                let (n, depth, height) = (index / rows, index % rows / g.output[1], index % g.output[1]);
                // SAFETY: each row belongs to one task.
                let indices = if with { unsafe { shared.slice(index * row, row) } } else { &mut [][..] };
                cx.level.run(MaxRow { g, x: &x[n * sample..(n + 1) * sample], depth, height, y, indices });
            }
        });
    }
    Ok((y.into_storage(), with.then(|| indices.into_storage())))
}

pub(crate) fn pool(cx: &Context, x: &Tensor, g: &PoolGeometry, with: bool) -> Result<(Storage, Option<Storage>)> {
    let x = f32s("pooling", x)?;
    let bytes = 4 * (x.len() + g.batch * g.positions() * g.channels) as u64;
    let _span = tracing::trace_span!("kernel", pass = "pool", bytes).entered();
    if g.kind == PoolKind::Max {
        return if has_byte_indices(g) { maximum::<u8>(cx, x, g, with) } else { maximum::<i32>(cx, x, g, with) };
    }
    let (row, rows, sample) = (g.output[2] * g.channels, rows_per_sample(g), g.input_positions() * g.channels);
    let mut y = cx.memory.take::<f32>(g.batch * rows * row)?;
    if let Some(group) = 4096usize.checked_div(row) {
        let group = group.max(1);
        cx.threads.pieces(&mut y, group * row, 8 * x.len() as u64, |i, y| {
            for (r, y) in y.chunks_exact_mut(row).enumerate() {
                let index = i * group + r;
                let (n, depth, height) = (index / rows, index % rows / g.output[1], index % g.output[1]);
                cx.level.run(MeanRow { g, x: &x[n * sample..(n + 1) * sample], depth, height, y });
            }
        });
    }
    Ok((y.into_storage(), None))
}

/// The input's gradient of some output rows. `dx` starts at the first input the rows may touch.
struct BackwardRows<'a, I> {
    g: &'a PoolGeometry,
    dy: &'a [f32],
    indices: Option<&'a [I]>,
    /// The sample's.
    dx: &'a mut [f32],
    /// The windows share no input: each is written once, without reading.
    disjoint: bool,
}

impl<I: Index> Kernel for BackwardRows<'_, I> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let BackwardRows { g, dy, indices, dx, disjoint } = self;
        let c = g.channels;
        let covers = disjoint && (0..3).all(|a| g.strides[a] == g.window[a] && g.output[a] * g.window[a] == g.input[a]);
        if !covers {
            dx.fill(0.0);
        }
        let inside = g.pad_before == [0; 3]
            && (0..3).all(|a| (g.output[a].max(1) - 1) * g.strides[a] + g.window[a] <= g.input[a]);
        if let (Some(indices), true) = (indices, disjoint && inside && g.window == [1, 2, 2]) {
            return two_by_two(g, dy, indices, dx);
        }
        let mut at = 0;
        for od in 0..g.output[0] {
            let (t0, i0, n0) = taps(g, 0, od);
            for oh in 0..g.output[1] {
                let (t1, i1, n1) = taps(g, 1, oh);
                for ow in 0..g.output[2] {
                    let (t2, i2, n2) = taps(g, 2, ow);
                    let dy = &dy[at..at + c];
                    let share = 1.0 / (n0 * n1 * n2) as f32;
                    for d in 0..n0 {
                        for h in 0..n1 {
                            for w in 0..n2 {
                                let to = (((i0 + d) * g.input[1] + i1 + h) * g.input[2] + i2 + w) * c;
                                let dx = &mut dx[to..to + c];
                                let tap = ((t0 + d) * g.window[1] + t1 + h) * g.window[2] + t2 + w;
                                match (indices, disjoint) {
                                    (Some(indices), true) => {
                                        let tap = I::of(tap);
                                        for ((dx, &dy), &index) in dx.iter_mut().zip(dy).zip(&indices[at..at + c]) {
                                            *dx = if index == tap { dy } else { 0.0 };
                                        }
                                    }
                                    (Some(indices), false) => {
                                        let tap = I::of(tap);
                                        for ((dx, &dy), &index) in dx.iter_mut().zip(dy).zip(&indices[at..at + c]) {
                                            *dx += if index == tap { dy } else { 0.0 };
                                        }
                                    }
                                    (None, true) => dx.iter_mut().zip(dy).for_each(|(dx, &dy)| *dx = dy * share),
                                    (None, false) => dx.iter_mut().zip(dy).for_each(|(dx, &dy)| *dx += dy * share),
                                }
                            }
                        }
                    }
                    at += c;
                }
            }
        }
    }
}

/// Scatters the gradients of windows of 2×2 that share no input and lie inside it, all four of a window at once.
#[inline(always)]
fn two_by_two<I: Index>(g: &PoolGeometry, dy: &[f32], indices: &[I], dx: &mut [f32]) {
    let (c, row) = (g.channels, g.input[2] * g.channels);
    let lines = dy.chunks_exact(g.output[2] * c).zip(indices.chunks_exact(g.output[2] * c));
    for (line, (dy, indices)) in lines.enumerate() {
        let (od, oh) = (line / g.output[1], line % g.output[1]);
        let first = (od * g.strides[0] * g.input[1] + oh * g.strides[1]) * row;
        let (top, bottom) = dx[first..first + 2 * row].split_at_mut(row);
        for (ow, (dy, indices)) in dy.chunks_exact(c).zip(indices.chunks_exact(c)).enumerate() {
            let start = ow * g.strides[2] * c;
            let (top, bottom) = (&mut top[start..start + 2 * c], &mut bottom[start..start + 2 * c]);
            let (a, b) = top.split_at_mut(c);
            let (d, e) = bottom.split_at_mut(c);
            for at in (0..c).step_by(LANES) {
                let (dy, indices) = (some(dy, at), some(indices, at));
                put(a, at, &only(&dy, &indices, 0));
                put(b, at, &only(&dy, &indices, 1));
                put(d, at, &only(&dy, &indices, 2));
                put(e, at, &only(&dy, &indices, 3));
            }
        }
    }
}

/// The gradients whose winner is `tap`; zero for the others.
#[inline(always)]
fn only<I: Index>(dy: &[f32; LANES], indices: &[I; LANES], tap: i32) -> [f32; LANES] {
    let mut lanes = [0.0; LANES];
    for i in 0..LANES {
        lanes[i] = if indices[i].tap() == tap { dy[i] } else { 0.0 };
    }
    lanes
}

/// The gradient of pooling's input from that of its output, `dy`, and the winners of a maximum.
fn scatter<I: Index>(cx: &Context, dy: &[f32], indices: Option<&[I]>, g: &PoolGeometry, dx: &mut [f32]) {
    let (sample, out) = (g.input_positions() * g.channels, g.positions() * g.channels);
    let work = 8 * dx.len() as u64;
    let bytes = 4 * (dy.len() + dx.len()) as u64;
    let _span = tracing::trace_span!("kernel", pass = "pool_backward", bytes).entered();
    cx.threads.pieces(dx, sample, work, |n, dx| {
        let range = n * out..(n + 1) * out;
        cx.level.run(BackwardRows {
            g,
            dy: &dy[range.clone()],
            indices: indices.map(|indices| &indices[range]),
            dx,
            disjoint: g.is_disjoint(),
        });
    });
}

/// The gradient of a maximum's input from that of its output, `dy`, whose winners are in a range of `indices`.
pub(crate) fn scatter_maxima(
    cx: &Context,
    dy: &[f32],
    indices: &Tensor,
    range: Range<usize>,
    g: &PoolGeometry,
    dx: &mut [f32],
) -> Result<()> {
    if has_byte_indices(g) {
        scatter::<u8>(cx, dy, Some(&elements(indices)?[range]), g, dx);
    } else {
        scatter::<i32>(cx, dy, Some(&elements(indices)?[range]), g, dx);
    }
    Ok(())
}

fn has_byte_indices(g: &PoolGeometry) -> bool {
    g.window.iter().product::<usize>() <= 256
}

pub(crate) fn backward(cx: &Context, dy: &Tensor, indices: Option<&Tensor>, g: &PoolGeometry) -> Result<Storage> {
    let gradient = f32s("pooling gradient", dy)?;
    let mut dx = cx.memory.take::<f32>(g.batch * g.input_positions() * g.channels)?;
    match indices {
        Some(indices) => scatter_maxima(cx, gradient, indices, 0..gradient.len(), g, &mut dx)?,
        None => scatter::<u8>(cx, gradient, None, g, &mut dx),
    }
    Ok(dx.into_storage())
}
