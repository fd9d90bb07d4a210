//! Results by tiles: the forward pass, and the gradient of an input that the window passed one by one.

use super::{CHANNELS, COLUMNS, Map, STRIP, Steps, TASKS, part};
use crate::backend::Context;
use crate::conv::depthwise::store;
use crate::elementwise;
use crate::kernels::Shared;
use crate::simd::{Kernel, Simd};
use std::ops::Range;
use striate_tensor::Activation;

/// Computes the results of all maps.
pub(crate) fn run(
    cx: &Context,
    map: &Map,
    x: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    activation: Activation,
    out: &mut [f32],
) {
    let (rows, row) = (map.output[0], map.out_row());
    if out.is_empty() {
        return;
    }
    let bands = TASKS.div_ceil(map.planes).clamp(1, rows.div_ceil(2));
    let per_band = rows.div_ceil(bands).next_multiple_of(2);
    let bands = rows.div_ceil(per_band);
    let relu = activation == Activation::Relu;
    let out = Shared::new(out);
    cx.threads.run(map.planes * bands, 4 * map.multiply_adds(), |task| {
        let (plane, band) = (task / bands, task % bands);
        let rows = band * per_band..((band + 1) * per_band).min(rows);
        // SAFETY: each band belongs to one task.
        let out = unsafe { out.slice((plane * map.output[0] + rows.start) * row, rows.len() * row) };
        cx.level.run(Band {
            map,
            x: &x[plane * map.in_len()..(plane + 1) * map.in_len()],
            weights,
            bias,
            least: if relu { 0.0 } else { f32::NEG_INFINITY },
            rows,
            out,
        });
        if !relu {
            elementwise::activate(cx.level, activation, out);
        }
    });
}

/// Some rows of a map's results.
struct Band<'a> {
    map: &'a Map,
    x: &'a [f32],
    weights: &'a [f32],
    bias: Option<&'a [f32]>,
    /// Smaller results are raised to this.
    least: f32,
    rows: Range<usize>,
    out: &'a mut [f32],
}

impl Kernel for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let map = self.map;
        assert!(self.x.len() == map.in_len() && self.weights.len() == map.kernel[0] * map.kernel[1] * map.channels);
        assert!(self.bias.is_none_or(|bias| bias.len() == map.channels));
        assert!(self.rows.end <= map.output[0] && self.out.len() == self.rows.len() * map.out_row());
        // SAFETY: the operands' lengths were checked.
        unsafe {
            match (map.kernel[1], map.stride) {
                (3, 1) => self.strips::<S, 3, 1>(),
                (3, 2) => self.strips::<S, 3, 2>(),
                (5, 1) => self.strips::<S, 5, 1>(),
                (5, 2) => self.strips::<S, 5, 2>(),
                (7, 1) => self.strips::<S, 7, 1>(),
                (7, 2) => self.strips::<S, 7, 2>(),
                other => panic!("no window of {} columns that moves by {}", other.0, other.1),
            }
        }
    }
}

