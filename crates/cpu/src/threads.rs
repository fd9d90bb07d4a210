//! Sharing work among threads.
//!
//! Work is cut into tasks by its shape alone; which thread runs which task makes no difference to the result.
//!
//! A worker that has nothing to do looks for more for a moment before it goes to sleep: a network's layers follow one another
//! within microseconds, and waking a sleeper takes longer than many of them. Each thread begins with its own share of the tasks, the
//! same part of the batch in layer after layer: what it reads it wrote itself, which is near where cores are far apart. Whether small
//! work is shared at all is found by trying both.

use crate::simd::FlushDenormals;
use crate::trial::{SMALL, Trial};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use striate_tensor::{Error, Result};

/// Multiply-adds, or elements times 16, below which waking another thread costs more than it brings (about 20 µs).
const WORTH_WAKING: u64 = 1 << 20;
/// The same for handing work to a thread that is awake (about 1 µs).
const WORTH_SHARING: u64 = 1 << 17;
/// How long an idle worker stays awake.
const LINGER: Duration = Duration::from_micros(100);

/// The back end's threads: the caller and `count − 1` workers.
pub(crate) struct Threads {
    crew: Option<Crew>,
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
        Ok(Threads { crew: (count > 1).then(|| Crew::new(count)).transpose()?, count })
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Into how many tasks work that can be cut anywhere is cut, `work` being its weight in multiply-adds.
    pub(crate) fn tasks(&self, work: u64) -> usize {
        match work {
            _ if self.count == 1 => 1,
            ..WORTH_SHARING => 1,
            WORTH_SHARING..WORTH_WAKING => self.count,
            WORTH_WAKING.. => 2 * self.count,
        }
    }

