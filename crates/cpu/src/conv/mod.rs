//! Convolution and its gradients.
//!
//! [`correlation`] lays one out: taps, boxes of output positions, the strip of input that a box sees. [`direct`] runs a
//! correlation on the register tile and serves as forward pass and, with the kernel turned round, as input gradient;
//! [`few_channels`] is the input gradient of photographs; [`kernel_gradient`] sums over positions; [`depthwise`] holds the case of one channel a group; [`winograd`] computes all three
//! passes of 3×3 convolutions with a quarter of the products.

mod backward;
mod correlation;
mod depthwise;
mod direct;
mod few_channels;
mod kernel_gradient;
mod winograd;

use crate::backend::{Context, f32s};
use crate::elementwise;
pub(crate) use backward::run as backward;
use correlation::Correlation;
use std::sync::Arc;
use striate_tensor::{Activation, ConvGeometry, Epilogue, PoolGeometry, Result, Storage, Tensor};
use winograd::{Pass, Tiles, TransformedKernel};

fn is_depthwise(g: &ConvGeometry) -> bool {
    g.groups > 1 && g.in_per_group() == 1 && g.out_per_group() == 1
}

pub(crate) fn forward(
    cx: &Context,
    x: &Tensor,
    kernel: &Tensor,
    g: &ConvGeometry,
    epilogue: Epilogue<'_>,
) -> Result<Storage> {
    let (input, weights) = (f32s("convolution", x)?, f32s("convolution", kernel)?);
    let bias = epilogue.bias.map(|bias| f32s("convolution", bias)).transpose()?;
    let mut y = cx.memory.take::<f32>(g.batch * g.positions() * g.out_channels)?;
    if is_depthwise(g) {
        let _span = span("conv", "depthwise", g);
        depthwise::forward(cx, input, weights, g, bias, epilogue.activation, &mut y);
    } else if winograd::is_chosen(cx, g, Pass::Forward) {
        let _span = span("conv", "winograd", g);
        let tiles = Tiles::new(g, Pass::Forward);
        let transformed = transformed(cx, kernel, weights, g, &tiles)?;
        let relu = epilogue.activation == Activation::Relu;
        winograd::run(cx, &tiles, &transformed, input, bias, relu, &mut y)?;
        if !relu && epilogue.activation != Activation::Linear {
            let work = 16 * y.len() as u64;
            cx.threads.pieces(&mut y, 1 << 14, work, |_, y| elementwise::activate(cx.level, epilogue.activation, y));
        }
    } else {
        let _span = span("conv", "direct", g);
        let packed = kernel.prepared(direct::key(g, 0), || direct::pack_forward(cx, weights, g))?;
        direct::run(cx, vec![(Correlation::forward(g), packed)], input, bias, epilogue.activation, &mut y)?;
    }
    Ok(y.into_storage())
}

/// A convolution and the maximum of each 2×2 of its results, with the winners if they are wanted: Winograd's even tiles hold four
/// together, and the direct algorithm computes two rows at a time. None for other windows and the remaining algorithms.
pub(crate) fn forward_pooled(
    cx: &Context,
    x: &Tensor,
    kernel: &Tensor,
    g: &ConvGeometry,
    epilogue: Epilogue<'_>,
    (pool, with_indices): (&PoolGeometry, bool),
) -> Result<Option<(Storage, Option<Storage>)>> {
    let halves = pool.window == [1, 2, 2] && pool.strides == [1, 2, 2] && pool.pad_before == [0; 3];
    let halves = halves && pool.output[1..] == [g.output[1] / 2, g.output[2] / 2];
    let plain = matches!(epilogue.activation, Activation::Linear | Activation::Relu);
    let tiles = Tiles::new(g, Pass::Forward);
    let by_tiles = winograd::is_chosen(cx, g, Pass::Forward);
    if !halves || !plain || g.groups > 1 || (by_tiles && !tiles.side().is_multiple_of(2)) {
        return Ok(None);
    }
    let layout = Correlation::forward(g);
    if !by_tiles && layout.cuts_off_borders() {
        return Ok(None);
    }
    let (input, weights) = (f32s("convolution", x)?, f32s("convolution", kernel)?);
    let bias = epilogue.bias.map(|bias| f32s("convolution", bias)).transpose()?;
    let len = g.batch * pool.positions() * g.out_channels;
    let mut y = cx.memory.take::<f32>(len)?;
    let mut indices = with_indices.then(|| cx.memory.take::<u8>(len)).transpose()?;
    let relu = epilogue.activation == Activation::Relu;
    if by_tiles {
        let _span = span("conv", "winograd", g);
        let transformed = transformed(cx, kernel, weights, g, &tiles)?;
        winograd::run_pooled(cx, &tiles.pooled(), &transformed, input, bias, relu, &mut y, indices.as_deref_mut())?;
    } else {
        let _span = span("conv", "direct", g);
        let packed = kernel.prepared(direct::key(g, 0), || direct::pack_forward(cx, weights, g))?;
        direct::run_pooled(cx, layout, &packed, input, (bias, relu), pool, (&mut y, indices.as_deref_mut()))?;
    }
    Ok(Some((y.into_storage(), indices.map(|indices| indices.into_storage()))))
}

