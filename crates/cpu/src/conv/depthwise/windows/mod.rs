//! Windows of 3, 5 or 7 columns that move by one or two: a tile of two rows by four columns of results reads each pixel once.
//!
//! Maps are walked in strips of columns, so narrow that what a tile reads again is still in the first-level cache, and the rows to come
//! are fetched meanwhile.

mod kernel_gradient;
mod results;

pub(crate) use kernel_gradient::kernel_gradient;
pub(crate) use results::run;

use super::load;
use crate::simd::Simd;
use std::hint::black_box;
use std::ops::Range;
use striate_tensor::ConvGeometry;

/// Columns of a tile.
const COLUMNS: usize = 4;
/// Columns of results in a strip.
const STRIP: usize = 16;
/// Channels that a strip is walked for at a time.
const CHANNELS: usize = 64;
/// Tasks that the work is cut into at least, if there are the rows for it.
const TASKS: usize = 16;

/// A depthwise convolution of maps of two axes: result (y, x) is the sum over the window at (y, x)·stride − pad.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Map {
    planes: usize,
    /// Rows and columns of what is read.
    input: [usize; 2],
    output: [usize; 2],
    kernel: [usize; 2],
    stride: usize,
    pad: [isize; 2],
    channels: usize,
}

impl Map {
    /// The forward pass, if it is one of these.
    pub(crate) fn forward(g: &ConvGeometry) -> Option<Map> {
        let flat = g.kernel[0] == 1 && g.strides[0] == 1 && g.pad_before[0] == 0 && g.input[0] == g.output[0];
        let dense = (1..3).all(|axis| g.dilations[axis] == 1 || g.kernel[axis] == 1);
        let stride = g.strides[2];
        let even = g.strides[1] == stride || g.output[1] == 1;
        let known = matches!(g.kernel[2], 3 | 5 | 7) && matches!(stride, 1 | 2);
        (flat && dense && even && known).then(|| Map {
            planes: g.batch * g.input[0],
            input: [g.input[1], g.input[2]],
            output: [g.output[1], g.output[2]],
            kernel: [g.kernel[1], g.kernel[2]],
            stride,
            pad: [g.pad_before[1] as isize, g.pad_before[2] as isize],
            channels: g.in_channels,
        })
    }

    /// The input's gradient as a convolution of the output's with the kernel turned round, if it is one of these.
    pub(crate) fn input_gradient(g: &ConvGeometry) -> Option<Map> {
        let map = Map::forward(g).filter(|_| g.strides[1] == 1 && g.strides[2] == 1)?;
        let pad = [0, 1].map(|axis| map.kernel[axis] as isize - 1 - map.pad[axis]);
        Some(Map { input: map.output, output: map.input, pad, ..map })
    }

    fn multiply_adds(&self) -> u64 {
        [self.planes, self.output[0], self.output[1], self.kernel[0], self.kernel[1], self.channels]
            .iter()
            .fold(1, |product: u64, &n| product.saturating_mul(n as u64))
    }

    fn in_len(&self) -> usize {
        self.input[0] * self.input[1] * self.channels
    }

    fn out_row(&self) -> usize {
        self.output[1] * self.channels
    }

    /// Which of the `count` columns from the first one on that column `x` of the results reads exist.
    #[inline(always)]
    fn columns(&self, x: usize, count: usize) -> Range<usize> {
        inside((x * self.stride) as isize - self.pad[1], count, self.input[1])
    }

    /// The columns of results from whose first one on `count` columns exist.
    fn inner(&self, count: usize) -> Range<usize> {
        let all = |x: usize| self.columns(x, count).len() == count;
        let first = (0..self.output[1]).find(|&x| all(x)).unwrap_or(self.output[1]);
        first..(first..self.output[1]).find(|&x| !all(x)).unwrap_or(self.output[1])
    }

    /// The same for rows.
    #[inline(always)]
    fn rows(&self, y: usize, rows: usize) -> (isize, Range<usize>) {
        let first = (y * self.stride) as isize - self.pad[0];
        (first, inside(first, rows, self.input[0]))
    }
}

/// Which of `count` places from `first` on lie among the first `size`.
#[inline(always)]
fn inside(first: isize, count: usize, size: usize) -> Range<usize> {
    let begin = first.min(0).unsigned_abs().min(count);
    let end = (size as isize - first).clamp(begin as isize, count as isize) as usize;
    begin..end
}

/// Elements between the pixels that a tile meets.
#[derive(Clone, Copy)]
struct Steps {
    /// Between columns.
    c: usize,
    /// Between rows of what is read.
    row: usize,
    /// Between rows of results.
    out_row: usize,
}

impl Steps {
    fn new(map: &Map) -> Steps {
        // The compiler would else multiply a row's columns out for every pixel.
        Steps { c: map.channels, row: black_box(map.input[1] * map.channels), out_row: black_box(map.out_row()) }
    }
}

/// A whole vector, or the `n` ≤ LANES elements that there are.
///
/// # Safety
/// Only below `Level::run`, with a pointer valid for `n` elements, for LANES if WHOLE.
#[inline(always)]
unsafe fn part<S: Simd, const WHOLE: bool>(at: *const f32, n: usize) -> S::V {
    // SAFETY: as the caller.
    unsafe { if WHOLE { S::load(at) } else { load::<S>(at, n) } }
}
