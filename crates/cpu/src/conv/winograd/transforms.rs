//! The transforms of a tile, vectorised over channels.
//!
//! The matrices Bᵀ, G and Aᵀ of F(m, 3) interpolate at the points 0, 1, −1, ∞ for m = 2, also at 2 for m = 3, and at −2 for m = 4.

use super::MAX_POINTS;
use crate::kernels::Shared;
use crate::simd::{Kernel, Simd};

/// Floats of the widest register.
const MAX_LANES: usize = 16;

/// Floats in a line of the cache.
const LINE: usize = 16;

/// Runs a transform that was compiled for the size of the tile: `I` inputs and `O` outputs along a side.
macro_rules! for_side {
    ($level:expr, $side:expr, $transform:ident $fields:tt) => {
        match $side {
            2 => $level.run($transform::<4, 2> $fields),
            3 => $level.run($transform::<5, 3> $fields),
            _ => $level.run($transform::<6, 4> $fields),
        }
    };
}
pub(super) use for_side;

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

/// Bᵀd: the inputs along a line of a tile.
///
/// # Safety
/// Only below `Level::run`, with pointers valid for what is read and written.
#[inline(always)]
unsafe fn input_line<S: Simd, const I: usize>(d: [S::V; I]) -> [S::V; I] {
    let mut t = d;
    // SAFETY: as the caller: below `Level::run`.
    unsafe {
        match I {
            4 => {
                t[0] = sub::<S>(d[0], d[2]);
                t[1] = S::add(d[1], d[2]);
                t[2] = sub::<S>(d[2], d[1]);
                t[3] = sub::<S>(d[3], d[1]);
            }
            5 => {
                let (a, b) = (sub::<S>(d[3], d[1]), sub::<S>(d[3], d[2]));
                t[0] = plus::<S>(a, 2.0, sub::<S>(d[0], d[2]));
                t[1] = plus::<S>(b, -2.0, d[1]);
                t[2] = plus::<S>(b, 2.0, sub::<S>(d[1], d[2]));
                t[3] = a;
                t[4] = plus::<S>(sub::<S>(d[4], d[2]), -2.0, a);
            }
            _ => {
                let (a, b) = (plus::<S>(d[4], -4.0, d[2]), plus::<S>(d[3], -4.0, d[1]));
                let (c, e) = (sub::<S>(d[4], d[2]), sub::<S>(d[3], d[1]));
                t[0] = plus::<S>(c, 4.0, sub::<S>(d[0], d[2]));
                t[1] = S::add(a, b);
                t[2] = sub::<S>(a, b);
                t[3] = plus::<S>(c, 2.0, e);
                t[4] = plus::<S>(c, -2.0, e);
                t[5] = plus::<S>(sub::<S>(d[5], d[3]), -4.0, e);
            }
        }
    }
    t
}

/// Aᵀm: products to outputs.
///
/// # Safety
/// Only below `Level::run`, with pointers valid for what is read and written.
#[inline(always)]
unsafe fn output_line<S: Simd, const I: usize, const O: usize>(m: [S::V; I]) -> [S::V; O] {
    // SAFETY: as the caller: below `Level::run`.
    unsafe {
        let mut y = [S::splat(0.0); O];
        let (s, d) = (S::add(m[1], m[2]), sub::<S>(m[1], m[2]));
        match I {
            4 => {
                y[0] = S::add(m[0], s);
                y[1] = S::add(d, m[3]);
            }
            5 => {
                y[0] = S::add(S::add(m[0], m[3]), s);
                y[1] = plus::<S>(d, 2.0, m[3]);
                y[2] = S::add(plus::<S>(s, 4.0, m[3]), m[4]);
            }
            _ => {
                let (p, q) = (S::add(m[3], m[4]), sub::<S>(m[3], m[4]));
                y[0] = S::add(S::add(m[0], s), p);
                y[1] = plus::<S>(d, 2.0, q);
                y[2] = plus::<S>(s, 4.0, p);
                y[3] = S::add(plus::<S>(d, 8.0, q), m[5]);
            }
        }
        y
    }
}

