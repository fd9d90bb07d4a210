//! The register tile: the one micro-kernel behind matrix products, convolutions and their gradients.
//!
//! A tile holds MR rows by NR columns of the result in registers while it walks along k. Row r of the left operand
//! starts at an address of its own and continues with a fixed step, in one or several segments; the right operand is a
//! packed panel. With step 1 the rows are pixels and k runs over taps and channels (forward, input gradient); with step
//! C the rows are (tap, channel) pairs and k runs over pixels (kernel gradient).

use crate::kernels::Shared;
use crate::simd::{Kernel, Simd, Tile};

/// Where the rows of the left operand and of the result start, in elements.
#[derive(Debug, Default)]
pub(crate) struct RowTable {
    a: Vec<usize>,
    c: Vec<usize>,
    /// The largest of each: what a kernel holds against the operands' lengths.
    a_max: usize,
    c_max: usize,
    /// All bits that the starts of the result's rows have: whether they are multiples of a vector.
    c_bits: usize,
}

impl RowTable {
    pub(crate) fn with_capacity(rows: usize) -> Self {
        RowTable { a: Vec::with_capacity(rows), c: Vec::with_capacity(rows), a_max: 0, c_max: 0, c_bits: 0 }
    }

    /// Adds a row that starts at element `a` of the left operand and `c` of the result.
    #[inline]
    pub(crate) fn push(&mut self, a: usize, c: usize) {
        self.a.push(a);
        self.c.push(c);
        self.a_max = self.a_max.max(a);
        self.c_max = self.c_max.max(c);
        self.c_bits |= c;
    }

    pub(crate) fn len(&self) -> usize {
        self.a.len()
    }

    /// Where the rows of the left operand start.
    pub(crate) fn operands(&self) -> &[usize] {
        &self.a
    }

    /// The largest start of a row of the left operand.
    pub(crate) fn furthest_operand(&self) -> usize {
        self.a_max
    }

    /// The largest start of a row of the result.
    pub(crate) fn furthest_result(&self) -> usize {
        self.c_max
    }

    /// Where the rows of the result start.
    pub(crate) fn results(&self) -> &[usize] {
        &self.c
    }
}

/// A contiguous part of k: the element, relative to a row's first, and the row of the panel that it starts at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Segment {
    pub(crate) a: usize,
    pub(crate) b: usize,
}

/// What is done with the sums.
#[derive(Clone, Copy)]
pub(crate) struct Write<'a> {
    /// Add to what is there instead of overwriting it.
    pub(crate) accumulate: bool,
    /// Added to each row: as many values as the panel has real columns.
    pub(crate) bias: Option<&'a [f32]>,
    /// Clamp at zero.
    pub(crate) relu: bool,
    /// Write past the caches, if whole vectors can be: for results too many to be found there again.
    pub(crate) stream: bool,
}

/// All rows of a table times one panel.
pub(crate) struct Sweep<'a> {
    pub(crate) a: &'a [f32],
    /// Elements between neighbours along k.
    pub(crate) step: usize,
    pub(crate) rows: &'a RowTable,
    pub(crate) segments: &'a [Segment],
    /// Elements of a segment.
    pub(crate) run: usize,
    /// (k, width).
    pub(crate) panel: &'a [f32],
    /// Columns in memory: one or two vectors.
    pub(crate) width: usize,
    /// Columns that are written.
    pub(crate) columns: usize,
    pub(crate) c: &'a Shared<'a, f32>,
    /// Added to where every row of the result starts.
    pub(crate) c_offset: usize,
    pub(crate) write: Write<'a>,
    /// Fetched meanwhile instead of results, where the step is not 1: what is read next. Empty for nothing.
    pub(crate) ahead: &'a [f32],
}

