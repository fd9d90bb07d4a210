//! The buffer pool: small blocks in size classes, large ones from an arena. Both return when a tensor is dropped, so that a
//! training step in its stride asks the system for nothing.

use crate::arena::Arena;
use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use striate_tensor::{AlignedVec, DType, Element, HostBuffer, HostData, MemoryStats, Recycle, Result, Storage};

/// Bytes that may be held beyond the most that was ever live and a quarter of it.
const SPARE: usize = 64 << 20;
/// Bytes of small blocks that may lie on the shelves.
const SHELVES: usize = 32 << 20;
/// Bytes from which on a block comes from the arena.
const LARGE: usize = 1 << 20;

/// Lends blocks of host memory.
#[derive(Clone)]
pub(crate) struct Memory {
    pool: Arc<Pool>,
    guests: Arc<Guests>,
}

/// Where buffers go that were made elsewhere: they are counted while they live, and not kept, for nobody asks for their sizes.
struct Guests(Arc<Pool>);

impl Recycle for Guests {
    fn recycle(&self, data: HostData) {
        let size = bytes(&data);
        let mut shelves = self.0.lock();
        shelves.live = shelves.live.saturating_sub(size);
        // Giving back takes its time: not under the lock.
        drop(shelves);
        drop(data);
    }
}

pub(crate) struct Pool {
    shelves: Mutex<Shelves>,
    arena: Arc<Arena>,
    this: Weak<Pool>,
}

#[derive(Default)]
struct Shelves {
    /// Free small blocks by type and number of elements.
    free: HashMap<(DType, usize), Vec<HostData>>,
    /// Their bytes.
    cached: usize,
    live: usize,
    peak: usize,
}

const CLASSES_AN_OCTAVE: usize = 8;

/// The number of elements of the smallest class that holds `len`: eight classes between powers of two, at least 64 elements apart,
/// so that a block with the slack of its alignment still tells its class.
fn class(len: usize) -> usize {
    if len <= 64 {
        return 64;
    }
    let step = ((1usize << len.ilog2()) / CLASSES_AN_OCTAVE).max(64);
    len.div_ceil(step) * step
}

/// A block whatever its elements: how many it has room for, where it starts, whether the arena lent it.
struct Block {
    capacity: usize,
    address: usize,
    is_loan: bool,
}

impl Block {
    fn new(data: &HostData) -> Block {
        fn of<T: Element>(v: &AlignedVec<T>) -> Block {
            Block { capacity: v.capacity(), address: v.as_ptr().addr(), is_loan: v.is_loan() }
        }
        match data {
            HostData::F32(v) => of(v),
            HostData::F64(v) => of(v),
            HostData::F16(v) => of(v),
            HostData::Bf16(v) => of(v),
            HostData::U8(v) => of(v),
            HostData::I32(v) => of(v),
            HostData::I64(v) => of(v),
        }
    }

    /// The class that a small block can serve: the largest that fits. None for large ones and for those that lie askew.
    fn shelf(&self, dtype: DType) -> Option<usize> {
        let is_large = self.is_loan || self.capacity * dtype.size() > 2 * LARGE;
        if self.capacity < 64 || is_large || !self.address.is_multiple_of(64) {
            return None;
        }
        // A block made here has up to 64 elements of slack behind its class.
        let class = class(self.capacity - 64);
        (class <= self.capacity).then_some(class)
    }
}

fn shelf_of(data: &HostData) -> Option<usize> {
    Block::new(data).shelf(data.dtype())
}

