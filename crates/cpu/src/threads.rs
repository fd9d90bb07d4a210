//! Sharing work among threads.
//!
//! Work is cut into tasks by its shape alone; which thread runs which task makes no difference to the result.

use crate::simd::FlushDenormals;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::atomic::{AtomicUsize, Ordering};
use striate_tensor::{Error, Result};

/// Multiply-adds, or elements times 16, below which waking another thread costs more than it brings (about 20 µs).
const WORTH_SHARING: u64 = 1 << 20;

/// The back end's threads: the caller and `count − 1` workers.
pub(crate) struct Threads {
    pool: Option<ThreadPool>,
    count: usize,
}

impl Threads {
    pub(crate) fn new(count: Option<usize>) -> Result<Threads> {
        let count = match count {
            Some(0) => {
                return Err(Error::argument("threads", "must be at least 1", "0", "leave it out to use all cores"));
            }
            Some(count) if count > 1024 => {
                return Err(Error::argument("threads", "must be at most 1024", count.to_string(), ""));
            }
            Some(count) => count,
            None => std::thread::available_parallelism().map_or(1, |n| n.get()).min(1024),
        };
        let pool = match count {
            1 => None,
            _ => Some(
                ThreadPoolBuilder::new()
                    .num_threads(count - 1)
                    .thread_name(|i| format!("striate-{}", i + 1))
                    .start_handler(|_| {
                        // For the thread's whole life: it runs nothing but kernels.
                        std::mem::forget(FlushDenormals::enter());
                    })
                    .build()
                    .map_err(|error| {
                        Error::argument("threads", "the system must grant them", format!("{count}: {error}"), "")
                    })?,
            ),
        };
        Ok(Threads { pool, count })
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Into how many tasks work that can be cut anywhere is cut, `work` being its weight in multiply-adds.
    pub(crate) fn tasks(&self, work: u64) -> usize {
        if self.count == 1 || work < WORTH_SHARING { 1 } else { 2 * self.count }
    }

    /// Runs `task(0)` to `task(tasks − 1)`, in any order, on any thread; `work` is the whole's weight in multiply-adds.
    ///
    /// The caller takes part: small work never leaves it, and a worker that wakes late finds less to do.
    pub(crate) fn run(&self, tasks: usize, work: u64, task: impl Fn(usize) + Sync) {
        let _flush = FlushDenormals::enter();
        let pool = match &self.pool {
            Some(pool) if tasks > 1 && work >= WORTH_SHARING && pool.current_thread_index().is_none() => pool,
            _ => return (0..tasks).for_each(task),
        };
        let next = AtomicUsize::new(0);
        let drain = || loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= tasks {
                break;
            }
            task(i);
        };
        pool.in_place_scope(|scope| {
            for _ in 0..(self.count - 1).min(tasks - 1) {
                scope.spawn(|_| drain());
            }
            drain();
        });
    }

    /// Cuts `out` into pieces of `piece` elements and runs `task(index, piece)` on each.
    pub(crate) fn pieces<T: Send>(
        &self,
        out: &mut [T],
        piece: usize,
        work: u64,
        task: impl Fn(usize, &mut [T]) + Sync,
    ) {
        let len = out.len();
        let piece = piece.max(1);
        let shared = crate::kernels::Shared::new(out);
        self.run(len.div_ceil(piece), work, |i| {
            let start = i * piece;
            // SAFETY: pieces do not overlap, and each index is given to one task only.
            let part = unsafe { shared.slice(start, piece.min(len - start)) };
            task(i, part);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once() {
        for count in [1, 2, 5] {
            let threads = Threads::new(Some(count)).unwrap();
            let mut hits = vec![0u32; 1003];
            threads.pieces(&mut hits, 10, u64::MAX, |i, part| part.iter_mut().for_each(|h| *h += 1 + i as u32));
            assert!(hits.iter().enumerate().all(|(i, &h)| h == 1 + i as u32 / 10));
        }
    }

    #[test]
    fn tasks_flush_denormals_on_every_thread_and_the_caller_does_not() {
        use std::hint::black_box;
        let halve = || black_box(f32::MIN_POSITIVE) * black_box(0.5);
        let threads = Threads::new(Some(3)).unwrap();
        let mut halves = vec![1.0; 64];
        threads.pieces(&mut halves, 1, u64::MAX, |_, part| {
            // Long enough for the workers to take part.
            std::thread::sleep(std::time::Duration::from_micros(200));
            part[0] = halve();
        });
        assert!(halves.iter().all(|&half| half == 0.0));
        assert!(halve() > 0.0);
    }

    #[test]
    fn no_thread_is_an_error() {
        assert!(matches!(Threads::new(Some(0)), Err(Error::Argument(_))));
    }
}