    /// Runs `task(0)` to `task(tasks − 1)`, in any order, on any thread; `work` is the whole's weight in multiply-adds.
    ///
    /// The caller takes part: small work never leaves it, and a worker that wakes late finds less to do.
    pub(crate) fn run(&self, tasks: usize, work: u64, task: impl Fn(usize) + Sync) {
        let _flush = FlushDenormals::enter();
        if let Some(crew) = &self.crew
            && tasks > 1
            && work >= WORTH_SHARING
            && !INSIDE.get()
        {
            let is_small = work < SMALL;
            if is_small && !crew.trial.shares() {
                let start = Instant::now();
                (0..tasks).for_each(task);
                return crew.trial.record(false, work, start.elapsed().as_nanos() as u64);
            }
            let wakes = crew.wakes(work);
            if wakes || crew.board.awake.load(Ordering::Relaxed) > 0 {
                let start = Instant::now();
                crew.run(tasks, wakes, &task);
                if is_small {
                    crew.trial.record(true, work, start.elapsed().as_nanos() as u64);
                }
                return;
            }
        }
        (0..tasks).for_each(task);
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

thread_local! {
    /// Whether this thread runs a task: what a task shares out runs on its own thread.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Marks the thread as inside a task until dropped.
struct Inside;

impl Inside {
    fn enter() -> Inside {
        INSIDE.set(true);
        Inside
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(false);
    }
}

/// The workers, and the one job at a time that they share with its caller.
struct Crew {
    pool: ThreadPool,
    workers: usize,
    board: Arc<Board>,
    /// Callers on several threads take turns.
    turn: Mutex<()>,
    /// When work was last worth sharing: nanoseconds after the crew's start.
    last: AtomicU64,
    start: Instant,
    trial: Trial,
}

impl Crew {
    fn new(count: usize) -> Result<Crew> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(count - 1)
            .thread_name(|i| format!("striate-{}", i + 1))
            .start_handler(|_| {
                // For the thread's whole life: it runs nothing but kernels.
                std::mem::forget(FlushDenormals::enter());
            })
            .build()
            .map_err(|error| {
                Error::argument("threads", "the system must grant them", format!("{count}: {error}"), "")
            })?;
        Ok(Crew {
            pool,
            workers: count - 1,
            board: Arc::new(Board::new(count)),
            turn: Mutex::new(()),
            last: AtomicU64::new(0),
            start: Instant::now(),
            trial: Trial::default(),
        })
    }

    /// Whether sleepers are woken for this work: if it is large, or one of a row of small ones, for which they then stay awake.
    fn wakes(&self, work: u64) -> bool {
        let now = self.start.elapsed().as_nanos() as u64;
        let last = self.last.swap(now, Ordering::Relaxed);
        work >= WORTH_WAKING || now.saturating_sub(last) < LINGER.as_nanos() as u64
    }

    fn run(&self, tasks: usize, wake: bool, task: &(dyn Fn(usize) + Sync)) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.board.open(tasks, task);
        if wake {
            // As many as there is work for; those awake see the board by themselves.
            for _ in self.board.awake.load(Ordering::SeqCst)..self.workers.min(tasks - 1) {
                self.board.awake.fetch_add(1, Ordering::SeqCst);
                let board = self.board.clone();
                self.pool.spawn(move || board.linger());
            }
        }
        let own = {
            let _inside = Inside::enter();
            catch_unwind(AssertUnwindSafe(|| self.board.drain(0, tasks, task)))
        };
        let others = self.board.close();
        if let Some(panic) = own.err().or(others) {
            resume_unwind(panic);
        }
    }
}

/// A job as the board shows it.
#[derive(Clone, Copy)]
struct Job {
    tasks: usize,
    /// The caller's closure, which lives until the job is closed and every worker has left it.
    task: *const (dyn Fn(usize) + Sync),
}

/// Where the caller posts a job and workers find it.
///
/// `state` holds the job's number in its upper half, whether workers may enter, and how many are inside. A worker may read
/// `job` only between entering and leaving; the caller may write it, and return, only while it is closed with nobody inside.
struct Board {
    state: AtomicU64,
    /// The next task of each thread's share.
    next: Vec<Counter>,
    job: UnsafeCell<Job>,
    /// Workers that look at the board.
    awake: AtomicUsize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `job` is written and read by the rule above, which `state` orders; its closure is `Sync`.
unsafe impl Send for Board {}
// SAFETY: as above.
unsafe impl Sync for Board {}

/// A counter on lines of the cache that nothing else uses.
#[derive(Default)]
#[repr(align(128))]
struct Counter(AtomicUsize);

impl Board {
    fn new(threads: usize) -> Board {
        let nothing: &'static (dyn Fn(usize) + Sync) = &|_| {};
        Board {
            state: AtomicU64::new(0),
            next: (0..threads).map(|_| Counter::default()).collect(),
            job: UnsafeCell::new(Job { tasks: 0, task: nothing }),
            awake: AtomicUsize::new(0),
            panic: Mutex::new(None),
        }
    }
}

const OPEN: u64 = 1 << 31;
const NUMBER: u64 = 1 << 32;

impl Board {
    /// Posts a job; only by the caller whose turn it is.
    fn open(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        // SAFETY: only the lifetime changes; `close` outlasts every use.
        let task = unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(task) };
        let state = self.state.load(Ordering::Acquire);
        debug_assert!(state & (NUMBER - 1) == 0);
        // SAFETY: the job before is closed and nobody is inside.
        unsafe { *self.job.get() = Job { tasks, task } };
        for (share, next) in self.next.iter().enumerate() {
            next.0.store(self.share(share, tasks).start, Ordering::Relaxed);
        }
        self.state.store(state.wrapping_add(NUMBER) | OPEN, Ordering::SeqCst);
    }