impl Band<'_> {
    /// # Safety
    /// Only below `Level::run`, with operands as long as the map says.
    #[inline(always)]
    unsafe fn strips<S: Simd, const W: usize, const STEP: usize>(self) {
        let map = self.map;
        let (c, width) = (map.channels, map.output[1]);
        let inner = map.inner((COLUMNS - 1) * STEP + W);
        let steps = Steps::new(map);
        let x = self.x.as_ptr();
        let out = self.out.as_mut_ptr();
        for from in (0..width).step_by(STRIP) {
            let to = (from + STRIP).min(width);
            for block in (0..c).step_by(CHANNELS) {
                for y in self.rows.clone().step_by(2) {
                    let two = y + 1 < self.rows.end;
                    let (first_row, rows) = map.rows(y, map.kernel[0] + if two { STEP } else { 0 });
                    let all_rows = two && map.kernel[0] == W && rows.len() == W + STEP;
                    for at in (block..(block + CHANNELS).min(c)).step_by(S::LANES) {
                        let lanes = S::LANES.min(c - at);
                        let mut tile = Tile {
                            steps,
                            height: map.kernel[0],
                            rows: rows.clone(),
                            two,
                            columns: 0..0,
                            weights: self.weights.as_ptr().wrapping_add(at),
                            bias: self.bias.map(|bias| bias.as_ptr().wrapping_add(at)),
                            least: self.least,
                            lanes,
                        };
                        // Pixels before the map have addresses before it, which are not read.
                        let corner = |column: usize| {
                            let first = (column * STEP) as isize - map.pad[1];
                            x.wrapping_offset(first_row * steps.row as isize + first * c as isize + at as isize)
                        };
                        let result =
                            |column: usize| out.wrapping_add((y - self.rows.start) * steps.out_row + column * c + at);
                        // SAFETY: tiles end at or before `to`, vectors at or before channel `c`; `inner` has the tiles all columns
                        // of which exist.
                        unsafe {
                            if to - from < COLUMNS {
                                for column in from..to {
                                    tile.columns = map.columns(column, W);
                                    tile.compute::<S, W, STEP, 1, false, false>(corner(column), result(column));
                                }
                                continue;
                            }
                            let mut column = from;
                            while column < to {
                                // The last columns anew, with some that were computed already.
                                column = column.min(to - COLUMNS);
                                let (corner, result) = (corner(column), result(column));
                                if lanes < S::LANES || !inner.contains(&column) {
                                    tile.columns = map.columns(column, (COLUMNS - 1) * STEP + W);
                                    tile.compute::<S, W, STEP, COLUMNS, false, false>(corner, result);
                                } else if all_rows {
                                    tile.compute::<S, W, STEP, COLUMNS, true, true>(corner, result);
                                } else {
                                    tile.compute::<S, W, STEP, COLUMNS, true, false>(corner, result);
                                }
                                column += COLUMNS;
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A vector of channels of the results in two rows and some columns.
struct Tile {
    steps: Steps,
    /// Rows of the window.
    height: usize,
    /// Which rows of the windows exist.
    rows: Range<usize>,
    /// Whether the second row exists.
    two: bool,
    /// Columns from the corner on that exist.
    columns: Range<usize>,
    weights: *const f32,
    bias: Option<*const f32>,
    least: f32,
    /// Channels of the vector that exist.
    lanes: usize,
}

impl Tile {
    /// Results in P columns. `corner` is the first pixel of their windows, which exist as a whole if WHOLE; if ALL, so do both rows of
    /// results and all rows of their windows, which are as high as wide.
    ///
    /// # Safety
    /// Only below `Level::run`, with addresses valid for what exists.
    #[inline(always)]
    unsafe fn compute<
        S: Simd,
        const W: usize,
        const STEP: usize,
        const P: usize,
        const WHOLE: bool,
        const ALL: bool,
    >(
        &self,
        corner: *const f32,
        out: *mut f32,
    ) {
        let Steps { c, row, out_row } = self.steps;
        // SAFETY: rows and columns that do not exist are left out.
        unsafe {
            let ahead = corner.wrapping_add((self.height + STEP) * row);
            for r in 0..2 * STEP {
                for column in 0..P * STEP {
                    S::prefetch(ahead.wrapping_add(r * row + column * c));
                }
            }
            for r in 2..4 {
                for column in 0..P {
                    S::prefetch(out.wrapping_add(r * out_row + column * c));
                }
            }
            let bias = self.bias.map_or(S::splat(0.0), |bias| part::<S, WHOLE>(bias, self.lanes));
            let mut acc = [[bias; P]; 2];
            if ALL {
                // Written out: the sums stay in registers only if no loop counts the rows.
                macro_rules! next {
                    ($number:literal) => {
                        let pixels = corner.wrapping_add($number * row);
                        if $number < STEP {
                            self.row::<S, W, STEP, P, WHOLE, 0, 1>($number, pixels, &mut acc);
                        } else if $number < W {
                            self.row::<S, W, STEP, P, WHOLE, 0, 2>($number, pixels, &mut acc);
                        } else if $number < W + STEP {
                            self.row::<S, W, STEP, P, WHOLE, 1, 2>($number, pixels, &mut acc);
                        }
                    };
                }
                next!(0);
                next!(1);
                next!(2);
                next!(3);
                next!(4);
                next!(5);
                next!(6);
                next!(7);
                next!(8);
            } else {
                let Range { start, end } = self.rows.clone();
                let alone = if self.two { STEP.min(self.height) } else { self.height };
                for number in start..end.min(alone) {
                    self.row::<S, W, STEP, P, WHOLE, 0, 1>(number, corner.wrapping_add(number * row), &mut acc);
                }
                if self.two {
                    for number in start.max(STEP)..end.min(self.height) {
                        self.row::<S, W, STEP, P, WHOLE, 0, 2>(number, corner.wrapping_add(number * row), &mut acc);
                    }
                    for number in start.max(STEP).max(self.height)..end {
                        self.row::<S, W, STEP, P, WHOLE, 1, 2>(number, corner.wrapping_add(number * row), &mut acc);
                    }
                }
            }
            for (r, acc) in acc.iter().enumerate().take(if ALL || self.two { 2 } else { 1 }) {
                for (column, acc) in acc.iter().enumerate() {
                    let to = out.add(r * out_row + column * c);
                    let sum = S::max(*acc, S::splat(self.least));
                    store::<S>(to, sum, if WHOLE { S::LANES } else { self.lanes });
                }
            }
        }
    }

    /// What the windows' row `number`, which starts at `pixels`, adds to the tile's rows FROM to TO.
    ///
    /// # Safety
    /// As [`Tile::compute`], for a row that exists and is in the windows of these rows.
    #[inline(always)]
    unsafe fn row<
        S: Simd,
        const W: usize,
        const STEP: usize,
        const P: usize,
        const WHOLE: bool,
        const FROM: usize,
        const TO: usize,
    >(
        &self,
        number: usize,
        pixels: *const f32,
        acc: &mut [[S::V; P]; 2],
    ) {
        let c = self.steps.c;
        // SAFETY: as the caller.
        unsafe {
            for tap in 0..W {
                let mut weights = [S::splat(0.0); 2];
                for (result, weight) in weights.iter_mut().enumerate().take(TO).skip(FROM) {
                    let from = self.weights.add(((number - result * STEP) * W + tap) * c);
                    *weight = part::<S, WHOLE>(from, self.lanes);
                }
                #[expect(clippy::needless_range_loop, reason = "two rows of sums are indexed alike")]
                for p in 0..P {
                    let column = p * STEP + tap;
                    let pixel = if WHOLE || self.columns.contains(&column) {
                        part::<S, WHOLE>(pixels.wrapping_add(column * c), self.lanes)
                    } else {
                        S::splat(0.0)
                    };
                    for result in FROM..TO {
                        acc[result][p] = S::fma(pixel, weights[result], acc[result][p]);
                    }
                }
            }
        }
    }
}
