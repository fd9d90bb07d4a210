//! Device memory: blocks that return to a cache when a tensor is dropped, so that a training step in its stride asks the driver for
//! nothing.
//!
//! All computing is done in one stream's order. So a block may be lent again at once: whatever is done with it next comes after what was
//! done before. Only uploads run in another stream ([`crate::transfer`]); a block that one of them gets was given back some time ago.

use crate::driver::{Event, Gpu, Which};
use crate::transfer::Fences;
use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use striate_tensor::{DType, DeviceBuffer, Error, MemoryStats, Result, Storage};

/// Blocks are multiples of this many bytes.
const GRANULE: usize = 512;

#[derive(Debug, Default)]
struct Shelves {
    /// Free blocks by size, in the order in which they came back, each with the number of fences there were by then.
    free: BTreeMap<usize, VecDeque<(u64, u64)>>,
    stats: MemoryStats,
}

/// Lends device memory.
#[derive(Debug)]
pub(crate) struct Pool {
    gpu: Arc<Gpu>,
    name: String,
    /// Off, each block is of the very size asked for and goes back to the driver: what memory checkers want.
    caching: bool,
    shelves: Mutex<Shelves>,
    fences: Mutex<Fences>,
    /// How many fences there were.
    fenced: AtomicU64,
    /// Where the memory of a thread comes from that records.
    arena: Mutex<Option<(ThreadId, Arc<Arena>)>>,
}

impl Pool {
    pub(crate) fn new(gpu: Arc<Gpu>, name: String, caching: bool) -> Arc<Pool> {
        let (shelves, fences, arena) = (Mutex::default(), Mutex::default(), Mutex::default());
        Arc::new(Pool { gpu, name, caching, shelves, fences, fenced: AtomicU64::new(0), arena })
    }

    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stats(&self) -> MemoryStats {
        self.shelves().stats
    }

    /// Room for `len` elements; what they hold is whatever was there.
    pub(crate) fn take(self: &Arc<Self>, len: usize, dtype: DType) -> Result<CudaBuffer> {
        Ok(self.taken(len, dtype, false)?.0)
    }

    /// The same for a copy in the other stream, and how many fences there were when the memory was given back; none for new memory.
    pub(crate) fn take_for_copy(self: &Arc<Self>, len: usize, dtype: DType) -> Result<(CudaBuffer, Option<u64>)> {
        self.taken(len, dtype, true)
    }

    /// Works with the marks of the computing stream.
    pub(crate) fn fences<T>(&self, work: impl FnOnce(&mut Fences) -> Result<T>) -> Result<T> {
        let mut fences = self.fences.lock().unwrap_or_else(PoisonError::into_inner);
        let result = work(&mut fences);
        self.fenced.store(fences.made(), Ordering::Release);
        result
    }

    fn taken(self: &Arc<Self>, len: usize, dtype: DType, for_copy: bool) -> Result<(CudaBuffer, Option<u64>)> {
        let refuse = |bytes| Error::OutOfMemory { device: self.name.clone(), bytes };
        let wanted = len.checked_mul(dtype.size()).ok_or_else(|| refuse(usize::MAX))?;
        let bytes = if self.caching {
            wanted.max(1).checked_next_multiple_of(GRANULE).ok_or_else(|| refuse(wanted))?
        } else {
            wanted.max(1)
        };
        if let Some(arena) = self.arena_here().filter(|_| !for_copy) {
            let address = arena.take(bytes)?.ok_or_else(|| refuse(bytes))?;
            let (pool, arriving, arena) = (self.clone(), Mutex::default(), Some(arena));
            return Ok((CudaBuffer { address, bytes, len, dtype, pool, arriving, arena }, None));
        }
        let (address, freed) = self.block(bytes, for_copy)?.ok_or_else(|| refuse(bytes))?;
        let arriving = Mutex::default();
        Ok((CudaBuffer { address, bytes, len, dtype, pool: self.clone(), arriving, arena: None }, freed))
    }

    /// A block, and how many fences there were when it was given back; none if the device is full.
    fn block(&self, bytes: usize, for_copy: bool) -> Result<Option<(u64, Option<u64>)>> {
        let (address, freed) = match self.lend(bytes, for_copy)? {
            Some((address, freed)) => (address, Some(freed)),
            None => match self.gpu.allocate(bytes)? {
                Some(address) => (address, None),
                None => {
                    // The cache may hold what the driver lacks, in blocks of other sizes.
                    self.trim()?;
                    match self.gpu.allocate(bytes)? {
                        Some(address) => (address, None),
                        None => return Ok(None),
                    }
                }
            },
        };
        let mut shelves = self.shelves();
        shelves.stats.live += bytes;
        shelves.stats.peak = shelves.stats.peak.max(shelves.stats.live);
        Ok(Some((address, freed)))
    }

    /// From here on this thread's memory comes from an arena, or from here again.
    pub(crate) fn use_arena(&self, arena: Option<Arc<Arena>>) {
        let arena = arena.map(|arena| (thread::current().id(), arena));
        *self.arena.lock().unwrap_or_else(PoisonError::into_inner) = arena;
    }

    fn arena_here(&self) -> Option<Arc<Arena>> {
        let arena = self.arena.lock().unwrap_or_else(PoisonError::into_inner);
        let (thread, arena) = arena.as_ref()?;
        (*thread == thread::current().id()).then(|| arena.clone())
    }

