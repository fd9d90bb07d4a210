//! Matrix products, and what they share with convolutions: how sums are cut, and how results are finished.

use crate::context::{Context, Grid, f32s, int, stored};
use crate::cublas::Gemm;
use crate::elementwise::activation;
use crate::memory::CudaBuffer;
use crate::narrow::{narrow_type, narrowed};
use striate_tensor::{Activation, DType, Epilogue, MatmulGeometry, Result, Storage, Tensor};

/// Sides of a block's tile of results.
const TILE: usize = 64;
/// Below as many blocks a device has idle parts, and sums are cut.
const ENOUGH_BLOCKS: usize = 128;
/// Sums are cut in parts no shorter than this.
const SHORTEST_PART: usize = 256;

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Sink {
    y: u64,
    bias: u64,
    pitch: i64,
    split: i64,
    p: f32,
    activation: i32,
}

/// How long sums are cut: by shape alone, so that the bits do not depend on the device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cut {
    pub(crate) parts: usize,
    /// Summands of each part.
    pub(crate) part: usize,
}

impl Cut {
    pub(crate) fn new(blocks: usize, k: usize) -> Cut {
        let parts = if blocks >= ENOUGH_BLOCKS { 1 } else { (2 * ENOUGH_BLOCKS).div_ceil(blocks.max(1)) };
        let parts = parts.min(k / SHORTEST_PART).max(1);
        // Whole steps of 16 through shared memory.
        let part = k.div_ceil(parts).next_multiple_of(16);
        Cut { parts: k.div_ceil(part.max(1)).max(1), part }
    }
}

/// Where a product goes: at once to its place, or in parts that are added up afterwards.
pub(crate) struct Results {
    y: CudaBuffer,
    parts: Option<CudaBuffer>,
    /// Where the kernel writes.
    pub(crate) sink: Sink,
    finished: Sink,
    total: usize,
    cut: Cut,
}

impl Results {
    /// `total` results in rows of `pitch`, which end with `bias` and `of`.
    pub(crate) fn new(cx: &Context, total: usize, pitch: usize, cut: Cut, epilogue: Epilogue<'_>) -> Result<Results> {
        let (code, p) = activation(epilogue.activation)?;
        let bias = epilogue.bias.map(|bias| f32s("bias", bias)).transpose()?.unwrap_or(0);
        let y = cx.take(total, DType::F32)?;
        let finished = Sink { y: y.address(), bias, pitch: pitch as i64, split: total as i64, p, activation: code };
        if cut.parts == 1 {
            return Ok(Results { y, parts: None, sink: finished, finished, total, cut });
        }
        let parts = cx.take(total * cut.parts, DType::F32)?;
        let linear = activation(Activation::Linear)?.0;
        let sink = Sink { y: parts.address(), bias: 0, activation: linear, ..finished };
        Ok(Results { y, parts: Some(parts), sink, finished, total, cut })
    }

    /// Adds up the parts, if there are any.
    pub(crate) fn finish(self, cx: &Context, channels: usize) -> Result<Storage> {
        if let Some(parts) = &self.parts {
            join(cx, parts.address(), self.finished, self.total, channels, self.cut.parts)?;
        }
        stored(self.y)
    }
}

/// Adds up `count` parts of `n` results with as many `channels`, and finishes them. Where `count` is 1 they may lie where they go.
fn join(cx: &Context, parts: u64, sink: Sink, n: usize, channels: usize, count: usize) -> Result<()> {
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Join {
        parts: u64,
        sink: Sink,
        n: i64,
        channels: i64,
        count: i32,
        unused: i32,
    }
    let (count, unused) = (int("product", count)?, 0);
    let arguments = Join { parts, sink, n: n as i64, channels: channels as i64, count, unused };
    // SAFETY: Join is the kernel's struct; there are count times n elements in parts, n in y, channels in the bias.
    unsafe { cx.launch(cx.products_file(), "join_parts", Grid::elements(n), &arguments) }
}

