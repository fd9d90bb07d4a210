//! The forward pass and the input gradient: blocks of tiles, transformed, multiplied, transformed back.

use super::transforms::{
    GradientTransform, InputTransform, LastPanel, OutputTransform, Pixels, ScatterTransform, for_side,
};
use super::{Tiles, TransformedKernel, plane};
use crate::backend::Context;
use crate::kernels::{Fence, RowTable, Segment, Shared, Sweep, Write, is_streamed};
use std::sync::{Mutex, PoisonError};
use striate_tensor::Result;

/// Tiles of a block: enough that a panel of the kernel is used often, few enough that a block stays in the second-level
/// cache. Multiples of the register tile's rows.
fn tiles_in_block(channels: usize) -> usize {
    match channels {
        0..=32 => 48,
        33..=160 => 24,
        _ => 96,
    }
}

/// Elements of a block's products that are in flight: its columns are taken in parts of this size.
const PRODUCTS: usize = 96 << 10;

/// The gradient of the input, `dx`, from that of the output: each tile of outputs adds to the inputs it saw. This is the
/// transpose of the forward pass; where images are small it has fewer tiles than the input has.
pub(crate) fn scatter(
    cx: &Context,
    tiles: &Tiles,
    kernel: &TransformedKernel,
    dy: &[f32],
    dx: &mut [f32],
) -> Result<()> {
    let per_image = tiles.rows * tiles.columns;
    let block = (tiles_in_block(tiles.out_channels) / per_image).clamp(1, tiles.batch) * per_image;
    blocks(cx, tiles, kernel, dy, (None, false), (dx, None), (block, true))
}

/// Computes the outputs of all tiles. `bias` and `relu` are applied as they are written.
pub(crate) fn run(
    cx: &Context,
    tiles: &Tiles,
    kernel: &TransformedKernel,
    input: &[f32],
    bias: Option<&[f32]>,
    relu: bool,
    output: &mut [f32],
) -> Result<()> {
    let block = tiles_in_block(tiles.in_channels).min(tiles.count());
    blocks(cx, tiles, kernel, input, (bias, relu), (output, None), (block, false))
}

/// Computes the maximum of each 2×2 outputs, of tiles that are [`Tiles::pooled`], and if wanted which of the four it is.
#[expect(clippy::too_many_arguments)]
pub(crate) fn run_pooled(
    cx: &Context,
    tiles: &Tiles,
    kernel: &TransformedKernel,
    input: &[f32],
    bias: Option<&[f32]>,
    relu: bool,
    output: &mut [f32],
    indices: Option<&mut [u8]>,
) -> Result<()> {
    let block = tiles_in_block(tiles.in_channels).min(tiles.count());
    blocks(cx, tiles, kernel, input, (bias, relu), (output, indices), (block, false))
}

