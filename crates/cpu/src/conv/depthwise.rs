//! Depthwise convolution: one channel in, one out, for each group. There is no sum over channels, so the vectors run along
//! them and the work is bound by memory.

use crate::backend::Context;
use crate::elementwise;
use crate::kernels::Shared;
use crate::simd::{Kernel, Simd};
use striate_tensor::{Activation, ConvGeometry, Result};

/// For each position along one axis the (source index, tap) pairs that meet there.
type Meetings = Vec<Vec<(usize, usize)>>;

/// Meetings of outputs with inputs (`forward`), or of inputs with outputs.
fn meetings(g: &ConvGeometry, forward: bool) -> [Meetings; 3] {
    [0, 1, 2].map(|axis| {
        let input = |o: usize, t: usize| {
            (o * g.strides[axis] + t * g.dilations[axis]).checked_sub(g.pad_before[axis]).filter(|&i| i < g.input[axis])
        };
        let mut all = vec![Vec::new(); if forward { g.output[axis] } else { g.input[axis] }];
        for o in 0..g.output[axis] {
            for t in 0..g.kernel[axis] {
                match input(o, t) {
                    Some(i) if forward => all[o].push((i, t)),
                    Some(i) => all[i].push((o, t)),
                    None => {}
                }
            }
        }
        all
    })
}

/// The (source pixel, tap) pairs of the rows that meet a row, without the last axis.
fn row_meetings(
    all: &[Meetings; 3],
    source: [usize; 3],
    kernel: [usize; 3],
    d: usize,
    h: usize,
) -> Vec<(usize, usize)> {
    let mut rows = Vec::new();
    for &(sd, td) in &all[0][d] {
        for &(sh, th) in &all[1][h] {
            rows.push(((sd * source[1] + sh) * source[2], (td * kernel[1] + th) * kernel[2]));
        }
    }
    rows
}

/// Sizes of one pass: what is written and what is read.
struct Pass<'a> {
    target: [usize; 3],
    source: [usize; 3],
    kernel: [usize; 3],
    channels: usize,
    batch: usize,
    meetings: [Meetings; 3],
    bias: Option<&'a [f32]>,
    activation: Activation,
}

impl Pass<'_> {
    fn run(&self, cx: &Context, x: &[f32], weights: &[f32], out: &mut [f32], work: u64) {
        let row = self.target[2] * self.channels;
        let sample = self.source.iter().product::<usize>() * self.channels;
        let rows = self.target[0] * self.target[1];
        if row == 0 || self.batch * rows == 0 {
            return;
        }
        cx.threads.pieces(out, row, 4 * work, |index, out| {
            let (n, d, h) = (index / rows, index % rows / self.target[1], index % self.target[1]);
            cx.level.run(Row {
                x: &x[n * sample..(n + 1) * sample],
                weights,
                channels: self.channels,
                rows: &row_meetings(&self.meetings, self.source, self.kernel, d, h),
                columns: &self.meetings[2],
                bias: self.bias,
                out,
            });
            elementwise::activate(cx.level, self.activation, out);
        });
    }
}

pub(crate) fn forward(
    cx: &Context,
    x: &[f32],
    weights: &[f32],
    g: &ConvGeometry,
    bias: Option<&[f32]>,
    activation: Activation,
    y: &mut [f32],
) {
    let pass = Pass {
        target: g.output,
        source: g.input,
        kernel: g.kernel,
        channels: g.in_channels,
        batch: g.batch,
        meetings: meetings(g, true),
        bias,
        activation,
    };
    pass.run(cx, x, weights, y, g.multiply_adds());
}

pub(crate) fn input_gradient(cx: &Context, dy: &[f32], weights: &[f32], g: &ConvGeometry, dx: &mut [f32]) {
    let pass = Pass {
        target: g.input,
        source: g.output,
        kernel: g.kernel,
        channels: g.in_channels,
        batch: g.batch,
        meetings: meetings(g, false),
        bias: None,
        activation: Activation::Linear,
    };
    pass.run(cx, dy, weights, dx, g.multiply_adds());
}

/// One row of results, each the sum over its meetings of source times weight.
struct Row<'a> {
    x: &'a [f32],
    weights: &'a [f32],
    channels: usize,
    rows: &'a [(usize, usize)],
    columns: &'a [Vec<(usize, usize)>],
    bias: Option<&'a [f32]>,
    out: &'a mut [f32],
}

