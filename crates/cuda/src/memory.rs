//! Device memory: blocks that return to a cache when a tensor is dropped, so that a training step in its stride asks the driver for
//! nothing.
//!
//! All work is done in one stream's order. So a block may be lent again at once: whatever is done with it next comes after what was
//! done before.

use crate::driver::Gpu;
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use striate_tensor::{DType, DeviceBuffer, Error, MemoryStats, Result, Storage};

/// Blocks are multiples of this many bytes.
const GRANULE: usize = 512;

#[derive(Debug, Default)]
struct Shelves {
    /// Free blocks by size.
    free: BTreeMap<usize, Vec<u64>>,
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
}

impl Pool {
    pub(crate) fn new(gpu: Arc<Gpu>, name: String, caching: bool) -> Arc<Pool> {
        Arc::new(Pool { gpu, name, caching, shelves: Mutex::default() })
    }

    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stats(&self) -> MemoryStats {
        self.shelves().stats
    }

    /// Room for `len` elements; what they hold is whatever was there.
    pub(crate) fn take(self: &Arc<Self>, len: usize, dtype: DType) -> Result<CudaBuffer> {
        let refuse = |bytes| Error::OutOfMemory { device: self.name.clone(), bytes };
        let wanted = len.checked_mul(dtype.size()).ok_or_else(|| refuse(usize::MAX))?;
        let bytes = if self.caching {
            wanted.max(1).checked_next_multiple_of(GRANULE).ok_or_else(|| refuse(wanted))?
        } else {
            wanted.max(1)
        };
        let address = match self.lend(bytes)? {
            Some(address) => address,
            None => {
                // The cache may hold what the driver lacks, in blocks of other sizes.
                self.trim()?;
                self.gpu.allocate(bytes)?.ok_or_else(|| refuse(bytes))?
            }
        };
        let mut shelves = self.shelves();
        shelves.stats.live += bytes;
        shelves.stats.peak = shelves.stats.peak.max(shelves.stats.live);
        Ok(CudaBuffer { address, bytes, len, dtype, pool: self.clone() })
    }

    /// A free block of the size or a new one; none if the device is full.
    fn lend(&self, bytes: usize) -> Result<Option<u64>> {
        let mut shelves = self.shelves();
        // Exact sizes only: a buffer remembers its own size, and steps of a training repeat.
        if let Some(address) = shelves.free.get_mut(&bytes).and_then(Vec::pop) {
            shelves.stats.cached -= bytes;
            return Ok(Some(address));
        }
        drop(shelves);
        self.gpu.allocate(bytes)
    }

    /// Gives every free block back to the driver.
    pub(crate) fn trim(&self) -> Result<()> {
        let free = {
            let mut shelves = self.shelves();
            shelves.stats.cached = 0;
            std::mem::take(&mut shelves.free)
        };
        free.into_values().flatten().try_for_each(|address| self.gpu.free(address))
    }

    fn give_back(&self, address: u64, bytes: usize) {
        let mut shelves = self.shelves();
        shelves.stats.live -= bytes;
        if self.caching {
            shelves.stats.cached += bytes;
            shelves.free.entry(bytes).or_default().push(address);
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

/// A block of device memory.
pub(crate) struct CudaBuffer {
    address: u64,
    bytes: usize,
    len: usize,
    dtype: DType,
    pool: Arc<Pool>,
}

impl CudaBuffer {
    /// Where it begins.
    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    pub(crate) fn into_storage(self) -> Storage {
        Storage::device(Box::new(self))
    }
}

impl Drop for CudaBuffer {
    fn drop(&mut self) {
        self.pool.give_back(self.address, self.bytes);
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
