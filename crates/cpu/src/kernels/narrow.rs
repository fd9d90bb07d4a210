//! Products of a few rows with a matrix too large to be packed for them: each element of the matrix is read once, in order.

use crate::simd::{Kernel, Simd};

/// Adds a·b to `out`: (rows, k)·(k, columns), where `b` is read at `b[p · b_step + j]` and `out` is contiguous.
pub(crate) struct Narrow<'a> {
    pub(crate) a: &'a [f32],
    /// Elements from a row of `a` to the next, and from an element of a row to the next.
    pub(crate) a_steps: (usize, usize),
    pub(crate) k: usize,
    pub(crate) b: &'a [f32],
    pub(crate) b_step: usize,
    pub(crate) columns: usize,
    pub(crate) out: &'a mut [f32],
}

impl Kernel for Narrow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let Narrow { a, a_steps, k, b, b_step, columns, out } = self;
        let row = |p: usize| &b[p * b_step..p * b_step + columns];
        let mut p = 0;
        // Four rows of the matrix at a time: they stay near for all rows of the result.
        while p + 4 <= k {
            let (b0, b1, b2, b3) = (row(p), row(p + 1), row(p + 2), row(p + 3));
            for (i, out) in out.chunks_exact_mut(columns).enumerate() {
                let at = |q: usize| a[i * a_steps.0 + q * a_steps.1];
                let (a0, a1, a2, a3) = (at(p), at(p + 1), at(p + 2), at(p + 3));
                for j in 0..columns {
                    let sum = S::fma1(a0, b0[j], S::fma1(a1, b1[j], out[j]));
                    out[j] = S::fma1(a2, b2[j], S::fma1(a3, b3[j], sum));
                }
            }
            p += 4;
        }
        for p in p..k {
            let b = row(p);
            for (i, out) in out.chunks_exact_mut(columns).enumerate() {
                let a = a[i * a_steps.0 + p * a_steps.1];
                out.iter_mut().zip(b).for_each(|(out, &b)| *out = S::fma1(a, b, *out));
            }
        }
    }
}

/// The products of rows of `a` with one row of a transposed matrix: `out[i] = Σ a[i·k + p]·b[p]`.
pub(crate) struct Dots<'a> {
    pub(crate) a: &'a [f32],
    pub(crate) b: &'a [f32],
    pub(crate) out: &'a mut [f32],
}

impl Kernel for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let k = self.b.len();
        for (out, a) in self.out.iter_mut().zip(self.a.chunks_exact(k)) {
            let mut lanes = [0.0f32; 32];
            let (mut xs, mut ys) = (a.chunks_exact(32), self.b.chunks_exact(32));
            for (x, y) in (&mut xs).zip(&mut ys) {
                for j in 0..32 {
                    lanes[j] = S::fma1(x[j], y[j], lanes[j]);
                }
            }
            let rest: f32 = xs.remainder().iter().zip(ys.remainder()).map(|(x, y)| x * y).sum();
            *out = lanes.iter().sum::<f32>() + rest;
        }
    }
}
