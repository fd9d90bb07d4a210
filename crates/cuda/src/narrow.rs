//! Factors of 16 bits: what products in bfloat16 and float16 read.

use crate::context::{Context, Grid};
use crate::memory::CudaBuffer;
use striate_tensor::{DType, Precision, Result};

/// How factors are rounded, in the kernels' numbers.
pub(crate) fn rounding(precision: Precision) -> i32 {
    match narrow_type(precision) {
        Some(DType::Bf16) => 1,
        Some(_) => 2,
        None => 0,
    }
}

/// The 16-bit type of factors, if they have one.
pub(crate) fn narrow_type(precision: Precision) -> Option<DType> {
    match precision {
        Precision::Bf16 => Some(DType::Bf16),
        Precision::F16 => Some(DType::F16),
        _ => None,
    }
}

/// Float32 numbers rounded to the precision's 16-bit type, in memory of their own.
///
/// # Safety
/// There must be `n` numbers at `x`.
pub(crate) unsafe fn narrowed(cx: &Context, x: u64, n: usize, dtype: DType) -> Result<CudaBuffer> {
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Narrow {
        x: u64,
        y: u64,
        n: i64,
        to: i32,
        unused: i32,
    }
    let buffer = cx.take(n, dtype)?;
    let to = if dtype == DType::Bf16 { 1 } else { 2 };
    let arguments = Narrow { x, y: buffer.address(), n: n as i64, to, unused: 0 };
    // SAFETY: Narrow is the kernel's struct; the caller's promise, and the buffer has room for n numbers of 16 bits.
    unsafe { cx.launch("memory", "narrow", Grid::elements(n), &arguments)? };
    Ok(buffer)
}
