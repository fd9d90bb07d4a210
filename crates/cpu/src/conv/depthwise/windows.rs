//! Windows of 3, 5 or 7 columns that move by one or two: a tile of two rows by four columns of results reads each pixel once.
//!
//! Maps are walked in strips of columns, so narrow that what a tile reads again is still in the first-level cache, and the rows to come
//! are fetched meanwhile.

use crate::backend::Context;
use crate::elementwise;
use crate::kernels::Shared;
use crate::simd::{Kernel, Simd};
use std::hint::black_box;
use std::ops::Range;
use striate_tensor::{Activation, ConvGeometry, Result};

/// Columns of a tile.
const COLUMNS: usize = 4;
/// Columns of results in a strip.
const STRIP: usize = 16;
/// Channels that a strip is walked for at a time.
const CHANNELS: usize = 64;
/// Rows of gradients that are fetched ahead.
const ROWS_AHEAD: usize = 2;
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
                    if WHOLE || self.lanes == S::LANES { S::store(to, sum) } else { S::store_part(to, sum, self.lanes) }
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

/// A whole vector, or the `n` ≤ LANES elements that there are.
///
/// # Safety
/// Only below `Level::run`, with a pointer valid for `n` elements, for LANES if WHOLE.
#[inline(always)]
unsafe fn part<S: Simd, const WHOLE: bool>(at: *const f32, n: usize) -> S::V {
    // SAFETY: as the caller.
    unsafe { if WHOLE { S::load(at) } else { load::<S>(at, n) } }
}

/// The first `n` ≤ LANES elements.
///
/// # Safety
/// Only below `Level::run`, with a pointer valid for `n` elements.
#[inline(always)]
unsafe fn load<S: Simd>(at: *const f32, n: usize) -> S::V {
    // SAFETY: as the caller.
    unsafe { if n == S::LANES { S::load(at) } else { S::load_part(at, n) } }
}

/// The gradient of the kernel: for each tap and channel the sum over all results of pixel times gradient; and the bias's, the sum of
/// the gradients themselves.
pub(crate) fn kernel_gradient(
    cx: &Context,
    map: &Map,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    db: Option<&mut [f32]>,
) -> Result<()> {
    let total = map.planes * map.output[0];
    if total == 0 || map.output[1] == 0 || dw.is_empty() {
        dw.fill(0.0);
        db.into_iter().for_each(|db| db.fill(0.0));
        return Ok(());
    }
    let per_chunk = total.div_ceil(TASKS);
    let chunks = total.div_ceil(per_chunk);
    let (len, channels) = (dw.len(), map.channels);
    let mut partial = cx.memory.take::<f32>((chunks - 1) * len)?;
    let mut totals = cx.memory.take::<f32>(chunks * channels)?;
    {
        let (first, others) = (Shared::new(dw), Shared::new(&mut partial));
        let totals = Shared::new(&mut totals);
        cx.threads.run(chunks, 4 * map.multiply_adds(), |chunk| {
            // SAFETY: each chunk has sums of its own.
            let sums = unsafe { if chunk == 0 { first.slice(0, len) } else { others.slice((chunk - 1) * len, len) } };
            sums.fill(0.0);
            // SAFETY: as above.
            let totals = unsafe { totals.slice(chunk * channels, channels) };
            totals.fill(0.0);
            let mut row = chunk * per_chunk;
            let end = (row + per_chunk).min(total);
            while row < end {
                let plane = row / map.output[0];
                let rows = row % map.output[0]..(end - plane * map.output[0]).min(map.output[0]);
                row += rows.len();
                cx.level.run(BandGradient {
                    map,
                    x: &x[plane * map.in_len()..(plane + 1) * map.in_len()],
                    dy: &dy[plane * map.output[0] * map.out_row()..(plane + 1) * map.output[0] * map.out_row()],
                    rows,
                    sums,
                    totals,
                });
            }
        });
    }
    crate::reduce::add_parts(cx, &partial, dw);
    if let Some(db) = db {
        let (first, others) = totals.split_at(channels);
        db.copy_from_slice(first);
        crate::reduce::add_parts(cx, others, db);
    }
    Ok(())
}