impl Sweep<'_> {
    /// Refuses operands that the tile would read or write beyond.
    ///
    /// # Panics
    /// If the caller computed an offset wrongly.
    fn check<S: Simd>(&self) {
        let (a_max, c_max) = (self.rows.a_max, self.rows.c_max);
        if self.run > 0 && !self.segments.is_empty() {
            let a = self.segments.iter().map(|segment| segment.a).max().unwrap_or(0);
            assert!(a_max + a + (self.run - 1) * self.step < self.a.len(), "left operand too short");
            let b = self.segments.iter().map(|segment| segment.b).max().unwrap_or(0);
            assert!((b + self.run) * self.width <= self.panel.len(), "panel too short");
        }
        assert!(self.c_offset + c_max + self.columns <= self.c.len(), "result too short");
        assert!(self.columns <= self.width && self.width.is_multiple_of(S::LANES));
        assert!(self.write.bias.is_none_or(|bias| bias.len() == self.columns), "bias of wrong size");
    }

    /// Whether results are written past the caches: if every vector of them is whole, new and aligned.
    fn streams<S: Simd>(&self) -> bool {
        let first = self.c.pointer(self.c_offset).addr() / size_of::<f32>();
        let whole = self.columns == self.width && (first | self.rows.c_bits).is_multiple_of(S::LANES);
        self.write.stream && whole && !self.write.accumulate
    }
}

impl Kernel for &Sweep<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        if self.rows.len() == 0 || self.columns == 0 {
            return;
        }
        self.check::<S>();
        let vectors = self.width / S::LANES;
        // SAFETY: `check` held every offset against the operands' lengths, and the instruction set is there because
        // this runs below `Level::run`. Rows of the result that other tasks write are disjoint by the callers' cut.
        unsafe {
            match (S::TILE, vectors) {
                (Tile::TwelveByTwo, 2) => by_length::<S, 12, 2>(self),
                (Tile::TwelveByTwo, 1) => by_length::<S, 12, 1>(self),
                (Tile::SixByTwo, 2) => by_length::<S, 6, 2>(self),
                (_, 1) => by_length::<S, 6, 1>(self),
                _ => panic!("a panel is one or two vectors wide"),
            }
        }
    }
}

/// # Safety
/// Only below `Level::run`, with operands and results that `Sweep::check` held against their lengths.
#[inline(always)]
unsafe fn by_length<S: Simd, const MR: usize, const NV: usize>(s: &Sweep<'_>) {
    // SAFETY: the caller checked the operands.
    unsafe {
        if s.step == 1 && s.streams::<S>() {
            match s.run {
                9 => all_rows::<S, MR, NV, 9, true, true>(s),
                _ => all_rows::<S, MR, NV, 0, true, true>(s),
            }
            return S::fence();
        }
        match (s.step, s.run) {
            // The first layers' rows: 3 taps of 1 or 3 channels.
            (1, 3) => all_rows::<S, MR, NV, 3, true, false>(s),
            (1, 9) => all_rows::<S, MR, NV, 9, true, false>(s),
            // ResNet's: 7 taps of 3 channels.
            (1, 21) => all_rows::<S, MR, NV, 21, true, false>(s),
            (1, _) => all_rows::<S, MR, NV, 0, true, false>(s),
            _ => all_rows::<S, MR, NV, 0, false, false>(s),
        }
    }
}

/// # Safety
/// Only below `Level::run`, with operands and results that `Sweep::check` held against their lengths.
#[inline(always)]
unsafe fn all_rows<
    S: Simd,
    const MR: usize,
    const NV: usize,
    const RUN: usize,
    const UNIT: bool,
    const STREAM: bool,
>(
    s: &Sweep<'_>,
) {
    let m = s.rows.len();
    let full = m - m % MR;
    let mut row = 0;
    // SAFETY: the caller checked the operands; `row + count ≤ m` below.
    unsafe {
        while row < full {
            if !UNIT && adjacent(&s.rows.a[row..row + MR]) {
                one_tile::<S, MR, NV, RUN, UNIT, true, STREAM>(s, row, MR);
            } else {
                one_tile::<S, MR, NV, RUN, UNIT, false, STREAM>(s, row, MR);
            }
            row += MR;
        }
        // The rest takes the smallest tile that holds it.
        match m - row {
            0 => {}
            1 => one_tile::<S, 1, NV, 0, UNIT, false, STREAM>(s, row, 1),
            2 => one_tile::<S, 2, NV, 0, UNIT, false, STREAM>(s, row, 2),
            rest @ (3 | 4) => one_tile::<S, 4, NV, 0, UNIT, false, STREAM>(s, row, rest),
            rest @ (5 | 6) => one_tile::<S, 6, NV, 0, UNIT, false, STREAM>(s, row, rest),
            rest @ 7..=9 if MR > 9 => one_tile::<S, 9, NV, 0, UNIT, false, STREAM>(s, row, rest),
            rest => one_tile::<S, MR, NV, 0, UNIT, false, STREAM>(s, row, rest),
        }
    }
}

