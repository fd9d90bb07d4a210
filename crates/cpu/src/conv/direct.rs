//! The direct algorithm: a correlation as a matrix product whose left rows are pixels of the input itself.

use crate::backend::Context;
use crate::conv::correlation::{Boxes, Correlation, Strip};
use crate::elementwise;
use crate::kernels::{PackSource, Packed, RowTable, Segment, Shared, Sweep, Write, is_streamed};
use crate::pool;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use striate_tensor::{Activation, ConvGeometry, PoolGeometry, Result};

/// Bytes of a box's input that should stay in the second-level cache.
const STRIP_BYTES: usize = 160 << 10;
/// Bytes of a box's results that should stay there.
const RESULT_BYTES: usize = 256 << 10;
/// Bytes of a panel's part along k that should stay there too.
const PANEL_BYTES: usize = 112 << 10;
/// Tasks that a convolution is cut into at least, if it has the columns for it.
const TASKS: usize = 16;

/// The key of a packed form of a kernel: everything its layout depends on.
pub(crate) fn key(g: &ConvGeometry, form: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (form, g.kernel, g.in_channels, g.out_channels, g.groups).hash(&mut hasher);
    if form > 0 {
        // Of the input's size only how many remainder classes it has: images of many sizes share one packed kernel.
        let classes = [0, 1, 2].map(|axis| g.strides[axis].min(g.input[axis]));
        (g.strides, g.dilations, g.pad_before, classes).hash(&mut hasher);
    }
    hasher.finish()
}

/// The kernel (taps, in, out) as the forward pass reads it: k runs over taps, then channels.
pub(crate) fn pack_forward(cx: &Context, kernel: &[f32], g: &ConvGeometry) -> Result<Packed> {
    let segments: Vec<usize> = (0..g.taps()).map(|tap| tap * g.in_per_group() * g.out_channels).collect();
    let source = PackSource {
        data: kernel,
        groups: g.groups,
        group_step: g.out_per_group(),
        segments: &segments,
        run: g.in_per_group(),
        row_step: g.out_channels,
        columns: g.out_per_group(),
        column_step: 1,
    };
    Packed::new(&source, cx.level, &cx.memory, &cx.threads)
}

/// The kernel as the input gradient reads it: the correlation's taps, then output channels.
pub(crate) fn pack_turned(cx: &Context, kernel: &[f32], g: &ConvGeometry, c: &Correlation) -> Result<Packed> {
    let tap_size = g.in_per_group() * g.out_channels;
    let segments: Vec<usize> =
        c.all_taps().map(|[d, h, w]| ((d.index * g.kernel[1] + h.index) * g.kernel[2] + w.index) * tap_size).collect();
    let source = PackSource {
        data: kernel,
        groups: g.groups,
        group_step: g.out_per_group(),
        segments: &segments,
        run: g.out_per_group(),
        row_step: 1,
        columns: g.in_per_group(),
        column_step: g.out_channels,
    };
    Packed::new(&source, cx.level, &cx.memory, &cx.threads)
}

/// Positions that a task computes: their input and, where they are many channels, their results stay in the second-level cache.
fn positions_in_box(c: &Correlation) -> usize {
    let pixels: usize = c.step.iter().product();
    let by_input = STRIP_BYTES / 4 / (c.in_per_group * pixels).max(1);
    let by_results = RESULT_BYTES / 4 / c.out_per_group().max(1);
    by_input.min(by_results).clamp(48, 768)
}

/// A correlation, laid out and cut into tasks.
struct Part {
    c: Correlation,
    kernel: Arc<Packed>,
    boxes: Boxes,
    strip: Strip,
    table: RowTable,
    segments: Vec<Segment>,
    /// Segments that are walked before the next panel: all of them unless k is long.
    at_once: usize,
    /// Parts of a group's panels, and panels in one.
    splits: usize,
    per_split: usize,
    first_task: usize,
    tasks: usize,
    /// Whether results are written past the caches.
    stream: bool,
}