/// What some rows of a map add to the kernel's gradient.
struct BandGradient<'a> {
    map: &'a Map,
    x: &'a [f32],
    dy: &'a [f32],
    rows: Range<usize>,
    sums: &'a mut [f32],
    /// The sums of the gradients themselves.
    totals: &'a mut [f32],
}

impl Kernel for BandGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let map = self.map;
        assert!(self.x.len() == map.in_len() && self.dy.len() == map.output[0] * map.out_row());
        assert!(self.rows.end <= map.output[0] && self.sums.len() == map.kernel[0] * map.kernel[1] * map.channels);
        assert!(self.totals.len() == map.channels);
        // As many rows of taps at a time as there are registers for their sums.
        // SAFETY: the operands' lengths were checked.
        unsafe {
            match (map.kernel[1], map.stride) {
                (3, 1) => self.strips::<S, 3, 3, 1>(),
                (3, 2) => self.strips::<S, 3, 3, 2>(),
                (5, 1) => self.strips::<S, 2, 5, 1>(),
                (5, 2) => self.strips::<S, 2, 5, 2>(),
                (7, 1) => self.strips::<S, 1, 7, 1>(),
                (7, 2) => self.strips::<S, 1, 7, 2>(),
                other => panic!("no window of {} columns that moves by {}", other.0, other.1),
            }
        }
    }
}

