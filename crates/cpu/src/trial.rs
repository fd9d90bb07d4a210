//! Whether it pays to share small work with another thread, found by trying.
//!
//! Where a machine's processors are the two halves of one core, or another program wants them, a network as small as the lecture's is
//! faster on one thread than on two. Results do not depend on it: the tasks and their order of summation are the same.

use std::sync::{Mutex, PoisonError};

/// Multiply-adds from which on work is shared without trying: some 50 µs.
pub(crate) const SMALL: u64 = 1 << 23;
/// Jobs that are let pass after a change: workers fall asleep or wake up meanwhile.
const PASSED: u32 = 64;
/// Jobs of a trial.
const TRIED: u32 = 192;
/// Jobs between two trials.
const SETTLED: u32 = 1 << 14;
/// Measured jobs of a size that say something.
const ENOUGH: u32 = 8;
/// The part of the time that must be gained to work alone.
const CLEARLY: f64 = 0.95;

/// Sizes of work by powers of two.
const SIZES: usize = 8;

/// Tries both ways in turn, and keeps to the faster one for a while.
#[derive(Debug, Default)]
pub(crate) struct Trial {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    /// Jobs of the phase so far.
    jobs: u32,
    /// What the last trials found.
    is_alone_better: bool,
    shared: [Tally; SIZES],
    alone: [Tally; SIZES],
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Phase {
    #[default]
    Shared,
    Alone,
    Settled,
}

/// Nanoseconds a multiply-add of jobs of about one size.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    count: u32,
    least: f64,
    sum: f64,
}

impl Tally {
    fn add(&mut self, cost: f64) {
        self.least = if self.count == 0 { cost } else { self.least.min(cost) };
        // A job that was interrupted counts as slow, not as the interruption.
        self.sum += cost.min(4.0 * self.least);
        self.count += 1;
    }

    fn mean(&self) -> f64 {
        self.sum / f64::from(self.count.max(1))
    }
}

impl State {
    fn shares(&self) -> bool {
        match self.phase {
            Phase::Shared => true,
            Phase::Alone => false,
            Phase::Settled => !self.is_alone_better,
        }
    }

    fn decide(&mut self) {
        let (mut shared, mut alone) = (0.0, 0.0);
        for (size, (a, b)) in self.shared.iter().zip(&self.alone).enumerate() {
            if a.count >= ENOUGH && b.count >= ENOUGH {
                let weight = f64::from(a.count) * (1u64 << size) as f64;
                shared += weight * a.mean();
                alone += weight * b.mean();
            }
        }
        self.is_alone_better = alone < CLEARLY * shared;
    }
}

impl Trial {
    /// Whether the next small job is shared.
    pub(crate) fn shares(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).shares()
    }

    /// What a small job took.
    pub(crate) fn record(&self, shared: bool, work: u64, nanoseconds: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if shared != state.shares() {
            return;
        }
        state.jobs += 1;
        if state.phase == Phase::Settled {
            if state.jobs >= SETTLED {
                *state = State { is_alone_better: state.is_alone_better, ..State::default() };
            }
            return;
        }
        if state.jobs > PASSED {
            let size = (work.max(1).ilog2() as usize).saturating_sub((SMALL.ilog2() as usize) - SIZES).min(SIZES - 1);
            let cost = nanoseconds as f64 / work.max(1) as f64;
            if shared { state.shared[size].add(cost) } else { state.alone[size].add(cost) }
        }
        if state.jobs >= PASSED + TRIED {
            state.jobs = 0;
            if state.phase == Phase::Shared {
                state.phase = Phase::Alone;
            } else {
                state.phase = Phase::Settled;
                state.decide();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `jobs` of three sizes, which take `cost(shared)` nanoseconds a thousand multiply-adds; how many were shared.
    fn run(trial: &Trial, jobs: u32, cost: impl Fn(bool) -> u64) -> u32 {
        (0..jobs)
            .filter(|job| {
                let work = [200_000, 2_000_000, 330_000][(job % 3) as usize];
                let shared = trial.shares();
                // Now and then something comes between.
                let pause = if job % 50 == 7 { 1_000_000 } else { 0 };
                trial.record(shared, work, work * cost(shared) / 1000 + pause);
                shared
            })
            .count() as u32
    }

    #[test]
    fn the_faster_way_is_found_and_found_again() {
        let trial = Trial::default();
        let once = 2 * (PASSED + TRIED);
        let halves_of_one_core = |shared: bool| if shared { 20 } else { 12 };
        assert_eq!(run(&trial, once, halves_of_one_core), once / 2);
        assert_eq!(run(&trial, 1000, halves_of_one_core), 0);
        let two_cores = |shared: bool| if shared { 9 } else { 12 };
        run(&trial, SETTLED + once, two_cores);
        assert_eq!(run(&trial, 1000, two_cores), 1000);
    }

    #[test]
    fn a_small_difference_changes_nothing() {
        let trial = Trial::default();
        run(&trial, 2 * (PASSED + TRIED), |shared| if shared { 100 } else { 98 });
        assert_eq!(run(&trial, 100, |_| 100), 100);
    }
}