/// Ay: gradients of outputs.
///
/// # Safety
/// Only below `Level::run`, with pointers valid for what is read and written.
#[inline(always)]
unsafe fn gradient_line<S: Simd, const O: usize, const I: usize>(y: [S::V; O]) -> [S::V; I] {
    // SAFETY: as the caller: below `Level::run`.
    unsafe {
        let mut t = [y[0]; I];
        t[I - 1] = y[O - 1];
        match O {
            2 => {
                t[1] = S::add(y[0], y[1]);
                t[2] = sub::<S>(y[0], y[1]);
            }
            3 => {
                let even = S::add(y[0], y[2]);
                t[1] = S::add(even, y[1]);
                t[2] = sub::<S>(even, y[1]);
                t[3] = plus::<S>(plus::<S>(y[0], 2.0, y[1]), 4.0, y[2]);
            }
            _ => {
                let (even, odd) = (S::add(y[0], y[2]), S::add(y[1], y[3]));
                let even2 = plus::<S>(y[0], 4.0, y[2]);
                let odd2 = plus::<S>(S::add(y[1], y[1]), 8.0, y[3]);
                t[1] = S::add(even, odd);
                t[2] = sub::<S>(even, odd);
                t[3] = S::add(even2, odd2);
                t[4] = sub::<S>(even2, odd2);
            }
        }
        t
    }
}

/// Bm: products to what they add to the inputs' gradients.
///
/// # Safety
/// Only below `Level::run`, with pointers valid for what is read and written.
#[inline(always)]
unsafe fn scatter_line<S: Simd, const I: usize>(m: [S::V; I]) -> [S::V; I] {
    let mut x = m;
    // SAFETY: as the caller: below `Level::run`.
    unsafe {
        let zero = S::splat(0.0);
        let (s, d) = (S::add(m[1], m[2]), sub::<S>(m[1], m[2]));
        match I {
            4 => {
                x[1] = sub::<S>(d, m[3]);
                x[2] = sub::<S>(s, m[0]);
            }
            5 => {
                let outer = plus::<S>(m[4], 2.0, m[0]);
                x[0] = S::add(m[0], m[0]);
                x[1] = plus::<S>(plus::<S>(sub::<S>(plus::<S>(zero, -1.0, m[0]), m[3]), -2.0, d), 2.0, m[4]);
                x[2] = sub::<S>(plus::<S>(plus::<S>(zero, -1.0, s), -2.0, m[2]), outer);
                x[3] = plus::<S>(S::add(S::add(m[0], m[3]), s), -2.0, m[4]);
            }
            _ => {
                let (p, q) = (S::add(m[3], m[4]), sub::<S>(m[3], m[4]));
                x[0] = plus::<S>(zero, 4.0, m[0]);
                x[1] = plus::<S>(plus::<S>(plus::<S>(zero, -2.0, q), -4.0, d), 4.0, m[5]);
                x[2] = plus::<S>(plus::<S>(plus::<S>(zero, -1.0, p), -4.0, s), -5.0, m[0]);
                x[3] = plus::<S>(plus::<S>(d, 2.0, q), -5.0, m[5]);
                x[4] = S::add(S::add(m[0], s), p);
            }
        }
    }
    x
}

