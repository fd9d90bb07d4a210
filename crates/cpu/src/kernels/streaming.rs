//! Writing past the caches.
//!
//! A result larger than what the caches hold is gone from them before the next layer reads it. Written the usual way, each of its
//! lines is first read from memory; written past the caches it is not, which spares a third of the traffic of such a layer.

use crate::simd::{Kernel, Simd};

/// Bytes of results that no cache holds until the next layer reads them.
const STREAMED_BYTES: usize = 16 << 20;

/// Whether a result is large enough.
pub(crate) fn is_streamed(result: &[f32]) -> bool {
    size_of_val(result) >= STREAMED_BYTES
}

/// Ends a task's writes past the caches: without it another thread might not see them.
pub(crate) struct Fence;

impl Kernel for Fence {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        // SAFETY: this runs below `Level::run`.
        unsafe { S::fence() }
    }
}
