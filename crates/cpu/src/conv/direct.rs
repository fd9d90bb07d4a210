//! The direct algorithm: a correlation as a matrix product whose left rows are pixels of the input itself.

use crate::backend::Context;
use crate::conv::correlation::Correlation;
use crate::elementwise;
use crate::kernels::{PackSource, Packed, Shared, Sweep, Write};
use std::hash::{DefaultHasher, Hash, Hasher};
use striate_tensor::{Activation, ConvGeometry, Result};

/// Bytes of a box's input that should stay in the second-level cache.
const STRIP_BYTES: usize = 160 << 10;
/// Bytes of a panel's part along k that should stay there too.
const PANEL_BYTES: usize = 112 << 10;

/// The key of a packed form of a kernel: everything its layout depends on.
pub(crate) fn key(g: &ConvGeometry, form: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (form, g.kernel, g.in_channels, g.out_channels, g.groups).hash(&mut hasher);
    if form > 0 {
        (g.strides, g.dilations, g.pad_before, g.input).hash(&mut hasher);
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

/// Computes a correlation with a packed kernel into `out`.
pub(crate) fn run(
    cx: &Context,
    c: &Correlation,
    input: &[f32],
    kernel: &Packed,
    bias: Option<&[f32]>,
    activation: Activation,
    out: &mut [f32],
) -> Result<()> {
    let boxes = c.boxes((STRIP_BYTES / 4 / c.in_channels.max(1)).clamp(48, 768));
    if boxes.count() == 0 || c.out_channels == 0 {
        return Ok(());
    }
    let strip = c.strip(boxes.size);
    let table = c.table(&strip, boxes.size);
    let segments = c.segments(&strip);
    let run = c.run();
    // Few boxes are shared out by columns as well.
    let panels = kernel.panels();
    let splits = 16usize.div_ceil(boxes.count() * c.groups).min(panels);
    let per_split = panels.div_ceil(splits);
    let splits = panels.div_ceil(per_split);
    // A long k is walked in parts, so that a panel's part stays in the cache while all rows of the box meet it.
    let part = (PANEL_BYTES / 4 / cx.level.tile_columns() / run.max(1)).clamp(1, segments.len().max(1));
    let part = segments.len().div_ceil(segments.len().div_ceil(part).max(1)).max(1);
    let relu = activation == Activation::Relu;
    let later = !relu && activation != Activation::Linear;

    let shared = Shared::new(out);
    let scratch_len = if strip.copied { strip.len(c.in_channels) } else { 0 };
    let failure = std::sync::Mutex::new(None);
    cx.threads.run(boxes.count() * c.groups * splits, c.multiply_adds(), |task| {
        let (box_index, rest) = (task / (c.groups * splits), task % (c.groups * splits));
        let (group, split) = (rest / splits, rest % splits);
        let mut scratch = match cx.memory.take::<f32>(scratch_len) {
            Ok(scratch) => scratch,
            Err(error) => {
                *failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(error);
                return;
            }
        };
        let (start, size) = boxes.get(box_index);
        let smaller;
        let rows = if size == boxes.size {
            &table
        } else {
            smaller = c.table(&strip, size);
            &smaller
        };
        let view = c.view(&strip, start, input, &mut scratch);
        let offset = c.out_offset(start) + group * c.out_per_group();
        let my_panels = split * per_split..((split + 1) * per_split).min(panels);
        let mut from = 0;
        loop {
            let to = (from + part).min(segments.len());
            let (first, last) = (from == 0, to == segments.len());
            for panel in my_panels.clone() {
                let (column, columns, width) = kernel.columns(panel);
                let channel = group * c.out_per_group() + column;
                cx.level.run(&Sweep {
                    a: &view[group * c.in_per_group..],
                    step: 1,
                    rows,
                    segments: &segments[from..to],
                    run,
                    panel: kernel.panel(group, panel, from * run, to * run),
                    width,
                    columns,
                    c: &shared,
                    c_offset: offset + column,
                    write: Write {
                        accumulate: !first,
                        bias: bias.filter(|_| last).map(|bias| &bias[channel..channel + columns]),
                        relu: relu && last,
                    },
                });
            }
            if last {
                break;
            }
            from = to;
        }
        if later {
            let begin = my_panels.start * cx.level.tile_columns();
            let end = kernel.columns(my_panels.end - 1);
            let columns = end.0 + end.1 - begin;
            let results = rows.results();
            let contiguous = columns == c.out_channels && size[3] > 0 && c.out_steps[2] == c.out_channels;
            // Whole positions of a row lie side by side.
            let (count, len) = if contiguous { (size[3], size[3] * columns) } else { (1, columns) };
            for &result in results.iter().step_by(count) {
                // SAFETY: these results belong to this task alone, and its sweeps are done.
                let part = unsafe { shared.slice(offset + begin + result, len) };
                elementwise::activate(cx.level, activation, part);
            }
        }
    });
    failure.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).map_or(Ok(()), Err)
}
