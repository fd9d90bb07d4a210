//! The device's memory and its work.

use crate::cublas::Gemm;
use crate::module::Kernel;
use crate::settings::settings;
use std::alloc::{Layout, alloc, dealloc};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes before and after each allocation that nothing may write to.
const ZONE: usize = 256;
/// What they hold, and new memory too: read as floats, NaNs.
const POISON: u8 = 0xff;

/// Why something was refused.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Refusal {
    Invalid,
    OutOfMemory,
    /// A kernel went wrong, now or before: nothing works after that, as on a GPU.
    Failed,
}

/// Some bytes of device memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) address: u64,
    pub(crate) bytes: usize,
}

impl Range {
    /// Whether the two have a byte in common.
    pub(crate) fn overlaps(self, other: Range) -> bool {
        self.address < other.address + other.bytes as u64 && other.address < self.address + self.bytes as u64
    }
}

/// One thing a stream does.
pub(crate) enum Work {
    Launch { kernel: Kernel, grid: [u32; 3], block: [u32; 3], arguments: Vec<u64> },
    Write { to: u64, bytes: Vec<u8> },
    Copy { to: u64, from: u64, bytes: usize },
    Set { to: u64, pattern: Vec<u8>, count: usize },
    Gemm(Box<Gemm>),
}

pub(crate) struct State {
    /// Sizes by address.
    allocations: BTreeMap<u64, usize>,
    used: usize,
    /// Work not done yet, by stream.
    waiting: BTreeMap<u64, Vec<Work>>,
    /// What went wrong, in words.
    pub(crate) failed: Option<String>,
}

static STATE: Mutex<State> =
    Mutex::new(State { allocations: BTreeMap::new(), used: 0, waiting: BTreeMap::new(), failed: None });

/// The one device state of this process; devices share it, and kernels run one at a time.
pub(crate) fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn layout(bytes: usize) -> Option<Layout> {
    Layout::from_size_align(bytes.checked_add(2 * ZONE)?, 256).ok()
}

impl State {
    fn fail(&mut self, what: String) -> Refusal {
        eprintln!("cuda-emu: {what}");
        self.failed.get_or_insert(what);
        Refusal::Failed
    }

    pub(crate) fn allocate(&mut self, bytes: usize) -> Result<u64, Refusal> {
        self.alive()?;
        if bytes == 0 {
            return Err(Refusal::Invalid);
        }
        if self.used.saturating_add(bytes) > settings().bytes {
            return Err(Refusal::OutOfMemory);
        }
        let layout = layout(bytes).ok_or(Refusal::OutOfMemory)?;
        // SAFETY: the layout is not empty; the whole block is written before anybody sees it.
        let address = unsafe {
            let block = alloc(layout);
            if block.is_null() {
                return Err(Refusal::OutOfMemory);
            }
            block.write_bytes(POISON, layout.size());
            block as u64 + ZONE as u64
        };
        self.used += bytes;
        self.allocations.insert(address, bytes);
        Ok(address)
    }

    pub(crate) fn free(&mut self, address: u64) -> Result<(), Refusal> {
        let done = self.finish_all();
        let Some(bytes) = self.allocations.remove(&address) else {
            eprintln!("cuda-emu: {address:#x} is freed, which is no allocation: freed twice?");
            return Err(Refusal::Invalid);
        };
        self.used -= bytes;
        if let Some(layout) = layout(bytes) {
            // SAFETY: allocated with this layout, and forgotten just now.
            unsafe { dealloc((address as usize - ZONE) as *mut u8, layout) };
        }
        done
    }

    /// Whether a range lies in one allocation.
    pub(crate) fn holds(&self, Range { address, bytes }: Range) -> bool {
        self.allocations.range(..=address).next_back().is_some_and(|(&start, &size)| {
            (address - start) as usize <= size && bytes <= size - (address - start) as usize
        })
    }

    pub(crate) fn alive(&self) -> Result<(), Refusal> {
        if self.failed.is_some() { Err(Refusal::Failed) } else { Ok(()) }
    }