/// Tiles of m by n results.
pub(crate) fn tiles(m: usize, n: usize) -> usize {
    m.div_ceil(TILE) * n.div_ceil(TILE)
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Matmul {
    a: u64,
    b: u64,
    sink: Sink,
    batch: i64,
    a_batch: i64,
    b_batch: i64,
    a_row: i64,
    a_k: i64,
    b_column: i64,
    b_k: i64,
    m: i32,
    n: i32,
    k: i32,
    parts: i32,
    part: i32,
    rounding: i32,
}

pub(crate) fn matmul(
    cx: &Context,
    a: &Tensor,
    b: &Tensor,
    g: &MatmulGeometry,
    epilogue: Epilogue<'_>,
) -> Result<Storage> {
    let op = "matrix product";
    let (of_a, of_b) = (f32s(op, a)?, f32s(op, b)?);
    let per_batch = |x: &Tensor, size: usize| if x.rank() == 3 { size as i64 } else { 0 };
    let gemm = Gemm {
        a: of_a,
        b: of_b,
        y: 0,
        transpose_a: g.transpose_a,
        transpose_b: g.transpose_b,
        m: int(op, g.m)?,
        n: int(op, g.n)?,
        k: int(op, g.k)?,
        batch: int(op, g.batch)?,
        a_batch: per_batch(a, g.m * g.k),
        b_batch: per_batch(b, g.k * g.n),
        narrow: None,
    };
    if let Some(y) = by_cublas(cx, &gemm, epilogue)? {
        return Ok(y);
    }
    let total = g.batch * g.m * g.n;
    let blocks = g.batch * tiles(g.m, g.n);
    let cut = Cut::new(blocks, g.k);
    let results = Results::new(cx, total, g.n, cut, epilogue)?;
    if total > 0 {
        let strides = |transposed: bool, rows: usize, columns: usize| {
            if transposed { (1, rows as i64) } else { (columns as i64, 1) }
        };
        let (a_row, a_k) = strides(g.transpose_a, g.m, g.k);
        let (b_k, b_column) = strides(g.transpose_b, g.k, g.n);
        let arguments = Matmul {
            a: of_a,
            b: of_b,
            sink: results.sink,
            batch: g.batch as i64,
            a_batch: gemm.a_batch,
            b_batch: gemm.b_batch,
            a_row,
            a_k,
            b_column,
            b_k,
            m: gemm.m,
            n: gemm.n,
            k: gemm.k,
            parts: int(op, cut.parts)?,
            part: int(op, cut.part)?,
            rounding: cx.rounding(),
        };
        let grid = Grid::exactly(op, (blocks * cut.parts) as u64)?;
        // SAFETY: Matmul is the kernel's struct; operands and result have the geometry's sizes, as the tensor's method checked.
        unsafe { cx.launch(cx.products_file(), "matmul", grid, &arguments)? };
    }
    results.finish(cx, g.n.max(1))
}

/// Does what comes after `total` results in rows of `channels` that a library made.
pub(crate) fn finish_in_place(
    cx: &Context,
    y: &CudaBuffer,
    total: usize,
    channels: usize,
    epilogue: Epilogue<'_>,
) -> Result<()> {
    if epilogue.bias.is_none() && epilogue.activation == Activation::Linear {
        return Ok(());
    }
    let (code, p) = activation(epilogue.activation)?;
    let bias = epilogue.bias.map(|bias| f32s("bias", bias)).transpose()?.unwrap_or(0);
    let sink = Sink { y: y.address(), bias, pitch: channels as i64, split: total as i64, p, activation: code };
    join(cx, y.address(), sink, total, channels, 1)
}

/// The products by cuBLAS and what comes after them; none where it is not used. `gemm` has no results yet.
pub(crate) fn by_cublas(cx: &Context, gemm: &Gemm, epilogue: Epilogue<'_>) -> Result<Option<Storage>> {
    let sizes = [gemm.batch, gemm.m, gemm.n, gemm.k].map(|size| size as usize);
    let total = sizes[0] * sizes[1] * sizes[2];
    if total == 0 || gemm.k == 0 {
        return Ok(None);
    }
    let Some(cublas) = cx.cublas()? else { return Ok(None) };
    let y = cx.take(total, DType::F32)?;
    let mut gemm = Gemm { y: y.address(), ..*gemm };
    // Held until the work was started: whoever gets the memory next comes later in the stream's order.
    let mut factors = Vec::new();
    if let Some(dtype) = narrow_type(cx.precision()) {
        gemm.narrow = Some(dtype);
        let products = |step: i64| if step == 0 { 1 } else { sizes[0] };
        for (at, n) in [
            (&mut gemm.a, sizes[1] * sizes[3] * products(gemm.a_batch)),
            (&mut gemm.b, sizes[2] * sizes[3] * products(gemm.b_batch)),
        ] {
            // SAFETY: the callers' geometry says how large the operands are.
            let factor = unsafe { narrowed(cx, *at, n, dtype)? };
            *at = factor.address();
            factors.push(factor);
        }
    }
    // SAFETY: the callers' geometry says how large the operands are, the result is new and has `total` elements, and k is not 0.
    unsafe { cublas.multiply(&gemm)? };
    finish_in_place(cx, &y, total, sizes[2], epilogue)?;
    stored(y).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_cut_where_there_are_few_tiles_and_never_lose_a_summand() {
        assert_eq!(Cut::new(1000, 100_000), Cut { parts: 1, part: 100_000 });
        assert_eq!(Cut::new(1, 100), Cut { parts: 1, part: 112 });
        for blocks in [0, 1, 3, 127] {
            for k in [0, 1, 255, 256, 511, 512, 40_000, 43_264] {
                let cut = Cut::new(blocks, k);
                assert!(
                    cut.parts * cut.part >= k && (k == 0 || (cut.parts - 1) * cut.part < k),
                    "{blocks} {k} {cut:?}"
                );
            }
        }
        assert!(Cut::new(9, 43_264).parts > 20);
    }
}
