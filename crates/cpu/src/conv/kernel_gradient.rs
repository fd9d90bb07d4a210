//! The gradient of the kernel: for every tap, channel in and channel out the sum over positions of x·dy.
//!
//! The rows of the register tile are (tap, channel) pairs, k runs along positions, and the panel is the output's gradient.

use crate::backend::Context;
use crate::conv::correlation::{Boxes, Correlation, Strip, Tap};
use crate::kernels::{PackSource, RowTable, Run, Segment, Shared, Sweep, Thin, TileLayout, Write, pack_panel};
use crate::reduce::Fold;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use striate_tensor::{ReduceOp, Result};

/// Positions in a box for register tiles: so many that reading and writing the sums once a box costs little. The panel then streams
/// from the second-level cache while a tile's rows stay in the first.
const POSITIONS: usize = 896;
/// The same where a pixel has few channels: all of a box stays in the first-level cache.
const THIN_POSITIONS: usize = 224;
/// The same for a single tap: nothing that is laid out is read twice, so what counts is that the next box's input comes meanwhile.
const SINGLE_TAP_POSITIONS: usize = 64;
/// Elements of all the tasks' own sums together.
const PRIVATE_SUMS: usize = 8 << 20;

/// How the work is cut, by the shapes alone.
struct Plan<'a> {
    c: &'a Correlation,
    boxes: Boxes,
    strip: Strip,
    /// How the input is laid out for register tiles; none if a pixel has fewer channels than a tile has rows.
    layout: Option<TileLayout>,
    rows: Vec<TapRows>,
    /// Chunks of boxes, each with sums of its own, and boxes in one.
    chunks: usize,
    per_chunk: usize,
    /// Parts of a group's output channels, panels in one, and panels in all.
    parts: usize,
    per_part: usize,
    panels: usize,
}

/// The (tap, channel) pairs of some taps.
struct TapRows {
    /// Where the taps look along the first two axes, if they all look at the same place: positions whose input lies outside there are
    /// left out.
    offsets: Option<[isize; 2]>,
    table: RowTable,
}

