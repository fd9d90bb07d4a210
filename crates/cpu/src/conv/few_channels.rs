//! The gradient of an input of few channels, a photograph's for instance.
//!
//! A register tile whose columns are the input's channels would be nearly empty. Here its columns are (tap, channel) pairs: a matrix
//! product gives what each position contributes to each pixel that it saw, and the contributions are added where they belong.
//! The taps of a kernel row lie side by side in both.

use super::direct;
use crate::backend::Context;
use crate::kernels::{PackSource, Packed, RowTable, Segment, Shared, Sweep, Write};
use crate::simd::{Kernel, Simd};
use std::sync::{Mutex, PoisonError};
use striate_tensor::{ConvGeometry, Result, Tensor};

/// Channels that are few.
const FEW: usize = 4;
/// Output channels from which on the matrix product is worth adding up what it gives.
const ENOUGH: usize = 8;
/// Rows of the input that a task computes: the rows of positions at its borders are multiplied by two tasks.
const BAND: usize = 48;
/// Elements of the contributions that are in flight.
const CONTRIBUTIONS: usize = 24 << 10;

pub(crate) fn is_possible(g: &ConvGeometry) -> bool {
    let is_plane = g.input[0] == 1 && g.output[0] == 1 && g.kernel[0] == 1;
    let is_worth_it = g.in_channels <= FEW && g.out_channels >= ENOUGH;
    g.groups == 1 && is_worth_it && is_plane && g.pad_before[0] == 0 && g.dilations[2] == 1
}

/// Computes the input's gradient `dx` from the output's, `dy`. `weights` is what `kernel` holds.
pub(crate) fn input_gradient(
    cx: &Context,
    dy: &[f32],
    kernel: &Tensor,
    weights: &[f32],
    g: &ConvGeometry,
    dx: &mut [f32],
) -> Result<()> {
    let pairs = g.taps() * g.in_channels;
    let ([_, height, width], [_, out_height, out_width]) = (g.input, g.output);
    let row = width * g.in_channels;
    if g.batch * out_height * out_width * pairs == 0 || g.out_channels == 0 {
        dx.fill(0.0);
        return Ok(());
    }
    let packed = kernel.prepared(direct::key(g, 1 << 20), || {
        let source = PackSource {
            data: weights,
            groups: 1,
            group_step: 0,
            segments: &[0],
            run: g.out_channels,
            row_step: 1,
            columns: pairs,
            column_step: g.out_channels,
        };
        Packed::new(&source, cx.level, &cx.memory, &cx.threads)
    })?;
    let at_once = (CONTRIBUTIONS / (out_width * pairs)).clamp(1, out_height);
    let table = table(g, at_once, pairs);
    let bands = height.div_ceil(BAND);
    let shared = Shared::new(dx);
    let failure = Mutex::new(None);
    cx.threads.run(g.batch * bands, g.multiply_adds(), |task| {
        let (image, band) = (task / bands, task % bands);
        let rows = band * BAND..((band + 1) * BAND).min(height);
        let compute = || -> Result<()> {
            // SAFETY: each row of the input belongs to one task.
            let dx = unsafe { shared.slice((image * height + rows.start) * row, rows.len() * row) };
            dx.fill(0.0);
            let mut sums = cx.memory.take::<f32>(at_once * out_width * pairs)?;
            // The rows of positions whose first tap lies before the band's end and whose last lies in it or behind.
            let reach = (g.kernel[1] - 1) * g.dilations[1];
            let first = (rows.start + g.pad_before[1]).saturating_sub(reach).div_ceil(g.strides[1]);
            let last = (rows.end + g.pad_before[1]).div_ceil(g.strides[1]).min(out_height);
            for start in (first..last).step_by(at_once) {
                let count = at_once.min(last - start);
                let smaller;
                let table = if count == at_once {
                    &table
                } else {
                    smaller = self::table(g, count, pairs);
                    &smaller
                };
                let from = (image * out_height + start) * out_width * g.out_channels;
                let shared_sums = Shared::new(&mut sums);
                for panel in 0..packed.panels() {
                    let (column, columns, padded) = packed.columns(panel);
                    cx.level.run(&Sweep {
                        a: &dy[from..from + count * out_width * g.out_channels],
                        step: 1,
                        rows: table,
                        segments: &[Segment { a: 0, b: 0 }],
                        run: g.out_channels,
                        panel: packed.panel(0, panel, 0, packed.k),
                        width: padded,
                        columns,
                        c: &shared_sums,
                        c_offset: column,
                        write: Write { accumulate: false, bias: None, relu: false, stream: false },
                        ahead: &[],
                    });
                }
                for (i, sums) in sums.chunks_exact(out_width * pairs).take(count).enumerate() {
                    for tap in 0..g.kernel[1] {
                        let to = ((start + i) * g.strides[1] + tap * g.dilations[1]).checked_sub(g.pad_before[1]);
                        let Some(to) = to.filter(|to| rows.contains(to)) else { continue };
                        let to = (to - rows.start) * row;
                        let len = g.kernel[2] * g.in_channels;
                        cx.level.run(AddRow {
                            sums,
                            pairs,
                            first: tap * len,
                            len,
                            step: g.strides[2] * g.in_channels,
                            before: g.pad_before[2] * g.in_channels,
                            rounds: g.kernel[2].div_ceil(g.strides[2]),
                            out: &mut dx[to..to + row],
                        });
                    }
                }
            }
            Ok(())
        };
        if let Err(error) = compute() {
            *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    });
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// Some rows of positions: where each position's gradient and contributions lie.
fn table(g: &ConvGeometry, rows: usize, pairs: usize) -> RowTable {
    let positions = rows * g.output[2];
    let mut table = RowTable::with_capacity(positions);
    (0..positions).for_each(|position| table.push(position * g.out_channels, position * pairs));
    table
}

/// Adds what a row of positions contributes through one row of taps.
struct AddRow<'a> {
    /// (positions, pairs).
    sums: &'a [f32],
    pairs: usize,
    /// The row of taps among a position's pairs.
    first: usize,
    len: usize,
    /// Elements between the places of neighbouring positions, and how many lie before the row's first pixel.
    step: usize,
    before: usize,
    /// Positions so far apart touch no common element: an addition need not wait for the last one.
    rounds: usize,
    out: &'a mut [f32],
}

impl Kernel for AddRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let AddRow { sums, pairs, first, len, step, before, rounds, out } = self;
        let positions = sums.len() / pairs;
        assert!(first + len <= pairs);
        for round in 0..rounds {
            for position in (round..positions).step_by(rounds) {
                // Outside the row there are no pixels.
                let place = position * step;
                let skipped = before.saturating_sub(place).min(len);
                let to = (place + skipped).saturating_sub(before);
                let count = (len - skipped).min(out.len().saturating_sub(to));
                let from = position * pairs + first + skipped;
                // SAFETY: `from + count` lies in the position's pairs and `to + count` in the row; parts are shorter than a vector.
                unsafe {
                    let (from, to) = (sums.as_ptr().wrapping_add(from), out.as_mut_ptr().wrapping_add(to));
                    let mut at = 0;
                    while at + S::LANES <= count {
                        S::store(to.add(at), S::add(S::load(to.add(at)), S::load(from.add(at))));
                        at += S::LANES;
                    }
                    if at < count {
                        let n = count - at;
                        S::store_part(
                            to.add(at),
                            S::add(S::load_part(to.add(at), n), S::load_part(from.add(at), n)),
                            n,
                        );
                    }
                }
            }
        }
    }
}