/// Whether each row starts one element after the one before.
#[inline(always)]
fn adjacent(rows: &[usize]) -> bool {
    rows.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

/// `count` ≤ MR rows from `row` on; with ADJACENT they start at neighbouring elements.
///
/// # Safety
/// Only below `Level::run`, with operands and results that `Sweep::check` held against their lengths.
#[inline(always)]
unsafe fn one_tile<
    S: Simd,
    const MR: usize,
    const NV: usize,
    const RUN: usize,
    const UNIT: bool,
    const ADJACENT: bool,
    const STREAM: bool,
>(
    s: &Sweep<'_>,
    row: usize,
    count: usize,
) {
    // SAFETY: the caller checked every offset; a missing row repeats the last one and is not written.
    unsafe {
        let base = s.a.as_ptr();
        let mut a = [base; MR];
        for (r, a) in a.iter_mut().enumerate() {
            *a = base.add(*s.rows.a.get_unchecked(row + r.min(count - 1)));
        }
        // The next tile's results are fetched while this one's are computed, unless something else is.
        for r in 0..if STREAM || !s.ahead.is_empty() { 0 } else { MR } {
            let next = *s.rows.c.get_unchecked((row + MR + r).min(s.rows.c.len() - 1));
            let next = s.c.pointer(0).wrapping_add(s.c_offset + next);
            for v in 0..NV {
                S::prefetch(next.wrapping_add(v * S::LANES));
            }
        }
        if !UNIT {
            let (from, to) = (row * s.ahead.len() / s.rows.len(), (row + count) * s.ahead.len() / s.rows.len());
            for line in (from..to).step_by(16) {
                S::prefetch_second(s.ahead.as_ptr().wrapping_add(line));
            }
        }
        let step = if UNIT { 1 } else { s.step };
        let mut acc = [[S::splat(0.0); NV]; MR];
        for segment in s.segments {
            let mut at = segment.a;
            let mut b = s.panel.as_ptr().add(segment.b * NV * S::LANES);
            if RUN > 0 {
                for i in 0..RUN {
                    multiply::<S, MR, NV>(&mut acc, &a, at + i, b.add(i * NV * S::LANES));
                }
            } else {
                let mut left = s.run;
                while UNIT && left >= 4 {
                    for i in 0..4 {
                        multiply::<S, MR, NV>(&mut acc, &a, at + i, b.add(i * NV * S::LANES));
                    }
                    at += 4;
                    b = b.add(4 * NV * S::LANES);
                    left -= 4;
                }
                // One address serves all rows where they are neighbours. No second loop here: between two of them the
                // compiler would park the sums in memory, which short runs feel.
                let mut first = a[0].wrapping_add(at);
                while left > 0 {
                    if ADJACENT {
                        multiply_adjacent::<S, MR, NV>(&mut acc, first, b);
                        first = first.wrapping_add(step);
                    } else {
                        multiply::<S, MR, NV>(&mut acc, &a, at, b);
                        at += step;
                    }
                    b = b.add(NV * S::LANES);
                    left -= 1;
                }
            }
        }
        write::<S, MR, NV, STREAM>(s, &acc, row, count);
    }
}

/// One step along k.
///
/// # Safety
/// Only below `Level::run`, with operands and results that `Sweep::check` held against their lengths.
#[inline(always)]
unsafe fn multiply<S: Simd, const MR: usize, const NV: usize>(
    acc: &mut [[S::V; NV]; MR],
    a: &[*const f32; MR],
    at: usize,
    b: *const f32,
) {
    // SAFETY: the caller checked that all of these elements exist.
    unsafe {
        let mut columns = [S::splat(0.0); NV];
        for (v, column) in columns.iter_mut().enumerate() {
            *column = S::load(b.add(v * S::LANES));
        }
        for r in 0..MR {
            let x = S::splat(*a[r].add(at));
            for v in 0..NV {
                acc[r][v] = S::fma(x, columns[v], acc[r][v]);
            }
        }
    }
}

/// One step along k, for rows that start at neighbouring elements.
///
/// # Safety
/// Only below `Level::run`, with operands and results that `Sweep::check` held against their lengths.
#[inline(always)]
unsafe fn multiply_adjacent<S: Simd, const MR: usize, const NV: usize>(
    acc: &mut [[S::V; NV]; MR],
    a: *const f32,
    b: *const f32,
) {
    // SAFETY: the caller checked that all of these elements exist.
    unsafe {
        let mut columns = [S::splat(0.0); NV];
        for (v, column) in columns.iter_mut().enumerate() {
            *column = S::load(b.add(v * S::LANES));
        }
        for (r, acc) in acc.iter_mut().enumerate() {
            let x = S::splat(*a.add(r));
            for v in 0..NV {
                acc[v] = S::fma(x, columns[v], acc[v]);
            }
        }
    }
}

/// # Safety
/// Only below `Level::run`, with operands and results that `Sweep::check` held against their lengths.
#[inline(always)]
unsafe fn write<S: Simd, const MR: usize, const NV: usize, const STREAM: bool>(
    s: &Sweep<'_>,
    acc: &[[S::V; NV]; MR],
    row: usize,
    count: usize,
) {
    // SAFETY: the caller checked that `columns` elements from each row's start lie in the result.
    unsafe {
        let start = s.c.pointer(0).add(s.c_offset);
        let full = STREAM || s.columns == NV * S::LANES;
        let zero = S::splat(0.0);
        let mut bias = [zero; NV];
        if let Some(values) = s.write.bias {
            for (v, bias) in bias.iter_mut().enumerate() {
                *bias = load_columns::<S>(values.as_ptr(), v, s.columns);
            }
        }
        for (r, acc) in acc.iter().enumerate() {
            if r >= count {
                break;
            }
            let c = start.add(*s.rows.c.get_unchecked(row + r));
            for v in 0..NV {
                let mut sum = S::add(acc[v], bias[v]);
                if full {
                    let at = c.add(v * S::LANES);
                    if s.write.accumulate {
                        sum = S::add(sum, S::load(at));
                    }
                    if s.write.relu {
                        sum = S::max(sum, zero);
                    }
                    if STREAM { S::stream(at, sum) } else { S::store(at, sum) }
                } else {
                    if s.write.accumulate {
                        sum = S::add(sum, load_columns::<S>(c, v, s.columns));
                    }
                    if s.write.relu {
                        sum = S::max(sum, zero);
                    }
                    let left = s.columns.saturating_sub(v * S::LANES);
                    if left >= S::LANES {
                        S::store(c.add(v * S::LANES), sum);
                    } else if left > 0 {
                        S::store_part(c.add(v * S::LANES), sum, left);
                    }
                }
            }
        }
    }
}

/// Vector `v` of a row of `columns` elements, zero beyond the end.
///
/// # Safety
/// Only below `Level::run`, with operands and results that `Sweep::check` held against their lengths.
#[inline(always)]
unsafe fn load_columns<S: Simd>(row: *const f32, v: usize, columns: usize) -> S::V {
    let left = columns.saturating_sub(v * S::LANES);
    // SAFETY: at most `columns` elements of the row are read.
    unsafe {
        if left >= S::LANES {
            S::load(row.add(v * S::LANES))
        } else if left > 0 {
            S::load_part(row.add(v * S::LANES), left)
        } else {
            S::splat(0.0)
        }
    }
}