/// Gg: three taps.
///
/// # Safety
/// Only below `Level::run`, with pointers valid for what is read and written.
#[inline(always)]
unsafe fn kernel_line<S: Simd, const I: usize>(g: [S::V; 3]) -> [S::V; I] {
    // SAFETY: as the caller: below `Level::run`.
    unsafe {
        let zero = S::splat(0.0);
        let mut t = [g[0]; I];
        let outer = S::add(g[0], g[2]);
        t[I - 1] = g[2];
        match I {
            4 => {
                let half = plus::<S>(zero, 0.5, outer);
                t[1] = plus::<S>(half, 0.5, g[1]);
                t[2] = plus::<S>(half, -0.5, g[1]);
            }
            5 => {
                t[0] = plus::<S>(zero, 0.5, g[0]);
                t[1] = plus::<S>(zero, -0.5, S::add(outer, g[1]));
                t[2] = plus::<S>(zero, 1.0 / 6.0, sub::<S>(g[1], outer));
                t[3] = plus::<S>(plus::<S>(plus::<S>(zero, 1.0 / 6.0, g[0]), 1.0 / 3.0, g[1]), 2.0 / 3.0, g[2]);
            }
            _ => {
                let (sixth, twelfth) = (plus::<S>(zero, -1.0 / 6.0, outer), plus::<S>(zero, 1.0 / 12.0, g[1]));
                let wide = plus::<S>(plus::<S>(zero, 1.0 / 6.0, g[2]), 1.0 / 24.0, g[0]);
                t[0] = plus::<S>(zero, 0.25, g[0]);
                t[1] = plus::<S>(sixth, -1.0 / 6.0, g[1]);
                t[2] = plus::<S>(sixth, 1.0 / 6.0, g[1]);
                t[3] = S::add(wide, twelfth);
                t[4] = sub::<S>(wide, twelfth);
            }
        }
        t
    }
}

/// Gᵀu: products to three taps' gradients.
///
/// # Safety
/// Only below `Level::run`, with pointers valid for what is read and written.
#[inline(always)]
unsafe fn kernel_gradient_line<S: Simd, const I: usize>(u: [S::V; I]) -> [S::V; 3] {
    // SAFETY: as the caller: below `Level::run`.
    unsafe {
        let zero = S::splat(0.0);
        let (s, d) = (S::add(u[1], u[2]), sub::<S>(u[1], u[2]));
        match I {
            4 => {
                let half = plus::<S>(zero, 0.5, s);
                [S::add(u[0], half), plus::<S>(zero, 0.5, d), S::add(half, u[3])]
            }
            5 => {
                let first = plus::<S>(zero, -0.5, u[1]);
                let (less, more) = (plus::<S>(first, -1.0 / 6.0, u[2]), plus::<S>(first, 1.0 / 6.0, u[2]));
                [
                    plus::<S>(plus::<S>(less, 0.5, u[0]), 1.0 / 6.0, u[3]),
                    plus::<S>(more, 1.0 / 3.0, u[3]),
                    S::add(plus::<S>(less, 2.0 / 3.0, u[3]), u[4]),
                ]
            }
            _ => {
                let (p, q) = (S::add(u[3], u[4]), sub::<S>(u[3], u[4]));
                let s = plus::<S>(zero, -1.0 / 6.0, s);
                [
                    plus::<S>(plus::<S>(s, 0.25, u[0]), 1.0 / 24.0, p),
                    plus::<S>(plus::<S>(zero, -1.0 / 6.0, d), 1.0 / 12.0, q),
                    S::add(plus::<S>(s, 1.0 / 6.0, p), u[5]),
                ]
            }
        }
    }
}

/// The body for each `$i` below `$n` ≤ 6, written out: left to a loop, the compiler keeps the whole square in memory.
macro_rules! unrolled {
    ($n:expr, |$i:ident| $body:block) => {
        unrolled!(@each $n, $i, $body, 0 1 2 3 4 5)
    };
    (@each $n:expr, $i:ident, $body:block, $($value:literal)*) => {
        $(if $value < $n {
            let $i: usize = $value;
            $body
        })*
    };
}

/// Applies a transform of lines to the rows and then to the columns of a square: element i comes from `$load`, and result i goes
/// to `$store`. A macro, because a closure would be compiled without the instruction set.
macro_rules! both_ways {
    ($S:ident, $line:expr, $from:expr, $to:expr, |$i:ident| $load:expr, |$o:ident, $value:ident| $store:expr) => {{
        let zero = $S::splat(0.0);
        let mut half = [[zero; $to]; $from];
        unrolled!($from, |row| {
            let mut line = [zero; $from];
            for (column, value) in line.iter_mut().enumerate() {
                let $i = row * $from + column;
                *value = $load;
            }
            half[row] = $line(line);
        });
        unrolled!($to, |column| {
            let mut line = [zero; $from];
            for (row, value) in line.iter_mut().enumerate() {
                *value = half[row][column];
            }
            let done = $line(line);
            for (row, $value) in done.into_iter().enumerate() {
                let $o = row * $to + column;
                $store;
            }
        });
    }};
}