impl Plan<'_> {
    fn new<'a>(cx: &Context, c: &'a Correlation, kernel_elements: usize) -> Plan<'a> {
        let tile = cx.level.tile_rows();
        let tiled = c.in_per_group >= tile;
        let boxes = c.boxes(match (tiled, c.tap_count()) {
            (false, _) => THIN_POSITIONS,
            (true, 1) => SINGLE_TAP_POSITIONS,
            (true, _) => POSITIONS,
        });
        // Adding up a chunk's sums costs about as much as 16 positions.
        let chunks = (c.batch * c.positions() / 1024).clamp(1, 8).min(1 + PRIVATE_SUMS / kernel_elements.max(1));
        let per_chunk = boxes.count().div_ceil(chunks).max(1);
        let chunks = boxes.count().div_ceil(per_chunk);
        let panels = c.out_per_group().div_ceil(cx.level.tile_columns());
        // The columns are independent: how they are shared out makes no difference to the sums. Each part lays out the input.
        let parts = cx.threads.tasks(c.multiply_adds()).div_ceil((chunks * c.groups).max(1)).clamp(1, panels.max(1));
        let per_part = panels.div_ceil(parts).max(1);
        let strip = if tiled { c.copied_strip(boxes.size) } else { c.strip(boxes.size) };
        let layout = tiled.then(|| TileLayout { tile, channels: c.in_per_group, pixels: strip.pixels() });
        let rows = tap_rows(c, &strip, layout.as_ref());
        Plan { c, boxes, strip, layout, rows, chunks, per_chunk, parts: panels.div_ceil(per_part), per_part, panels }
    }

    /// Elements between positions of what the tile reads, along each axis of a box.
    fn steps(&self) -> [usize; 4] {
        let steps = self.c.strip_steps(&self.strip);
        match &self.layout {
            Some(layout) => steps.map(|step| step / self.strip.channels * layout.tile),
            None => steps,
        }
    }

    /// What the box at `start` reads of the input, as far as it lies in one piece.
    fn input_of<'x>(&self, x: &'x [f32], start: [usize; 4]) -> &'x [f32] {
        let mut piece: Range<usize> = 0..0;
        self.c.each_row(&self.strip, start, x, |_, _, _, inside| {
            if inside.is_empty() {
                return;
            }
            let first = (inside.as_ptr().addr() - x.as_ptr().addr()) / size_of::<f32>();
            if piece.is_empty() {
                piece = first..first + inside.len();
            } else if piece.end == first {
                piece.end += inside.len();
            }
        });
        &x[piece]
    }

    /// Sums a chunk of boxes for a part of a group's output channels into `sums`, which start at `offset`, and the output's
    /// gradient itself into the chunk's row of `bias`.
    fn sum(
        &self,
        cx: &Context,
        (x, dy): (&[f32], &[f32]),
        (chunk, group, part): (usize, usize, usize),
        (sums, offset): (&Shared<'_, f32>, usize),
        bias: Option<&Shared<'_, f32>>,
    ) -> Result<()> {
        let (c, out, wide, lanes) = (self.c, self.c.out_per_group(), cx.level.tile_columns(), cx.level.lanes());
        let scratch_len = match &self.layout {
            Some(layout) => layout.len(),
            None if self.strip.copied => self.strip.len(),
            None => 0,
        };
        let mut scratch = cx.memory.take::<f32>(scratch_len)?;
        let panel_len = if self.layout.is_some() { self.boxes.size.iter().product::<usize>() * wide } else { 0 };
        let mut panel_memory = cx.memory.take::<f32>(panel_len)?;
        let mine = chunk * self.per_chunk..((chunk + 1) * self.per_chunk).min(self.boxes.count());
        // Filled anew for each box, allocated once.
        let (mut starts, mut dy_starts) = (Vec::new(), Vec::new());
        let (mut segments, mut runs, mut origins) = (vec![Vec::new(); self.rows.len()], Vec::new(), Vec::new());
        for index in mine.clone() {
            let (start, size) = self.boxes.get(index);
            let a = match &self.layout {
                Some(layout) => {
                    c.each_row(&self.strip, start, x, |row, width, before, inside| {
                        let first = group * c.in_per_group;
                        layout.pack_row((row * width, width), before, inside, (c.in_channels, first), &mut scratch);
                    });
                    &scratch[..]
                }
                None => c.view(&self.strip, start, group, x, &mut scratch),
            };
            // k runs along the longest axis: the order of positions is free, and long runs cost least.
            let along = (0..4).max_by_key(|&axis| size[axis]).unwrap_or(3);
            let run = size[along];
            let (steps, dy_steps) = (self.steps(), [c.out_sample, c.out_steps[0], c.out_steps[1], c.out_steps[2]]);
            run_starts(&mut starts, size, along, steps);
            run_starts(&mut dy_starts, size, along, dy_steps);
            if self.layout.is_none() {
                runs.clear();
                runs.extend(starts.iter().zip(&dy_starts).map(|(&a, &b)| Run { a, b: b + group * out }));
                let column = part * self.per_part * wide;
                let columns = (self.per_part * wide).min(out - column);
                let column_sums = bias.map(|bias| {
                    // SAFETY: a chunk's channels belong to one task.
                    unsafe { bias.slice(chunk * c.out_channels + group * out + column, columns) }
                });
                cx.level.run(&mut Thin {
                    a,
                    a_step: steps[along],
                    rows: &self.rows[0].table,
                    b: &dy[c.out_offset(start) + column..],
                    b_step: dy_steps[along],
                    columns,
                    runs: &runs,
                    len: run,
                    c: sums,
                    c_offset: offset + group * out + column,
                    accumulate: index > mine.start,
                    column_sums,
                });
                continue;
            }
            run_origins(&mut origins, c, start, size, along);
            for (segments, rows) in segments.iter_mut().zip(&self.rows) {
                segments.clear();
                let all = starts.iter().enumerate().map(|(i, &a)| Segment { a, b: i * run });
                segments
                    .extend(all.zip(&origins).filter(|(_, origin)| c.exists(**origin, rows.offsets)).map(|(s, _)| s));
            }
            let my_panels = part * self.per_part..((part + 1) * self.per_part).min(self.panels);
            let next = if index + 1 < mine.end { self.input_of(x, self.boxes.get(index + 1).0) } else { &[] };
            let mut ahead = next.chunks(next.len().div_ceil(my_panels.len() * self.rows.len()).max(1));
            let source = PackSource {
                data: &dy[c.out_offset(start)..],
                groups: c.groups,
                group_step: out,
                segments: &dy_starts,
                run,
                row_step: dy_steps[along],
                columns: out,
                column_step: 1,
            };
            for panel in my_panels {
                let column = panel * wide;
                let columns = wide.min(out - column);
                let width = columns.div_ceil(lanes) * lanes;
                let packed = &mut panel_memory[..starts.len() * run * width];
                pack_panel(&source, group, column, columns, width, packed);
                if let Some(bias) = bias {
                    let channel = chunk * c.out_channels + group * out + column;
                    // SAFETY: a chunk's channels belong to one task.
                    let bias = unsafe { bias.slice(channel, columns) };
                    add_columns(cx, packed, width, index > mine.start, bias);
                }
                for (segments, rows) in segments.iter().zip(&self.rows) {
                    cx.level.run(&Sweep {
                        a,
                        step: steps[along],
                        rows: &rows.table,
                        segments,
                        run,
                        panel: packed,
                        width,
                        columns,
                        c: sums,
                        c_offset: offset + group * out + column,
                        write: Write { accumulate: index > mine.start, bias: None, relu: false, stream: false },
                        ahead: ahead.next().unwrap_or(&[]),
                    });
                }
            }
        }
        Ok(())
    }
}

