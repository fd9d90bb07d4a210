//! Matrix products on the register tile.

use crate::backend::{Context, f32s};
use crate::elementwise;
use crate::kernels::{Dots, Narrow, PackSource, Packed, RowTable, Segment, Shared, Sweep, Write};
use crate::reduce;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use striate_tensor::{Activation, Epilogue, MatmulGeometry, Result, Storage, Tensor};

/// Elements of a matrix up to which its packed form is kept with it.
const KEPT: usize = 4 << 20;
/// Rows up to which a larger matrix is read as it lies.
const FEW_ROWS: usize = 16;
/// Parts that the sums of a few rows are cut into at most, and steps along k of a part at least.
const MOST_PARTS: usize = 16;
const SHORTEST_PART: usize = 64;
/// Rows of the result that a task computes.
const ROWS: usize = 96;
/// Steps along k whose panel stays in the first-level cache while the task's rows meet it.
const DEPTH: usize = 512;

pub(crate) fn matmul(
    cx: &Context,
    a: &Tensor,
    b: &Tensor,
    g: &MatmulGeometry,
    epilogue: Epilogue<'_>,
) -> Result<Storage> {
    let op = "matrix product";
    let (a_shared, b_shared) = (a.rank() == 2, b.rank() == 2);
    let (a, b_data) = (f32s(op, a)?, f32s(op, b)?);
    let bias = epilogue.bias.map(|bias| f32s(op, bias)).transpose()?;
    let multiply_adds = [g.batch, g.m, g.k, g.n].iter().fold(1u64, |p, &n| p.saturating_mul(n as u64));
    let bytes = 4 * (a.len() + b_data.len() + g.batch * g.m * g.n) as u64;
    let _span = tracing::trace_span!("kernel", pass = "matmul", algorithm = "tile", multiply_adds, bytes).entered();
    let mut out = cx.memory.take::<f32>(g.batch * g.m * g.n)?;
    if out.is_empty() {
        return Ok(out.into_storage());
    }
    let source = PackSource {
        data: b_data,
        groups: if b_shared { 1 } else { g.batch },
        group_step: g.k * g.n,
        segments: &[0],
        run: g.k,
        row_step: if g.transpose_b { 1 } else { g.n },
        columns: g.n,
        column_step: if g.transpose_b { g.k } else { 1 },
    };
    if b_shared && g.batch == 1 && g.m <= FEW_ROWS && g.k * g.n > KEPT {
        few_rows(cx, a, b_data, g, bias, epilogue.activation, &mut out)?;
        return Ok(out.into_storage());
    }
    let pack = || Packed::new(&source, cx.level, &cx.memory, &cx.threads);
    let packed = if b_shared && g.k * g.n <= KEPT {
        let mut hasher = DefaultHasher::new();
        ("matmul", g.k, g.n, g.transpose_b).hash(&mut hasher);
        b.prepared(hasher.finish(), pack)?
    } else {
        Arc::new(pack()?)
    };
    let product = Product { g, a, a_shared, b_shared, packed: &packed, bias, activation: epilogue.activation };
    product.run(cx, multiply_adds, &mut out);
    Ok(out.into_storage())
}

