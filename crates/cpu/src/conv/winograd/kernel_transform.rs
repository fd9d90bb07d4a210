//! Transformed kernels, packed for the register tile.

use super::transforms::{KernelTransform, for_side};
use super::{Pass, Tiles, plane};
use crate::backend::Context;
use crate::kernels::Shared;
use crate::memory::Buffer;
use striate_tensor::{ConvGeometry, Result};

/// A kernel's matrices, one for each point (channels in, channels out), each cut into panels as the register tile reads them.
pub(crate) struct TransformedKernel {
    data: Buffer<f32>,
    rows: usize,
    columns: usize,
    /// Columns of a full panel, of the last one in memory, and elements between matrices.
    wide: usize,
    lanes: usize,
    plane: usize,
}

impl TransformedKernel {
    /// Transforms the kernel (3, 3, in, out) for the forward pass; turned round for the input gradient, with `scatter` as
    /// [`Tiles`](super::Tiles) of the output give it.
    pub(crate) fn new(
        cx: &Context,
        kernel: &[f32],
        g: &ConvGeometry,
        tiles: &Tiles,
        pass: Pass,
        scatter: bool,
    ) -> Result<TransformedKernel> {
        let (c_in, c_out) = (g.in_channels, g.out_channels);
        let size = c_in * c_out;
        if pass != Pass::InputGradient {
            return Self::of_taps(cx, kernel, tiles, std::array::from_fn(|t| t * size), c_in, c_out);
        }
        let mut turned = cx.memory.take::<f32>(9 * size)?;
        cx.threads.pieces(&mut turned, size, 16 * size as u64, |t, out| {
            transpose(&kernel[t * size..(t + 1) * size], c_in, c_out, out);
        });
        Self::of_taps(cx, &turned, tiles, std::array::from_fn(|t| if scatter { t } else { 8 - t } * size), c_out, c_in)
    }

    fn of_taps(
        cx: &Context,
        kernel: &[f32],
        tiles: &Tiles,
        taps: [usize; 9],
        rows: usize,
        columns: usize,
    ) -> Result<Self> {
        let (lanes, wide) = (cx.level.lanes(), cx.level.tile_columns());
        let padded = columns / wide * wide + (columns % wide).div_ceil(lanes) * lanes;
        let plane = plane(rows * padded);
        let mut data = cx.memory.take::<f32>(tiles.points() * plane)?;
        let shared = Shared::new(&mut data);
        let panels = columns.div_ceil(wide);
        let width = |panel: usize| wide.min(padded - panel * wide);
        // A task takes some rows of a panel.
        let chunk = 32usize;
        let chunks = rows.div_ceil(chunk);
        cx.threads.run(panels * chunks, 40 * (rows * padded) as u64, |task| {
            let (panel, chunk_index) = (task / chunks, task % chunks);
            let start = panel * wide;
            for row in chunk_index * chunk..((chunk_index + 1) * chunk).min(rows) {
                for_side!(
                    cx.level,
                    tiles.side,
                    KernelTransform {
                        kernel,
                        taps: taps.map(|tap| tap + row * columns + start),
                        columns: wide.min(columns - start),
                        out: &shared,
                        offset: start * rows + row * width(panel),
                        plane,
                    }
                );
            }
        });
        Ok(TransformedKernel { data, rows, columns, wide, lanes, plane })
    }

    pub(crate) fn panels(&self) -> usize {
        self.columns.div_ceil(self.wide)
    }

    /// The first column of a panel, how many columns are real, and how many it has in memory.
    pub(crate) fn panel_columns(&self, panel: usize) -> (usize, usize, usize) {
        let start = panel * self.wide;
        let real = self.wide.min(self.columns - start);
        (start, real, real.div_ceil(self.lanes) * self.lanes)
    }

    /// The panel of a point's matrix: (channels in, width).
    pub(crate) fn panel(&self, point: usize, panel: usize) -> &[f32] {
        let (start, _, width) = self.panel_columns(panel);
        let from = point * self.plane + start * self.rows;
        &self.data[from..from + self.rows * width]
    }
}

/// (rows, columns) to (columns, rows), in squares that stay in the cache.
fn transpose(from: &[f32], rows: usize, columns: usize, to: &mut [f32]) {
    const SIDE: usize = 16;
    for r0 in (0..rows).step_by(SIDE) {
        for c0 in (0..columns).step_by(SIDE) {
            for c in c0..(c0 + SIDE).min(columns) {
                for r in r0..(r0 + SIDE).min(rows) {
                    to[c * rows + r] = from[r * columns + c];
                }
            }
        }
    }
}
