//! Depthwise convolution: one channel in, one out, for each group. There is no sum over channels, so the vectors run along
//! them, and memory is the bound.
//!
//! [`windows`] is what networks use: small windows over maps, where neighbouring results share the pixels that they read. [`rows`]
//! takes every other stride, dilation and number of axes.

mod rows;
mod windows;

use crate::backend::Context;
use crate::simd::Simd;
use striate_tensor::{Activation, ConvGeometry, Result};
use windows::Map;

pub(crate) fn forward(
    cx: &Context,
    x: &[f32],
    weights: &[f32],
    g: &ConvGeometry,
    bias: Option<&[f32]>,
    activation: Activation,
    y: &mut [f32],
) {
    match Map::forward(g) {
        Some(map) => windows::run(cx, &map, x, weights, bias, activation, y),
        None => rows::forward(cx, x, weights, g, bias, activation, y),
    }
}

pub(crate) fn input_gradient(
    cx: &Context,
    dy: &[f32],
    weights: &[f32],
    g: &ConvGeometry,
    dx: &mut [f32],
) -> Result<()> {
    match Map::input_gradient(g) {
        Some(map) => {
            let mut turned = cx.memory.take::<f32>(weights.len())?;
            let taps = turned.chunks_exact_mut(g.in_channels).zip(weights.chunks_exact(g.in_channels).rev());
            taps.for_each(|(to, from)| to.copy_from_slice(from));
            windows::run(cx, &map, dy, &turned, None, Activation::Linear, dx);
        }
        None => rows::input_gradient(cx, dy, weights, g, dx),
    }
    Ok(())
}

/// The gradients of the kernel and, if there is a place for it, of the bias.
pub(crate) fn kernel_gradient(
    cx: &Context,
    x: &[f32],
    dy: &[f32],
    g: &ConvGeometry,
    dw: &mut [f32],
    db: Option<&mut [f32]>,
) -> Result<()> {
    match Map::forward(g) {
        Some(map) => windows::kernel_gradient(cx, &map, x, dy, dw, db),
        None => {
            rows::kernel_gradient(cx, x, dy, g, dw)?;
            db.map_or(Ok(()), |db| crate::reduce::columns(cx, dy, g.out_channels, db))
        }
    }
}

/// The first `n` ≤ LANES elements.
///
/// # Safety
/// Only below `Level::run`, with a pointer valid for `n` elements.
#[inline(always)]
unsafe fn load<S: Simd>(at: *const f32, n: usize) -> S::V {
    // SAFETY: as the caller.
    unsafe { if n == S::LANES { S::load(at) } else { S::load_part(at, n) } }
}

/// Writes the first `n` ≤ LANES elements.
///
/// # Safety
/// As [`load`].
#[inline(always)]
unsafe fn store<S: Simd>(to: *mut f32, v: S::V, n: usize) {
    // SAFETY: as the caller.
    unsafe { if n == S::LANES { S::store(to, v) } else { S::store_part(to, v, n) } }
}

/// Adds to the first `n` ≤ LANES elements.
///
/// # Safety
/// As [`load`].
#[inline(always)]
unsafe fn add_to<S: Simd>(to: *mut f32, v: S::V, n: usize) {
    // SAFETY: as the caller.
    unsafe { store::<S>(to, S::add(load::<S>(to, n), v), n) }
}