/// A few rows times a large matrix: bound by reading the matrix, so it is read in order, once.
fn few_rows(
    cx: &Context,
    a: &[f32],
    b: &[f32],
    g: &MatmulGeometry,
    bias: Option<&[f32]>,
    activation: Activation,
    out: &mut [f32],
) -> Result<()> {
    let work = (g.m * g.k) as u64 * g.n as u64;
    let a_steps = if g.transpose_a { (1, g.m) } else { (g.k, 1) };
    if g.transpose_b {
        // Computed in blocks of columns (block, m, columns), so that each task writes memory of its own.
        let width = (g.n / 16).clamp(64, 512);
        let mut blocks = cx.memory.take::<f32>(g.m * g.n)?;
        let rows: Vec<f32> = (0..g.m * g.k).map(|i| a[i / g.k * a_steps.0 + i % g.k * a_steps.1]).collect();
        cx.threads.pieces(&mut blocks, width * g.m, work, |block, out| {
            let columns = out.len() / g.m;
            let mut dots = [0.0; FEW_ROWS];
            for j in 0..columns {
                let row = (block * width + j) * g.k;
                cx.level.run(Dots { a: &rows, b: &b[row..row + g.k], out: &mut dots[..g.m] });
                (0..g.m).for_each(|i| out[i * columns + j] = dots[i]);
            }
        });
        for (block, values) in blocks.chunks(width * g.m).enumerate() {
            let columns = values.len() / g.m;
            for (i, row) in values.chunks_exact(columns).enumerate() {
                let at = i * g.n + block * width;
                out[at..at + columns].copy_from_slice(row);
            }
        }
    } else {
        // Computed in parts of k (part, m, n): each task reads the matrix as it lies, whole rows, which memory gives fastest.
        let parts = (g.k / SHORTEST_PART).clamp(1, MOST_PARTS);
        let depth = g.k.div_ceil(parts);
        let parts = g.k.div_ceil(depth);
        let mut others = cx.memory.take::<f32>((parts - 1) * g.m * g.n)?;
        {
            let (first, others) = (Shared::new(out), Shared::new(&mut others));
            cx.threads.run(parts, work, |part| {
                let (from, to) = (part * depth, ((part + 1) * depth).min(g.k));
                let len = g.m * g.n;
                // SAFETY: each part has sums of its own.
                let out = unsafe { if part == 0 { first.slice(0, len) } else { others.slice((part - 1) * len, len) } };
                out.fill(0.0);
                let (a, b) = (&a[from * a_steps.1..], &b[from * g.n..to * g.n]);
                cx.level.run(Narrow { a, a_steps, k: to - from, b, b_step: g.n, columns: g.n, out });
            });
        }
        reduce::add_parts(cx, &others, out);
    }
    for row in out.chunks_exact_mut(g.n) {
        if let Some(bias) = bias {
            row.iter_mut().zip(bias).for_each(|(out, &bias)| *out += bias);
        }
        elementwise::activate(cx.level, activation, row);
    }
    Ok(())
}

struct Product<'a> {
    g: &'a MatmulGeometry,
    a: &'a [f32],
    a_shared: bool,
    b_shared: bool,
    packed: &'a Packed,
    bias: Option<&'a [f32]>,
    activation: Activation,
}

impl Product<'_> {
    fn run(&self, cx: &Context, multiply_adds: u64, out: &mut [f32]) {
        let g = self.g;
        let (row_step, step) = if g.transpose_a { (1, g.m) } else { (g.k, 1) };
        let table = |rows: usize| {
            let mut table = RowTable::with_capacity(rows);
            (0..rows).for_each(|row| table.push(row * row_step, row * g.n));
            table
        };
        let blocks = g.m.div_ceil(ROWS);
        let height = g.m.div_ceil(blocks);
        let blocks = g.m.div_ceil(height);
        let whole = table(height);
        let panels = self.packed.panels();
        let splits = 16usize.div_ceil(blocks * g.batch).min(panels);
        let per_split = panels.div_ceil(splits);
        let splits = panels.div_ceil(per_split);
        let relu = self.activation == Activation::Relu;
        let shared = Shared::new(out);
        cx.threads.run(g.batch * blocks * splits, multiply_adds, |task| {
            let (batch, rest) = (task / (blocks * splits), task % (blocks * splits));
            let (block, split) = (rest / splits, rest % splits);
            let first = block * height;
            let smaller;
            let rows = if first + height <= g.m {
                &whole
            } else {
                smaller = table(g.m - first);
                &smaller
            };
            let a = &self.a[if self.a_shared { 0 } else { batch * g.m * g.k } + first * row_step..];
            let c_offset = (batch * g.m + first) * g.n;
            let my_panels = split * per_split..((split + 1) * per_split).min(panels);
            let mut from = 0;
            loop {
                let to = (from + DEPTH).min(g.k);
                let last = to == g.k;
                for panel in my_panels.clone() {
                    let (column, columns, width) = self.packed.columns(panel);
                    cx.level.run(&Sweep {
                        a,
                        step,
                        rows,
                        segments: &[Segment { a: from * step, b: 0 }],
                        run: to - from,
                        panel: self.packed.panel(if self.b_shared { 0 } else { batch }, panel, from, to),
                        width,
                        columns,
                        c: &shared,
                        c_offset: c_offset + column,
                        write: Write {
                            accumulate: from > 0,
                            bias: self.bias.filter(|_| last).map(|bias| &bias[column..column + columns]),
                            relu: relu && last,
                            stream: false,
                        },
                        ahead: &[],
                    });
                }
                if last {
                    break;
                }
                from = to;
            }
            if !relu && self.activation != Activation::Linear {
                let begin = self.packed.columns(my_panels.start).0;
                let end = self.packed.columns(my_panels.end - 1);
                for &row in rows.results() {
                    // SAFETY: these results belong to this task alone, and its sweeps are done.
                    let part = unsafe { shared.slice(c_offset + row + begin, end.0 + end.1 - begin) };
                    elementwise::activate(cx.level, self.activation, part);
                }
            }
        });
    }
}