/// Pixels of one tile, each with channels side by side; a missing pixel is zero.
pub(super) struct Pixels<'a> {
    pub(super) data: &'a [f32],
    /// Row by row; as many as the tile has pixels.
    pub(super) starts: [Option<usize>; MAX_POINTS],
    /// As many zeros as there are channels.
    pub(super) zeros: &'a [f32],
    pub(super) channels: usize,
}

impl Pixels<'_> {
    /// The address of each pixel's first channel.
    ///
    /// # Panics
    /// If a pixel does not lie in the data with all its channels.
    #[inline(always)]
    fn addresses(&self, pixels: usize) -> [*const f32; MAX_POINTS] {
        assert!(self.zeros.len() >= self.channels);
        let mut addresses = [self.zeros.as_ptr(); MAX_POINTS];
        for (address, start) in addresses[..pixels].iter_mut().zip(&self.starts) {
            if let Some(start) = *start {
                *address = self.data[start..start + self.channels].as_ptr();
            }
        }
        addresses
    }
}

/// Transforms a tile's inputs; point i of channel c goes to `out[i · plane + c]`.
pub(super) struct InputTransform<'a, const I: usize, const O: usize> {
    pub(super) pixels: Pixels<'a>,
    pub(super) out: &'a Shared<'a, f32>,
    pub(super) offset: usize,
    pub(super) plane: usize,
}

impl<const I: usize, const O: usize> Kernel for InputTransform<'_, I, O> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let channels = self.pixels.channels;
        let pixels = self.pixels.addresses(I * I);
        assert!(self.offset + (I * I - 1) * self.plane + channels <= self.out.len());
        let out = self.out.pointer(self.offset);
        let mut c = 0;
        // SAFETY: all pixels have `channels` elements, and the last point's row was held against the result's length.
        unsafe {
            while c < channels {
                let left = (channels - c).min(S::LANES);
                if c % LINE == 0 {
                    // The next tile's own pixels, and its points: too many streams for the processor to follow by itself.
                    for (i, pixel) in pixels[..I * I].iter().enumerate() {
                        if i % I >= I - O {
                            S::prefetch(pixel.wrapping_add(O * channels + c));
                        }
                        S::prefetch(out.wrapping_add(i * self.plane + channels + c));
                    }
                }
                both_ways!(S, input_line::<S, I>, I, I, |i| load::<S>(pixels[i].add(c), left), |i, value| store::<S>(
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
pub(super) struct GradientTransform<'a, const I: usize, const O: usize> {
    pub(super) pixels: Pixels<'a>,
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

impl<const I: usize, const O: usize> Kernel for GradientTransform<'_, I, O> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let channels = self.pixels.channels;
        let pixels = self.pixels.addresses(O * O);
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
                assert!(at + (I * I - 1) * self.plane + S::LANES <= self.out.len());
                let out = self.out.pointer(at);
                if c % LINE == 0 {
                    // The next tile's pixels.
                    for pixel in &pixels[..O * O] {
                        S::prefetch(pixel.wrapping_add(O * channels + c));
                    }
                }
                both_ways!(S, gradient_line::<S, O, I>, O, I, |i| load::<S>(pixels[i].add(c), left), |i, value| {
                    S::store(out.add(i * self.plane), value)
                });
                c += S::LANES;
            }
        }
    }
}

