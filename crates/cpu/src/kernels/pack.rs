//! Laying out the right-hand operand as the register tile reads it.

use crate::kernels::Shared;
use crate::memory::{Buffer, Memory};
use crate::simd::Level;
use crate::threads::Threads;
use striate_tensor::Result;

/// A matrix (k, n) for each group, cut into panels of as many columns as the register tile has: in memory
/// (group, panel, k, width). The last panel may be narrower, one vector wide, and is filled with zeros.
pub(crate) struct Packed {
    data: Buffer<f32>,
    pub(crate) k: usize,
    pub(crate) n: usize,
    /// Columns of a full panel.
    wide: usize,
    /// Columns of the panel that follows the full ones; 0 if there is none.
    rest: usize,
}

/// Where the elements of a matrix to pack lie: row `segment · run + i`, column `j` at
/// `group · group_step + segments[segment] + i · row_step + j · column_step`.
pub(crate) struct PackSource<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) groups: usize,
    pub(crate) group_step: usize,
    pub(crate) segments: &'a [usize],
    pub(crate) run: usize,
    pub(crate) row_step: usize,
    pub(crate) columns: usize,
    pub(crate) column_step: usize,
}

impl Packed {
    pub(crate) fn panels(&self) -> usize {
        self.n / self.wide + usize::from(self.rest > 0)
    }

    /// The first column of a panel, how many columns are real, and how many it has in memory.
    pub(crate) fn columns(&self, panel: usize) -> (usize, usize, usize) {
        let start = panel * self.wide;
        let width = if start + self.wide <= self.n { self.wide } else { self.rest };
        (start, width.min(self.n - start), width)
    }

    /// Rows `from..to` of a group's panel.
    pub(crate) fn panel(&self, group: usize, panel: usize, from: usize, to: usize) -> &[f32] {
        let per_group = self.k * (self.n / self.wide * self.wide + self.rest);
        let (_, _, width) = self.columns(panel);
        let start = group * per_group + panel * self.wide * self.k;
        &self.data[start + from * width..start + to * width]
    }

    /// Packs a matrix; the panels are shared among the threads.
    pub(crate) fn new(source: &PackSource<'_>, level: Level, memory: &Memory, threads: &Threads) -> Result<Packed> {
        let k = source.segments.len() * source.run;
        let n = source.columns;
        let (lanes, wide) = (level.lanes(), level.tile_columns());
        let rest = (n % wide).div_ceil(lanes) * lanes;
        let per_group = k * (n / wide * wide + rest);
        let mut packed = Packed { data: memory.take(source.groups * per_group)?, k, n, wide, rest };
        let panels = packed.panels();
        let bounds: Vec<_> = (0..panels).map(|p| packed.columns(p)).collect();
        let shared = Shared::new(&mut packed.data);
        threads.run(source.groups * panels, 8 * (source.groups * per_group) as u64, |task| {
            let (group, panel) = (task / panels, task % panels);
            let (start, real, width) = bounds[panel];
            // SAFETY: each task has a panel of its own.
            let out = unsafe { shared.slice(group * per_group + start * k, k * width) };
            pack_panel(source, group, start, real, width, out);
        });
        Ok(packed)
    }
}

/// Packs one panel of `width` columns, `real` of them from the source.
pub(crate) fn pack_panel(
    source: &PackSource<'_>,
    group: usize,
    start: usize,
    real: usize,
    width: usize,
    out: &mut [f32],
) {
    let PackSource { data, run, row_step, column_step, .. } = *source;
    for (&segment, out) in source.segments.iter().zip(out.chunks_exact_mut((run * width).max(1))) {
        let base = group * source.group_step + segment + start * column_step;
        if column_step == 1 {
            for (i, row) in out.chunks_exact_mut(width).enumerate() {
                let from = base + i * row_step;
                let (filled, rest) = row.split_at_mut(real);
                if real == 16 {
                    // A length known beforehand becomes two moves instead of a call.
                    filled[..16].copy_from_slice(&data[from..from + 16]);
                } else {
                    filled.copy_from_slice(&data[from..from + real]);
                }
                rest.fill(0.0);
            }
        } else {
            for j in 0..width {
                let column = out[j..].iter_mut().step_by(width);
                if j >= real {
                    column.for_each(|v| *v = 0.0);
                    continue;
                }
                let from = base + j * column_step;
                for (i, v) in column.enumerate() {
                    *v = data[from + i * row_step];
                }
            }
        }
    }
}

/// Pixels laid out as the rows of register tiles: in memory (channels / tile, pixel, tile), where a row continues with the next
/// pixel after `tile` elements. The last tile is filled with zeros.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TileLayout {
    pub(crate) tile: usize,
    pub(crate) channels: usize,
    pub(crate) pixels: usize,
}

impl TileLayout {
    pub(crate) fn len(&self) -> usize {
        self.channels.div_ceil(self.tile) * self.tile * self.pixels
    }

    /// Where a channel of a pixel lies.
    pub(crate) fn offset(&self, pixel: usize, channel: usize) -> usize {
        (channel / self.tile * self.pixels + pixel) * self.tile + channel % self.tile
    }

    /// Lays out `count` pixels from `first` on: `before` of zeros, then those of `inside`, then zeros. A pixel of `inside`
    /// has `all` channels, of which those from `channel` on are wanted.
    pub(crate) fn pack_row(
        &self,
        (first, count): (usize, usize),
        before: usize,
        inside: &[f32],
        (all, channel): (usize, usize),
        out: &mut [f32],
    ) {
        match self.tile {
            6 => self.pack_row_of::<6>((first, count), before, inside, (all, channel), out),
            12 => self.pack_row_of::<12>((first, count), before, inside, (all, channel), out),
            tile => panic!("no register tile has {tile} rows"),
        }
    }

    fn pack_row_of<const N: usize>(
        &self,
        (first, count): (usize, usize),
        before: usize,
        inside: &[f32],
        (all, channel): (usize, usize),
        out: &mut [f32],
    ) {
        let (whole, rest) = (self.channels / N, self.channels % N);
        let existing = inside.len() / all;
        for (t, out) in out.chunks_exact_mut(self.pixels * N).enumerate() {
            let out = &mut out[first * N..(first + count) * N];
            let (left, out) = out.split_at_mut(before * N);
            let (middle, right) = out.split_at_mut(existing * N);
            left.fill(0.0);
            right.fill(0.0);
            let at = channel + t * N;
            let pixels = middle.chunks_exact_mut(N).zip(inside.chunks_exact(all));
            if t < whole {
                pixels.for_each(|(out, pixel)| out.copy_from_slice(&pixel[at..at + N]));
            } else {
                pixels.for_each(|(out, pixel)| {
                    out[..rest].copy_from_slice(&pixel[at..at + rest]);
                    out[rest..].fill(0.0);
                });
            }
        }
    }
}