impl Part {
    fn new(cx: &Context, c: Correlation, kernel: Arc<Packed>, first_task: usize, stream: bool) -> Part {
        let boxes = c.boxes(positions_in_box(&c));
        let strip = c.strip(boxes.size);
        let segments = c.segments(&strip);
        // Few boxes are shared out by columns as well.
        let panels = kernel.panels();
        let splits = TASKS.div_ceil((boxes.count() * c.groups).max(1)).clamp(1, panels.max(1));
        let per_split = panels.div_ceil(splits).max(1);
        let splits = panels.div_ceil(per_split);
        // A long k is walked in parts, so that a panel's part stays in the cache while all rows of the box meet it.
        let fits = (PANEL_BYTES / 4 / cx.level.tile_columns() / c.run(&strip).max(1)).max(1);
        let at_once = segments.len().div_ceil(segments.len().div_ceil(fits).max(1)).max(1);
        Part {
            table: c.table(&strip, boxes.size),
            tasks: boxes.count() * c.groups * splits,
            kernel,
            boxes,
            strip,
            segments,
            at_once,
            splits,
            per_split,
            first_task,
            stream,
            c,
        }
    }

    fn compute(
        &self,
        cx: &Context,
        task: usize,
        input: &[f32],
        bias: Option<&[f32]>,
        activation: Activation,
        out: &Shared<'_, f32>,
    ) -> Result<()> {
        let (c, kernel, run) = (&self.c, &*self.kernel, self.c.run(&self.strip));
        let (box_index, rest) = (task / (c.groups * self.splits), task % (c.groups * self.splits));
        let (group, split) = (rest / self.splits, rest % self.splits);
        let mut scratch = cx.memory.take::<f32>(if self.strip.copied { self.strip.len() } else { 0 })?;
        let (start, size) = self.boxes.get(box_index);
        let smaller;
        let rows = if size == self.boxes.size {
            &self.table
        } else {
            smaller = c.table(&self.strip, size);
            &smaller
        };
        let view = c.view(&self.strip, start, group, input, &mut scratch);
        let offset = c.out_offset(start) + group * c.out_per_group();
        let panels = split * self.per_split..((split + 1) * self.per_split).min(kernel.panels());
        let relu = activation == Activation::Relu;
        let mut from = 0;
        loop {
            let to = (from + self.at_once).min(self.segments.len());
            let last = to == self.segments.len();
            for panel in panels.clone() {
                let (column, columns, width) = kernel.columns(panel);
                let channel = group * c.out_per_group() + column;
                cx.level.run(&Sweep {
                    a: view,
                    step: 1,
                    rows,
                    segments: &self.segments[from..to],
                    run,
                    panel: kernel.panel(group, panel, 0, kernel.k),
                    width,
                    columns,
                    c: out,
                    c_offset: offset + column,
                    write: Write {
                        accumulate: from > 0,
                        bias: bias.filter(|_| last).map(|bias| &bias[channel..channel + columns]),
                        relu: relu && last,
                        stream: self.stream,
                    },
                    ahead: &[],
                });
            }
            if last {
                break;
            }
            from = to;
        }
        if !relu && activation != Activation::Linear {
            let begin = kernel.columns(panels.start).0;
            let end = kernel.columns(panels.end - 1);
            let columns = end.0 + end.1 - begin;
            // Whole positions of a row lie side by side.
            let whole = columns == c.out_channels && c.out_steps[2] == c.out_channels;
            let (count, len) = if whole { (size[3], size[3] * columns) } else { (1, columns) };
            for &result in rows.results().iter().step_by(count) {
                // SAFETY: these results belong to this task alone, and its sweeps are done.
                let part = unsafe { out.slice(offset + begin + result, len) };
                elementwise::activate(cx.level, activation, part);
            }
        }
        Ok(())
    }
}