/// Transforms a tile's products back: point i of channel c is read at `products[i · plane + c]`.
pub(super) struct OutputTransform<'a, const I: usize, const O: usize> {
    pub(super) products: &'a [f32],
    pub(super) plane: usize,
    /// Channels that are written; the products are padded to whole vectors.
    pub(super) channels: usize,
    /// Added to each output: padded to whole vectors; none for zero.
    pub(super) bias: Option<&'a [f32]>,
    pub(super) relu: bool,
    /// Only the maximum of each 2×2 outputs is written.
    pub(super) pools: bool,
    /// Outputs are written past the caches: all of them lie at multiples of a vector, and the task ends with a fence.
    pub(super) stream: bool,
    pub(super) out: &'a Shared<'a, f32>,
    /// Takes which of its four outputs each maximum is, row-major.
    pub(super) indices: Option<&'a Shared<'a, u8>>,
    /// Where each output lies, or each maximum, none outside the image, and the first channel.
    pub(super) starts: [Option<usize>; MAX_POINTS],
    pub(super) channel: usize,
}

impl<const I: usize, const O: usize> Kernel for OutputTransform<'_, I, O> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let padded = self.channels.div_ceil(S::LANES) * S::LANES;
        assert!((I * I - 1) * self.plane + padded <= self.products.len());
        assert!(self.bias.is_none_or(|bias| bias.len() >= padded));
        let end = self.channel + self.channels;
        for start in self.starts.iter().flatten() {
            assert!(start + end <= self.out.len());
            assert!(self.indices.is_none_or(|indices| start + end <= indices.len()));
            let first = self.out.pointer(start + self.channel).addr() / size_of::<f32>();
            assert!(!self.stream || first.is_multiple_of(S::LANES), "streamed outputs must be aligned");
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
                if let (true, Some(indices)) = (self.pools, self.indices) {
                    let mut largest = [S::splat(f32::NEG_INFINITY); MAX_POINTS / 4];
                    let mut winners = [S::splat(0.0); MAX_POINTS / 4];
                    both_ways!(
                        S,
                        output_line::<S, I, O>,
                        I,
                        O,
                        |i| S::load(products.add(i * self.plane + c)),
                        |i, value| {
                            let at = i / O / 2 * (O / 2) + i % O / 2;
                            let value = S::add(value, bias);
                            let which = S::splat((i / O % 2 * 2 + i % O % 2) as f32);
                            winners[at] = S::where_greater(value, largest[at], which, winners[at]);
                            largest[at] = S::max(largest[at], value);
                        }
                    );
                    for (i, start) in self.starts[..O / 2 * (O / 2)].iter().enumerate() {
                        if let Some(start) = *start {
                            store::<S>(out.add(start + c), S::max(largest[i], least), left);
                            let mut which = [0.0f32; MAX_LANES];
                            S::store(which.as_mut_ptr(), winners[i]);
                            let bytes = which.map(|which| which as i32 as u8);
                            indices.slice(start + self.channel + c, left).copy_from_slice(&bytes[..left]);
                        }
                    }
                } else if self.pools {
                    let mut largest = [S::splat(f32::NEG_INFINITY); MAX_POINTS / 4];
                    both_ways!(
                        S,
                        output_line::<S, I, O>,
                        I,
                        O,
                        |i| S::load(products.add(i * self.plane + c)),
                        |i, value| {
                            let at = i / O / 2 * (O / 2) + i % O / 2;
                            largest[at] = S::max(largest[at], value);
                        }
                    );
                    // Rounding keeps the order: the bias may come after the maximum.
                    for (value, start) in largest.iter().zip(&self.starts[..O / 2 * (O / 2)]) {
                        if let Some(start) = *start {
                            store::<S>(out.add(start + c), S::max(S::add(*value, bias), least), left);
                        }
                    }
                } else {
                    both_ways!(
                        S,
                        output_line::<S, I, O>,
                        I,
                        O,
                        |i| S::load(products.add(i * self.plane + c)),
                        |i, value| {
                            if let Some(start) = self.starts[i] {
                                let value = S::max(S::add(value, bias), least);
                                if self.stream && left == S::LANES {
                                    S::stream(out.add(start + c), value);
                                } else {
                                    store::<S>(out.add(start + c), value, left);
                                }
                            }
                        }
                    );
                }
                c += S::LANES;
            }
        }
    }
}

