//! Few rows against a right-hand operand that is read where it lies: the kernel gradients of convolutions whose pixels have
//! fewer channels than a register tile has rows. Packing would cost as much as the products.

use crate::kernels::{RowTable, Shared};
use crate::simd::{Kernel, Simd, Tile};

/// Where a run of k starts in each operand, in elements.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) a: usize,
    pub(crate) b: usize,
}

/// For each row r and column j, the sum along k of `a[rows[r] + run.a + i · a_step] · b[run.b + i · b_step + j]`.
pub(crate) struct Thin<'a> {
    pub(crate) a: &'a [f32],
    pub(crate) a_step: usize,
    pub(crate) rows: &'a RowTable,
    pub(crate) b: &'a [f32],
    pub(crate) b_step: usize,
    pub(crate) columns: usize,
    pub(crate) runs: &'a [Run],
    /// Steps along k of each run.
    pub(crate) len: usize,
    pub(crate) c: &'a Shared<'a, f32>,
    /// Added to where every row of the result starts.
    pub(crate) c_offset: usize,
    /// Add to what is there instead of overwriting it.
    pub(crate) accumulate: bool,
    /// Takes the sums of the columns of `b`.
    pub(crate) column_sums: Option<&'a mut [f32]>,
}

impl Thin<'_> {
    /// Refuses operands that the kernel would read or write beyond.
    ///
    /// # Panics
    /// If the caller computed an offset wrongly.
    fn check(&self) {
        let (a, b) = self.runs.iter().fold((0, 0), |(a, b), run| (a.max(run.a), b.max(run.b)));
        let last = self.len.saturating_sub(1);
        assert!(self.rows.furthest_operand() + a + last * self.a_step < self.a.len(), "left operand too short");
        assert!(b + last * self.b_step + self.columns <= self.b.len(), "right operand too short");
        assert!(self.c_offset + self.rows.furthest_result() + self.columns <= self.c.len(), "result too short");
        assert!(self.column_sums.as_ref().is_none_or(|sums| sums.len() == self.columns), "sums of wrong size");
    }
}

impl Kernel for &mut Thin<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        if self.rows.len() == 0 || self.columns == 0 || self.len == 0 || self.runs.is_empty() {
            return;
        }
        self.check();
        // SAFETY: `check` held every offset against the operands' lengths, and the instruction set is there because this
        // runs below `Level::run`. Rows of the result that other tasks write are disjoint by the callers' cut.
        unsafe {
            let mut column = 0;
            while column < self.columns {
                let left = self.columns - column;
                // Enough sums are under way at once to hide the latency of a multiply-add.
                let vectors = match S::TILE {
                    Tile::TwelveByTwo if left >= 2 * S::LANES => block::<S, 9, 2>(self, column),
                    Tile::SixByTwo if left >= 2 * S::LANES => block::<S, 6, 2>(self, column),
                    Tile::SixByOne => block::<S, 6, 1>(self, column),
                    _ => block::<S, 9, 1>(self, column),
                };
                column += vectors * S::LANES;
            }
        }
    }
}

/// All rows for NV vectors of columns from `column` on; returns NV.
///
/// # Safety
/// Only below `Level::run`, with operands and results held against their lengths.
#[inline(always)]
unsafe fn block<S: Simd, const MR: usize, const NV: usize>(t: &mut Thin<'_>, column: usize) -> usize {
    let left = (t.columns - column).min(NV * S::LANES);
    // SAFETY: the caller checked the operands.
    unsafe {
        let mut row = 0;
        while row < t.rows.len() {
            if left == NV * S::LANES && MR == 6 && t.rows.len() - row <= 4 {
                tile::<S, 4, NV, true>(t, row, column, left);
            } else if left == NV * S::LANES {
                tile::<S, MR, NV, true>(t, row, column, left);
            } else {
                tile::<S, MR, NV, false>(t, row, column, left);
            }
            row += MR;
        }
        if t.column_sums.is_some() {
            sum_columns::<S, NV>(t, column, left);
        }
    }
    NV
}

