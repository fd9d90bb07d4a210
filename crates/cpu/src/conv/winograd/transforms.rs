//! The transforms of a tile, vectorised over channels.

use super::{INPUT_SIDE, OUTPUT_SIDE, POINTS};
use crate::kernels::Shared;
use crate::simd::{Kernel, Simd};

const OUTPUTS: usize = OUTPUT_SIDE * OUTPUT_SIDE;

/// # Safety
/// Only below `Level::run`, with pointers valid for what is read and written.
#[inline(always)]
unsafe fn sub<S: Simd>(a: S::V, b: S::V) -> S::V {
    // SAFETY: as the caller: below `Level::run`.
    unsafe { S::fma(b, S::splat(-1.0), a) }
}

/// a + factor·b.
///
/// # Safety
/// Only below `Level::run`, with pointers valid for what is read and written.
#[inline(always)]
unsafe fn plus<S: Simd>(a: S::V, factor: f32, b: S::V) -> S::V {
    // SAFETY: as the caller: below `Level::run`.
    unsafe { S::fma(b, S::splat(factor), a) }
}

/// The first `n` ≤ LANES elements; the others are zero.
///
/// # Safety
/// Only below `Level::run`, with pointers valid for what is read and written.
#[inline(always)]
unsafe fn load<S: Simd>(at: *const f32, n: usize) -> S::V {
    // SAFETY: the caller has `n` elements there.
    unsafe { if n == S::LANES { S::load(at) } else { S::load_part(at, n) } }
}

/// Writes the first `n` ≤ LANES elements only.
///
/// # Safety
/// Only below `Level::run`, with pointers valid for what is read and written.
#[inline(always)]
unsafe fn store<S: Simd>(at: *mut f32, value: S::V, n: usize) {
    // SAFETY: the caller has `n` elements there.
    unsafe { if n == S::LANES { S::store(at, value) } else { S::store_part(at, value, n) } }
}

/// Bᵀd: six inputs.
///
/// # Safety
/// Only below `Level::run`, with pointers valid for what is read and written.
#[inline(always)]
unsafe fn input_line<S: Simd>(d: [S::V; 6]) -> [S::V; 6] {
    // SAFETY: as the caller: below `Level::run`.
    unsafe {
        let (a, b) = (plus::<S>(d[4], -4.0, d[2]), plus::<S>(d[3], -4.0, d[1]));
        let (c, e) = (sub::<S>(d[4], d[2]), sub::<S>(d[3], d[1]));
        [
            plus::<S>(c, 4.0, sub::<S>(d[0], d[2])),
            S::add(a, b),
            sub::<S>(a, b),
            plus::<S>(c, 2.0, e),
            plus::<S>(c, -2.0, e),
            plus::<S>(sub::<S>(d[5], d[3]), -4.0, e),
        ]
    }
}

/// Aᵀm: six products to four outputs.
///
/// # Safety
/// Only below `Level::run`, with pointers valid for what is read and written.
#[inline(always)]
unsafe fn output_line<S: Simd>(m: [S::V; 6]) -> [S::V; 4] {
    // SAFETY: as the caller: below `Level::run`.
    unsafe {
        let (s, d) = (S::add(m[1], m[2]), sub::<S>(m[1], m[2]));
        let (p, q) = (S::add(m[3], m[4]), sub::<S>(m[3], m[4]));
        [S::add(S::add(m[0], s), p), plus::<S>(d, 2.0, q), plus::<S>(s, 4.0, p), S::add(plus::<S>(d, 8.0, q), m[5])]
    }
}

/// Ay: four gradients of outputs.
///
/// # Safety
/// Only below `Level::run`, with pointers valid for what is read and written.
#[inline(always)]
unsafe fn gradient_line<S: Simd>(y: [S::V; 4]) -> [S::V; 6] {
    // SAFETY: as the caller: below `Level::run`.
    unsafe {
        let (even, odd) = (S::add(y[0], y[2]), S::add(y[1], y[3]));
        let even2 = plus::<S>(y[0], 4.0, y[2]);
        let odd2 = plus::<S>(S::add(y[1], y[1]), 8.0, y[3]);
        [y[0], S::add(even, odd), sub::<S>(even, odd), S::add(even2, odd2), sub::<S>(even2, odd2), y[3]]
    }
}

