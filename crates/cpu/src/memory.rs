//! The buffer pool: blocks in size classes that return when a tensor is dropped, so that a training step in its stride
//! asks the system for nothing.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use striate_tensor::{AlignedVec, DType, Element, HostBuffer, HostData, MemoryStats, Recycle, Result, Storage};

/// Bytes that may be held beyond the most that was ever live and a quarter of it.
const SPARE: usize = 64 << 20;
/// Loans after which a class that nobody asked for is stale: more than a step of a large network makes.
const STALE: u64 = 1 << 15;
/// Bytes from which on a block may stand in for one of a smaller class.
const LARGE: usize = 1 << 20;

/// Lends blocks of host memory.
#[derive(Clone)]
pub(crate) struct Memory {
    pool: Arc<Pool>,
}

pub(crate) struct Pool {
    shelves: Mutex<Shelves>,
    this: Weak<Pool>,
}

#[derive(Default)]
struct Shelves {
    /// Free blocks by type and number of elements.
    free: HashMap<(DType, usize), Shelf>,
    /// What is lent counts as what was asked for, in whole classes.
    stats: MemoryStats,
    /// Bytes of the blocks that are lent: more where a larger block stands in.
    lent: usize,
    clock: u64,
}

#[derive(Default)]
struct Shelf {
    blocks: Vec<HostData>,
    used: u64,
}

const CLASSES_AN_OCTAVE: usize = 4;

/// The number of elements of the smallest class that holds `len`: four classes between powers of two.
fn class(len: usize) -> usize {
    if len <= 64 {
        return 64;
    }
    let step = (1usize << len.ilog2()) / CLASSES_AN_OCTAVE;
    len.div_ceil(step) * step
}

fn capacity(data: &HostData) -> usize {
    match data {
        HostData::F32(v) => v.capacity(),
        HostData::F64(v) => v.capacity(),
        HostData::F16(v) => v.capacity(),
        HostData::Bf16(v) => v.capacity(),
        HostData::U8(v) => v.capacity(),
        HostData::I32(v) => v.capacity(),
        HostData::I64(v) => v.capacity(),
    }
}

/// The class a block can serve: the largest that fits, unless the block is much larger or lies askew.
fn shelf_of(data: &HostData) -> Option<usize> {
    let capacity = capacity(data);
    let address = match data {
        HostData::F32(v) => v.as_ptr() as usize,
        HostData::F64(v) => v.as_ptr() as usize,
        HostData::F16(v) => v.as_ptr() as usize,
        HostData::Bf16(v) => v.as_ptr() as usize,
        HostData::U8(v) => v.as_ptr() as usize,
        HostData::I32(v) => v.as_ptr() as usize,
        HostData::I64(v) => v.as_ptr() as usize,
    };
    if capacity < 64 || !address.is_multiple_of(64) {
        return None;
    }
    // A block made here has up to 64 elements of slack behind its class.
    let class = class(capacity - 64);
    (class <= capacity).then_some(class)
}

/// Bytes of the class that the elements in use need; of a foreign block that is smaller, all it has.
fn asked(data: &HostData) -> usize {
    bytes(data).min(class(data.len()) * data.dtype().size())
}

