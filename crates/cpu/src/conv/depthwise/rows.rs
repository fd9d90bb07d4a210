//! Any stride, dilation and number of axes: row by row, over lists of the pixels and taps that meet.

use super::{add_to, load, store};
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

/// Neighbouring positions along the last axis that meet the same taps, at sources that move on by the same step.
struct Run {
    first: usize,
    count: usize,
    step: usize,
}

/// The positions cut into runs: long ones inside the image, single positions at its borders.
fn runs(columns: &Meetings) -> Vec<Run> {
    let step = |a: &[(usize, usize)], b: &[(usize, usize)]| {
        let step = b.first()?.0.checked_sub(a.first()?.0)?;
        let same = a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.1 == b.1 && a.0 + step == b.0);
        same.then_some(step)
    };
    let mut runs: Vec<Run> = Vec::new();
    for (o, column) in columns.iter().enumerate() {
        if let Some(run) = runs.last_mut()
            && let Some(step) = step(&columns[o - 1], column)
            && (run.count == 1 || run.step == step)
        {
            (run.count, run.step) = (run.count + 1, step);
            continue;
        }
        runs.push(Run { first: o, count: 1, step: 0 });
    }
    runs
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
        let runs = runs(&self.meetings[2]);
        let relu = self.activation == Activation::Relu;
        cx.threads.pieces(out, row, 4 * work, |index, out| {
            let (n, d, h) = (index / rows, index % rows / self.target[1], index % self.target[1]);
            cx.level.run(Row {
                x: &x[n * sample..(n + 1) * sample],
                weights,
                channels: self.channels,
                rows: &row_meetings(&self.meetings, self.source, self.kernel, d, h),
                columns: &self.meetings[2],
                runs: &runs,
                bias: self.bias,
                least: if relu { 0.0 } else { f32::NEG_INFINITY },
                out,
            });
            if !relu {
                elementwise::activate(cx.level, self.activation, out);
            }
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
    runs: &'a [Run],
    bias: Option<&'a [f32]>,
    /// Smaller results are raised to this.
    least: f32,
    out: &'a mut [f32],
}

impl Kernel for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let c = self.channels;
        assert!(self.bias.is_none_or(|bias| bias.len() == c) && self.out.len() == self.columns.len() * c);
        let mut pairs = Vec::with_capacity(64);
        let Row { x: input, weights, bias, least, .. } = self;
        for run in self.runs {
            let step = run.step * c;
            let reach = (run.count - 1) * step + c;
            pairs.clear();
            for &(source_row, tap_row) in self.rows {
                for &(source, tap) in &self.columns[run.first] {
                    let (x, w) = ((source_row + source) * c, (tap_row + tap) * c);
                    assert!(x + reach <= input.len() && w + c <= weights.len());
                    pairs.push((x, w));
                }
            }
            let out = &mut self.out[run.first * c..(run.first + run.count) * c];
            let mut position = 0;
            // SAFETY: each pair's `c` elements were checked above for every position of the run, and so were the run's results;
            // vectors end at or before channel `c`.
            unsafe {
                while position + 4 <= run.count {
                    channels::<S, 4>(
                        (input, weights, bias, least),
                        &pairs,
                        (position * step, step),
                        c,
                        &mut out[position * c..],
                    );
                    position += 4;
                }
                while position < run.count {
                    channels::<S, 1>(
                        (input, weights, bias, least),
                        &pairs,
                        (position * step, step),
                        c,
                        &mut out[position * c..],
                    );
                    position += 1;
                }
            }
        }
    }
}

/// All `c` channels of `P` positions; the first one's sources lie `shift.0` beyond the pairs', the next ones' `shift.1` further
/// each.
///
/// # Safety
/// Only below `Level::run`, with pairs and results valid for `c` elements at each position.
#[inline(always)]
unsafe fn channels<S: Simd, const P: usize>(
    operands: (&[f32], &[f32], Option<&[f32]>, f32),
    pairs: &[(usize, usize)],
    shift: (usize, usize),
    c: usize,
    out: &mut [f32],
) {
    let mut at = 0;
    // SAFETY: as the caller; vectors end at or before channel `c`.
    unsafe {
        while at + 2 * S::LANES <= c {
            block::<S, P, 2>(operands, pairs, shift, (at, c), S::LANES, out);
            at += 2 * S::LANES;
        }
        while at < c {
            block::<S, P, 1>(operands, pairs, shift, (at, c), S::LANES.min(c - at), out);
            at += S::LANES;
        }
    }
}