/// Bm: six products to what they add to six inputs' gradients.
///
/// # Safety
/// Only below `Level::run`, with pointers valid for what is read and written.
#[inline(always)]
unsafe fn scatter_line<S: Simd>(m: [S::V; 6]) -> [S::V; 6] {
    // SAFETY: as the caller: below `Level::run`.
    unsafe {
        let zero = S::splat(0.0);
        let (s, d) = (S::add(m[1], m[2]), sub::<S>(m[1], m[2]));
        let (p, q) = (S::add(m[3], m[4]), sub::<S>(m[3], m[4]));
        let all = S::add(S::add(m[0], s), p);
        let twice = plus::<S>(d, 2.0, q);
        [
            plus::<S>(zero, 4.0, m[0]),
            plus::<S>(plus::<S>(plus::<S>(zero, -2.0, q), -4.0, d), 4.0, m[5]),
            plus::<S>(plus::<S>(plus::<S>(zero, -1.0, p), -4.0, s), -5.0, m[0]),
            plus::<S>(twice, -5.0, m[5]),
            all,
            m[5],
        ]
    }
}

/// Gg: three taps.
///
/// # Safety
/// Only below `Level::run`, with pointers valid for what is read and written.
#[inline(always)]
unsafe fn kernel_line<S: Simd>(g: [S::V; 3]) -> [S::V; 6] {
    // SAFETY: as the caller: below `Level::run`.
    unsafe {
        let zero = S::splat(0.0);
        let outer = S::add(g[0], g[2]);
        let (sixth, twelfth) = (plus::<S>(zero, -1.0 / 6.0, outer), plus::<S>(zero, 1.0 / 12.0, g[1]));
        let wide = plus::<S>(plus::<S>(zero, 1.0 / 6.0, g[2]), 1.0 / 24.0, g[0]);
        [
            plus::<S>(zero, 0.25, g[0]),
            plus::<S>(sixth, -1.0 / 6.0, g[1]),
            plus::<S>(sixth, 1.0 / 6.0, g[1]),
            S::add(wide, twelfth),
            sub::<S>(wide, twelfth),
            g[2],
        ]
    }
}

/// Gᵀu: six products to three taps' gradients.
///
/// # Safety
/// Only below `Level::run`, with pointers valid for what is read and written.
#[inline(always)]
unsafe fn kernel_gradient_line<S: Simd>(u: [S::V; 6]) -> [S::V; 3] {
    // SAFETY: as the caller: below `Level::run`.
    unsafe {
        let zero = S::splat(0.0);
        let (s, d) = (S::add(u[1], u[2]), sub::<S>(u[1], u[2]));
        let (p, q) = (S::add(u[3], u[4]), sub::<S>(u[3], u[4]));
        let s = plus::<S>(zero, -1.0 / 6.0, s);
        [
            plus::<S>(plus::<S>(s, 0.25, u[0]), 1.0 / 24.0, p),
            plus::<S>(plus::<S>(zero, -1.0 / 6.0, d), 1.0 / 12.0, q),
            S::add(plus::<S>(s, 1.0 / 6.0, p), u[5]),
        ]
    }
}

/// Applies a transform of lines to the rows and then to the columns of a square: element i comes from `$load`, and result i goes
/// to `$store`. A macro, because a closure would be compiled without the instruction set.
macro_rules! both_ways {
    ($S:ident, $line:ident, $from:expr, $to:expr, |$i:ident| $load:expr, |$o:ident, $value:ident| $store:expr) => {{
        let zero = $S::splat(0.0);
        let mut half = [[zero; $to]; $from];
        for (row, half) in half.iter_mut().enumerate() {
            let mut line = [zero; $from];
            for (column, value) in line.iter_mut().enumerate() {
                let $i = row * $from + column;
                *value = $load;
            }
            *half = $line::<$S>(line);
        }
        for column in 0..$to {
            let mut line = [zero; $from];
            for (row, value) in line.iter_mut().enumerate() {
                *value = half[row][column];
            }
            let done = $line::<$S>(line);
            for (row, $value) in done.into_iter().enumerate() {
                let $o = row * $to + column;
                $store;
            }
        }
    }};
}

/// Pixels of one tile, each with channels side by side; a missing pixel is zero.
pub(super) struct Pixels<'a, const N: usize> {
    pub(super) data: &'a [f32],
    pub(super) starts: [Option<usize>; N],
    /// As many zeros as there are channels.
    pub(super) zeros: &'a [f32],
    pub(super) channels: usize,
}

impl<const N: usize> Pixels<'_, N> {
    /// The address of each pixel's first channel.
    ///
    /// # Panics
    /// If a pixel does not lie in the data with all its channels.
    #[inline(always)]
    fn addresses(&self) -> [*const f32; N] {
        assert!(self.zeros.len() >= self.channels);
        let mut addresses = [self.zeros.as_ptr(); N];
        for (address, start) in addresses.iter_mut().zip(&self.starts) {
            if let Some(start) = *start {
                *address = self.data[start..start + self.channels].as_ptr();
            }
        }
        addresses
    }
}