fn blocks(
    cx: &Context,
    tiles: &Tiles,
    kernel: &TransformedKernel,
    input: &[f32],
    (bias, relu): (Option<&[f32]>, bool),
    (output, indices): (&mut [f32], Option<&mut [u8]>),
    (block, scatter): (usize, bool),
) -> Result<()> {
    let channels = if scatter { tiles.out_channels } else { tiles.in_channels };
    let points = tiles.points();
    let blocks = tiles.count().div_ceil(block);
    let work = (tiles.count() * points) as u64 * (tiles.in_channels * tiles.out_channels) as u64;
    // Few blocks are shared out by columns as well; each part then transforms the inputs again. The columns are independent:
    // how they are shared out makes no difference to the result.
    let panels = kernel.panels();
    let splits = cx.threads.tasks(work).div_ceil(blocks).min(panels);
    let per_split = panels.div_ceil(splits);
    let splits = panels.div_ceil(per_split);
    let wide = kernel.panel_columns(0).2;
    let at_once = (PRODUCTS / (points * block * wide)).clamp(1, per_split);
    let mut zeros = cx.memory.take::<f32>(channels)?;
    zeros.fill(0.0);
    let padded_bias = match bias {
        Some(bias) => {
            let mut padded = cx.memory.take::<f32>(panels * wide)?;
            padded[..bias.len()].copy_from_slice(bias);
            padded[bias.len()..].fill(0.0);
            Some(padded)
        }
        None => None,
    };
    let lanes = cx.level.lanes();
    let aligned = ((output.as_ptr().addr() / size_of::<f32>()) | tiles.out_channels).is_multiple_of(lanes);
    let job = Job {
        cx,
        tiles,
        kernel,
        input,
        zeros: &zeros,
        bias: padded_bias.as_deref(),
        relu,
        block,
        scatter,
        channels,
        per_split,
        at_once,
        stream: !scatter && !tiles.pools && is_streamed(output) && aligned,
        table: table(block, channels, at_once * wide),
    };
    let shared = Shared::new(output);
    let indices = indices.map(Shared::new);
    let failure = Mutex::new(None);
    cx.threads.run(blocks * splits, work, |task| {
        if let Err(error) = job.compute(task / splits, task % splits, &shared, indices.as_ref()) {
            *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    });
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// The rows of the matrix products: one for each tile.
fn table(rows: usize, channels: usize, columns: usize) -> RowTable {
    let mut table = RowTable::with_capacity(rows);
    (0..rows).for_each(|t| table.push(t * channels, t * columns));
    table
}

struct Job<'a> {
    cx: &'a Context,
    tiles: &'a Tiles,
    kernel: &'a TransformedKernel,
    input: &'a [f32],
    zeros: &'a [f32],
    bias: Option<&'a [f32]>,
    relu: bool,
    block: usize,
    /// The transposed computation: from gradients of the tiles' outputs to those of their inputs.
    scatter: bool,
    /// Channels of what is read.
    channels: usize,
    /// Panels of a task, and of those the ones whose products are in flight together.
    per_split: usize,
    at_once: usize,
    /// Whether outputs are written past the caches.
    stream: bool,
    table: RowTable,
}

impl Job<'_> {
    fn compute(
        &self,
        block: usize,
        split: usize,
        output: &Shared<'_, f32>,
        indices: Option<&Shared<'_, u8>>,
    ) -> Result<()> {
        let (cx, tiles, kernel, channels) = (self.cx, self.tiles, self.kernel, self.channels);
        let (points, first) = (tiles.points(), block * self.block);
        let count = self.block.min(tiles.count() - first);
        let smaller;
        let wide = kernel.panel_columns(0).2;
        let columns = self.at_once * wide;
        let rows = if count == self.block {
            &self.table
        } else {
            smaller = table(count, channels, columns);
            &smaller
        };
        let in_plane = plane(self.block * channels);
        let mut transformed = cx.memory.take::<f32>(points * in_plane)?;
        {
            let out = Shared::new(&mut transformed);
            for t in 0..count {
                let (data, zeros, offset) = (self.input, self.zeros, t * channels);
                if self.scatter {
                    for_side!(
                        cx.level,
                        tiles.side,
                        GradientTransform {
                            pixels: Pixels { data, starts: tiles.outputs(first + t), zeros, channels },
                            out: &out,
                            offset,
                            plane: in_plane,
                            // One panel holds all channels. The zeros beyond a row's end fall into the next one's start, which
                            // is written later, or into the gap between planes.
                            panel: 0,
                            width: usize::MAX,
                            last: LastPanel { channel: usize::MAX, row: 0 },
                        }
                    );
                } else {
                    for_side!(
                        cx.level,
                        tiles.side,
                        InputTransform {
                            pixels: Pixels { data, starts: tiles.inputs(first + t), zeros, channels },
                            out: &out,
                            offset,
                            plane: in_plane,
                        }
                    );
                }
            }
        }
        let out_plane = plane(self.block * columns);
        let mut products = cx.memory.take::<f32>(points * out_plane)?;
        let last = ((split + 1) * self.per_split).min(kernel.panels());
        let mut panel = split * self.per_split;
        while panel < last {
            let together = self.at_once.min(last - panel);
            {
                let shared = Shared::new(&mut products);
                for point in 0..points {
                    let a = &transformed[point * in_plane..(point + 1) * in_plane];
                    for i in 0..together {
                        let (_, _, width) = kernel.panel_columns(panel + i);
                        cx.level.run(&Sweep {
                            a,
                            step: 1,
                            rows,
                            segments: &[Segment { a: 0, b: 0 }],
                            run: channels,
                            panel: kernel.panel(point, panel + i),
                            width,
                            columns: width,
                            c: &shared,
                            c_offset: point * out_plane + i * wide,
                            write: Write { accumulate: false, bias: None, relu: false, stream: false },
                            ahead: &[],
                        });
                    }
                }
            }
            let start = kernel.panel_columns(panel).0;
            let (end, real, _) = kernel.panel_columns(panel + together - 1);
            if self.scatter {
                let image = tiles.input[0] * tiles.input[1] * tiles.in_channels;
                let per_image = tiles.rows * tiles.columns;
                for pixel in (first / per_image * image..(first + count) / per_image * image).step_by(tiles.in_channels)
                {
                    // SAFETY: these images' channels belong to this task alone.
                    unsafe { output.slice(pixel + start, end + real - start) }.fill(0.0);
                }
            }
            for t in 0..count {
                let (products, plane, channels) = (&products[t * columns..], out_plane, end + real - start);
                if self.scatter {
                    let starts = tiles.inputs(first + t);
                    for_side!(
                        cx.level,
                        tiles.side,
                        ScatterTransform { products, plane, channels, out: output, starts, channel: start }
                    );
                } else {
                    for_side!(
                        cx.level,
                        tiles.side,
                        OutputTransform {
                            products,
                            plane,
                            channels,
                            bias: self.bias.map(|bias| &bias[start..]),
                            relu: self.relu,
                            pools: tiles.pools,
                            stream: self.stream,
                            out: output,
                            indices,
                            starts: tiles.outputs(first + t),
                            channel: start,
                        }
                    );
                }
            }
            panel += together;
        }
        if self.stream {
            cx.level.run(Fence);
        }
        Ok(())
    }
}