impl BandGradient<'_> {
    /// # Safety
    /// Only below `Level::run`, with operands as long as the map says.
    #[inline(always)]
    unsafe fn strips<S: Simd, const H: usize, const W: usize, const STEP: usize>(self) {
        let map = self.map;
        let (c, width) = (map.channels, map.output[1]);
        let inner = map.inner((COLUMNS - 1) * STEP + W);
        let steps = Steps::new(map);
        let (x, dy) = (self.x.as_ptr(), self.dy.as_ptr());
        for from in (0..width).step_by(STRIP) {
            let to = (from + STRIP).min(width);
            for block in (0..c).step_by(CHANNELS) {
                for y in self.rows.clone() {
                    let (first_row, rows) = map.rows(y, map.kernel[0]);
                    for at in (block..(block + CHANNELS).min(c)).step_by(S::LANES) {
                        let lanes = S::LANES.min(c - at);
                        for first_tap in (0..map.kernel[0]).step_by(H) {
                            let all_rows = rows.start <= first_tap && rows.end >= first_tap + H;
                            let mut tile = GradientTile {
                                steps,
                                height: map.kernel[0],
                                rows: rows.clone(),
                                first_tap,
                                columns: 0..0,
                                count: COLUMNS,
                                lanes,
                            };
                            // SAFETY: tiles end at or before `to`, vectors at or before channel `c`; `inner` has the tiles all
                            // columns of which exist. Taps are those of the kernel.
                            unsafe {
                                let mut acc = [[S::splat(0.0); W]; H];
                                let mut total = S::splat(0.0);
                                for column in (from..to).step_by(COLUMNS) {
                                    // Pixels before the map have addresses before it, which are not read.
                                    let first = (column * STEP) as isize - map.pad[1];
                                    let corner = first_row * steps.row as isize + first * c as isize + at as isize;
                                    let corner = x.wrapping_offset(corner);
                                    let dy = dy.add(y * steps.out_row + column * c + at);
                                    tile.count = COLUMNS.min(to - column);
                                    if tile.count < COLUMNS || lanes < S::LANES || !inner.contains(&column) {
                                        tile.columns = map.columns(column, (COLUMNS - 1) * STEP + W);
                                        tile.add::<S, H, W, STEP, false, false>(corner, dy, &mut acc, &mut total);
                                    } else if all_rows {
                                        tile.add::<S, H, W, STEP, true, true>(corner, dy, &mut acc, &mut total);
                                    } else {
                                        tile.add::<S, H, W, STEP, true, false>(corner, dy, &mut acc, &mut total);
                                    }
                                }
                                for (row, acc) in acc.iter().enumerate().take(map.kernel[0] - first_tap) {
                                    for (tap, acc) in acc.iter().enumerate() {
                                        let to = ((first_tap + row) * W + tap) * c + at;
                                        add_to::<S>(self.sums.as_mut_ptr().add(to), *acc, lanes);
                                    }
                                }
                                if first_tap == 0 {
                                    add_to::<S>(self.totals.as_mut_ptr().add(at), total, lanes);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Adds to the first `n` ≤ LANES elements.
///
/// # Safety
/// Only below `Level::run`, with a pointer valid for `n` elements.
#[inline(always)]
unsafe fn add_to<S: Simd>(to: *mut f32, v: S::V, n: usize) {
    // SAFETY: as the caller.
    unsafe {
        let sum = S::add(load::<S>(to, n), v);
        if n == S::LANES { S::store(to, sum) } else { S::store_part(to, sum, n) }
    }
}

/// A vector of channels of gradients in one row and some columns.
struct GradientTile {
    steps: Steps,
    /// Rows of the window.
    height: usize,
    /// Which rows of the windows exist, and the first that is wanted.
    rows: Range<usize>,
    first_tap: usize,
    /// Columns from the corner on that exist.
    columns: Range<usize>,
    /// Gradients that exist.
    count: usize,
    /// Channels of the vector that exist.
    lanes: usize,
}

impl GradientTile {
    /// Adds the products with the pixels under H rows of the windows, whose first pixel is `corner`. The gradients and their windows'
    /// columns all exist if WHOLE, the rows too if ALL. The gradients themselves are added to `total`.
    ///
    /// # Safety
    /// Only below `Level::run`, with addresses valid for what exists.
    #[inline(always)]
    unsafe fn add<S: Simd, const H: usize, const W: usize, const STEP: usize, const WHOLE: bool, const ALL: bool>(
        &self,
        corner: *const f32,
        dy: *const f32,
        acc: &mut [[S::V; W]; H],
        total: &mut S::V,
    ) {
        let Steps { c, row, out_row } = self.steps;
        // SAFETY: rows, columns and gradients that do not exist are left out.
        unsafe {
            let mut gradients = [S::splat(0.0); COLUMNS];
            for (p, gradient) in gradients.iter_mut().enumerate() {
                if WHOLE || p < self.count {
                    *gradient = part::<S, WHOLE>(dy.wrapping_add(p * c), self.lanes);
                    *total = S::add(*total, *gradient);
                }
            }
            let ahead = corner.wrapping_add((self.height + ROWS_AHEAD * STEP) * row);
            for column in 0..COLUMNS {
                S::prefetch(dy.wrapping_add((1 + ROWS_AHEAD) * out_row + column * c));
                for r in 0..STEP {
                    for column in column * STEP..(column + 1) * STEP {
                        S::prefetch(ahead.wrapping_add(r * row + column * c));
                    }
                }
            }
            // Written out: the sums stay in registers only if no loop counts them.
            macro_rules! next {
                ($number:literal) => {
                    if $number < H && (ALL || self.rows.contains(&(self.first_tap + $number))) {
                        let pixels = corner.wrapping_add((self.first_tap + $number) * row);
                        self.row::<S, W, STEP, WHOLE>(pixels, &gradients, &mut acc[$number % H]);
                    }
                };
            }
            next!(0);
            next!(1);
            next!(2);
        }
    }

    /// What one row of the windows, which starts at `pixels`, adds to its taps' sums.
    ///
    /// # Safety
    /// As [`GradientTile::add`], for a row that exists.
    #[inline(always)]
    unsafe fn row<S: Simd, const W: usize, const STEP: usize, const WHOLE: bool>(
        &self,
        pixels: *const f32,
        gradients: &[S::V; COLUMNS],
        acc: &mut [S::V; W],
    ) {
        for (p, gradient) in gradients.iter().enumerate() {
            for (tap, acc) in acc.iter_mut().enumerate() {
                let column = p * STEP + tap;
                // SAFETY: as the caller.
                unsafe {
                    let pixel = if WHOLE || (p < self.count && self.columns.contains(&column)) {
                        part::<S, WHOLE>(pixels.wrapping_add(column * self.steps.c), self.lanes)
                    } else {
                        S::splat(0.0)
                    };
                    *acc = S::fma(pixel, *gradient, *acc);
                }
            }
        }
    }
}