/// Transforms a tile's inputs; point i of channel c goes to `out[i · plane + c]`.
pub(super) struct InputTransform<'a> {
    pub(super) pixels: Pixels<'a, POINTS>,
    pub(super) out: &'a Shared<'a, f32>,
    pub(super) offset: usize,
    pub(super) plane: usize,
}

impl Kernel for InputTransform<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let channels = self.pixels.channels;
        let pixels = self.pixels.addresses();
        assert!(self.offset + (POINTS - 1) * self.plane + channels <= self.out.len());
        let out = self.out.pointer(self.offset);
        let mut c = 0;
        // SAFETY: all pixels have `channels` elements, and the last point's row was held against the result's length.
        unsafe {
            while c < channels {
                let left = (channels - c).min(S::LANES);
                both_ways!(S, input_line, INPUT_SIDE, 6, |i| load::<S>(pixels[i].add(c), left), |i, value| store::<S>(
                    out.add(i * self.plane + c),
                    value,
                    left
                ));
                c += S::LANES;
            }
        }
    }
}

/// Transforms a tile's gradients of outputs into panels: point i of channel c goes to
/// `out[i · plane + c / width · panel + c % width]`, padded with zeros to whole vectors.
pub(super) struct GradientTransform<'a> {
    pub(super) pixels: Pixels<'a, OUTPUTS>,
    pub(super) out: &'a Shared<'a, f32>,
    pub(super) offset: usize,
    pub(super) plane: usize,
    pub(super) panel: usize,
    /// Columns of a full panel, and those of each row of the last one.
    pub(super) width: usize,
    /// Where a row of the last, narrower panel starts instead, relative to the block.
    pub(super) last: LastPanel,
}

/// The panel after the full ones.
#[derive(Clone, Copy)]
pub(super) struct LastPanel {
    /// The first channel in it.
    pub(super) channel: usize,
    /// Where this tile's row of it starts, relative to the plane.
    pub(super) row: usize,
}

impl Kernel for GradientTransform<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let channels = self.pixels.channels;
        let pixels = self.pixels.addresses();
        let mut c = 0;
        // SAFETY: all pixels have `channels` elements; each row of a plane is held against the result's length below.
        unsafe {
            while c < channels {
                let left = (channels - c).min(S::LANES);
                let at = if c >= self.last.channel {
                    self.last.row + (c - self.last.channel)
                } else {
                    self.offset + c / self.width * self.panel + c % self.width
                };
                assert!(at + (POINTS - 1) * self.plane + S::LANES <= self.out.len());
                let out = self.out.pointer(at);
                both_ways!(S, gradient_line, OUTPUT_SIDE, 6, |i| load::<S>(pixels[i].add(c), left), |i, value| {
                    S::store(out.add(i * self.plane), value)
                });
                c += S::LANES;
            }
        }
    }
}

/// Transforms a tile's products back: point i of channel c is read at `products[i · plane + c]`.
pub(super) struct OutputTransform<'a> {
    pub(super) products: &'a [f32],
    pub(super) plane: usize,
    /// Channels that are written; the products are padded to whole vectors.
    pub(super) channels: usize,
    /// Added to each output: padded to whole vectors; none for zero.
    pub(super) bias: Option<&'a [f32]>,
    pub(super) relu: bool,
    pub(super) out: &'a Shared<'a, f32>,
    /// Where each output lies, none outside the image, and the first channel.
    pub(super) starts: [Option<usize>; OUTPUTS],
    pub(super) channel: usize,
}

impl Kernel for OutputTransform<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let padded = self.channels.div_ceil(S::LANES) * S::LANES;
        assert!((POINTS - 1) * self.plane + padded <= self.products.len());
        assert!(self.bias.is_none_or(|bias| bias.len() >= padded));
        let end = self.channel + self.channels;
        for start in self.starts.iter().flatten() {
            assert!(start + end <= self.out.len());
        }
        let products = self.products.as_ptr();
        let mut c = 0;
        // SAFETY: products, bias and outputs were held against their lengths; the outputs belong to this task.
        unsafe {
            let least = S::splat(if self.relu { 0.0 } else { f32::NEG_INFINITY });
            let out = self.out.pointer(0).wrapping_add(self.channel);
            while c < self.channels {
                let left = (self.channels - c).min(S::LANES);
                let bias = if let Some(bias) = self.bias { S::load(bias.as_ptr().add(c)) } else { S::splat(0.0) };
                both_ways!(S, output_line, INPUT_SIDE, 4, |i| S::load(products.add(i * self.plane + c)), |i, value| {
                    if let Some(start) = self.starts[i] {
                        let value = S::max(S::add(value, bias), least);
                        store::<S>(out.add(start + c), value, left);
                    }
                });
                c += S::LANES;
            }
        }
    }
}