/// Computes a correlation over two spatial axes and the maximum of each 2×2 of its results, two or more rows of an image at a time.
/// `epilogue` is a bias and whether negative sums become zero; `results` takes the maxima and, if wanted, which of the four they are.
pub(crate) fn run_pooled(
    cx: &Context,
    layout: Correlation,
    kernel: &Packed,
    input: &[f32],
    epilogue: (Option<&[f32]>, bool),
    pool: &PoolGeometry,
    results: (&mut [f32], Option<&mut [u8]>),
) -> Result<()> {
    let (channels, width, pairs) = (layout.out_channels, layout.grid[2], pool.output[1]);
    let work = layout.multiply_adds();
    let target = positions_in_box(&layout);
    // Enough tasks for all threads, too.
    let tasks = cx.threads.tasks(work);
    let at_once = (target / (2 * width)).min((layout.batch * pairs).div_ceil(tasks)).clamp(1, pairs.max(1));
    let per_image = pairs.div_ceil(at_once);
    // Sums go to a few rows of scratch instead of the whole result.
    let c = Correlation { out_sample: 0, out_steps: [0, width * channels, channels], out_start: 0, ..layout };
    let size = [1, 1, 2 * at_once, width];
    let strip = c.strip(size);
    let (table, segments, run) = (c.table(&strip, size), c.segments(&strip), c.run(&strip));
    let (out, indices) = results;
    let out = Shared::new(out);
    let indices = indices.map(Shared::new);
    let failure = Mutex::new(None);
    cx.threads.run(c.batch * per_image, work, |task| {
        let compute = || -> Result<()> {
            let (image, first) = (task / per_image, task % per_image * at_once);
            let count = at_once.min(pairs - first);
            let mut scratch = cx.memory.take::<f32>(if strip.copied { strip.len() } else { 0 })?;
            let mut sums = cx.memory.take::<f32>(2 * count * width * channels)?;
            let smaller;
            let rows = if count == at_once {
                &table
            } else {
                smaller = c.table(&strip, [1, 1, 2 * count, width]);
                &smaller
            };
            let view = c.view(&strip, [image, 0, 2 * first, 0], 0, input, &mut scratch);
            {
                let sums = Shared::new(&mut sums);
                for panel in 0..kernel.panels() {
                    let (column, columns, padded) = kernel.columns(panel);
                    cx.level.run(&Sweep {
                        a: view,
                        step: 1,
                        rows,
                        segments: &segments,
                        run,
                        panel: kernel.panel(0, panel, 0, kernel.k),
                        width: padded,
                        columns,
                        c: &sums,
                        c_offset: column,
                        write: Write {
                            accumulate: false,
                            bias: epilogue.0.map(|bias| &bias[column..column + columns]),
                            relu: epilogue.1,
                            stream: false,
                        },
                        ahead: &[],
                    });
                }
            }
            let g =
                PoolGeometry { batch: 1, input: [1, 2 * count, width], output: [1, count, pool.output[2]], ..*pool };
            let len = pool.output[2] * channels;
            for pair in 0..count {
                let start = (image * pairs + first + pair) * len;
                // SAFETY: each row of maxima belongs to one task.
                let y = unsafe { out.slice(start, len) };
                // SAFETY: as above.
                let indices = indices.as_ref().map_or(&mut [][..], |indices| unsafe { indices.slice(start, len) });
                pool::max_row(cx, &g, &sums, pair, y, indices);
            }
            Ok(())
        };
        if let Err(error) = compute() {
            *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    });
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// Computes correlations that share out the positions of `out` among them, each with its packed kernel.
pub(crate) fn run(
    cx: &Context,
    correlations: Vec<(Correlation, Arc<Packed>)>,
    input: &[f32],
    bias: Option<&[f32]>,
    activation: Activation,
    out: &mut [f32],
) -> Result<()> {
    let mut parts: Vec<Part> = Vec::new();
    let (mut tasks, mut work) = (0, 0u64);
    // Another activation reads the sums again.
    let stream = is_streamed(out) && matches!(activation, Activation::Linear | Activation::Relu);
    for (correlation, kernel) in correlations {
        for c in correlation.regions() {
            work = work.saturating_add(c.multiply_adds());
            let part = Part::new(cx, c, kernel.clone(), tasks, stream);
            tasks += part.tasks;
            parts.push(part);
        }
    }
    let shared = Shared::new(out);
    let failure = Mutex::new(None);
    cx.threads.run(tasks, work, |task| {
        let part = &parts[parts.partition_point(|part| part.first_task <= task) - 1];
        if let Err(error) = part.compute(cx, task - part.first_task, input, bias, activation, &shared) {
            *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    });
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}