impl Kernel for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let c = self.channels;
        assert!(self.bias.is_none_or(|bias| bias.len() == c) && self.out.len() == self.columns.len() * c);
        let mut pairs = Vec::with_capacity(64);
        let Row { x: input, weights, bias, .. } = self;
        for (out, columns) in self.out.chunks_exact_mut(c).zip(self.columns) {
            pairs.clear();
            for &(source_row, tap_row) in self.rows {
                for &(source, tap) in columns {
                    let (x, w) = ((source_row + source) * c, (tap_row + tap) * c);
                    assert!(x + c <= input.len() && w + c <= weights.len());
                    pairs.push((x, w));
                }
            }
            let mut at = 0;
            // SAFETY: each pair's `c` elements were checked above; vectors end at or before channel `c`.
            unsafe {
                while at + 4 * S::LANES <= c {
                    block::<S, 4>((input, weights, bias), &pairs, at, S::LANES, out);
                    at += 4 * S::LANES;
                }
                while at + S::LANES <= c {
                    block::<S, 1>((input, weights, bias), &pairs, at, S::LANES, out);
                    at += S::LANES;
                }
                if at < c {
                    block::<S, 1>((input, weights, bias), &pairs, at, c - at, out);
                }
            }
        }
    }
}

/// `N` vectors of channels from `at` on, the last of them `last` wide.
///
/// # Safety
/// Only below `Level::run`, with pointers valid for what is read and written.
#[inline(always)]
unsafe fn block<S: Simd, const N: usize>(
    (x, weights, bias): (&[f32], &[f32], Option<&[f32]>),
    pairs: &[(usize, usize)],
    at: usize,
    last: usize,
    out: &mut [f32],
) {
    // SAFETY: the caller checked that the vectors lie inside.
    unsafe {
        let load = |p: *const f32| if last == S::LANES { S::load(p) } else { S::load_part(p, last) };
        let mut acc = [S::splat(0.0); N];
        if let Some(bias) = bias {
            for (v, acc) in acc.iter_mut().enumerate() {
                *acc = load(bias.as_ptr().add(at + v * S::LANES));
            }
        }
        for &(from, weight) in pairs {
            for (v, acc) in acc.iter_mut().enumerate() {
                let skip = at + v * S::LANES;
                let (x, w) = (load(x.as_ptr().add(from + skip)), load(weights.as_ptr().add(weight + skip)));
                *acc = S::fma(x, w, *acc);
            }
        }
        for (v, acc) in acc.iter().enumerate() {
            let p = out.as_mut_ptr().add(at + v * S::LANES);
            if last == S::LANES { S::store(p, *acc) } else { S::store_part(p, *acc, last) }
        }
    }
}

pub(crate) fn kernel_gradient(cx: &Context, x: &[f32], dy: &[f32], g: &ConvGeometry, dw: &mut [f32]) -> Result<()> {
    let all = meetings(g, true);
    let (c, rows) = (g.in_channels, g.output[0] * g.output[1]);
    let total = g.batch * rows;
    if total == 0 || dw.is_empty() || g.output[2] == 0 {
        dw.fill(0.0);
        return Ok(());
    }
    let per_chunk = total.div_ceil(16);
    let chunks = total.div_ceil(per_chunk);
    let mut partial = cx.memory.take::<f32>((chunks - 1) * dw.len())?;
    let len = dw.len();
    {
        let (first, others) = (Shared::new(dw), Shared::new(&mut partial));
        let sample = (g.input_positions() * c, g.positions() * c);
        cx.threads.run(chunks, 4 * g.multiply_adds(), |chunk| {
            // SAFETY: each chunk has sums of its own.
            let sums = unsafe { if chunk == 0 { first.slice(0, len) } else { others.slice((chunk - 1) * len, len) } };
            sums.fill(0.0);
            for index in chunk * per_chunk..((chunk + 1) * per_chunk).min(total) {
                let (n, d, h) = (index / rows, index % rows / g.output[1], index % g.output[1]);
                let y = n * sample.1 + (index % rows) * g.output[2] * c;
                cx.level.run(GradientRow {
                    x: &x[n * sample.0..(n + 1) * sample.0],
                    dy: &dy[y..y + g.output[2] * c],
                    channels: c,
                    rows: &row_meetings(&all, g.input, g.kernel, d, h),
                    columns: &all[2],
                    sums,
                });
            }
        });
    }
    crate::reduce::add_parts(cx, &partial, dw);
    Ok(())
}

/// What one row of output gradients adds to the kernel's.
struct GradientRow<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    channels: usize,
    rows: &'a [(usize, usize)],
    columns: &'a [Vec<(usize, usize)>],
    sums: &'a mut [f32],
}

impl Kernel for GradientRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let c = self.channels;
        for (dy, columns) in self.dy.chunks_exact(c).zip(self.columns) {
            for &(source_row, tap_row) in self.rows {
                for &(source, tap) in columns {
                    let (x, w) = ((source_row + source) * c, (tap_row + tap) * c);
                    let sums = self.sums[w..w + c].iter_mut();
                    for ((sum, &x), &dy) in sums.zip(&self.x[x..x + c]).zip(dy) {
                        *sum = S::fma1(x, dy, *sum);
                    }
                }
            }
        }
    }
}