/// Transforms a tile's products to gradients of its 6×6 inputs and adds them: point i of channel c is read at
/// `products[i · plane + c]`.
pub(super) struct ScatterTransform<'a> {
    pub(super) products: &'a [f32],
    pub(super) plane: usize,
    /// Channels that are written; the products are padded to whole vectors.
    pub(super) channels: usize,
    pub(super) out: &'a Shared<'a, f32>,
    /// Where each input lies, none outside the image, and the first channel.
    pub(super) starts: [Option<usize>; POINTS],
    pub(super) channel: usize,
}

impl Kernel for ScatterTransform<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let padded = self.channels.div_ceil(S::LANES) * S::LANES;
        assert!((POINTS - 1) * self.plane + padded <= self.products.len());
        let end = self.channel + self.channels;
        for start in self.starts.iter().flatten() {
            assert!(start + end <= self.out.len());
        }
        let (products, out) = (self.products.as_ptr(), self.out.pointer(0).wrapping_add(self.channel));
        let mut c = 0;
        // SAFETY: products and results were held against their lengths; the results belong to this task.
        unsafe {
            while c < self.channels {
                let left = (self.channels - c).min(S::LANES);
                both_ways!(
                    S,
                    scatter_line,
                    INPUT_SIDE,
                    6,
                    |i| S::load(products.add(i * self.plane + c)),
                    |i, value| {
                        if let Some(start) = self.starts[i] {
                            let at = out.add(start + c);
                            store::<S>(at, S::add(load::<S>(at, left), value), left);
                        }
                    }
                );
                c += S::LANES;
            }
        }
    }
}

/// Transforms a row of kernels (9 taps, `columns` side by side) to `out[i · plane + column]`, padded with zeros to whole
/// vectors.
pub(super) struct KernelTransform<'a> {
    pub(super) kernel: &'a [f32],
    /// Where each tap's row starts.
    pub(super) taps: [usize; 9],
    pub(super) columns: usize,
    pub(super) out: &'a Shared<'a, f32>,
    pub(super) offset: usize,
    pub(super) plane: usize,
}

impl Kernel for KernelTransform<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let taps = self.taps.map(|tap| self.kernel[tap..tap + self.columns].as_ptr());
        let padded = self.columns.div_ceil(S::LANES) * S::LANES;
        assert!(self.offset + (POINTS - 1) * self.plane + padded <= self.out.len());
        let out = self.out.pointer(self.offset);
        let mut c = 0;
        // SAFETY: taps and result were held against their lengths; the result's row belongs to this task.
        unsafe {
            while c < self.columns {
                let left = (self.columns - c).min(S::LANES);
                both_ways!(S, kernel_line, 3, 6, |i| load::<S>(taps[i].add(c), left), |i, value| S::store(
                    out.add(i * self.plane + c),
                    value
                ));
                c += S::LANES;
            }
        }
    }
}

/// Transforms a row of products, point i at `products[i · plane]`, to the gradients of 9 taps, tap t at `out[t · tap]`.
pub(super) struct KernelGradientTransform<'a> {
    pub(super) products: &'a [f32],
    pub(super) plane: usize,
    pub(super) columns: usize,
    pub(super) out: &'a Shared<'a, f32>,
    pub(super) offset: usize,
    pub(super) tap: usize,
}

impl Kernel for KernelGradientTransform<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        assert!((POINTS - 1) * self.plane + self.columns <= self.products.len());
        assert!(self.offset + 8 * self.tap + self.columns <= self.out.len());
        let (products, out) = (self.products.as_ptr(), self.out.pointer(self.offset));
        let mut c = 0;
        // SAFETY: products and result were held against their lengths; the result's row belongs to this task.
        unsafe {
            while c < self.columns {
                let left = (self.columns - c).min(S::LANES);
                both_ways!(
                    S,
                    kernel_gradient_line,
                    INPUT_SIDE,
                    3,
                    |i| load::<S>(products.add(i * self.plane + c), left),
                    |tap, value| store::<S>(out.add(tap * self.tap + c), value, left)
                );
                c += S::LANES;
            }
        }
    }
}