/// The kernel as the forward pass over these tiles reads it.
fn transformed(
    cx: &Context,
    kernel: &Tensor,
    weights: &[f32],
    g: &ConvGeometry,
    tiles: &Tiles,
) -> Result<Arc<TransformedKernel>> {
    // The same kernel has another form for tiles of another size.
    let key = direct::key(g, u64::MAX - tiles.side() as u64);
    kernel.prepared(key, || TransformedKernel::new(cx, weights, g, tiles, Pass::Forward, false))
}

pub(crate) fn input_gradient(cx: &Context, dy: &Tensor, kernel: &Tensor, g: &ConvGeometry) -> Result<Storage> {
    let (gradient, weights) = (f32s("convolution gradient", dy)?, f32s("convolution gradient", kernel)?);
    let mut dx = cx.memory.take::<f32>(g.batch * g.input_positions() * g.in_channels)?;
    input_gradient_into(cx, gradient, kernel, weights, g, &mut dx)?;
    Ok(dx.into_storage())
}

/// Computes the gradient of the input from that of the output. `weights` is what `kernel` holds.
fn input_gradient_into(
    cx: &Context,
    gradient: &[f32],
    kernel: &Tensor,
    weights: &[f32],
    g: &ConvGeometry,
    dx: &mut [f32],
) -> Result<()> {
    if is_depthwise(g) {
        let _span = span("conv_backward_input", "depthwise", g);
        return depthwise::input_gradient(cx, gradient, weights, g, dx);
    }
    if winograd::is_chosen(cx, g, Pass::InputGradient) {
        let _span = span("conv_backward_input", "winograd", g);
        return winograd::input_gradient(cx, g, kernel, weights, gradient, dx);
    }
    let _span = span("conv_backward_input", "direct", g);
    if few_channels::is_possible(g) {
        return few_channels::input_gradient(cx, gradient, kernel, weights, g, dx);
    }
    let mut parts = Vec::new();
    for (class, correlation) in Correlation::input_gradient(g).into_iter().enumerate() {
        let key = direct::key(g, 1 + class as u64);
        let packed = kernel.prepared(key, || direct::pack_turned(cx, weights, g, &correlation))?;
        parts.push((correlation, packed));
    }
    direct::run(cx, parts, gradient, None, Activation::Linear, dx)
}

pub(crate) fn kernel_gradient(
    cx: &Context,
    x: &Tensor,
    dy: &Tensor,
    g: &ConvGeometry,
    with_bias: bool,
) -> Result<(Storage, Option<Storage>)> {
    let (input, gradient) = (f32s("convolution gradient", x)?, f32s("convolution gradient", dy)?);
    let mut dw = cx.memory.take::<f32>(g.taps() * g.in_per_group() * g.out_channels)?;
    let mut db = with_bias.then(|| cx.memory.take::<f32>(g.out_channels)).transpose()?;
    kernel_gradient_into(cx, input, gradient, g, &mut dw, db.as_deref_mut())?;
    Ok((dw.into_storage(), db.map(|db| db.into_storage())))
}

/// Computes the gradients of the kernel and, if there is a place for it, of the bias.
fn kernel_gradient_into(
    cx: &Context,
    input: &[f32],
    gradient: &[f32],
    g: &ConvGeometry,
    dw: &mut [f32],
    db: Option<&mut [f32]>,
) -> Result<()> {
    if is_depthwise(g) {
        let _span = span("conv_backward_kernel", "depthwise", g);
        return depthwise::kernel_gradient(cx, input, gradient, g, dw, db);
    }
    if winograd::is_chosen(cx, g, Pass::KernelGradient) {
        let _span = span("conv_backward_kernel", "winograd", g);
        let tiles = Tiles::new(g, Pass::KernelGradient);
        return winograd::kernel_gradient(cx, &tiles, input, gradient, dw, db);
    }
    let _span = span("conv_backward_kernel", "direct", g);
    kernel_gradient::run(cx, &Correlation::forward(g), input, gradient, dw, db)
}

fn span(pass: &'static str, algorithm: &'static str, g: &ConvGeometry) -> tracing::span::EnteredSpan {
    let maps = g.input_positions() * g.in_channels + g.positions() * g.out_channels;
    let bytes = 4 * (g.batch * maps + g.taps() * g.in_per_group() * g.out_channels) as u64;
    tracing::trace_span!("kernel", pass, algorithm, multiply_adds = g.multiply_adds(), bytes).entered()
}