/// Bytes that a lent block counts with: those of its class, or all it has if it has none.
fn bytes(data: &HostData) -> usize {
    // Without the slack of alignment, so that lending and returning agree.
    shelf_of(data).unwrap_or_else(|| Block::new(data).capacity) * data.dtype().size()
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelves {
    fn lend(&mut self, data: &HostData) {
        self.live += bytes(data);
        self.peak = self.peak.max(self.live);
    }

    fn find(&mut self, dtype: DType, class: usize) -> Option<HostData> {
        let block = self.free.get_mut(&(dtype, class))?.pop()?;
        self.cached -= bytes(&block);
        Some(block)
    }
}

impl Recycle for Pool {
    fn recycle(&self, data: HostData) {
        let (class, size) = (shelf_of(&data), bytes(&data));
        let mut shelves = self.lock();
        shelves.live = shelves.live.saturating_sub(size);
        match class {
            Some(class) if shelves.cached + size <= SHELVES => {
                shelves.cached += size;
                shelves.free.entry((data.dtype(), class)).or_default().push(data);
            }
            _ => {
                let limit = shelves.peak + shelves.peak / 4 + SPARE;
                // Giving back takes its time: not under the lock.
                drop(shelves);
                drop(data);
                self.arena.trim(limit);
            }
        }
    }
}

impl Memory {
    pub(crate) fn new() -> Memory {
        let pool = |this: &Weak<Pool>| Pool { shelves: Mutex::default(), arena: Arena::new(), this: this.clone() };
        let pool = Arc::new_cyclic(pool);
        Memory { guests: Arc::new(Guests(pool.clone())), pool }
    }

    pub(crate) fn stats(&self) -> MemoryStats {
        let shelves = self.pool.lock();
        MemoryStats { live: shelves.live, peak: shelves.peak, cached: shelves.cached + self.pool.arena.usage().1 }
    }

    /// `len` elements; what they hold is whatever was there.
    pub(crate) fn take<T: Element>(&self, len: usize) -> Result<Buffer<T>> {
        let class = class(len);
        let mut data = if class * size_of::<T>() >= LARGE {
            T::into_host(AlignedVec::from_loan(self.pool.arena.take::<T>(len)?))
        } else {
            let found = self.pool.lock().find(T::DTYPE, class);
            match found {
                Some(data) => data,
                None => T::into_host(AlignedVec::zeros(class)?),
            }
        };
        if let Some(vec) = T::of_host_mut(&mut data) {
            vec.set_len(len);
        }
        self.pool.lock().lend(&data);
        let recycle = self.pool.this.upgrade().map(|pool| pool as Arc<dyn Recycle>);
        Ok(Buffer { host: HostBuffer::new(data, recycle), _type: std::marker::PhantomData })
    }

    /// `len` elements of one value.
    pub(crate) fn filled<T: Element>(&self, len: usize, value: T) -> Result<Buffer<T>> {
        let mut buffer = self.take(len)?;
        buffer.fill(value);
        Ok(buffer)
    }

    /// Takes over a foreign buffer's elements, so that they are counted.
    pub(crate) fn adopt(&self, mut buffer: HostBuffer) -> HostBuffer {
        let empty = HostData::U8(AlignedVec::from_vec(Vec::new()));
        let data = std::mem::replace(buffer.data_mut(), empty);
        self.pool.lock().lend(&data);
        // `buffer` still belongs to its own pool, if it has one, and returns to it empty.
        HostBuffer::new(data, Some(self.guests.clone()))
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
    fn classes_waste_at_most_an_eighth() {
        for len in (0..5000).chain([1 << 20, (1 << 20) + 1, 12_345_678]) {
            let class = class(len);
            assert!(class >= len && (len <= 64 || class <= len + (len / 8).max(63)), "{len} {class}");
            assert_eq!(super::class(class), class);
        }
    }

    #[test]
    fn every_size_finds_its_block_again() {
        let memory = Memory::new();
        for len in (1..3000).chain([40_000, 100_001, 262_000]) {
            let address = memory.take::<f32>(len).unwrap().as_ptr();
            let bytes = memory.take::<u8>(len).unwrap().as_ptr();
            assert_eq!(memory.take::<f32>(len).unwrap().as_ptr(), address, "{len}");
            assert_eq!(memory.take::<u8>(len).unwrap().as_ptr(), bytes, "{len}");
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
        let again = memory.take::<f32>(990).unwrap();
        assert_eq!((again.as_ptr(), again.len()), (address, 990));
        let other = memory.take::<u8>(1000).unwrap();
        assert_eq!(memory.stats(), MemoryStats { live: 5120, peak: 5120, cached: 0 });
        drop((again, other));
        assert_eq!(memory.stats().live, 0);
    }

    #[test]
    fn adopted_buffers_are_counted_until_dropped() {
        let memory = Memory::new();
        for len in [50, 1000, 1 << 20] {
            let adopted = memory.adopt(vec![0f32; len].into());
            let live = memory.stats().live;
            assert!(live <= len * 4 && live > len * 3, "{live}");
            drop(adopted);
            assert_eq!((memory.stats().live, memory.stats().cached), (0, 0));
        }
    }

    #[test]
    fn the_cache_is_bounded() {
        let memory = Memory::new();
        for i in 0..64 {
            drop(memory.take::<u8>((4 << 20) + i * (1 << 20)).unwrap());
            let stats = memory.stats();
            assert!(stats.live + stats.cached <= stats.peak + stats.peak / 4 + SPARE, "{stats:?}");
        }
        let small: Vec<_> = (0..20_000).map(|_| memory.take::<u8>(8000).unwrap()).collect();
        drop(small);
        let stats = memory.stats();
        assert!(stats.live + stats.cached <= stats.peak + stats.peak / 4 + SPARE, "{stats:?}");
    }

    #[test]
    fn a_large_block_serves_smaller_ones_of_any_type() {
        let memory = Memory::new();
        let whole = memory.take::<f32>(4 << 20).unwrap();
        let address = whole.as_ptr().cast::<u8>();
        drop(whole);
        let bytes = memory.take::<u8>(4 << 20).unwrap();
        let numbers = memory.take::<f32>(3 << 20).unwrap();
        assert_eq!((bytes.as_ptr(), numbers.as_ptr().cast::<u8>()), (address, address.wrapping_add(4 << 20)));
        assert_eq!(memory.stats(), MemoryStats { live: 16 << 20, peak: 16 << 20, cached: 0 });
    }
}
