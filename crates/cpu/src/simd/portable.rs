//! Plain arrays, which the compiler turns into whatever vectors the target has.

use super::{Simd, Tile};

#[derive(Clone, Copy)]
pub(crate) struct Portable;

const N: usize = 8;

// SAFETY of each block below: the trait's contract; pointers are valid for the elements that the operation touches.
impl Simd for Portable {
    type V = [f32; N];
    const LANES: usize = N;
    const TILE: Tile = Tile::SixByOne;

    #[inline(always)]
    unsafe fn splat(x: f32) -> [f32; N] {
        [x; N]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> [f32; N] {
        // SAFETY: see above; the read is unaligned.
        unsafe { p.cast::<[f32; N]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: [f32; N]) {
        // SAFETY: see above; the write is unaligned.
        unsafe { p.cast::<[f32; N]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn stream(p: *mut f32, v: [f32; N]) {
        // SAFETY: see above.
        unsafe { Self::store(p, v) }
    }
    #[inline(always)]
    unsafe fn fence() {}
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> [f32; N] {
        let mut v = [0.0; N];
        for (i, v) in v.iter_mut().enumerate().take(n) {
            // SAFETY: see above; only n elements are read.
            *v = unsafe { *p.add(i) };
        }
        v
    }
    #[inline(always)]
    unsafe fn store_part(p: *mut f32, v: [f32; N], n: usize) {
        for (i, v) in v.iter().enumerate().take(n) {
            // SAFETY: see above; only n elements are written.
            unsafe { *p.add(i) = *v };
        }
    }
    #[inline(always)]
    unsafe fn prefetch(_p: *const f32) {}
    #[inline(always)]
    unsafe fn prefetch_second(_p: *const f32) {}
    #[inline(always)]
    unsafe fn add(mut a: [f32; N], b: [f32; N]) -> [f32; N] {
        for i in 0..N {
            a[i] += b[i];
        }
        a
    }
    #[inline(always)]
    unsafe fn max(mut a: [f32; N], b: [f32; N]) -> [f32; N] {
        for i in 0..N {
            a[i] = if a[i] > b[i] { a[i] } else { b[i] };
        }
        a
    }
    #[inline(always)]
    unsafe fn where_greater(a: [f32; N], b: [f32; N], yes: [f32; N], mut no: [f32; N]) -> [f32; N] {
        for i in 0..N {
            no[i] = if a[i] > b[i] { yes[i] } else { no[i] };
        }
        no
    }
    #[inline(always)]
    unsafe fn fma(a: [f32; N], b: [f32; N], mut c: [f32; N]) -> [f32; N] {
        for i in 0..N {
            c[i] = Self::fma1(a[i], b[i], c[i]);
        }
        c
    }
    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    fn fma1(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
    #[cfg(not(target_arch = "aarch64"))]
    #[inline(always)]
    fn fma1(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}