    /// Gives a stream work; done at once unless laziness was asked for.
    pub(crate) fn give(&mut self, stream: u64, work: Work) -> Result<(), Refusal> {
        self.alive()?;
        let range = |address, bytes| Range { address, bytes };
        let inside = match &work {
            Work::Launch { .. } => true,
            Work::Write { to, bytes } => self.holds(range(*to, bytes.len())),
            Work::Copy { to, from, bytes } => self.holds(range(*to, *bytes)) && self.holds(range(*from, *bytes)),
            Work::Set { to, pattern, count } => self.holds(range(*to, pattern.len() * count)),
            Work::Gemm(gemm) => gemm.reads().into_iter().chain(gemm.writes()).all(|range| self.holds(range)),
        };
        if !inside {
            eprintln!("cuda-emu: a copy reaches beyond its allocation");
            return Err(Refusal::Invalid);
        }
        if settings().lazy {
            self.waiting.entry(stream).or_default().push(work);
            return Ok(());
        }
        self.perform(&work)
    }

    /// Does all that a stream was given.
    pub(crate) fn finish(&mut self, stream: u64) -> Result<(), Refusal> {
        for work in self.waiting.remove(&stream).unwrap_or_default() {
            self.perform(&work)?;
        }
        self.alive()
    }

    fn finish_all(&mut self) -> Result<(), Refusal> {
        while let Some((_, all)) = self.waiting.pop_first() {
            all.iter().try_for_each(|work| self.perform(work))?;
        }
        Ok(())
    }

    /// Brings bytes to the host, after all that the stream was given.
    ///
    /// # Safety
    /// `to` must have room for `bytes`.
    pub(crate) unsafe fn read(&mut self, stream: u64, to: *mut u8, from: u64, bytes: usize) -> Result<(), Refusal> {
        self.finish(stream)?;
        if !self.holds(Range { address: from, bytes }) {
            eprintln!("cuda-emu: a copy to the host reaches beyond its allocation");
            return Err(Refusal::Invalid);
        }
        // SAFETY: the range lies in an allocation, which is host memory; the caller's promise for the other.
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, to, bytes) };
        Ok(())
    }

    fn perform(&mut self, work: &Work) -> Result<(), Refusal> {
        self.alive()?;
        match work {
            Work::Launch { kernel, grid, block, arguments } => {
                if let Err(problem) = kernel.run(*grid, *block, arguments, settings().order) {
                    return Err(self.fail(problem));
                }
                self.check_zones(kernel.name())
            }
            // SAFETY: `give` saw that the ranges lie in allocations, which are host memory; freeing does all work first.
            Work::Write { to, bytes } => unsafe {
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), *to as *mut u8, bytes.len());
                Ok(())
            },
            // SAFETY: as above; ranges may overlap.
            Work::Copy { to, from, bytes } => unsafe {
                std::ptr::copy(*from as *const u8, *to as *mut u8, *bytes);
                Ok(())
            },
            // SAFETY: as above; cublasSgemm saw that results lie over nothing else.
            Work::Gemm(gemm) => unsafe {
                gemm.run();
                Ok(())
            },
            Work::Set { to, pattern, count } => {
                // SAFETY: as above.
                let place = unsafe { std::slice::from_raw_parts_mut(*to as *mut u8, pattern.len() * count) };
                place.chunks_exact_mut(pattern.len()).for_each(|chunk| chunk.copy_from_slice(pattern));
                Ok(())
            }
        }
    }

    /// Sees whether a kernel wrote beside any allocation.
    fn check_zones(&mut self, kernel: &str) -> Result<(), Refusal> {
        const CLEAN: [u8; ZONE] = [POISON; ZONE];
        let mut wrong = None;
        for (&address, &bytes) in &self.allocations {
            // SAFETY: both zones belong to the allocation's block, which only this state knows.
            let [before, after] = [address as usize - ZONE, address as usize + bytes]
                .map(|zone| unsafe { std::slice::from_raw_parts_mut(zone as *mut u8, ZONE) });
            if *before == CLEAN && *after == CLEAN {
                continue;
            }
            let place = match after.iter().position(|&byte| byte != POISON) {
                Some(byte) => format!("{byte} bytes after the end"),
                None => "before the start".to_string(),
            };
            wrong.get_or_insert(format!("{kernel} wrote {place} of an allocation of {bytes} bytes"));
            before.fill(POISON);
            after.fill(POISON);
        }
        match wrong {
            Some(wrong) => Err(self.fail(wrong)),
            None => Ok(()),
        }
    }
}
