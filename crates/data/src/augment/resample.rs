//! A picture seen through a matrix: each pixel of the result from the four around its place in the source.

use super::fill::FillMode;
use super::geometry::Matrix;
use crate::image_file::Picture;

/// Where the result's rows and columns come to lie.
#[derive(Clone, Copy)]
pub(super) struct Flips {
    pub(super) horizontal: bool,
    pub(super) vertical: bool,
}

/// Writes the picture seen through `matrix`, (x, y) to (x, y), and then mirrored; `out` has the picture's size.
pub(super) fn affine(picture: &Picture, matrix: &Matrix, fill: (FillMode, f32), flips: Flips, out: &mut [f32]) {
    match picture.channels() {
        1 => affine_of::<1>(picture, matrix, fill, flips, out),
        _ => affine_of::<3>(picture, matrix, fill, flips, out),
    }
}

fn affine_of<const C: usize>(
    picture: &Picture,
    [along_x, along_y, _]: &Matrix,
    (mode, constant): (FillMode, f32),
    flips: Flips,
    out: &mut [f32],
) {
    let (height, width) = (picture.height(), picture.width());
    let source = picture.bytes().as_chunks::<C>().0;
    let (bottom, right) = ((height - 1) as f64, (width - 1) as f64);
    for (v, row) in out.as_chunks_mut::<C>().0.chunks_exact_mut(width).enumerate() {
        let v = (if flips.vertical { height - 1 - v } else { v }) as f64;
        let (start_x, start_y) = (along_x[2] + v * along_x[1], along_y[2] + v * along_y[1]);
        for (u, pixel) in row.iter_mut().enumerate() {
            let u = (if flips.horizontal { width - 1 - u } else { u }) as f64;
            let (x, y) = (start_x + u * along_x[0], start_y + u * along_y[0]);
            if x >= 0.0 && x <= right && y >= 0.0 && y <= bottom {
                // Truncation is the floor here, and cheaper.
                let (left, top) = (x as usize, y as usize);
                let weights = ((x - left as f64) as f32, (y - top as f64) as f32);
                let columns = (left, (left + 1).min(width - 1));
                let rows = (top * width, (top + 1).min(height - 1) * width);
                *pixel = blend(source, columns, rows, weights);
                continue;
            }
            let (Some(x), Some(y)) = (mode.map(x, width), mode.map(y, height)) else {
                *pixel = [constant; C];
                continue;
            };
            // Reflection may leave a place half a pixel beyond the border, between two pixels that are the same.
            let near = |at: f64, n: usize| {
                let low = at.floor();
                let index = |i: f64| (i.max(0.0) as usize).min(n - 1);
                ((index(low), index(low + 1.0)), (at - low) as f32)
            };
            let ((columns, wx), ((top, below), wy)) = (near(x, width), near(y, height));
            *pixel = blend(source, columns, (top * width, below * width), (wx, wy));
        }
    }
}

#[inline(always)]
fn blend<const C: usize>(
    source: &[[u8; C]],
    (left, right): (usize, usize),
    (top, below): (usize, usize),
    (wx, wy): (f32, f32),
) -> [f32; C] {
    let (a, b, c, d) = (&source[top + left], &source[top + right], &source[below + left], &source[below + right]);
    let mut pixel = [0.0; C];
    for i in 0..C {
        let [a, b, c, d] = [a[i], b[i], c[i], d[i]].map(f32::from);
        let (upper, lower) = (a + wx * (b - a), c + wx * (d - c));
        pixel[i] = upper + wy * (lower - upper);
    }
    pixel
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
