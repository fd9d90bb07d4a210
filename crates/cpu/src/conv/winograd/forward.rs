//! The forward pass and the input gradient: blocks of tiles, transformed, multiplied, transformed back.

use super::transforms::{InputTransform, OutputTransform, Pixels};
use super::{POINTS, Tiles, TransformedKernel, plane};
use crate::backend::Context;
use crate::kernels::{RowTable, Segment, Shared, Sweep, Write};
use std::sync::{Mutex, PoisonError};
use striate_tensor::Result;

/// Tiles of a block: enough that a panel of the kernel is used often, few enough that a block stays in the second-level
/// cache. Multiples of the register tile's rows.
fn tiles_in_block(channels: usize) -> usize {
    if channels > 160 { 96 } else { 48 }
}

/// Elements of a block's products that are in flight: its columns are taken in parts of this size.
const PRODUCTS: usize = 96 << 10;

/// Tasks that the work is cut into at least, where there are panels for it.
const TASKS: usize = 8;

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
    let channels = tiles.in_channels;
    let block = tiles_in_block(channels).min(tiles.count());
    let blocks = tiles.count().div_ceil(block);
    // Few blocks are shared out by columns as well; each then transforms the inputs again, which costs little.
    let panels = kernel.panels();
    let splits = TASKS.div_ceil(blocks).min(panels);
    let per_split = panels.div_ceil(splits);
    let splits = panels.div_ceil(per_split);
    let wide = kernel.panel_columns(0).2;
    let at_once = (PRODUCTS / (POINTS * block * wide)).clamp(1, per_split);
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
    let job = Job {
        cx,
        tiles,
        kernel,
        input,
        zeros: &zeros,
        bias: padded_bias.as_deref(),
        relu,
        block,
        per_split,
        at_once,
        table: table(block, channels, at_once * wide),
    };
    let shared = Shared::new(output);
    let failure = Mutex::new(None);
    let work = (tiles.count() * POINTS) as u64 * (channels * tiles.out_channels) as u64;
    cx.threads.run(blocks * splits, work, |task| {
        if let Err(error) = job.compute(task / splits, task % splits, &shared) {
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
    /// Panels of a task, and of those the ones whose products are in flight together.
    per_split: usize,
    at_once: usize,
    table: RowTable,
}

impl Job<'_> {
    fn compute(&self, block: usize, split: usize, output: &Shared<'_, f32>) -> Result<()> {
        let (cx, tiles, kernel, channels) = (self.cx, self.tiles, self.kernel, self.tiles.in_channels);
        let first = block * self.block;
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
        let mut transformed = cx.memory.take::<f32>(POINTS * in_plane)?;
        {
            let out = Shared::new(&mut transformed);
            for t in 0..count {
                let starts = tiles.inputs(first + t);
                cx.level.run(InputTransform {
                    pixels: Pixels { data: self.input, starts, zeros: self.zeros, channels },
                    out: &out,
                    offset: t * channels,
                    plane: in_plane,
                });
            }
        }
        let out_plane = plane(self.block * columns);
        let mut products = cx.memory.take::<f32>(POINTS * out_plane)?;
        let last = ((split + 1) * self.per_split).min(kernel.panels());
        let mut panel = split * self.per_split;
        while panel < last {
            let together = self.at_once.min(last - panel);
            {
                let shared = Shared::new(&mut products);
                for point in 0..POINTS {
                    for i in 0..together {
                        let (_, _, width) = kernel.panel_columns(panel + i);
                        cx.level.run(&Sweep {
                            a: &transformed[point * in_plane..(point + 1) * in_plane],
                            step: 1,
                            rows,
                            segments: &[Segment { a: 0, b: 0 }],
                            run: channels,
                            panel: kernel.panel(point, panel + i),
                            width,
                            columns: width,
                            c: &shared,
                            c_offset: point * out_plane + i * wide,
                            write: Write { accumulate: false, bias: None, relu: false },
                        });
                    }
                }
            }
            let start = kernel.panel_columns(panel).0;
            let (end, real, _) = kernel.panel_columns(panel + together - 1);
            for t in 0..count {
                cx.level.run(OutputTransform {
                    products: &products[t * columns..],
                    plane: out_plane,
                    channels: end + real - start,
                    bias: self.bias.map(|bias| &bias[start..]),
                    relu: self.relu,
                    out: output,
                    starts: tiles.outputs(first + t).map(|at| at.map(|at| at + start)),
                });
            }
            panel += together;
        }
        Ok(())
    }
}
