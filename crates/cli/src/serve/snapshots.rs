//! The outputs of all layers for the last inputs, so that cells can be asked about.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use striate::tensor::Tensor;

/// Bytes of snapshots that are kept beside the newest.
const MOST_BYTES: usize = 64 << 20;
/// Snapshots that are kept.
const MOST: usize = 16;

/// All layers' outputs for one input.
#[derive(Debug)]
pub struct Snapshot {
    /// Its number.
    pub id: usize,
    /// Outputs by path.
    pub values: HashMap<String, Tensor>,
    bytes: usize,
}

/// The newest snapshots.
#[derive(Debug, Default)]
pub struct Snapshots {
    kept: Mutex<(usize, VecDeque<Arc<Snapshot>>)>,
}

impl Snapshots {
    /// Keeps outputs under a new number; the oldest go.
    pub fn keep(&self, values: HashMap<String, Tensor>) -> Arc<Snapshot> {
        let bytes = values.values().map(|value| value.elements() * value.dtype().size()).sum();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, queue) = &mut *kept;
        *last += 1;
        let snapshot = Arc::new(Snapshot { id: *last, values, bytes });
        queue.push_back(snapshot.clone());
        while queue.len() > MOST || (queue.len() > 1 && queue.iter().map(|old| old.bytes).sum::<usize>() > MOST_BYTES) {
            queue.pop_front();
        }
        snapshot
    }

    /// The snapshot of that number, if it is still there.
    pub fn get(&self, id: usize) -> Option<Arc<Snapshot>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.1.iter().find(|snapshot| snapshot.id == id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_ones_go_and_the_newest_stays_whatever_its_size() {
        let snapshots = Snapshots::default();
        let device = striate::device().unwrap();
        let values = |elements: usize| HashMap::from([("a".to_string(), Tensor::zeros([elements], &device).unwrap())]);
        let ids: Vec<usize> = (0..MOST + 4).map(|_| snapshots.keep(values(4)).id).collect();
        let there = ids.iter().filter(|&&id| snapshots.get(id).is_some()).count();
        assert_eq!((there, snapshots.get(ids[0]).is_none()), (MOST, true));
        let large = snapshots.keep(values(MOST_BYTES / 4 + 1)).id;
        assert!(snapshots.get(large).is_some() && snapshots.get(ids[MOST + 3]).is_none());
    }
}
