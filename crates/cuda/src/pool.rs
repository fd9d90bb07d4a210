//! Pooling.

use crate::context::{Context, Grid, address, f32s, stored};
use striate_tensor::{DType, Error, PoolGeometry, PoolKind, Result, Storage, Tensor};

const FILE: &str = "pool";

#[repr(C)]
#[derive(Clone, Copy)]
struct Pool {
    x: u64,
    y: u64,
    indices: u64,
    n: i64,
    batch: i64,
    channels: i64,
    input: [i64; 3],
    window: [i64; 3],
    output: [i64; 3],
    stride: [i64; 3],
    pad: [i64; 3],
    kind: i32,
    wide: i32,
}

impl Pool {
    fn new(g: &PoolGeometry, x: u64, y: u64, indices: u64, n: usize) -> Pool {
        let wide = |sizes: [usize; 3]| sizes.map(|size| size as i64);
        Pool {
            x,
            y,
            indices,
            n: n as i64,
            batch: g.batch as i64,
            channels: g.channels as i64,
            input: wide(g.input),
            window: wide(g.window),
            output: wide(g.output),
            stride: wide(g.strides),
            pad: wide(g.pad_before),
            kind: i32::from(g.kind == PoolKind::Average),
            wide: i32::from(index_type(g) == DType::I32),
        }
    }
}

/// The type of winners' indices.
fn index_type(g: &PoolGeometry) -> DType {
    if g.window.iter().product::<usize>() <= 256 { DType::U8 } else { DType::I32 }
}

pub(crate) fn pool(
    cx: &Context,
    x: &Tensor,
    g: &PoolGeometry,
    with_indices: bool,
) -> Result<(Storage, Option<Storage>)> {
    let from = f32s("pooling", x)?;
    let n = g.batch * g.positions() * g.channels;
    let y = cx.take(n, DType::F32)?;
    let wanted = with_indices && g.kind == PoolKind::Max;
    let indices = if wanted { Some(cx.take(n, index_type(g))?) } else { None };
    if n > 0 {
        let places = indices.as_ref().map_or(0, |indices| indices.address());
        // SAFETY: Pool is the kernel's struct; the buffers have n elements, x those of the geometry.
        unsafe { cx.launch(FILE, "pool", Grid::elements(n), &Pool::new(g, from, y.address(), places, n))? };
    }
    Ok((stored(y)?, indices.map(stored).transpose()?))
}

pub(crate) fn backward(cx: &Context, dy: &Tensor, indices: Option<&Tensor>, g: &PoolGeometry) -> Result<Storage> {
    let from = f32s("pooling gradient", dy)?;
    let places = match indices {
        Some(indices) if indices.dtype() != index_type(g) => {
            let rule = format!("indices of this window must be {}", index_type(g));
            return Err(Error::dtype("pooling gradient", rule, indices.dtype().name(), ""));
        }
        Some(indices) => address(indices)?,
        None => 0,
    };
    let n = g.batch * g.input_positions() * g.channels;
    let dx = cx.take(n, DType::F32)?;
    if n > 0 {
        let arguments = Pool::new(g, from, dx.address(), places, n);
        // SAFETY: Pool is the kernel's struct; dy and indices have the output's elements, dx the input's.
        unsafe { cx.launch(FILE, "pool_backward", Grid::elements(n), &arguments)? };
    }
    stored(dx)
}