/// The sums of a panel's columns into `bias`, or onto it.
pub(crate) fn add_columns(cx: &Context, panel: &[f32], width: usize, accumulate: bool, bias: &mut [f32]) {
    let mut sums = [0.0; 64];
    let sums = &mut sums[..width];
    cx.level.run(Fold { op: ReduceOp::Sum, x: panel, columns: width, out: sums });
    for (bias, &sum) in bias.iter_mut().zip(&*sums) {
        *bias = if accumulate { *bias + sum } else { sum };
    }
}

/// The gradient of the kernel of the convolution `c` into `dw`, (taps, channels in, channels out), and of its bias into
/// `db`.
pub(crate) fn run(
    cx: &Context,
    c: &Correlation,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    db: Option<&mut [f32]>,
) -> Result<()> {
    let plan = Plan::new(cx, c, dw.len());
    if plan.boxes.count() == 0 || dw.is_empty() {
        dw.fill(0.0);
        return db.map_or(Ok(()), |db| crate::reduce::columns(cx, dy, c.out_channels, db));
    }
    let len = dw.len();
    let mut partial = cx.memory.take::<f32>((plan.chunks - 1) * len)?;
    let mut biases = cx.memory.take::<f32>(if db.is_some() { plan.chunks * c.out_channels } else { 0 })?;
    let failure = Mutex::new(None);
    {
        let (first, others) = (Shared::new(dw), Shared::new(&mut partial));
        let with_bias = !biases.is_empty();
        let biases = Shared::new(&mut biases);
        let biases = with_bias.then_some(&biases);
        cx.threads.run(plan.chunks * c.groups * plan.parts, c.multiply_adds(), |task| {
            let (chunk, rest) = (task / (c.groups * plan.parts), task % (c.groups * plan.parts));
            let which = (chunk, rest / plan.parts, rest % plan.parts);
            let sums = if chunk == 0 { (&first, 0) } else { (&others, (chunk - 1) * len) };
            if let Err(error) = plan.sum(cx, (x, dy), which, sums, biases) {
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
        });
    }
    if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    crate::reduce::add_parts(cx, &partial, dw);
    if let Some(db) = db {
        crate::reduce::columns(cx, &biases, c.out_channels, db)?;
    }
    Ok(())
}

/// All (tap, channel) pairs, as one or for each place along the first two axes: as whatever costs less.
fn tap_rows(c: &Correlation, strip: &Strip, layout: Option<&TileLayout>) -> Vec<TapRows> {
    let [d_taps, h_taps, w_taps] = &c.taps;
    let outer = || d_taps.iter().flat_map(|&d| h_taps.iter().map(move |&h| [d, h]));
    let all: Vec<(usize, [Tap; 3])> = c.all_taps().enumerate().collect();
    if let Some(layout) = layout {
        // Register tiles: whole ones of neighbouring channels, and what the channels that are left over fill.
        let rest = c.in_per_group % layout.tile;
        let tiles = |taps: usize| taps * (c.in_per_group / layout.tile) + (taps * rest).div_ceil(layout.tile);
        let apart: f64 = outer().map(|[d, h]| tiles(w_taps.len()) as f64 * c.share_inside([d.offset, h.offset])).sum();
        if apart < 0.98 * tiles(all.len()) as f64 {
            let groups = outer().zip(all.chunks(w_taps.len().max(1)));
            let rows = groups.map(|([d, h], taps)| TapRows {
                offsets: Some([d.offset, h.offset]),
                table: rows(c, strip, Some(layout), taps),
            });
            return rows.collect();
        }
    }
    vec![TapRows { offsets: None, table: rows(c, strip, layout, &all) }]
}

/// The (tap, channel) pairs of some numbered taps: where each looks, relative to the position, and where its sums go. Pairs that fill
/// register tiles of neighbouring channels come first.
fn rows(c: &Correlation, strip: &Strip, layout: Option<&TileLayout>, taps: &[(usize, [Tap; 3])]) -> RowTable {
    let mut table = RowTable::with_capacity(taps.len() * c.in_per_group);
    let whole = layout.map_or(c.in_per_group, |layout| c.in_per_group / layout.tile * layout.tile);
    for channels in [0..whole, whole..c.in_per_group] {
        for &(number, tap) in taps {
            let at = c.tap_offset(strip, tap);
            for channel in channels.clone() {
                let from = match layout {
                    Some(layout) => layout.offset(at / strip.channels, channel),
                    None => at + channel,
                };
                table.push(from, (number * c.in_per_group + channel) * c.out_channels);
            }
        }
    }
    table
}

/// Lists where the first tap of each run of a box along an axis would look along the first two spatial axes; None along the run itself.
fn run_origins(
    origins: &mut Vec<[Option<isize>; 2]>,
    c: &Correlation,
    start: [usize; 4],
    mut size: [usize; 4],
    along: usize,
) {
    size[along] = 1;
    let at = |axis: usize, position: usize| {
        (axis + 1 != along).then(|| ((start[axis + 1] + position) * c.step[axis]) as isize)
    };
    origins.clear();
    origins.reserve(size.iter().product());
    for _ in 0..size[0] {
        for d in 0..size[1] {
            for h in 0..size[2] {
                origins.extend(std::iter::repeat_n([at(0, d), at(1, h)], size[3]));
            }
        }
    }
}

/// Lists where the runs of a box along an axis start.
fn run_starts(starts: &mut Vec<usize>, mut size: [usize; 4], along: usize, steps: [usize; 4]) {
    size[along] = 1;
    starts.clear();
    starts.reserve(size.iter().product());
    for n in 0..size[0] {
        for d in 0..size[1] {
            for h in 0..size[2] {
                let at = n * steps[0] + d * steps[1] + h * steps[2];
                starts.extend((0..size[3]).map(|w| at + w * steps[3]));
            }
        }
    }
}
