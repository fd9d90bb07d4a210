//! What the machine can do at most: the yardstick for `bench --why`.

use crate::backend::CpuOptions;
use crate::memory::Memory;
use crate::simd::{Isa, Kernel, Level, Simd};
use crate::threads::Threads;
use std::hint::black_box;
use std::time::Instant;
use striate_tensor::Result;

/// The measured limits of the machine for some number of threads and an instruction set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peak {
    /// Fused multiply-adds from registers, counted as two operations each, in 10⁹ a second, over all threads.
    pub gflops: f64,
    /// a ← b + s·c over arrays far larger than the caches, in 10⁹ bytes a second (two read, one written).
    pub triad_gb_s: f64,
    /// Threads that took part.
    pub threads: usize,
}

/// Multiply-adds from registers alone.
struct Registers {
    rounds: usize,
}

/// Independent sums: enough to hide the latency of a multiply-add everywhere.
const SUMS: usize = 12;

impl Kernel for Registers {
    /// A value that depends on every operation, and how many were made.
    type Output = (f32, f64);

    #[inline(always)]
    fn run<S: Simd>(self) -> (f32, f64) {
        let mut out = [0.0f32; 64];
        // SAFETY: this runs below `Level::run`; a vector is at most 64 floats.
        unsafe {
            let (a, b) = (S::splat(black_box(0.999)), S::splat(black_box(0.001)));
            let mut sums = [S::splat(1.0); SUMS];
            for _ in 0..self.rounds {
                for sum in &mut sums {
                    *sum = S::fma(*sum, a, b);
                }
            }
            let mut total = S::splat(0.0);
            for sum in sums {
                total = S::add(total, sum);
            }
            S::store(out.as_mut_ptr(), total);
        }
        (out[0], 2.0 * (self.rounds * SUMS * S::LANES) as f64)
    }
}

struct Triad<'a> {
    a: &'a mut [f32],
    b: &'a [f32],
    c: &'a [f32],
}

impl Kernel for Triad<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for ((a, &b), &c) in self.a.iter_mut().zip(self.b).zip(self.c) {
            *a = S::fma1(c, 0.5, b);
        }
    }
}

/// Measures the machine for about a third of a second; the best of several tries.
///
/// # Errors
/// As [`crate::CpuBackend::new`], and [`striate_tensor::Error::OutOfMemory`] for the 192 MiB that it needs.
pub fn measure_peak(options: CpuOptions) -> Result<Peak> {
    let level = Level::new(options.isa.map_or_else(Isa::from_environment, Ok)?)?;
    let threads = Threads::new(options.threads)?;
    let count = threads.count();
    let mut gflops = 0.0f64;
    for _ in 0..8 {
        let rounds = 400_000;
        let start = Instant::now();
        // Each of many tasks makes the same operations.
        let tasks = 4 * count;
        threads.run(tasks, u64::MAX, |_| {
            black_box(level.run(Registers { rounds }));
        });
        let (_, each) = level.run(Registers { rounds: 1 });
        gflops = gflops.max(each * (rounds * tasks) as f64 / start.elapsed().as_secs_f64() / 1e9);
    }
    let memory = Memory::new();
    let len = 16 << 20;
    let (mut a, b, c) = (memory.filled(len, 0.0f32)?, memory.filled(len, 1.0f32)?, memory.filled(len, 2.0f32)?);
    let mut triad_gb_s = 0.0f64;
    for _ in 0..6 {
        let start = Instant::now();
        const PIECE: usize = 1 << 16;
        threads.pieces(&mut a, PIECE, u64::MAX, |i, a| {
            let range = i * PIECE..i * PIECE + a.len();
            level.run(Triad { a, b: &b[range.clone()], c: &c[range] });
        });
        black_box(&a[len / 2]);
        triad_gb_s = triad_gb_s.max(12.0 * len as f64 / start.elapsed().as_secs_f64() / 1e9);
    }
    Ok(Peak { gflops, triad_gb_s, threads: count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_plausible() {
        let peak = measure_peak(CpuOptions { threads: Some(1), ..CpuOptions::default() }).unwrap();
        assert!(peak.gflops > 0.5 && peak.triad_gb_s > 0.2 && peak.threads == 1, "{peak:?}");
    }
}
