//! Convolutions: by cuDNN or cuBLAS where they can, by this crate's kernels else.

use crate::context::{Context, Grid, f32s, int, stored};
use crate::cublas::Gemm;
use crate::cudnn::Operands;
use crate::layout::turn;
use crate::plan::Pass;
use crate::product::{Cut, Results, Sink, by_cublas, finish_in_place, tiles};
use crate::reduce::column_sums;
use striate_tensor::{ConvGeometry, DType, Epilogue, Result, Storage, Tensor};

/// Groups with fewer channels than this have kernels of their own.
const THIN: usize = 8;

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
    rounding: i32,
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
    pass: Pass,
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
        let gemm =
            Gemm { a, b, y: 0, transpose_a, transpose_b, m, n, k, batch: 1, a_batch: 0, b_batch: 0, narrow: None };
        if let Some(y) = by_cublas(cx, &gemm, epilogue)? {
            return Ok(y);
        }
    }
    let thin = is_thin(g);
    if !thin && let Some(y) = by_cudnn(cx, g, product, [x, kernel, dy], epilogue)? {
        return Ok(y);
    }
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
            rounding: cx.rounding(),
        };
        let grid = if thin {
            Grid::elements(product.total * cut.parts)
        } else {
            Grid::exactly(op, (blocks * cut.parts) as u64)?
        };
        // SAFETY: Conv is the kernels' struct; x, kernel and dy, where the kernel reads them, and the result have the geometry's
        // sizes, as the tensor's method checked.
        unsafe { cx.launch(cx.products_file(), product.kernels[usize::from(thin)], grid, &arguments)? };
    }
    results.finish(cx, product.pitch.max(1))
}

/// The convolution by cuDNN and what comes after it; none where it is not used or has nothing fitting.
fn by_cudnn(
    cx: &Context,
    g: &ConvGeometry,
    product: &Product,
    [x, kernel, dy]: [u64; 3],
    epilogue: Epilogue<'_>,
) -> Result<Option<Storage>> {
    let Some(cudnn) = cx.cudnn()? else { return Ok(None) };
    let Some(plan) = cudnn.plan(g, product.pass)? else { return Ok(None) };
    let result = cx.take(product.total, DType::F32)?;
    // cuDNN's kernels are (out, spatial…, in), ours (spatial…, in, out).
    let rows = g.taps() * g.in_per_group();
    let turned = cx.take(rows * g.out_channels, DType::F32)?;
    let at = turned.address();
    let operands = match product.pass {
        Pass::Forward => Operands { x, kernel: at, y: result.address() },
        Pass::Input => Operands { x: result.address(), kernel: at, y: dy },
        Pass::Kernel => Operands { x, kernel: at, y: dy },
    };
    if !operands.is_aligned() {
        return Ok(None);
    }
    if product.pass != Pass::Kernel {
        // SAFETY: the kernel and its turned form have as many elements.
        unsafe { turn(cx, kernel, at, [rows, g.out_channels])? };
    }
    // SAFETY: the plan is of this geometry, whose sizes the tensors have, as the tensor's method checked; the result is new.
    if !unsafe { cudnn.run(cx, &plan, &operands)? } {
        return Ok(None);
    }
    if product.pass == Pass::Kernel {
        // SAFETY: as above.
        unsafe { turn(cx, at, result.address(), [g.out_channels, rows])? };
    }
    finish_in_place(cx, &result, product.total, product.pitch, epilogue)?;
    stored(result).map(Some)
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
        pass: Pass::Forward,
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
        pass: Pass::Input,
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
        pass: Pass::Kernel,
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