/// `n` elements of vector `v` of a block, all of them with FULL.
///
/// # Safety
/// Only below `Level::run`, with operands and results held against their lengths.
#[inline(always)]
unsafe fn load<S: Simd, const FULL: bool>(at: *const f32, v: usize, n: usize) -> S::V {
    // SAFETY: the caller has `n` elements at `at`, and as many whole vectors as FULL promises.
    unsafe {
        let left = n.saturating_sub(v * S::LANES);
        if FULL || left >= S::LANES {
            S::load(at.add(v * S::LANES))
        } else if left > 0 {
            S::load_part(at.add(v * S::LANES), left)
        } else {
            S::splat(0.0)
        }
    }
}

/// # Safety
/// Only below `Level::run`, with operands and results held against their lengths.
#[inline(always)]
unsafe fn store<S: Simd, const FULL: bool>(at: *mut f32, v: usize, n: usize, value: S::V) {
    // SAFETY: as `load`.
    unsafe {
        let left = n.saturating_sub(v * S::LANES);
        if FULL || left >= S::LANES {
            S::store(at.add(v * S::LANES), value);
        } else if left > 0 {
            S::store_part(at.add(v * S::LANES), value, left);
        }
    }
}

/// Up to MR rows from `row` on.
///
/// # Safety
/// Only below `Level::run`, with operands and results held against their lengths.
#[inline(always)]
unsafe fn tile<S: Simd, const MR: usize, const NV: usize, const FULL: bool>(
    t: &Thin<'_>,
    row: usize,
    column: usize,
    columns: usize,
) {
    // SAFETY: the caller checked every offset; a missing row repeats the last one and is not written.
    unsafe {
        let (a_rows, c_rows) = (t.rows.operands(), t.rows.results());
        let count = MR.min(c_rows.len() - row);
        let base = t.a.as_ptr();
        let mut acc = [[S::splat(0.0); NV]; MR];
        for run in t.runs {
            let mut a = [base; MR];
            for (r, a) in a.iter_mut().enumerate() {
                *a = base.add(*a_rows.get_unchecked(row + r.min(count - 1)) + run.a);
            }
            let mut b = t.b.as_ptr().add(run.b + column);
            let mut at = 0;
            for _ in 0..t.len {
                let mut vectors = [S::splat(0.0); NV];
                for (v, vector) in vectors.iter_mut().enumerate() {
                    *vector = load::<S, FULL>(b, v, columns);
                }
                for r in 0..MR {
                    let x = S::splat(*a[r].add(at));
                    for v in 0..NV {
                        acc[r][v] = S::fma(x, vectors[v], acc[r][v]);
                    }
                }
                at += t.a_step;
                b = b.wrapping_add(t.b_step);
            }
        }
        let c = t.c.pointer(0).add(t.c_offset + column);
        for (r, acc) in acc.iter().enumerate() {
            if r >= count {
                break;
            }
            let c = c.add(*c_rows.get_unchecked(row + r));
            for (v, &sum) in acc.iter().enumerate() {
                let mut sum = sum;
                if t.accumulate {
                    sum = S::add(sum, load::<S, FULL>(c, v, columns));
                }
                store::<S, FULL>(c, v, columns, sum);
            }
        }
    }
}

/// # Safety
/// Only below `Level::run`, with operands and results held against their lengths.
#[inline(always)]
unsafe fn sum_columns<S: Simd, const NV: usize>(t: &mut Thin<'_>, column: usize, columns: usize) {
    // SAFETY: the caller checked every offset, and that there are as many sums as columns.
    unsafe {
        let mut sums = [S::splat(0.0); NV];
        for run in t.runs {
            let mut b = t.b.as_ptr().add(run.b + column);
            for _ in 0..t.len {
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = S::add(*sum, load::<S, false>(b, v, columns));
                }
                b = b.wrapping_add(t.b_step);
            }
        }
        if let Some(out) = &mut t.column_sums {
            let out = out[column..column + columns].as_mut_ptr();
            for (v, &sum) in sums.iter().enumerate() {
                let old = if t.accumulate { load::<S, false>(out, v, columns) } else { S::splat(0.0) };
                store::<S, false>(out, v, columns, S::add(old, sum));
            }
        }
    }
}
