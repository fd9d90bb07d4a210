//! Dropout, with the counter-based generator of [`striate_tensor::Key`] run on many counters at once.

use crate::backend::{Context, f32s};
use crate::elementwise::PIECE;
use crate::simd::{Kernel, Simd};
use striate_tensor::{Key, Result, Storage, Tensor};

/// Counters drawn together: a vector's worth.
const WIDTH: usize = 16;

/// Philox-4x32-10 of `WIDTH` successive counters: word w of counter first + i is `words[w][i]`.
#[inline(always)]
fn philox(first: u64, key: [u32; 2]) -> [[u32; WIDTH]; 4] {
    let mut c0: [u32; WIDTH] = std::array::from_fn(|i| (first + i as u64) as u32);
    let mut c1: [u32; WIDTH] = std::array::from_fn(|i| ((first + i as u64) >> 32) as u32);
    let (mut c2, mut c3) = ([0u32; WIDTH], [0u32; WIDTH]);
    let [mut k0, mut k1] = key;
    for _ in 0..10 {
        for (((c0, c1), c2), c3) in c0.iter_mut().zip(&mut c1).zip(&mut c2).zip(&mut c3) {
            let a = 0xD251_1F53u64 * u64::from(*c0);
            let b = 0xCD9E_8D57u64 * u64::from(*c2);
            (*c0, *c2) = ((b >> 32) as u32 ^ *c1 ^ k0, (a >> 32) as u32 ^ *c3 ^ k1);
            (*c1, *c3) = (b as u32, a as u32);
        }
        (k0, k1) = (k0.wrapping_add(0x9E37_79B9), k1.wrapping_add(0xBB67_AE85));
    }
    [c0, c1, c2, c3]
}

struct Drop<'a> {
    x: &'a [f32],
    /// Index of the first element, a multiple of 4.
    start: usize,
    key: [u32; 2],
    threshold: u32,
    factor: f32,
    out: &'a mut [f32],
}

impl Kernel for Drop<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Drop { key, threshold, factor, .. } = self;
        let blocks = self.out.chunks_mut(4 * WIDTH).zip(self.x.chunks(4 * WIDTH));
        for (i, (out, x)) in blocks.enumerate() {
            let words = philox((self.start / 4 + i * WIDTH) as u64, key);
            let mut kept = [0f32; 4 * WIDTH];
            for (w, words) in words.iter().enumerate() {
                for (j, &word) in words.iter().enumerate() {
                    kept[4 * j + w] = if word >= threshold { factor } else { 0.0 };
                }
            }
            out.iter_mut()
                .zip(x)
                .zip(&kept)
                .for_each(|((out, &x), &kept)| *out = if kept > 0.0 { x * kept } else { 0.0 });
        }
    }
}

pub(crate) fn dropout(cx: &Context, x: &Tensor, rate: f32, key: Key) -> Result<Storage> {
    let x = f32s("dropout", x)?;
    let mut out = cx.memory.take::<f32>(x.len())?;
    let threshold = (f64::from(rate) * 4_294_967_296.0).round().min(f64::from(u32::MAX)) as u32;
    let factor = (1.0 / (1.0 - f64::from(rate))) as f32;
    cx.threads.pieces(&mut out, PIECE, 64 * x.len() as u64, |i, out| {
        let start = i * PIECE;
        let x = &x[start..start + out.len()];
        cx.level.run(Drop { x, start, key: key.words(), threshold, factor, out });
    });
    Ok(out.into_storage())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_keys() {
        let key = Key::new(77).fold(3);
        for first in [0, 5, u64::from(u32::MAX) - 3] {
            let words = philox(first, key.words());
            for i in 0..WIDTH as u64 {
                assert_eq!(words.map(|word| word[i as usize]), key.block(first + i));
            }
        }
    }
}
