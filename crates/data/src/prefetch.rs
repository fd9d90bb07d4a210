//! Worker threads that prepare batches while another is in use.

use crate::batches::Plan;
use crate::dataset::Batch;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};
use striate_tensor::{Error, Result};

/// Worker w of n prepares batches w, w + n, w + 2n, … into a bounded channel of its own, and the batches are taken from the
/// channels in turn: the order is fixed, whoever is faster.
pub(crate) struct Prefetch {
    workers: Vec<Worker>,
}

struct Worker {
    /// None once the worker was told to stop.
    batches: Option<Receiver<Result<Batch>>>,
    thread: Option<JoinHandle<()>>,
}

impl Prefetch {
    /// Starts at most `workers` threads that together hold at most `depth` batches ready.
    pub(crate) fn start(plan: &Arc<Plan>, depth: usize, workers: usize) -> Result<Self> {
        let depth = depth.min(plan.steps);
        let count = workers.min(depth).max(1);
        let mut started = Prefetch { workers: Vec::with_capacity(count) };
        for first in 0..count {
            // Each worker also holds one batch in its hand, so its channel is one shorter than its share of the depth.
            let share = depth / count + usize::from(first < depth % count);
            let (sender, receiver) = sync_channel(share - 1);
            let plan = Arc::clone(plan);
            let work = move || {
                for step in (first..plan.steps).step_by(count) {
                    let batch = plan.batch(step);
                    let failed = batch.is_err();
                    // Nobody listens any more, or nobody will want what follows.
                    if sender.send(batch).is_err() || failed {
                        return;
                    }
                }
            };
            let thread = thread::Builder::new().name(format!("batches-{first}")).spawn(work).map_err(|error| {
                Error::device("host", "a thread must start to prepare batches", error.to_string(), "use prefetch 0")
            })?;
            started.workers.push(Worker { batches: Some(receiver), thread: Some(thread) });
        }
        Ok(started)
    }

    /// The batch of `step`; steps are asked for one after another.
    pub(crate) fn take(&mut self, step: usize) -> Result<Batch> {
        let count = self.workers.len();
        let received = self.workers[step % count].batches.as_ref().and_then(|batches| batches.recv().ok());
        // A worker ends without its batch only by a panic in the data set, which has been reported by then.
        received.unwrap_or_else(|| {
            Err(Error::data("data set", "every batch must be made", format!("a panic in batch {step}"), ""))
        })
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        // All channels are closed before any thread is waited for, so that all end at once.
        self.workers.iter_mut().for_each(|worker| worker.batches = None);
        for worker in &mut self.workers {
            if let Some(thread) = worker.thread.take() {
                // The panic of a worker became an error in `take`.
                drop(thread.join());
            }
        }
    }
}
