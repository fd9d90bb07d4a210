//! The buffer pool: blocks in size classes that return when a tensor is dropped, so that a training step in its stride
//! asks the system for nothing.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use striate_tensor::{AlignedVec, DType, Element, HostBuffer, HostData, MemoryStats, Recycle, Result, Storage};

/// Bytes that may always be kept for reuse, beyond a quarter of the most that was ever live.
const CACHE_FLOOR: usize = 64 << 20;

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
    stats: MemoryStats,
    clock: u64,
}

#[derive(Default)]
struct Shelf {
    blocks: Vec<HostData>,
    used: u64,
}

/// The number of elements of the smallest class that holds `len`: four classes between powers of two.
fn class(len: usize) -> usize {
    if len <= 64 {
        return 64;
    }
    let step = 1usize << (len.ilog2() - 2);
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
    fn lend(&mut self, bytes: usize) {
        self.stats.live += bytes;
        self.stats.peak = self.stats.peak.max(self.stats.live);
    }

    /// Gives back to the system what was used longest ago, until the cache is within bounds.
    fn trim(&mut self) -> Vec<HostData> {
        let mut dropped = Vec::new();
        let limit = self.stats.peak + self.stats.peak / 4 + CACHE_FLOOR;
        while self.stats.live + self.stats.cached > limit && self.stats.cached > 0 {
            let oldest = self.free.iter().filter(|(_, s)| !s.blocks.is_empty()).min_by_key(|(_, s)| s.used);
            let Some(key) = oldest.map(|(key, _)| *key) else { break };
            if let Some(block) = self.free.get_mut(&key).and_then(|shelf| shelf.blocks.pop()) {
                self.stats.cached = self.stats.cached.saturating_sub(bytes(&block));
                dropped.push(block);
            }
        }
        dropped
    }
}

impl Recycle for Pool {
    fn recycle(&self, data: HostData) {
        let size = bytes(&data);
        let mut shelves = self.lock();
        shelves.stats.live = shelves.stats.live.saturating_sub(size);
        let Some(class) = shelf_of(&data) else { return };
        shelves.clock += 1;
        let clock = shelves.clock;
        shelves.stats.cached += size;
        let shelf = shelves.free.entry((data.dtype(), class)).or_default();
        shelf.used = clock;
        shelf.blocks.push(data);
        let dropped = shelves.trim();
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
        let found = {
            let mut shelves = self.pool.lock();
            shelves.clock += 1;
            let clock = shelves.clock;
            let block = shelves.free.get_mut(&(T::DTYPE, class)).and_then(|shelf| {
                shelf.used = clock;
                shelf.blocks.pop()
            });
            if block.is_some() {
                shelves.stats.cached = shelves.stats.cached.saturating_sub(class * size_of::<T>());
                shelves.lend(class * size_of::<T>());
            }
            block
        };
        let mut data = match found {
            Some(data) => data,
            None => {
                let block = T::into_host(AlignedVec::zeros(class)?);
                self.pool.lock().lend(bytes(&block));
                block
            }
        };
        if let Some(vec) = T::of_host_mut(&mut data) {
            vec.set_len(len);
        }
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
        self.pool.lock().lend(bytes(&data));
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
        }
        let stats = memory.stats();
        assert!(stats.cached <= stats.peak + stats.peak / 4 + CACHE_FLOOR, "{stats:?}");
    }
}