/// Transforms a tile's products to gradients of its inputs and adds them: point i of channel c is read at
/// `products[i · plane + c]`.
pub(super) struct ScatterTransform<'a, const I: usize, const O: usize> {
    pub(super) products: &'a [f32],
    pub(super) plane: usize,
    /// Channels that are written; the products are padded to whole vectors.
    pub(super) channels: usize,
    pub(super) out: &'a Shared<'a, f32>,
    /// Where each input lies, none outside the image, and the first channel.
    pub(super) starts: [Option<usize>; MAX_POINTS],
    pub(super) channel: usize,
}

impl<const I: usize, const O: usize> Kernel for ScatterTransform<'_, I, O> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let padded = self.channels.div_ceil(S::LANES) * S::LANES;
        assert!((I * I - 1) * self.plane + padded <= self.products.len());
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
                both_ways!(S, scatter_line::<S, I>, I, I, |i| S::load(products.add(i * self.plane + c)), |i, value| {
                    if let Some(start) = self.starts[i] {
                        let at = out.add(start + c);
                        store::<S>(at, S::add(load::<S>(at, left), value), left);
                    }
                });
                c += S::LANES;
            }
        }
    }
}

/// Transforms a row of kernels (9 taps, `columns` side by side) to `out[i · plane + column]`, padded with zeros to whole
/// vectors.
pub(super) struct KernelTransform<'a, const I: usize, const O: usize> {
    pub(super) kernel: &'a [f32],
    /// Where each tap's row starts.
    pub(super) taps: [usize; 9],
    pub(super) columns: usize,
    pub(super) out: &'a Shared<'a, f32>,
    pub(super) offset: usize,
    pub(super) plane: usize,
}

impl<const I: usize, const O: usize> Kernel for KernelTransform<'_, I, O> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let taps = self.taps.map(|tap| self.kernel[tap..tap + self.columns].as_ptr());
        let padded = self.columns.div_ceil(S::LANES) * S::LANES;
        assert!(self.offset + (I * I - 1) * self.plane + padded <= self.out.len());
        let out = self.out.pointer(self.offset);
        let mut c = 0;
        // SAFETY: taps and result were held against their lengths; the result's row belongs to this task.
        unsafe {
            while c < self.columns {
                let left = (self.columns - c).min(S::LANES);
                both_ways!(S, kernel_line::<S, I>, 3, I, |i| load::<S>(taps[i].add(c), left), |i, value| S::store(
                    out.add(i * self.plane + c),
                    value
                ));
                c += S::LANES;
            }
        }
    }
}

/// Transforms a row of products, point i at `products[i · plane]`, to the gradients of 9 taps, tap t at `out[t · tap]`.
pub(super) struct KernelGradientTransform<'a, const I: usize, const O: usize> {
    pub(super) products: &'a [f32],
    pub(super) plane: usize,
    pub(super) columns: usize,
    pub(super) out: &'a Shared<'a, f32>,
    pub(super) offset: usize,
    pub(super) tap: usize,
}

impl<const I: usize, const O: usize> Kernel for KernelGradientTransform<'_, I, O> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        assert!((I * I - 1) * self.plane + self.columns <= self.products.len());
        assert!(self.offset + 8 * self.tap + self.columns <= self.out.len());
        let (products, out) = (self.products.as_ptr(), self.out.pointer(self.offset));
        let mut c = 0;
        // SAFETY: products and result were held against their lengths; the result's row belongs to this task.
        unsafe {
            while c < self.columns {
                let left = (self.columns - c).min(S::LANES);
                both_ways!(
                    S,
                    kernel_gradient_line::<S, I>,
                    I,
                    3,
                    |i| load::<S>(products.add(i * self.plane + c), left),
                    |tap, value| store::<S>(out.add(tap * self.tap + c), value, left)
                );
                c += S::LANES;
            }
        }
    }
}
