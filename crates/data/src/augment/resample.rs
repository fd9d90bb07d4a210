//! A picture seen through a matrix: each pixel of the result from the four around its place in the source.

use super::fill::FillMode;
use super::geometry::Matrix;
use crate::image_file::Picture;
use fearless_simd::prelude::*;
use fearless_simd::{Level, Simd, dispatch, f32x4};

/// Binary places of a position: a step along a row of the longest side adds up to an error below 10⁻⁵ pixels.
const PLACES: u32 = 30;
/// The largest step that is told apart; one beyond it leaves every picture at once.
const LARGEST_STEP: f64 = 65_536.0;
/// The same for the start of a row.
const LARGEST_START: f64 = 1_073_741_824.0;

/// Where the result's rows and columns come to lie.
#[derive(Clone, Copy)]
pub(super) struct Flips {
    pub(super) horizontal: bool,
    pub(super) vertical: bool,
}

/// Writes the picture seen through `matrix`, (x, y) to (x, y), and then mirrored; `out` has the picture's size.
pub(super) fn affine(picture: &Picture, matrix: &Matrix, fill: (FillMode, f32), flips: Flips, out: &mut [f32]) {
    match picture.channels() {
        1 => dispatch!(Level::new(), simd => affine_wide::<_, 1, 5>(simd, picture, matrix, fill, flips, out)),
        3 => dispatch!(Level::new(), simd => affine_wide::<_, 3, 7>(simd, picture, matrix, fill, flips, out)),
        _ => dispatch!(Level::new(), simd => affine_wide::<_, 4, 8>(simd, picture, matrix, fill, flips, out)),
    }
}

fn fixed(value: f64, largest: f64) -> i64 {
    (value.clamp(-largest, largest) * f64::from(1u32 << PLACES)) as i64
}

/// Pixels have C channels; the lanes of two neighbours, four each, lie within R bytes.
#[inline(always)]
fn affine_wide<S: Simd, const C: usize, const R: usize>(
    simd: S,
    picture: &Picture,
    [along_x, along_y, _]: &Matrix,
    (mode, constant): (FillMode, f32),
    flips: Flips,
    out: &mut [f32],
) {
    let (height, width) = (picture.height(), picture.width());
    let bytes = picture.bytes();
    let border = Border { pixels: bytes.as_chunks::<C>().0, height, width, mode, constant };
    let last = |n: usize| (n as i64 - 1) << PLACES;
    let (right, bottom) = (last(width), last(height));
    let (dx, dy) = (fixed(along_x[0], LARGEST_STEP), fixed(along_y[0], LARGEST_STEP));
    for (v, row) in out.as_chunks_mut::<C>().0.chunks_exact_mut(width).enumerate() {
        let v = (if flips.vertical { height - 1 - v } else { v }) as f64;
        let (start_x, start_y) = (along_x[2] + v * along_x[1], along_y[2] + v * along_y[1]);
        let (mut x, mut y) = (fixed(start_x, LARGEST_START), fixed(start_y, LARGEST_START));
        for (u, pixel) in row.iter_mut().enumerate() {
            let (mut px, mut py) = (x, y);
            (x, y) = (x + dx, y + dy);
            if mode == FillMode::Nearest {
                (px, py) = (px.clamp(0, right), py.clamp(0, bottom));
            } else if px < 0 || px > right || py < 0 || py > bottom {
                let u = u as f64;
                *pixel = border.pixel(start_x + u * along_x[0], start_y + u * along_y[0]);
                continue;
            }
            let part = |p: i64| (p & ((1 << PLACES) - 1)) as i32 as f32 * (1.0 / (1u32 << PLACES) as f32);
            let (left, top, wx, wy) = ((px >> PLACES) as usize, (py >> PLACES) as usize, part(px), part(py));
            // Beside the last column lies the next row's first, which counts nothing.
            let upper = (top * width + left) * C;
            let lower = upper + width * C;
            *pixel = if lower + R <= bytes.len()
                && let Some(upper) = bytes[upper..].first_chunk::<R>()
                && let Some(lower) = bytes[lower..].first_chunk::<R>()
            {
                blended::<S, C, R>(simd, upper, lower, wx, wy)
            } else {
                // Only the end of the picture is an end.
                border.blend((left, (left + 1).min(width - 1)), (top, (top + 1).min(height - 1)), (wx, wy))
            };
        }
        if flips.horizontal {
            row.reverse();
        }
    }
}

