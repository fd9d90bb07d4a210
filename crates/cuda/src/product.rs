//! Matrix products and convolutions.

use crate::context::{Context, Grid, f32s, int, stored};
use crate::cublas::Gemm;
use crate::elementwise::activation;
use crate::memory::CudaBuffer;
use crate::reduce::column_sums;
use striate_tensor::{Activation, ConvGeometry, DType, Epilogue, MatmulGeometry, Result, Storage, Tensor};

const FILE: &str = "product";
/// Sides of a block's tile of results.
const TILE: usize = 64;
/// Below as many blocks a device has idle parts, and sums are cut.
const ENOUGH_BLOCKS: usize = 128;
/// Sums are cut in parts no shorter than this.
const SHORTEST_PART: usize = 256;
/// Groups with fewer channels than this have kernels of their own.
const THIN: usize = 8;

#[repr(C)]
#[derive(Clone, Copy)]
struct Sink {
    y: u64,
    bias: u64,
    pitch: i64,
    split: i64,
    p: f32,
    activation: i32,
}

/// How long sums are cut: by shape alone, so that the bits do not depend on the device.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cut {
    parts: usize,
    /// Summands of each part.
    part: usize,
}

impl Cut {
    fn new(blocks: usize, k: usize) -> Cut {
        let parts = if blocks >= ENOUGH_BLOCKS { 1 } else { (2 * ENOUGH_BLOCKS).div_ceil(blocks.max(1)) };
        let parts = parts.min(k / SHORTEST_PART).max(1);
        // Whole steps of 16 through shared memory.
        let part = k.div_ceil(parts).next_multiple_of(16);
        Cut { parts: k.div_ceil(part.max(1)).max(1), part }
    }
}

/// Where a product goes: at once to its place, or in parts that are added up afterwards.
struct Results {
    y: CudaBuffer,
    parts: Option<CudaBuffer>,
    sink: Sink,
    finished: Sink,
    total: usize,
    cut: Cut,
}

impl Results {
    /// `total` results in rows of `pitch`, which end with `bias` and `of`.
    fn new(cx: &Context, total: usize, pitch: usize, cut: Cut, epilogue: Epilogue<'_>) -> Result<Results> {
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
    fn finish(self, cx: &Context, channels: usize) -> Result<Storage> {
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
    unsafe { cx.launch(FILE, "join_parts", Grid::elements(n), &arguments) }
}

fn tiles(m: usize, n: usize) -> usize {
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
    unused: i32,
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
            unused: 0,
        };
        let grid = Grid::exactly(op, (blocks * cut.parts) as u64)?;
        // SAFETY: Matmul is the kernel's struct; operands and result have the geometry's sizes, as the tensor's method checked.
        unsafe { cx.launch(FILE, "matmul", grid, &arguments)? };
    }
    results.finish(cx, g.n.max(1))
}

