//! Moving elements about: permutation, borders, boxes, rows.

use crate::backend::{Context, elements, f32s};
use crate::memory::Buffer;
use striate_tensor::{DType, Element, MAX_RANK, PadGeometry, PadMode, Result, Shape, Storage, Tensor, bf16, f16};

/// Elements a task moves.
const PIECE: usize = 1 << 14;

/// Runs an expression with `$T` standing for the element type.
macro_rules! typed {
    ($op:expr, $dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            DType::F32 => {
                type $T = f32;
                $body
            }
            DType::F64 => {
                type $T = f64;
                $body
            }
            DType::F16 => {
                type $T = f16;
                $body
            }
            DType::Bf16 => {
                type $T = bf16;
                $body
            }
            DType::U8 => {
                type $T = u8;
                $body
            }
            DType::I32 => {
                type $T = i32;
                $body
            }
            DType::I64 => {
                type $T = i64;
                $body
            }
            other => Err($crate::backend::unsupported($op, other)),
        }
    };
}

/// Two bits of weight an element: moving is cheap, and bound by memory.
fn work(elements: usize) -> u64 {
    16 * elements as u64
}

/// Writes `out` in rows along its last axis: `row(index of the outer axes, out)`.
fn rows<T: Element>(
    cx: &Context,
    out: &mut Buffer<T>,
    shape: &[usize],
    row: impl Fn(&[usize; MAX_RANK], &mut [T]) + Sync,
) {
    let len = shape.last().copied().unwrap_or(1);
    let outer = &shape[..shape.len().saturating_sub(1)];
    if len == 0 {
        return;
    }
    let per_piece = (PIECE / len).max(1);
    let weight = work(out.len());
    cx.threads.pieces(out, per_piece * len, weight, |i, out| {
        let mut index = [0; MAX_RANK];
        let mut left = i * per_piece;
        for axis in (0..outer.len()).rev() {
            index[axis] = left % outer[axis];
            left /= outer[axis];
        }
        for out in out.chunks_exact_mut(len) {
            row(&index, out);
            for axis in (0..outer.len()).rev() {
                index[axis] += 1;
                if index[axis] < outer[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
    });
}

pub(crate) fn permute(cx: &Context, x: &Tensor, order: &[usize]) -> Result<Storage> {
    fn go<T: Element>(cx: &Context, x: &[T], sizes: &[usize], steps: &[usize]) -> Result<Storage> {
        let mut out = cx.memory.take::<T>(x.len())?;
        let (last, step) = (sizes.len().wrapping_sub(1), steps.last().copied().unwrap_or(1));
        rows(cx, &mut out, sizes, |index, out| {
            let at: usize = (0..last.min(MAX_RANK)).map(|axis| index[axis] * steps[axis]).sum();
            if step == 1 {
                out.copy_from_slice(&x[at..at + out.len()]);
            } else {
                out.iter_mut().enumerate().for_each(|(i, out)| *out = x[at + i * step]);
            }
        });
        Ok(out.into_storage())
    }
    let strides = x.shape().strides();
    // Axes that stay neighbours are one axis.
    let (mut sizes, mut steps): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
    for &axis in order {
        let (size, step) = (x.shape()[axis], strides[axis]);
        match (sizes.last_mut(), steps.last_mut()) {
            _ if size == 1 => {}
            (Some(last), Some(last_step)) if *last_step == step * size => (*last, *last_step) = (*last * size, step),
            _ => {
                sizes.push(size);
                steps.push(step);
            }
        }
    }
    if sizes.is_empty() {
        sizes.push(1);
        steps.push(1);
    }
    typed!("permute", x.dtype(), T => go::<T>(cx, elements(x)?, &sizes, &steps))
}

/// The element that position `i` of a padded axis shows, if it shows one.
fn source(i: usize, before: usize, n: usize, mode: PadMode) -> Option<usize> {
    if (before..before + n).contains(&i) {
        return Some(i - before);
    }
    match mode {
        PadMode::Constant(_) => None,
        PadMode::Replicate => Some(if i < before { 0 } else { n - 1 }),
        PadMode::Reflect => Some(if i < before { before - i } else { 2 * n + before - 2 - i }),
    }
}

/// Where each position of the padded last axis, and the row of an outer index, comes from.
fn source_row(index: &[usize; MAX_RANK], x: &[usize], strides: &[usize], pad: &PadGeometry) -> Option<usize> {
    (0..x.len().saturating_sub(1)).try_fold(0, |at, axis| {
        source(index[axis], pad.pads[axis].0, x[axis], pad.mode).map(|i| at + i * strides[axis])
    })
}

pub(crate) fn pad(cx: &Context, x: &Tensor, pad: &PadGeometry, shape: &Shape) -> Result<Storage> {
    fn go<T: Element>(cx: &Context, data: &[T], x: &Shape, pad: &PadGeometry, shape: &Shape) -> Result<Storage> {
        let mut out = cx.memory.take::<T>(shape.elements())?;
        if x.rank() == 0 {
            out.copy_from_slice(data);
            return Ok(out.into_storage());
        }
        let strides = x.strides();
        let fill = match pad.mode {
            PadMode::Constant(value) => T::from_f64(f64::from(value)),
            _ => T::default(),
        };
        let (before, n) = (pad.pads[x.rank() - 1].0, x.channels());
        rows(cx, &mut out, shape, |index, out| {
            let Some(at) = source_row(index, x, &strides, pad) else { return out.fill(fill) };
            for i in (0..before).chain(before + n..out.len()) {
                out[i] = source(i, before, n, pad.mode).map_or(fill, |from| data[at + from]);
            }
            out[before..before + n].copy_from_slice(&data[at..at + n]);
        });
        Ok(out.into_storage())
    }
    typed!("pad", x.dtype(), T => go::<T>(cx, elements(x)?, x.shape(), pad, shape))
}

pub(crate) fn pad_backward(cx: &Context, dy: &Tensor, pad: &PadGeometry, shape: &Shape) -> Result<Storage> {
    let data = f32s("pad gradient", dy)?;
    if shape.rank() == 0 {
        return copy(cx, dy);
    }
    let rank = shape.rank();
    if matches!(pad.mode, PadMode::Constant(_)) {
        let start: Vec<usize> = pad.pads[..rank].iter().map(|pad| pad.0).collect();
        return crop(cx, dy, &start, shape);
    }
    let mut dx = cx.memory.filled::<f32>(shape.elements(), 0.0)?;
    let strides = shape.strides();
    let (before, n, len) = (pad.pads[rank - 1].0, shape.channels(), dy.shape().channels());
    let mut index = [0; MAX_RANK];
    for row in data.chunks_exact(len.max(1)) {
        if let Some(at) = source_row(&index, shape, &strides, pad) {
            for (i, &v) in row.iter().enumerate() {
                if let Some(from) = source(i, before, n, pad.mode) {
                    dx[at + from] += v;
                }
            }
        }
        for axis in (0..rank - 1).rev() {
            index[axis] += 1;
            if index[axis] < dy.shape()[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    Ok(dx.into_storage())
}

pub(crate) fn crop(cx: &Context, x: &Tensor, start: &[usize], shape: &Shape) -> Result<Storage> {
    fn go<T: Element>(cx: &Context, data: &[T], x: &Shape, start: &[usize], shape: &Shape) -> Result<Storage> {
        let mut out = cx.memory.take::<T>(shape.elements())?;
        let strides = x.strides();
        let last = start.last().copied().unwrap_or(0);
        rows(cx, &mut out, shape, |index, out| {
            let outer = 0..x.rank().saturating_sub(1);
            let at = last + outer.map(|axis| (start[axis] + index[axis]) * strides[axis]).sum::<usize>();
            out.copy_from_slice(&data[at..at + out.len()]);
        });
        Ok(out.into_storage())
    }
    typed!("crop", x.dtype(), T => go::<T>(cx, elements(x)?, x.shape(), start, shape))
}

pub(crate) fn concat(cx: &Context, parts: &[&Tensor], axis: usize, shape: &Shape) -> Result<Storage> {
    fn go<T: Element>(cx: &Context, parts: &[&Tensor], axis: usize, shape: &Shape) -> Result<Storage> {
        let mut out = cx.memory.take::<T>(shape.elements())?;
        let inner: usize = shape[axis + 1..].iter().product();
        let slab = shape[axis] * inner;
        let sources = parts
            .iter()
            .map(|part| Ok((elements::<T>(part)?, part.shape()[axis] * inner)))
            .collect::<Result<Vec<_>>>()?;
        if slab > 0 {
            let weight = work(out.len());
            cx.threads.pieces(&mut out, slab, weight, |i, mut out| {
                for (data, len) in &sources {
                    let (now, rest) = out.split_at_mut(*len);
                    now.copy_from_slice(&data[i * len..(i + 1) * len]);
                    out = rest;
                }
            });
        }
        Ok(out.into_storage())
    }
    typed!("concatenate", parts[0].dtype(), T => go::<T>(cx, parts, axis, shape))
}

pub(crate) fn gather(cx: &Context, x: &Tensor, rows: &[usize]) -> Result<Storage> {
    fn go<T: Element>(cx: &Context, data: &[T], len: usize, rows: &[usize]) -> Result<Storage> {
        let mut out = cx.memory.take::<T>(rows.len() * len)?;
        let weight = work(out.len());
        cx.threads.pieces(&mut out, len, weight, |i, out| {
            let from = rows[i] * len;
            out.copy_from_slice(&data[from..from + out.len()]);
        });
        Ok(out.into_storage())
    }
    let len = x.shape().without_batch().elements();
    typed!("gather", x.dtype(), T => go::<T>(cx, elements(x)?, len, rows))
}

fn copied<T: Element>(cx: &Context, x: &Tensor) -> Result<Buffer<T>> {
    let data = elements::<T>(x)?;
    let mut out = cx.memory.take::<T>(data.len())?;
    cx.threads.pieces(&mut out, PIECE, work(data.len()), |i, out| {
        out.copy_from_slice(&data[i * PIECE..i * PIECE + out.len()]);
    });
    Ok(out)
}

pub(crate) fn copy(cx: &Context, x: &Tensor) -> Result<Storage> {
    typed!("copy", x.dtype(), T => Ok(copied::<T>(cx, x)?.into_storage()))
}

pub(crate) fn download(cx: &Context, x: &Tensor) -> Result<striate_tensor::HostBuffer> {
    typed!("download", x.dtype(), T => Ok(copied::<T>(cx, x)?.into_host()))
}

pub(crate) fn full(cx: &Context, len: usize, dtype: DType, value: f64) -> Result<Storage> {
    typed!("full", dtype, T => Ok(cx.memory.filled(len, T::from_f64(value))?.into_storage()))
}

pub(crate) fn cast(cx: &Context, x: &Tensor, dtype: DType) -> Result<Storage> {
    fn go<A: Element, B: Element>(cx: &Context, x: &[A], convert: impl Fn(A) -> B + Sync) -> Result<Storage> {
        let mut out = cx.memory.take::<B>(x.len())?;
        cx.threads.pieces(&mut out, PIECE, work(x.len()), |i, out| {
            let x = &x[i * PIECE..i * PIECE + out.len()];
            out.iter_mut().zip(x).for_each(|(out, &x)| *out = convert(x));
        });
        Ok(out.into_storage())
    }
    match (x.dtype(), dtype) {
        // Images and half precision, without the detour.
        (DType::U8, DType::F32) => go::<u8, f32>(cx, elements(x)?, f32::from),
        (DType::F16, DType::F32) => go::<f16, f32>(cx, elements(x)?, f16::to_f32),
        (DType::Bf16, DType::F32) => go::<bf16, f32>(cx, elements(x)?, bf16::to_f32),
        (from, to) => typed!("cast", from, A => typed!("cast", to, B => {
            // 64-bit integers beyond 2⁵³ would lose digits as floats.
            if from == to { copy(cx, x) } else { go::<A, B>(cx, elements(x)?, |v| B::from_f64(v.to_f64())) }
        })),
    }
}
