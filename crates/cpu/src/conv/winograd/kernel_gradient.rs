//! The gradient of the kernel: the transposed computation, with as many products a tile.

use super::transforms::{GradientTransform, InputTransform, KernelGradientTransform, LastPanel, Pixels, for_side};
use super::{Tiles, plane};
use crate::backend::Context;
use crate::conv::kernel_gradient::add_columns;
use crate::kernels::{RowTable, Segment, Shared, Sweep, Write};
use striate_tensor::Result;

/// Elements of a block's transforms: at least, and at most. Large kernels take large blocks, because their sums are read and
/// written once a block.
const BLOCK: [usize; 2] = [3 << 17, 8 << 20];

/// Elements between tiles beyond the channels: neighbours in a column of channels must not fight for cache lines.
const GAP: usize = 16;

/// Computes the gradients of the kernel (3, 3, in, out) and of the bias from the input and the output's gradient.
pub(crate) fn run(
    cx: &Context,
    tiles: &Tiles,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    mut db: Option<&mut [f32]>,
) -> Result<()> {
    let (c_in, c_out) = (tiles.in_channels, tiles.out_channels);
    let points = tiles.points();
    // The point of a transformed gradient that is the sum of the tile's gradients: row and column 1.
    let sum = tiles.side + 3;
    let (lanes, wide) = (cx.level.lanes(), cx.level.tile_columns());
    let padded = c_out / wide * wide + (c_out % wide).div_ceil(lanes) * lanes;
    let step = c_in + GAP;
    let budget = (2 * points * c_in * c_out).clamp(BLOCK[0], BLOCK[1]);
    let block = (budget / (points * (step + padded))).clamp(24, 1024).min(tiles.count());
    let (x_plane, dy_plane) = (plane(block * step), plane(block * padded));
    let sum_plane = plane(c_in * c_out);
    let mut inputs = cx.memory.take::<f32>(points * x_plane)?;
    let mut gradients = cx.memory.take::<f32>(points * dy_plane)?;
    let mut sums = cx.memory.take::<f32>(points * sum_plane)?;
    let mut zeros = cx.memory.take::<f32>(c_in.max(c_out))?;
    zeros.fill(0.0);
    let mut rows = RowTable::with_capacity(c_in);
    (0..c_in).for_each(|c| rows.push(c, c * c_out));
    // Rows and panels that a task of the products takes: 16 tasks are enough for most machines.
    let panels = c_out.div_ceil(wide);
    let width = |panel: usize| wide.min(padded - panel * wide);

    for first in (0..tiles.count()).step_by(block) {
        let count = block.min(tiles.count() - first);
        {
            let (inputs, gradients) = (Shared::new(&mut inputs), Shared::new(&mut gradients));
            const GROUP: usize = 8;
            let work = (count * points * 16) as u64 * (c_in + c_out) as u64;
            cx.threads.run(count.div_ceil(GROUP), work, |group| {
                for t in group * GROUP..((group + 1) * GROUP).min(count) {
                    let starts = tiles.inputs(first + t);
                    for_side!(
                        cx.level,
                        tiles.side,
                        InputTransform {
                            pixels: Pixels { data: x, starts, zeros: &zeros, channels: c_in },
                            out: &inputs,
                            offset: t * step,
                            plane: x_plane,
                        }
                    );
                    // Panels of full width first, each (tile, width); the last one may be narrower.
                    let full = c_out / wide * wide;
                    for_side!(
                        cx.level,
                        tiles.side,
                        GradientTransform {
                            pixels: Pixels {
                                data: dy,
                                starts: tiles.outputs(first + t),
                                zeros: &zeros,
                                channels: c_out
                            },
                            out: &gradients,
                            offset: t * wide,
                            plane: dy_plane,
                            panel: block * wide,
                            width: wide,
                            last: LastPanel { channel: full, row: full * block + t * (padded - full) },
                        }
                    );
                }
            });
        }
        let shared = Shared::new(&mut sums);
        let bias = db.as_deref_mut().map(Shared::new);
        let work = (count * points) as u64 * (c_in * c_out) as u64;
        cx.threads.run(points, work, |point| {
            for panel in 0..panels {
                let column = panel * wide;
                let from = point * dy_plane + column * block;
                let gradient = &gradients[from..from + count * width(panel)];
                let real = wide.min(c_out - column);
                if let Some(bias) = bias.as_ref().filter(|_| point == sum) {
                    // SAFETY: one task alone has this point.
                    let bias = unsafe { bias.slice(column, real) };
                    add_columns(cx, gradient, width(panel), first > 0, bias);
                }
                cx.level.run(&Sweep {
                    a: &inputs[point * x_plane..(point + 1) * x_plane],
                    step,
                    rows: &rows,
                    segments: &[Segment { a: 0, b: 0 }],
                    run: count,
                    panel: gradient,
                    width: width(panel),
                    columns: real,
                    c: &shared,
                    c_offset: point * sum_plane + column,
                    write: Write { accumulate: first > 0, bias: None, relu: false, stream: false },
                    ahead: &[],
                });
            }
        });
    }
    let out = Shared::new(dw);
    cx.threads.run(c_in, (points * c_in * c_out) as u64, |c| {
        for_side!(
            cx.level,
            tiles.side,
            KernelGradientTransform {
                products: &sums[c * c_out..],
                plane: sum_plane,
                columns: c_out,
                out: &out,
                offset: c * c_out,
                tap: c_in * c_out,
            }
        );
    });
    Ok(())
}