/// The products by cuBLAS and what comes after them; none where it is not used. `gemm` has no results yet.
fn by_cublas(cx: &Context, gemm: &Gemm, epilogue: Epilogue<'_>) -> Result<Option<Storage>> {
    let sizes = [gemm.batch, gemm.m, gemm.n, gemm.k].map(|size| size as usize);
    let total = sizes[0] * sizes[1] * sizes[2];
    if total == 0 || gemm.k == 0 {
        return Ok(None);
    }
    let Some(cublas) = cx.cublas()? else { return Ok(None) };
    let y = cx.take(total, DType::F32)?;
    // SAFETY: the callers' geometry says how large the operands are, the result is new and has `total` elements, and k is not 0.
    unsafe { cublas.multiply(&Gemm { y: y.address(), ..*gemm })? };
    if epilogue.bias.is_some() || epilogue.activation != Activation::Linear {
        let (code, p) = activation(epilogue.activation)?;
        let bias = epilogue.bias.map(|bias| f32s("bias", bias)).transpose()?.unwrap_or(0);
        let sink = Sink { y: y.address(), bias, pitch: i64::from(gemm.n), split: total as i64, p, activation: code };
        join(cx, y.address(), sink, total, sizes[2], 1)?;
    }
    stored(y).map(Some)
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Window {
    batch: i32,
    in_channels: i32,
    out_channels: i32,
    groups: i32,
    ins: i32,
    outs: i32,
    input: [i32; 3],
    kernel: [i32; 3],
    output: [i32; 3],
    stride: [i32; 3],
    dilation: [i32; 3],
    pad: [i32; 3],
}

impl Window {
    fn new(g: &ConvGeometry) -> Result<Window> {
        let op = "convolution";
        let three = |sizes: [usize; 3]| -> Result<[i32; 3]> {
            Ok([int(op, sizes[0])?, int(op, sizes[1])?, int(op, sizes[2])?])
        };
        // Positions and the places of taps are counted in 32 bits.
        int(op, g.batch * g.positions())?;
        int(op, g.batch * g.input_positions())?;
        for axis in 0..3 {
            int(op, g.input[axis] + g.pad_before[axis] + g.pad_after[axis] + g.kernel[axis] * g.dilations[axis])?;
        }
        Ok(Window {
            batch: int(op, g.batch)?,
            in_channels: int(op, g.in_channels)?,
            out_channels: int(op, g.out_channels)?,
            groups: int(op, g.groups)?,
            ins: int(op, g.in_per_group())?,
            outs: int(op, g.out_per_group())?,
            input: three(g.input)?,
            kernel: three(g.kernel)?,
            output: three(g.output)?,
            stride: three(g.strides)?,
            dilation: three(g.dilations)?,
            pad: three(g.pad_before)?,
        })
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Conv {
    x: u64,
    kernel: u64,
    dy: u64,
    sink: Sink,
    window: Window,
    m: i32,
    n: i32,
    k: i32,
    parts: i32,
    part: i32,
    unused: i32,
}

/// Whether a group has so few channels that tiles would be mostly empty.
fn is_thin(g: &ConvGeometry) -> bool {
    g.groups > 1 && g.in_per_group().min(g.out_per_group()) < THIN
}

/// Whether a convolution is one product of matrices as they lie in memory: 1×1 without stride, padding or groups.
fn is_pointwise(g: &ConvGeometry) -> bool {
    g.taps() == 1 && g.groups == 1 && g.strides == [1; 3] && g.input == g.output && g.pad_before == [0; 3]
}

/// One of the three products of a convolution: m by n results of k summands for each group.
struct Product {
    kernels: [&'static str; 2],
    /// The operands, of [x, kernel, dy], where the convolution [`is_pointwise`], and whether each is transposed.
    operands: [(usize, bool); 2],
    m: usize,
    n: usize,
    k: usize,
    /// Results and their rows' length.
    total: usize,
    pitch: usize,
    /// Whether the kernel for thin groups takes cut sums.
    thin_cuts: bool,
}

fn convolve(
    cx: &Context,
    g: &ConvGeometry,
    product: &Product,
    [x, kernel, dy]: [u64; 3],
    epilogue: Epilogue<'_>,
) -> Result<Storage> {
    let op = "convolution";
    if is_pointwise(g) {
        let [(a, transpose_a), (b, transpose_b)] = product.operands;
        let [m, n, k] = [int(op, product.m)?, int(op, product.n)?, int(op, product.k)?];
        let (a, b) = ([x, kernel, dy][a], [x, kernel, dy][b]);
        let gemm = Gemm { a, b, y: 0, transpose_a, transpose_b, m, n, k, batch: 1, a_batch: 0, b_batch: 0 };
        if let Some(y) = by_cublas(cx, &gemm, epilogue)? {
            return Ok(y);
        }
    }
    let thin = is_thin(g);
    let blocks = if thin { product.total.div_ceil(256) } else { g.groups * tiles(product.m, product.n) };
    let cut = if thin && !product.thin_cuts { Cut { parts: 1, part: product.k } } else { Cut::new(blocks, product.k) };
    let results = Results::new(cx, product.total, product.pitch, cut, epilogue)?;
    if product.total > 0 {
        let arguments = Conv {
            x,
            kernel,
            dy,
            sink: results.sink,
            window: Window::new(g)?,
            m: int(op, product.m)?,
            n: int(op, product.n)?,
            k: int(op, product.k)?,
            parts: int(op, cut.parts)?,
            part: int(op, cut.part)?,
            unused: 0,
        };
        let grid = if thin {
            Grid::elements(product.total * cut.parts)
        } else {
            Grid::exactly(op, (blocks * cut.parts) as u64)?
        };
        // SAFETY: Conv is the kernels' struct; x, kernel and dy, where the kernel reads them, and the result have the geometry's
        // sizes, as the tensor's method checked.
        unsafe { cx.launch(FILE, product.kernels[usize::from(thin)], grid, &arguments)? };
    }
    results.finish(cx, product.pitch.max(1))
}

pub(crate) fn forward(
    cx: &Context,
    x: &Tensor,
    kernel: &Tensor,
    g: &ConvGeometry,
    epilogue: Epilogue<'_>,
) -> Result<Storage> {
    let addresses = [f32s("convolution", x)?, f32s("convolution", kernel)?, 0];
    let m = g.batch * g.positions();
    let product = Product {
        kernels: ["conv_forward", "conv_forward_thin"],
        operands: [(0, false), (1, false)],
        m,
        n: g.out_per_group(),
        k: g.taps() * g.in_per_group(),
        total: m * g.out_channels,
        pitch: g.out_channels,
        thin_cuts: false,
    };
    convolve(cx, g, &product, addresses, epilogue)
}

pub(crate) fn input_gradient(cx: &Context, dy: &Tensor, kernel: &Tensor, g: &ConvGeometry) -> Result<Storage> {
    let addresses = [0, f32s("convolution gradient", kernel)?, f32s("convolution gradient", dy)?];
    let m = g.batch * g.input_positions();
    let product = Product {
        kernels: ["conv_input", "conv_input_thin"],
        operands: [(2, false), (1, true)],
        m,
        n: g.in_per_group(),
        k: g.taps() * g.out_per_group(),
        total: m * g.in_channels,
        pitch: g.in_channels,
        thin_cuts: false,
    };
    convolve(cx, g, &product, addresses, Epilogue::default())
}

pub(crate) fn kernel_gradient(
    cx: &Context,
    x: &Tensor,
    dy: &Tensor,
    g: &ConvGeometry,
    with_bias: bool,
) -> Result<(Storage, Option<Storage>)> {
    let of_dy = f32s("convolution gradient", dy)?;
    let addresses = [f32s("convolution gradient", x)?, 0, of_dy];
    let m = g.taps() * g.in_per_group();
    let product = Product {
        kernels: ["conv_kernel", "conv_kernel_thin"],
        operands: [(0, true), (2, false)],
        m,
        n: g.out_per_group(),
        k: g.batch * g.positions(),
        total: m * g.out_channels,
        pitch: g.out_channels,
        thin_cuts: true,
    };
    let kernel = convolve(cx, g, &product, addresses, Epilogue::default())?;
    let bias = with_bias.then(|| column_sums(cx, of_dy, product.k, g.out_channels)).transpose()?;
    Ok((kernel, bias))
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