/// Bytes of the whole block.
fn bytes(data: &HostData) -> usize {
    // Without the slack of alignment, so that lending and returning agree.
    shelf_of(data).unwrap_or_else(|| capacity(data)) * data.dtype().size()
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelves {
    fn lend(&mut self, data: &HostData) {
        self.lent += bytes(data);
        self.stats.live += asked(data);
        self.stats.peak = self.stats.peak.max(self.stats.live);
    }

    fn take_back(&mut self, data: &HostData) {
        self.lent = self.lent.saturating_sub(bytes(data));
        self.stats.live = self.stats.live.saturating_sub(asked(data));
    }

    /// Removes blocks from the cache, for the caller to give back to the system, until there is room for `more` bytes.
    ///
    /// What nobody asked for in a long time goes first, then what was used last: steps repeat, so that is what the next
    /// requests want least.
    fn trim(&mut self, more: usize) -> Vec<HostData> {
        let mut dropped = Vec::new();
        let limit = self.stats.peak + self.stats.peak / 4 + SPARE;
        while self.lent + self.stats.cached + more > limit && self.stats.cached > 0 {
            let filled = || self.free.iter().filter(|(_, shelf)| !shelf.blocks.is_empty());
            let stale =
                filled().filter(|(_, shelf)| self.clock - shelf.used > STALE).min_by_key(|(_, shelf)| shelf.used);
            let Some((&key, _)) = stale.or_else(|| filled().max_by_key(|(_, shelf)| shelf.used)) else { break };
            if let Some(block) = self.free.get_mut(&key).and_then(|shelf| shelf.blocks.pop()) {
                self.stats.cached = self.stats.cached.saturating_sub(bytes(&block));
                dropped.push(block);
            }
        }
        dropped
    }

    /// A free block of a class or, if that is large, of one that is up to twice as large.
    fn find(&mut self, dtype: DType, class: usize) -> Option<HostData> {
        self.clock += 1;
        if let Some(shelf) = self.free.get_mut(&(dtype, class)) {
            shelf.used = self.clock;
        }
        let classes = if class * dtype.size() < LARGE { 1 } else { 1 + CLASSES_AN_OCTAVE };
        let candidates = std::iter::successors(Some(class), |&class| Some(self::class(class + 1)));
        for candidate in candidates.take(classes) {
            if let Some(block) = self.free.get_mut(&(dtype, candidate)).and_then(|shelf| shelf.blocks.pop()) {
                self.stats.cached = self.stats.cached.saturating_sub(bytes(&block));
                return Some(block);
            }
        }
        None
    }
}

impl Recycle for Pool {
    fn recycle(&self, data: HostData) {
        let mut shelves = self.lock();
        shelves.take_back(&data);
        let Some(class) = shelf_of(&data) else { return };
        shelves.clock += 1;
        let clock = shelves.clock;
        shelves.stats.cached += bytes(&data);
        let shelf = shelves.free.entry((data.dtype(), class)).or_default();
        shelf.used = clock;
        shelf.blocks.push(data);
        let dropped = shelves.trim(0);
        // Unmapping takes its time: not under the lock.
        drop(shelves);
        drop(dropped);
    }
}

impl Memory {
    pub(crate) fn new() -> Memory {
        Memory { pool: Arc::new_cyclic(|this| Pool { shelves: Mutex::default(), this: this.clone() }) }
    }

    pub(crate) fn stats(&self) -> MemoryStats {
        self.pool.lock().stats
    }

    /// `len` elements; what they hold is whatever was there.
    pub(crate) fn take<T: Element>(&self, len: usize) -> Result<Buffer<T>> {
        let class = class(len);
        let mut shelves = self.pool.lock();
        let mut data = match shelves.find(T::DTYPE, class) {
            Some(data) => data,
            None => {
                let dropped = shelves.trim(class * size_of::<T>());
                // Mapping and unmapping take their time: not under the lock.
                drop(shelves);
                drop(dropped);
                let block = T::into_host(AlignedVec::zeros(class)?);
                shelves = self.pool.lock();
                block
            }
        };
        if let Some(vec) = T::of_host_mut(&mut data) {
            vec.set_len(len);
        }
        shelves.lend(&data);
        drop(shelves);
        let recycle = self.pool.this.upgrade().map(|pool| pool as Arc<dyn Recycle>);
        Ok(Buffer { host: HostBuffer::new(data, recycle), _type: std::marker::PhantomData })
    }

    /// `len` elements of one value.
    pub(crate) fn filled<T: Element>(&self, len: usize, value: T) -> Result<Buffer<T>> {
        let mut buffer = self.take(len)?;
        buffer.fill(value);
        Ok(buffer)
    }

    /// Takes over a foreign buffer's elements, so that they are counted and return here.
    pub(crate) fn adopt(&self, mut buffer: HostBuffer) -> HostBuffer {
        let empty = HostData::U8(AlignedVec::from_vec(Vec::new()));
        let data = std::mem::replace(buffer.data_mut(), empty);
        self.pool.lock().lend(&data);
        // `buffer` still belongs to its own pool, if it has one, and returns to it empty.
        HostBuffer::new(data, self.pool.this.upgrade().map(|pool| pool as Arc<dyn Recycle>))
    }
}

/// A block of the pool as a slice.
pub(crate) struct Buffer<T> {
    host: HostBuffer,
    _type: std::marker::PhantomData<T>,
}

impl<T: Element> Buffer<T> {
    pub(crate) fn into_storage(self) -> Storage {
        Storage::host(self.host)
    }

    pub(crate) fn into_host(self) -> HostBuffer {
        self.host
    }
}

impl<T: Element> Deref for Buffer<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        self.host.as_slice().unwrap_or(&[])
    }
}

impl<T: Element> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        self.host.as_mut_slice().unwrap_or(&mut [])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_waste_at_most_a_quarter() {
        for len in (0..5000).chain([1 << 20, (1 << 20) + 1, 12_345_678]) {
            let class = class(len);
            assert!(class >= len && (len <= 64 || class <= len + len / 4), "{len} {class}");
            assert_eq!(super::class(class), class);
        }
    }

    #[test]
    fn blocks_come_back_and_are_counted() {
        let memory = Memory::new();
        let first = memory.take::<f32>(1000).unwrap();
        let address = first.as_ptr();
        assert_eq!(memory.stats(), MemoryStats { live: 4096, peak: 4096, cached: 0 });
        drop(first);
        assert_eq!(memory.stats(), MemoryStats { live: 0, peak: 4096, cached: 4096 });
        let again = memory.take::<f32>(900).unwrap();
        assert_eq!((again.as_ptr(), again.len()), (address, 900));
        let other = memory.take::<u8>(1000).unwrap();
        assert_eq!(memory.stats(), MemoryStats { live: 5120, peak: 5120, cached: 0 });
        drop((again, other));
        assert_eq!(memory.stats().live, 0);
    }

    #[test]
    fn adopted_buffers_are_counted_until_dropped() {
        let memory = Memory::new();
        // Below the smallest class: never taken for a block made here, wherever it lies.
        let adopted = memory.adopt(vec![0f32; 50].into());
        assert_eq!(memory.stats().live, 50 * 4);
        drop(adopted);
        assert_eq!(memory.stats().live, 0);
    }

    #[test]
    fn the_cache_is_bounded() {
        let memory = Memory::new();
        for i in 0..64 {
            drop(memory.take::<u8>((4 << 20) + i * (1 << 20)).unwrap());
            let stats = memory.stats();
            assert!(stats.live + stats.cached <= stats.peak + stats.peak / 4 + SPARE, "{stats:?}");
        }
    }

    #[test]
    fn a_large_request_takes_a_slightly_larger_block_and_a_much_larger_one_stays() {
        let memory = Memory::new();
        drop(memory.take::<f32>(1 << 20).unwrap());
        let (smaller, stats) = (memory.take::<f32>(900_000).unwrap(), memory.stats());
        assert_eq!((smaller.len(), stats.live, stats.cached), (900_000, class(900_000) * 4, 0));
        drop(smaller);
        assert_eq!(memory.stats().cached, 4 << 20);
        let small = memory.take::<f32>(400_000).unwrap();
        assert_eq!(memory.stats().cached, 4 << 20);
        drop(small);
    }
}