/// Two pixels of a row and the two below them.
#[inline(always)]
fn blended<S: Simd, const C: usize, const R: usize>(
    simd: S,
    upper: &[u8; R],
    lower: &[u8; R],
    wx: f32,
    wy: f32,
) -> [f32; C] {
    // An array's own adapters might be left as calls.
    let lanes = |b: &[u8; R], at: usize| -> f32x4<S> {
        let four = [f32::from(b[at]), f32::from(b[at + 1]), f32::from(b[at + 2]), f32::from(b[at + 3])];
        f32x4::simd_from(simd, four)
    };
    let (a, b, c, d) = (lanes(upper, 0), lanes(upper, C), lanes(lower, 0), lanes(lower, C));
    let (wx, wy) = (f32x4::splat(simd, wx), f32x4::splat(simd, wy));
    let (above, below) = (a + wx * (b - a), c + wx * (d - c));
    let blend: [f32; 4] = (above + wy * (below - above)).into();
    let mut pixel = [0.0; C];
    for (i, value) in pixel.iter_mut().enumerate() {
        *value = blend[i];
    }
    pixel
}

/// The places that take more thought: those outside, and those at the very end.
struct Border<'a, const C: usize> {
    pixels: &'a [[u8; C]],
    height: usize,
    width: usize,
    mode: FillMode,
    constant: f32,
}

impl<const C: usize> Border<'_, C> {
    #[cold]
    fn pixel(&self, x: f64, y: f64) -> [f32; C] {
        let (Some(x), Some(y)) = (self.mode.map(x, self.width), self.mode.map(y, self.height)) else {
            return [self.constant; C];
        };
        // Reflection may leave a place half a pixel beyond the border, between two pixels that are the same.
        let near = |at: f64, n: usize| {
            let low = at.floor();
            let index = |i: f64| (i.max(0.0) as usize).min(n - 1);
            ((index(low), index(low + 1.0)), (at - low) as f32)
        };
        let ((columns, wx), (rows, wy)) = (near(x, self.width), near(y, self.height));
        self.blend(columns, rows, (wx, wy))
    }

    fn blend(&self, (left, right): (usize, usize), (top, below): (usize, usize), (wx, wy): (f32, f32)) -> [f32; C] {
        let at = |y: usize, x: usize| self.pixels[y * self.width + x].map(f32::from);
        let (a, b, c, d) = (at(top, left), at(top, right), at(below, left), at(below, right));
        std::array::from_fn(|i| {
            let (upper, lower) = (a[i] + wx * (b[i] - a[i]), c[i] + wx * (d[i] - c[i]));
            upper + wy * (lower - upper)
        })
    }
}

/// Writes the picture's values, mirrored.
pub(super) fn mirrored(picture: &Picture, flips: Flips, out: &mut [f32]) {
    let (height, row, channels) = (picture.height(), picture.width() * picture.channels(), picture.channels());
    for (v, line) in out.chunks_exact_mut(row).enumerate() {
        let v = if flips.vertical { height - 1 - v } else { v };
        let source = &picture.bytes()[v * row..][..row];
        if !flips.horizontal {
            line.iter_mut().zip(source).for_each(|(value, &byte)| *value = f32::from(byte));
            continue;
        }
        for (pixel, bytes) in line.chunks_exact_mut(channels).zip(source.rchunks_exact(channels)) {
            pixel.iter_mut().zip(bytes).for_each(|(value, &byte)| *value = f32::from(byte));
        }
    }
}