    /// A free block of the size. For computing the one given back last, whose use is over when the stream gets there. For a copy the
    /// one given back first, and none since the last fence: the copy would wait for all the work it should run beside.
    fn lend(&self, bytes: usize, for_copy: bool) -> Result<Option<(u64, u64)>> {
        let mut shelves = self.shelves();
        let made = self.fenced.load(Ordering::Acquire);
        // Exact sizes only: a buffer remembers its own size, and steps of a training repeat.
        let Some(free) = shelves.free.get_mut(&bytes) else { return Ok(None) };
        let block = match for_copy {
            true if free.front().is_some_and(|&(_, freed)| freed < made) => free.pop_front(),
            true => None,
            false => free.pop_back(),
        };
        if block.is_some() {
            shelves.stats.cached -= bytes;
        }
        Ok(block)
    }

    /// Gives every free block back to the driver.
    pub(crate) fn trim(&self) -> Result<()> {
        let free = {
            let mut shelves = self.shelves();
            shelves.stats.cached = 0;
            std::mem::take(&mut shelves.free)
        };
        free.into_values().flatten().try_for_each(|(address, _)| self.gpu.free(address))
    }

    fn give_back(&self, address: u64, bytes: usize) {
        let mut shelves = self.shelves();
        shelves.stats.live -= bytes;
        // While this thread records nothing can go back to the driver.
        if self.caching || self.gpu.captures_here() {
            shelves.stats.cached += bytes;
            let made = self.fenced.load(Ordering::Acquire);
            shelves.free.entry(bytes).or_default().push_back((address, made));
        } else {
            drop(shelves);
            // A drop has nobody to tell; a lost context shows at the next call.
            let _ = self.gpu.free(address);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let _ = self.trim();
    }
}

/// Memory that a recording alone uses: its graphs hold the addresses.
pub(crate) struct Arena {
    pool: Arc<Pool>,
    blocks: Mutex<Blocks>,
}

#[derive(Debug, Default)]
struct Blocks {
    /// All blocks, with their sizes.
    all: Vec<(u64, usize)>,
    /// The free ones by size.
    free: BTreeMap<usize, Vec<u64>>,
    /// Whether no more may come.
    is_closed: bool,
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Arena({} blocks)", self.blocks().all.len())
    }
}

impl Arena {
    pub(crate) fn new(pool: Arc<Pool>) -> Arc<Arena> {
        Arc::new(Arena { pool, blocks: Mutex::default() })
    }

    fn blocks(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes do with the blocks there are.
    pub(crate) fn close(&self) {
        self.blocks().is_closed = true;
    }

    pub(crate) fn open(&self) {
        self.blocks().is_closed = false;
    }

    fn take(&self, bytes: usize) -> Result<Option<u64>> {
        let mut blocks = self.blocks();
        if let Some(address) = blocks.free.get_mut(&bytes).and_then(Vec::pop) {
            return Ok(Some(address));
        }
        if blocks.is_closed {
            let rule = "work that is recorded must take no more memory than it did in the rehearsal";
            return Err(Error::device(self.pool.name.as_str(), rule, format!("{bytes} bytes more"), ""));
        }
        let Some((address, _)) = self.pool.block(bytes, false)? else { return Ok(None) };
        blocks.all.push((address, bytes));
        Ok(Some(address))
    }

    fn give_back(&self, address: u64, bytes: usize) {
        self.blocks().free.entry(bytes).or_default().push(address);
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        for (address, bytes) in std::mem::take(&mut self.blocks().all) {
            self.pool.give_back(address, bytes);
        }
    }
}

/// A block of device memory.
pub(crate) struct CudaBuffer {
    address: u64,
    bytes: usize,
    len: usize,
    dtype: DType,
    pool: Arc<Pool>,
    /// What the computing stream has not waited for yet: the copy that brings what this holds.
    arriving: Mutex<Option<Event>>,
    /// The arena that it goes back to.
    arena: Option<Arc<Arena>>,
}

impl CudaBuffer {
    /// Where it begins, for writing all of it.
    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    /// Where it begins, once the computing stream waits for what it holds.
    pub(crate) fn ready(&self) -> Result<u64> {
        // Locked until the stream was told, or another thread could give it work too early.
        let mut arriving = self.arriving.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(event) = &*arriving {
            self.pool.gpu.wait(Which::Compute, event)?;
            *arriving = None;
        }
        Ok(self.address)
    }

    /// A copy brings what it holds; it is there after the event.
    pub(crate) fn arrives(&mut self, event: Event) {
        *self.arriving.get_mut().unwrap_or_else(PoisonError::into_inner) = Some(event);
    }

    pub(crate) fn into_storage(self) -> Storage {
        Storage::device(Box::new(self))
    }
}

impl Drop for CudaBuffer {
    fn drop(&mut self) {
        // Whoever gets the block next must not meet the copy that nobody waited for.
        let _ = self.ready();
        match &self.arena {
            Some(arena) => arena.give_back(self.address, self.bytes),
            None => self.pool.give_back(self.address, self.bytes),
        }
    }
}

impl fmt::Debug for CudaBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CudaBuffer({} × {})", self.len, self.dtype)
    }
}

impl DeviceBuffer for CudaBuffer {
    fn len(&self) -> usize {
        self.len
    }
    fn dtype(&self) -> DType {
        self.dtype
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
