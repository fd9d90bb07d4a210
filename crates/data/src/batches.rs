//! One epoch of a data set, batch by batch.

use crate::dataset::{Batch, BatchContext, Dataset};
use crate::prefetch::Prefetch;
use std::sync::Arc;
use striate_tensor::{Device, Error, Key, Result};

/// How the samples of an epoch become batches. By default: 32 samples a batch, in order, the last one smaller, nothing ahead.
///
/// ```
/// use striate_data::{Array, ArrayDataset, Batching};
/// use striate_tensor::{Key, Result};
/// let device = striate_testkit::reference::device();
/// let data = ArrayDataset::new(vec![Array::floats((0..10).map(|i| i as f32).collect(), [10, 1])?], vec![])?;
/// let batching = Batching { batch_size: 4, shuffle: true, key: Key::new(42), prefetch: 2, ..Batching::default() };
/// for epoch in 0..2 {
///     let batches = batching.epoch(&data, epoch, &device)?;
///     let sizes: Result<Vec<usize>> = batches.map(|batch| Ok(batch?.samples)).collect();
///     assert_eq!(sizes?, [4, 4, 2]);
/// }
/// # Ok::<(), striate_tensor::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Batching {
    /// Samples in a batch; 32 unless set.
    pub batch_size: usize,
    /// Draw a new order for every epoch.
    pub shuffle: bool,
    /// Where orders and the data set's random choices come from: the run's seed.
    pub key: Key,
    /// Leave out a last batch that would be smaller.
    pub drop_last: bool,
    /// Batches that are prepared at most while another is in use; 0 prepares each when it is asked for.
    pub prefetch: usize,
    /// Threads that prepare batches if `prefetch` is not 0; the batches are the same for any number.
    pub workers: usize,
}

impl Default for Batching {
    fn default() -> Self {
        Batching { batch_size: 32, shuffle: false, key: Key::new(0), drop_last: false, prefetch: 0, workers: 1 }
    }
}

impl Batching {
    /// The number of batches in an epoch of `samples`.
    pub fn steps(&self, samples: usize) -> usize {
        let size = self.batch_size.max(1);
        if self.drop_last { samples / size } else { samples.div_ceil(size) }
    }

    /// The order of the samples in an epoch: a function of key, epoch and number.
    pub fn order(&self, samples: usize, epoch: u64) -> Vec<usize> {
        if self.shuffle {
            self.key.fold_str("shuffle").fold(epoch).permutation(samples)
        } else {
            (0..samples).collect()
        }
    }

    /// The batches of epoch number `epoch`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a batch size or a number of workers of 0; [`Error::Data`] if there is no batch to be had.
    pub fn epoch(&self, data: &dyn Dataset, epoch: u64, device: &Device) -> Result<Batches> {
        for (name, value) in [("batch_size", self.batch_size), ("workers", self.workers)] {
            if value == 0 {
                return Err(Error::argument(name, "must be at least 1", "0", ""));
            }
        }
        let samples = data.len();
        if samples == 0 {
            return Err(Error::data("data set", "there must be at least one sample", "none", ""));
        }
        let steps = self.steps(samples);
        if steps == 0 {
            return Err(Error::data(
                "data set",
                "drop_last needs at least one full batch",
                format!("{samples} samples for batches of {}", self.batch_size),
                "use smaller batches",
            ));
        }
        let plan = Arc::new(Plan {
            order: self.order(samples, epoch),
            batch_size: self.batch_size,
            steps,
            data: data.share(),
            context: BatchContext::new(self.key.fold_str("samples").fold(epoch), device),
        });
        let ahead = match self.prefetch {
            0 => None,
            depth => Some(Prefetch::start(&plan, depth, self.workers)?),
        };
        Ok(Batches { plan, ahead, next: 0, failed: false })
    }
}

impl Batching {
    /// The batches of epoch `first` and all that follow, without end; each epoch has an order of its own. Where a group of steps
    /// is counted as an epoch, as Keras's `steps_per_epoch` does, this is the source.
    ///
    /// ```
    /// use striate_data::{Array, ArrayDataset, Batching};
    /// let device = striate_testkit::reference::device();
    /// let data = ArrayDataset::new(vec![Array::floats(vec![0.0; 5], [5, 1])?], vec![])?;
    /// let batching = Batching { batch_size: 2, ..Batching::default() };
    /// let sizes: Vec<usize> = batching.endless(&data, 0, &device)?.take(7).map(|b| b.unwrap().samples).collect();
    /// assert_eq!(sizes, [2, 2, 1, 2, 2, 1, 2]);
    /// # Ok::<(), striate_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Batching::epoch`].
    pub fn endless(&self, data: &dyn Dataset, first: u64, device: &Device) -> Result<EndlessBatches> {
        let now = self.epoch(data, first, device)?;
        Ok(EndlessBatches { batching: self.clone(), data: data.share(), device: device.clone(), epoch: first, now })
    }
}

/// The batches of one epoch after another; see [`Batching::endless`]. It ends after an error.
pub struct EndlessBatches {
    batching: Batching,
    data: Arc<dyn Dataset>,
    device: Device,
    epoch: u64,
    now: Batches,
}

impl EndlessBatches {
    /// The number of the epoch that the last batch belongs to.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }
}

impl Iterator for EndlessBatches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.now.failed {
            return None;
        }
        if self.now.next >= self.now.plan.steps {
            self.epoch += 1;
            match self.batching.epoch(&self.data, self.epoch, &self.device) {
                Ok(batches) => self.now = batches,
                Err(error) => {
                    self.now.failed = true;
                    return Some(Err(error));
                }
            }
        }
        self.now.next()
    }
}

/// What an epoch consists of.
pub(crate) struct Plan {
    order: Vec<usize>,
    batch_size: usize,
    pub(crate) steps: usize,
    data: Arc<dyn Dataset>,
    context: BatchContext,
}

impl Plan {
    pub(crate) fn batch(&self, step: usize) -> Result<Batch> {
        let start = step * self.batch_size;
        let end = (start + self.batch_size).min(self.order.len());
        self.data.batch(&self.order[start..end], &self.context)
    }
}

/// The batches of one epoch. After an error there are no more.
///
/// Dropping it stops the worker threads and waits for them.
pub struct Batches {
    plan: Arc<Plan>,
    ahead: Option<Prefetch>,
    next: usize,
    failed: bool,
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.plan.steps {
            return None;
        }
        let batch = match &mut self.ahead {
            Some(ahead) => ahead.take(self.next),
            None => self.plan.batch(self.next),
        };
        self.failed = batch.is_err();
        self.next = if self.failed { self.plan.steps } else { self.next + 1 };
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // An error ends the epoch early.
        (usize::from(self.next < self.plan.steps), Some(self.plan.steps - self.next))
    }
}

impl std::fmt::Debug for Batches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Batches({} of {})", self.next, self.plan.steps)
    }
}

impl std::fmt::Debug for EndlessBatches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EndlessBatches(epoch {}, {:?})", self.epoch, self.now)
    }
}