/// `N` vectors of channels from `at.0` of `at.1` on, the last of them `last` wide, at `P` positions.
///
/// # Safety
/// Only below `Level::run`, with pointers valid for what is read and written.
#[inline(always)]
unsafe fn block<S: Simd, const P: usize, const N: usize>(
    (x, weights, bias, least): (&[f32], &[f32], Option<&[f32]>, f32),
    pairs: &[(usize, usize)],
    shift: (usize, usize),
    (at, c): (usize, usize),
    last: usize,
    out: &mut [f32],
) {
    // SAFETY: the caller checked that the vectors lie inside.
    unsafe {
        let mut acc = [[S::splat(0.0); N]; P];
        if let Some(bias) = bias {
            for v in 0..N {
                let bias = load::<S>(bias.as_ptr().add(at + v * S::LANES), last);
                for acc in &mut acc {
                    acc[v] = bias;
                }
            }
        }
        for &(from, weight) in pairs {
            let (x, w) = (x.as_ptr().add(from + shift.0 + at), weights.as_ptr().add(weight + at));
            for v in 0..N {
                let w = load::<S>(w.add(v * S::LANES), last);
                for (p, acc) in acc.iter_mut().enumerate() {
                    acc[v] = S::fma(load::<S>(x.add(p * shift.1 + v * S::LANES), last), w, acc[v]);
                }
            }
        }
        for (p, acc) in acc.iter().enumerate() {
            for (v, acc) in acc.iter().enumerate() {
                let to = out.as_mut_ptr().add(p * c + at + v * S::LANES);
                let sum = S::max(*acc, S::splat(least));
                store::<S>(to, sum, last);
            }
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
    let runs = runs(&all[2]);
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
                    runs: &runs,
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
    runs: &'a [Run],
    sums: &'a mut [f32],
}

impl Kernel for GradientRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let c = self.channels;
        assert!(self.dy.len() == self.columns.len() * c);
        let mut pairs = Vec::with_capacity(64);
        for run in self.runs {
            let (dy, step) = (&self.dy[run.first * c..(run.first + run.count) * c], run.step * c);
            pairs.clear();
            for &(source_row, tap_row) in self.rows {
                for &(source, tap) in &self.columns[run.first] {
                    let (x, sum) = ((source_row + source) * c, (tap_row + tap) * c);
                    assert!(x + (run.count - 1) * step + c <= self.x.len() && sum + c <= self.sums.len());
                    pairs.push((x, sum));
                }
            }
            let mut left = &pairs[..];
            // SAFETY: each pair's `c` elements were checked above for every position of the run.
            unsafe {
                // Nine taps read a gradient once; one alone would wait for its own sum at every position.
                while let Some((nine, rest)) = left.split_first_chunk::<9>() {
                    all_products::<S, 9>(self.x, nine, (dy, step), c, self.sums);
                    left = rest;
                }
                while let Some((three, rest)) = left.split_first_chunk::<3>() {
                    all_products::<S, 3>(self.x, three, (dy, step), c, self.sums);
                    left = rest;
                }
                while let Some((one, rest)) = left.split_first_chunk::<1>() {
                    all_products::<S, 1>(self.x, one, (dy, step), c, self.sums);
                    left = rest;
                }
            }
        }
    }
}

/// Adds x·dy over all positions to the sums of `T` taps, each with the start of its input and of its sums.
///
/// # Safety
/// Only below `Level::run`, with pairs valid for `c` elements at each position.
#[inline(always)]
unsafe fn all_products<S: Simd, const T: usize>(
    x: &[f32],
    pairs: &[(usize, usize); T],
    gradient: (&[f32], usize),
    c: usize,
    sums: &mut [f32],
) {
    let mut at = 0;
    // SAFETY: as the caller; vectors end at or before channel `c`.
    unsafe {
        while at + S::LANES <= c {
            products::<S, T>(x, pairs, gradient, (at, c), S::LANES, sums);
            at += S::LANES;
        }
        if at < c {
            products::<S, T>(x, pairs, gradient, (at, c), c - at, sums);
        }
    }
}

/// As [`all_products`] for one vector of channels from `at.0` of `at.1` on, `width` wide.
///
/// # Safety
/// As [`all_products`].
#[inline(always)]
unsafe fn products<S: Simd, const T: usize>(
    x: &[f32],
    pairs: &[(usize, usize); T],
    (dy, step): (&[f32], usize),
    (at, c): (usize, usize),
    width: usize,
    sums: &mut [f32],
) {
    // SAFETY: as the caller.
    unsafe {
        let from = pairs.map(|(x, _)| x + at);
        let mut acc = [S::splat(0.0); T];
        let mut shift = 0;
        for position in 0..dy.len() / c {
            let dy = load::<S>(dy.as_ptr().add(position * c + at), width);
            for (acc, from) in acc.iter_mut().zip(from) {
                *acc = S::fma(load::<S>(x.as_ptr().add(from + shift), width), dy, *acc);
            }
            shift += step;
        }
        for (acc, (_, sum)) in acc.into_iter().zip(pairs) {
            let to = sums.as_mut_ptr().add(sum + at);
            add_to::<S>(to, acc, width);
        }
    }
}
