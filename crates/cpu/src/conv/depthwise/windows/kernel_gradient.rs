//! The gradients of kernel and bias: a tile of gradients meets the pixels of its windows.

use super::{CHANNELS, COLUMNS, Map, STRIP, Steps, TASKS, part};
use crate::backend::Context;
use crate::conv::depthwise::add_to;
use crate::kernels::Shared;
use crate::simd::{Kernel, Simd};
use std::ops::Range;
use striate_tensor::Result;

/// Rows of gradients that are fetched ahead.
const ROWS_AHEAD: usize = 2;

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
