//! Steps recorded as CUDA graphs.
//!
//! A graph holds addresses and parameters. So what the recorded work allocates comes from an [`Arena`], memory that is the recording's alone;
//! and what differs from one time to the next is read from device memory: the keys of dropout, and the numbers of an optimizer's step.
//! They are written there before the graph is launched.

use crate::context::{Context, address, address_mut};
use crate::driver::{Graph, Which};
use crate::memory::{Arena, CudaBuffer};
use crate::update::{Constants, constants};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use striate_tensor::{DType, Error, Key, Recording, Result, Take, Tensor, UpdateRule};

/// Calls of dropout in a recording at most.
const KEYS: usize = 1024;

/// What an optimizer's step reads, with room for its numbers at the start.
struct Table {
    /// Of which part.
    part: usize,
    kernel: &'static str,
    memory: CudaBuffer,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Tape {
    keys: Vec<Key>,
    tables: Vec<Table>,
    parts: Vec<Graph>,
}

/// What is recorded or rehearsed now, and by which thread.
pub(crate) struct Active {
    thread: ThreadId,
    take: Take,
    tape: Arc<Mutex<Tape>>,
    keys: u64,
}

fn open<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refuse(rule: &str, received: impl Into<String>) -> Error {
    Error::argument("recording", rule, received, "")
}

impl Active {
    /// Whether the work of this thread is recorded.
    fn records(&self) -> bool {
        self.take == Take::Record && self.thread == thread::current().id()
    }
}

impl Context {
    /// Where recorded dropout reads its key; none where nothing is recorded.
    pub(crate) fn place_of_key(&self, key: Key) -> Result<Option<u64>> {
        let active = open(&self.active);
        let Some(active) = active.as_ref().filter(|active| active.records()) else { return Ok(None) };
        let mut tape = open(&active.tape);
        if tape.keys.len() == KEYS {
            return Err(refuse("a recording must have at most 1024 calls of dropout", "one more"));
        }
        tape.keys.push(key);
        Ok(Some(active.keys + 8 * (tape.keys.len() as u64 - 1)))
    }

    /// Gives memory the bytes that an optimizer's step reads: at once, or before each launch of what is recorded.
    pub(crate) fn bring_table(
        &self,
        kernel: &'static str,
        memory: CudaBuffer,
        bytes: Vec<u8>,
    ) -> Result<Option<CudaBuffer>> {
        let active = open(&self.active);
        if let Some(active) = active.as_ref().filter(|active| active.records()) {
            let mut tape = open(&active.tape);
            let part = tape.parts.len();
            tape.tables.push(Table { part, kernel, memory, bytes });
            return Ok(None);
        }
        drop(active);
        // SAFETY: the caller made the buffer for these bytes.
        unsafe { self.gpu.upload(memory.address(), &bytes)? };
        Ok(Some(memory))
    }
}

/// A step of training as CUDA graphs, one for each part.
pub(crate) struct CudaRecording {
    // Before the memory that its graphs use.
    tape: Arc<Mutex<Tape>>,
    arena: Arc<Arena>,
    keys: CudaBuffer,
    context: Arc<Context>,
}

impl fmt::Debug for CudaRecording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tape = open(&self.tape);
        write!(f, "CudaRecording({} parts, {} keys)", tape.parts.len(), tape.keys.len())
    }
}

/// Ends what [`CudaRecording::within`] began, however it ends.
struct Scope<'a>(&'a Context);

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        self.0.pool.use_arena(None);
        *open(&self.0.active) = None;
    }
}

impl CudaRecording {
    pub(crate) fn new(context: Arc<Context>) -> Result<CudaRecording> {
        let keys = context.take(8 * KEYS, DType::U8)?;
        let arena = Arena::new(context.pool.clone());
        Ok(CudaRecording { tape: Arc::default(), arena, keys, context })
    }
}

impl Recording for CudaRecording {
    fn within(&self, take: Take, work: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        let cx = &*self.context;
        let is_mine = |active: &Active| active.thread == thread::current().id();
        if open(&cx.active).as_ref().is_some_and(is_mine) {
            return Err(refuse("a thread records one thing at a time", "another"));
        }
        // Other threads' recordings are waited for: each takes no longer than a step.
        let _turn = open(&cx.turn);
        {
            let mut active = open(&cx.active);
            let (thread, tape, keys) = (thread::current().id(), self.tape.clone(), self.keys.address());
            *active = Some(Active { thread, take, tape, keys });
        }
        let scope = Scope(cx);
        cx.pool.use_arena(Some(self.arena.clone()));
        if take == Take::Rehearsal {
            return work();
        }
        self.arena.close();
        let capture = cx.gpu.begin_capture()?;
        let done = work();
        let graph = capture.end();
        self.arena.open();
        drop(scope);
        // What the work refused says more than what became of the capture then.
        done?;
        let mut tape = open(&self.tape);
        tape.parts.push(graph?);
        Ok(())
    }

    fn keys(&self) -> Vec<Key> {
        open(&self.tape).keys.clone()
    }

    fn assign(&self, to: &mut Tensor, from: &Tensor) -> Result<()> {
        if to.shape() != from.shape() || to.dtype() != from.dtype() {
            return Err(refuse(
                "a tensor is assigned to one of its shape and type",
                format!("{} for {}", from.shape(), to.shape()),
            ));
        }
        if !to.is_sole_owner() {
            return Err(Error::device("cuda", "memory that is assigned to must be one tensor's", "one of several", ""));
        }
        let bytes = to.elements() * to.dtype().size();
        // SAFETY: both have as many bytes, and the memory written is the tensor's alone, so the other one's lies elsewhere.
        unsafe { self.context.gpu.copy(address_mut(to)?, address(from)?, bytes) }
    }

    fn place(&self, x: &Tensor) -> Result<u64> {
        address(x)
    }

    fn replay(&self, part: usize, keys: &[Key], step: Option<(&UpdateRule, f32)>) -> Result<()> {
        let cx = &*self.context;
        let mut tape = open(&self.tape);
        let Tape { keys: recorded, tables, parts } = &mut *tape;
        let Some(graph) = parts.get(part) else {
            return Err(refuse("there must be such a part", format!("part {part} of {}", parts.len())));
        };
        if part == 0 && keys.len() != recorded.len() {
            return Err(refuse(
                "there must be a key for each call of dropout",
                format!("{} for {}", keys.len(), recorded.len()),
            ));
        }
        if part == 0 {
            let bytes: Vec<u8> = keys.iter().flat_map(|key| key.words()).flat_map(u32::to_ne_bytes).collect();
            // SAFETY: there is room for as many keys as the recording has.
            unsafe { cx.gpu.upload(self.keys.address(), &bytes)? };
        }
        for table in tables.iter_mut().filter(|table| table.part == part) {
            let (kernel, numbers) = match step {
                Some((rule, kept)) => constants(rule, kept)?,
                None => return Err(refuse("an optimizer's step needs a rule", "none")),
            };
            if kernel != table.kernel {
                return Err(refuse("the rule must be of the kind that was recorded", kernel));
            }
            let numbers = Constants::bytes(&numbers);
            table.bytes[..numbers.len()].copy_from_slice(numbers);
            // All of it: the parts before may have worked in the same memory.
            // SAFETY: the memory was made for these bytes.
            unsafe { cx.gpu.upload(table.memory.address(), &table.bytes)? };
        }
        cx.count_replay();
        cx.gpu.launch_graph(graph, Which::Compute)
    }
}