    /// Lets nobody else in, waits until all have left, and returns a worker's panic.
    fn close(&self) -> Option<Box<dyn Any + Send>> {
        self.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut spins = 0u32;
        while self.state.load(Ordering::Acquire) & (OPEN - 1) != 0 {
            spins = spins.saturating_add(1);
            // Where there are more threads than cores, the one inside needs this one's.
            if spins > 20_000 { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
        self.panic.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The tasks that a thread begins with.
    fn share(&self, thread: usize, tasks: usize) -> Range<usize> {
        let threads = self.next.len();
        thread * tasks / threads..(thread + 1) * tasks / threads
    }

    /// Runs a thread's share, then what others have left of theirs.
    fn drain(&self, thread: usize, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        let threads = self.next.len();
        for share in (thread..threads).chain(0..thread) {
            let end = self.share(share, tasks).end;
            loop {
                let i = self.next[share].0.fetch_add(1, Ordering::Relaxed);
                if i >= end {
                    break;
                }
                task(i);
            }
        }
    }

    /// Enters the job on the board unless it is closed or was `done` already; its number.
    fn enter(&self, done: Option<u64>) -> Option<u64> {
        let state = self.state.load(Ordering::SeqCst);
        let number = state / NUMBER;
        if state & OPEN == 0 || done == Some(number) {
            return None;
        }
        self.state.compare_exchange(state, state + 1, Ordering::AcqRel, Ordering::Relaxed).is_ok().then_some(number)
    }

    /// A worker's time awake: takes part in each job that appears, until none has for a while.
    fn linger(&self) {
        let _inside = Inside::enter();
        // The caller is thread 0.
        let thread = rayon::current_thread_index().map_or(0, |worker| worker + 1);
        let mut done = None;
        loop {
            let idle = Instant::now();
            let mut looks = 0u32;
            let entered = loop {
                if let Some(number) = self.enter(done) {
                    break Some(number);
                }
                looks = looks.wrapping_add(1);
                if looks.is_multiple_of(32) && idle.elapsed() > LINGER {
                    // A caller that opened a job before it saw this one leave counts on it: so one more look.
                    self.awake.fetch_sub(1, Ordering::SeqCst);
                    match self.enter(done) {
                        Some(number) => {
                            self.awake.fetch_add(1, Ordering::SeqCst);
                            break Some(number);
                        }
                        None => break None,
                    }
                }
                std::hint::spin_loop();
            };
            let Some(number) = entered else { return };
            done = Some(number);
            let worked = catch_unwind(AssertUnwindSafe(|| {
                // SAFETY: between entering and leaving, the job stays and its closure lives.
                let Job { tasks, task } = unsafe { *self.job.get() };
                // SAFETY: as above.
                self.drain(thread, tasks, unsafe { &*task });
            }));
            if let Err(panic) = worked {
                self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
            }
            self.state.fetch_sub(1, Ordering::Release);
        }
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
            std::thread::sleep(Duration::from_micros(200));
            part[0] = halve();
        });
        assert!(halves.iter().all(|&half| half == 0.0));
        assert!(halve() > 0.0);
    }

    #[test]
    fn callers_on_several_threads_take_turns_and_tasks_may_share_out_work() {
        let threads = Threads::new(Some(3)).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..200 {
                        let total = AtomicUsize::new(0);
                        let work = if round % 2 == 0 { WORTH_SHARING } else { u64::MAX };
                        threads.run(7, work, |i| {
                            threads.run(3, u64::MAX, |j| _ = total.fetch_add(10 * i + j, Ordering::Relaxed));
                        });
                        assert_eq!(total.into_inner(), 651);
                    }
                });
            }
        });
    }

    #[test]
    fn workers_that_slept_and_workers_that_linger_take_part() {
        let threads = Threads::new(Some(2)).unwrap();
        for pause in [0, 20, 90, 100, 110, 2000] {
            let mut helped = 0;
            for _ in 0..20 {
                std::thread::sleep(Duration::from_micros(pause));
                let caller = std::thread::current().id();
                let others = AtomicUsize::new(0);
                threads.run(40, u64::MAX, |_| {
                    std::thread::sleep(Duration::from_micros(50));
                    others.fetch_add(usize::from(std::thread::current().id() != caller), Ordering::Relaxed);
                });
                helped += usize::from(others.into_inner() > 0);
            }
            assert!(helped > 0, "pause of {pause} µs");
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_workers_go_on() {
        let threads = Threads::new(Some(3)).unwrap();
        for at in 0..8 {
            let run = || threads.run(8, u64::MAX, |i| assert!(i != at, "task {i} fails"));
            let panic = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
            assert_eq!(panic.downcast_ref::<String>().unwrap(), &format!("task {at} fails"));
        }
        let done = AtomicUsize::new(0);
        threads.run(100, u64::MAX, |_| _ = done.fetch_add(1, Ordering::Relaxed));
        assert_eq!(done.into_inner(), 100);
    }

    #[test]
    fn no_thread_is_an_error() {
        assert!(matches!(Threads::new(Some(0)), Err(Error::Argument(_))));
    }
}
