//! The two directions of a resize, with the widest vectors that the processor has. Results are the same for all widths.
//!
//! Inner loops use nothing that the compiler might leave as a call: adapters of iterators and arrays are avoided.

use super::weights::{PRECISION, Weights};
use fearless_simd::prelude::*;
use fearless_simd::{Level, Simd, dispatch, i32x8, u8x32, u32x8};

/// So many neighbours of a row are worked on together.
const LANES: usize = 32;

/// A half: sums start with it, so that they are rounded.
const HALF: i32 = 1 << (PRECISION - 1);

/// The rows of `source`, `row` bytes each, of which the first is row `origin`, brought to the target's height.
pub(super) fn down(weights: &Weights, source: &[u8], row: usize, origin: usize) -> Vec<u8> {
    dispatch!(Level::new(), simd => down_wide(simd, weights, source, row, origin))
}

#[inline(always)]
fn down_wide<S: Simd>(simd: S, weights: &Weights, source: &[u8], row: usize, origin: usize) -> Vec<u8> {
    let mut bytes = vec![0; weights.target() * row];
    for (i, (first, weights)) in weights.each().enumerate() {
        let out = &mut bytes[i * row..][..row];
        let lines = &source[(first - origin) * row..];
        let mut at = 0;
        while at + LANES <= row {
            block(simd, lines, row, at, weights).store_slice(&mut out[at..at + LANES]);
            at += LANES;
        }
        if at < row && row >= LANES {
            // The last block overlaps the one before it.
            at = row - LANES;
            block(simd, lines, row, at, weights).store_slice(&mut out[at..]);
            at = row;
        }
        for (x, byte) in out.iter_mut().enumerate().skip(at) {
            let mut sum = HALF;
            for (j, &weight) in weights.iter().enumerate() {
                sum += i32::from(lines[j * row + x]) * weight;
            }
            *byte = (sum >> PRECISION).clamp(0, 255) as u8;
        }
    }
    bytes
}

/// The weighted sums of neighbours from one row after another.
#[inline(always)]
fn block<S: Simd>(simd: S, lines: &[u8], row: usize, at: usize, weights: &[i32]) -> u8x32<S> {
    // Signed numbers and their products modulo 2³² have the same bits as unsigned ones.
    let half = u32x8::splat(simd, HALF as u32);
    let [mut a, mut b, mut c, mut d] = [half; 4];
    for (j, &weight) in weights.iter().enumerate() {
        let weight = u32x8::splat(simd, weight as u32);
        let start = j * row + at;
        let (low, high) = u8x32::from_slice(simd, &lines[start..start + LANES]).widen();
        let ((p, q), (r, s)) = (low.widen(), high.widen());
        a += p * weight;
        b += q * weight;
        c += r * weight;
        d += s * weight;
    }
    let (a, b) = (to_bytes(simd, a.bitcast()), to_bytes(simd, b.bitcast()));
    let (c, d) = (to_bytes(simd, c.bitcast()), to_bytes(simd, d.bitcast()));
    a.relaxed_narrow(b).relaxed_narrow(c.relaxed_narrow(d))
}

/// Sums as whole numbers from 0 to 255.
#[inline(always)]
fn to_bytes<S: Simd>(simd: S, sums: i32x8<S>) -> u32x8<S> {
    (sums >> PRECISION).max(i32x8::splat(simd, 0)).min(i32x8::splat(simd, 255)).bitcast()
}

/// Every row of `source`, `width` pixels of so many channels, brought to the target's width.
pub(super) fn across(weights: &Weights, source: &[u8], width: usize, channels: usize) -> Vec<u8> {
    match channels {
        1 => dispatch!(Level::new(), simd => across_wide::<_, 1, 1>(simd, weights, source, width)),
        3 => dispatch!(Level::new(), simd => across_wide::<_, 3, 4>(simd, weights, source, width)),
        _ => dispatch!(Level::new(), simd => across_wide::<_, 4, 4>(simd, weights, source, width)),
    }
}

/// Pixels have C channels and take P lanes of 8, which hold as many rows as there is room for.
#[inline(always)]
fn across_wide<S: Simd, const C: usize, const P: usize>(
    simd: S,
    weights: &Weights,
    source: &[u8],
    width: usize,
) -> Vec<u8> {
    let (row, target, together) = (width * C, weights.target() * C, 8 / P);
    let mut bytes = vec![0; source.len() / row * target];
    let mut columns = vec![[0i32; 8]; width];
    for (block, rows) in source.chunks(together * row).enumerate() {
        let count = rows.len() / row;
        for r in 0..count {
            let pixels = rows[r * row..][..row].as_chunks::<C>().0;
            for (x, lanes) in columns.iter_mut().enumerate() {
                let place = &mut lanes[r * P..][..C];
                for (c, lane) in place.iter_mut().enumerate() {
                    *lane = i32::from(pixels[x][c]);
                }
            }
        }
        let out = &mut bytes[block * together * target..][..count * target];
        for (i, (first, weights)) in weights.each().enumerate() {
            let mut sums = i32x8::splat(simd, HALF);
            let columns = &columns[first..][..weights.len()];
            for (j, &weight) in weights.iter().enumerate() {
                sums += i32x8::simd_from(simd, columns[j]) * i32x8::splat(simd, weight);
            }
            let whole: [u32; 8] = to_bytes(simd, sums).into();
            for r in 0..count {
                let pixel = &mut out[r * target + i * C..][..C];
                for (c, byte) in pixel.iter_mut().enumerate() {
                    *byte = whole[r * P + c] as u8;
                }
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resize::Filter;
    use crate::resize::weights::Span;

    #[test]
    fn both_directions_and_all_vector_widths_agree() {
        let (height, width) = (37, 29);
        for channels in [1, 3, 4] {
            let picture: Vec<u8> = (0..height * width * channels).map(|i| (i * i % 251) as u8).collect();
            let turned: Vec<u8> = (0..width * height)
                .flat_map(|i| (0..channels).map(move |c| (i, c)))
                .map(|(i, c)| picture[((i % height) * width + i / height) * channels + c])
                .collect();
            for (filter, target) in [(Filter::Bilinear, 11), (Filter::Lanczos, 53), (Filter::Bicubic, 1)] {
                let weights = Weights::new(filter, Span::whole(width), width, target);
                let narrow = across(&weights, &picture, width, channels);
                let short = down(&weights, &turned, height * channels, 0);
                for (i, pixel) in short.chunks_exact(channels).enumerate() {
                    let (x, y) = (i / height, i % height);
                    assert_eq!(pixel, &narrow[(y * target + x) * channels..][..channels], "{filter:?} {x} {y}");
                }
                let level = Level::baseline();
                assert_eq!(short, dispatch!(level, simd => down_wide(simd, &weights, &turned, height * channels, 0)));
            }
        }
    }
}
