//! The device's memory and its work.

use crate::convolution::Convolution;
use crate::cublas::Gemm;
use crate::module::Kernel;
use crate::settings::settings;
use std::alloc::{Layout, alloc, dealloc};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// Bytes before and after each allocation that nothing may write to.
const ZONE: usize = 256;
/// What they hold, and new memory too: read as floats, NaNs.
const POISON: u8 = 0xff;

/// Bytes of freed memory that are kept, where that is asked for: enough for the tests' tensors, and soon looked through.
const GRAVES: usize = 2 << 20;

/// Why something was refused.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Refusal {
    Invalid,
    OutOfMemory,
    /// A kernel went wrong, now or before: nothing works after that, as on a GPU.
    Failed,
    /// Not while a stream is captured; the capture is spoilt.
    InCapture,
    /// The capture would depend on work outside of it.
    Isolated,
    /// The capture was spoilt before.
    Spoilt,
    /// There is none, or another thread began it.
    NoCapture,
}

/// Some bytes of device memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) address: u64,
    pub(crate) bytes: usize,
}

impl Range {
    /// Whether an address, or any other number, lies in it.
    fn contains(self, word: u64) -> bool {
        word.checked_sub(self.address).is_some_and(|at| at < self.bytes as u64)
    }

    /// Whether the two have a byte in common.
    pub(crate) fn overlaps(self, other: Range) -> bool {
        self.address < other.address + other.bytes as u64 && other.address < self.address + self.bytes as u64
    }
}

/// One thing a stream does.
#[derive(Clone)]
pub(crate) enum Work {
    Launch {
        kernel: Kernel,
        grid: [u32; 3],
        block: [u32; 3],
        arguments: Vec<u64>,
    },
    Write {
        to: u64,
        bytes: Vec<u8>,
    },
    /// From pinned host memory, which is read when the stream gets there.
    Pull {
        to: u64,
        from: u64,
        bytes: usize,
    },
    Copy {
        to: u64,
        from: u64,
        bytes: usize,
    },
    Set {
        to: u64,
        pattern: Vec<u8>,
        count: usize,
    },
    Gemm(Box<Gemm>),
    Convolution(Box<Convolution>),
    /// Until another stream has done so many things.
    Wait {
        stream: u64,
        done: u64,
    },
}

/// How many things of each stream are known to be done before.
#[derive(Debug, Clone, Default)]
struct Clock(BTreeMap<u64, u64>);

impl Clock {
    fn of(&self, stream: u64) -> u64 {
        self.0.get(&stream).copied().unwrap_or(0)
    }

    fn join(&mut self, other: &Clock) {
        for (&stream, &done) in &other.0 {
            let known = self.0.entry(stream).or_default();
            *known = done.max(*known);
        }
    }
}

/// Who used an allocation last: by stream, the number of the thing and what it is called.
#[derive(Debug, Default)]
struct Uses(BTreeMap<u64, (u64, &'static str)>);

impl Uses {
    /// One that whoever knows no more than `clock` may run beside.
    fn beside(&self, stream: u64, clock: &Clock) -> Option<&'static str> {
        let unknown = |&(&other, &(number, _)): &(&u64, &(u64, &str))| other != stream && number > clock.of(other);
        self.0.iter().find(unknown).map(|(_, &(_, name))| name)
    }
}

#[derive(Debug, Default)]
struct Allocation {
    bytes: usize,
    reads: Uses,
    writes: Uses,
}

/// What a stream is given while it is captured.
struct Capture {
    thread: ThreadId,
    work: Vec<Captured>,
    is_spoilt: bool,
}

/// A thing that was captured, and the allocations it used then.
#[derive(Clone)]
pub(crate) struct Captured {
    work: Work,
    places: Vec<u64>,
}

#[derive(Default)]
struct Stream {
    capture: Option<Capture>,
    waiting: VecDeque<Work>,
    /// Things given, and things done.
    given: u64,
    done: u64,
    /// What is done before the next thing.
    clock: Clock,
}

/// What an event was recorded after.
#[derive(Clone)]
struct Record {
    stream: u64,
    done: u64,
    clock: Clock,
}

#[derive(Default)]
pub(crate) struct State {
    /// Device memory by address.
    allocations: BTreeMap<u64, Allocation>,
    used: usize,
    /// Pinned host memory by address: its size.
    pinned: BTreeMap<u64, usize>,
    streams: BTreeMap<u64, Stream>,
    events: BTreeMap<u64, Option<Record>>,
    /// Freed memory that is kept, oldest first, all of it poisoned.
    graves: VecDeque<Range>,
    /// Whether freed memory is kept; else as the environment says.
    pub(crate) strict: Option<bool>,
    /// What the host has waited for.
    host: Clock,
    /// Whether work is done only when something waits for it; else as the environment says.
    pub(crate) lazy: Option<bool>,
    /// What went wrong, in words.
    pub(crate) failed: Option<String>,
}

static STATE: LazyLock<Mutex<State>> = LazyLock::new(Mutex::default);

/// The one device state of this process; devices share it, and kernels run one at a time.
pub(crate) fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn layout(bytes: usize) -> Option<Layout> {
    Layout::from_size_align(bytes.checked_add(2 * ZONE)?, 256).ok()
}

/// A block between two zones, poisoned.
fn block(bytes: usize) -> Option<u64> {
    let layout = layout(bytes)?;
    // SAFETY: the layout is not empty; the whole block is written before anybody sees it.
    unsafe {
        let block = alloc(layout);
        if block.is_null() {
            return None;
        }
        block.write_bytes(POISON, layout.size());
        Some(block as u64 + ZONE as u64)
    }
}

/// # Safety
/// The address must come from [`block`] with this size, and be given up.
unsafe fn unblock(address: u64, bytes: usize) {
    if let Some(layout) = layout(bytes) {
        // SAFETY: the caller's promise.
        unsafe { dealloc((address as usize - ZONE) as *mut u8, layout) };
    }
}

impl State {
    fn fail(&mut self, what: String) -> Refusal {
        eprintln!("cuda-emu: {what}");
        self.failed.get_or_insert(what);
        Refusal::Failed
    }

    fn refuse(what: &str) -> Refusal {
        eprintln!("cuda-emu: {what}");
        Refusal::Invalid
    }

    fn is_lazy(&self) -> bool {
        self.lazy.unwrap_or(settings().lazy)
    }

    pub(crate) fn allocate(&mut self, bytes: usize) -> Result<u64, Refusal> {
        self.alive()?;
        self.outside_capture("memory is allocated")?;
        if bytes == 0 {
            return Err(Refusal::Invalid);
        }
        if self.used.saturating_add(bytes) > settings().bytes {
            return Err(Refusal::OutOfMemory);
        }
        let address = block(bytes).ok_or(Refusal::OutOfMemory)?;
        self.used += bytes;
        self.allocations.insert(address, Allocation { bytes, ..Allocation::default() });
        Ok(address)
    }

    pub(crate) fn free(&mut self, address: u64) -> Result<(), Refusal> {
        self.outside_capture("memory is freed")?;
        let done = self.finish_all();
        let Some(Allocation { bytes, .. }) = self.allocations.remove(&address) else {
            return Err(State::refuse(&format!("{address:#x} is freed, which is no allocation: freed twice?")));
        };
        self.used -= bytes;
        if self.strict.unwrap_or(settings().strict) && bytes <= GRAVES / 4 {
            self.bury(Range { address, bytes });
        } else {
            // SAFETY: allocated with this size, and forgotten just now.
            unsafe { unblock(address, bytes) };
        }
        done
    }

    /// Keeps freed memory, so that whoever still uses it is seen.
    fn bury(&mut self, grave: Range) {
        // SAFETY: the memory is an allocation's that was forgotten just now.
        unsafe { std::ptr::write_bytes(grave.address as *mut u8, POISON, grave.bytes) };
        self.graves.push_back(grave);
        while self.graves.iter().map(|grave| grave.bytes).sum::<usize>() > GRAVES {
            if let Some(Range { address, bytes }) = self.graves.pop_front() {
                // SAFETY: allocated with this size, forgotten, and not kept any more.
                unsafe { unblock(address, bytes) };
            }
        }
    }

    /// Host memory that copies read when they run.
    pub(crate) fn allocate_pinned(&mut self, bytes: usize) -> Result<u64, Refusal> {
        self.outside_capture("pinned memory is allocated")?;
        let address = block(bytes.max(1)).ok_or(Refusal::OutOfMemory)?;
        self.pinned.insert(address, bytes.max(1));
        Ok(address)
    }

    pub(crate) fn free_pinned(&mut self, address: u64) -> Result<(), Refusal> {
        let done = self.finish_all();
        let Some(bytes) = self.pinned.remove(&address) else {
            return Err(State::refuse(&format!("{address:#x} is freed, which is no pinned memory")));
        };
        // SAFETY: allocated with this size, and forgotten just now.
        unsafe { unblock(address, bytes) };
        done
    }

    /// Whether a range of host memory is pinned.
    pub(crate) fn is_pinned(&self, Range { address, bytes }: Range) -> bool {
        self.pinned.range(..=address).next_back().is_some_and(|(&start, &size)| {
            (address - start) as usize <= size && bytes <= size - (address - start) as usize
        })
    }

    /// Where the allocation begins that a range lies in.
    fn allocation(&self, Range { address, bytes }: Range) -> Option<u64> {
        let (&start, Allocation { bytes: size, .. }) = self.allocations.range(..=address).next_back()?;
        let from = (address - start) as usize;
        (from <= *size && bytes <= *size - from).then_some(start)
    }

    /// Whether a range lies in one allocation.
    pub(crate) fn holds(&self, range: Range) -> bool {
        self.allocation(range).is_some()
    }

    pub(crate) fn alive(&self) -> Result<(), Refusal> {
        if self.failed.is_some() { Err(Refusal::Failed) } else { Ok(()) }
    }

    /// What a thing is called, and what it reads and writes. Of a kernel that is every allocation that a word of its parameters points into,
    /// and it may do both there.
    fn uses(&self, work: &Work) -> (&'static str, Vec<Range>, Vec<Range>) {
        let range = |address, bytes| Range { address, bytes };
        match work {
            Work::Launch { kernel, arguments, .. } => {
                let inside = |&word: &u64| self.holds(range(word, 1));
                (kernel.name(), vec![], arguments.iter().copied().filter(inside).map(|word| range(word, 1)).collect())
            }
            Work::Write { to, bytes } => ("a copy from the host", vec![], vec![range(*to, bytes.len())]),
            Work::Pull { to, bytes, .. } => ("a copy from pinned memory", vec![], vec![range(*to, *bytes)]),
            Work::Copy { to, from, bytes } => ("a copy", vec![range(*from, *bytes)], vec![range(*to, *bytes)]),
            Work::Set { to, pattern, count } => ("a fill", vec![], vec![range(*to, pattern.len() * count)]),
            Work::Gemm(gemm) => ("a matrix product", gemm.reads(), gemm.writes()),
            Work::Convolution(conv) => ("a convolution", conv.reads(), conv.writes()),
            Work::Wait { .. } => ("a wait", vec![], vec![]),
        }
    }

    /// Gives a stream work; done at once unless laziness was asked for.
    pub(crate) fn give(&mut self, stream: u64, work: Work) -> Result<(), Refusal> {
        self.alive()?;
        let (name, reads, writes) = self.uses(&work);
        if let Work::Launch { arguments, .. } = &work {
            let is_dead = |word: u64| self.graves.iter().any(|grave| grave.contains(word));
            if arguments.iter().any(|&word| is_dead(word)) {
                return Err(self.fail(format!("{name} is given memory that was freed")));
            }
        }
        if !reads.iter().chain(&writes).all(|&range| self.holds(range)) {
            return Err(State::refuse(&format!("{name} reaches beyond its allocation")));
        }
        if let Some(capture) = self.streams.get_mut(&stream).and_then(|own| own.capture.as_mut()) {
            if capture.is_spoilt {
                return Err(Refusal::Spoilt);
            }
            // What the host has there now would be read at each launch, or was read once and for all.
            if matches!(work, Work::Write { .. } | Work::Pull { .. }) {
                return Err(self.spoil(&format!("{name} is captured")));
            }
            let places = reads.iter().chain(&writes).filter_map(|&range| self.allocation(range)).collect();
            if let Some(capture) = self.streams.get_mut(&stream).and_then(|own| own.capture.as_mut()) {
                capture.work.push(Captured { work, places });
            }
            return Ok(());
        }
        let host = self.host.clone();
        let own = self.streams.entry(stream).or_default();
        own.given += 1;
        own.clock.join(&host);
        let (number, clock) = (own.given, own.clock.clone());
        own.clock.0.insert(stream, number);
        self.order(stream, number, &clock, name, &reads, &writes)?;
        self.streams.entry(stream).or_default().waiting.push_back(work);
        if self.is_lazy() { Ok(()) } else { self.finish_stream(stream) }
    }

    /// Refuses a use of memory that nothing puts after another stream's, whatever order they happen to run in here.
    fn order(
        &mut self,
        stream: u64,
        number: u64,
        clock: &Clock,
        name: &'static str,
        reads: &[Range],
        writes: &[Range],
    ) -> Result<(), Refusal> {
        for (i, &range) in reads.iter().chain(writes).enumerate() {
            let is_write = i >= reads.len();
            let Some(start) = self.allocation(range) else { continue };
            let Some(allocation) = self.allocations.get_mut(&start) else { continue };
            let mut other = allocation.writes.beside(stream, clock);
            if is_write {
                other = other.or_else(|| allocation.reads.beside(stream, clock));
            }
            if let Some(other) = other {
                let bytes = allocation.bytes;
                return Err(self.fail(format!(
                    "{name} may run beside {other} of another stream on an allocation of {bytes} bytes: no event puts one after the other"
                )));
            }
            let uses = if is_write { &mut allocation.writes } else { &mut allocation.reads };
            uses.0.insert(stream, (number, name));
        }
        Ok(())
    }

    /// Does all that a stream was given.
    fn finish_stream(&mut self, stream: u64) -> Result<(), Refusal> {
        self.run(stream, u64::MAX)
    }

    /// Does what a stream was given until it has done so many things.
    fn run(&mut self, stream: u64, until: u64) -> Result<(), Refusal> {
        while let Some(own) = self.streams.get_mut(&stream)
            && own.done < until
            && let Some(work) = own.waiting.pop_front()
        {
            own.done += 1;
            match work {
                Work::Wait { stream, done } => self.run(stream, done)?,
                work => self.perform(&work)?,
            }
        }
        self.alive()
    }

    /// Spoils every capture of this thread.
    fn spoil(&mut self, what: &str) -> Refusal {
        eprintln!("cuda-emu: {what} during a capture");
        let mine = |capture: &&mut Capture| capture.thread == thread::current().id();
        let captures = self.streams.values_mut().filter_map(|own| own.capture.as_mut());
        captures.filter(mine).for_each(|capture| capture.is_spoilt = true);
        Refusal::InCapture
    }

    /// Refuses what a thread must not do while it captures, by the rules of CU_STREAM_CAPTURE_MODE_THREAD_LOCAL.
    pub(crate) fn outside_capture(&mut self, what: &str) -> Result<(), Refusal> {
        let mut captures = self.streams.values().filter_map(|own| own.capture.as_ref());
        if captures.any(|capture| capture.thread == thread::current().id()) {
            return Err(self.spoil(what));
        }
        Ok(())
    }

    pub(crate) fn begin_capture(&mut self, stream: u64) -> Result<(), Refusal> {
        self.alive()?;
        let own = self.streams.entry(stream).or_default();
        if own.capture.is_some() {
            return Err(State::refuse("a stream is captured twice"));
        }
        own.capture = Some(Capture { thread: thread::current().id(), work: Vec::new(), is_spoilt: false });
        Ok(())
    }

    pub(crate) fn end_capture(&mut self, stream: u64) -> Result<Vec<Captured>, Refusal> {
        let own = self.streams.entry(stream).or_default();
        match own.capture.take() {
            Some(capture) if capture.thread != thread::current().id() => {
                own.capture = Some(capture);
                Err(Refusal::NoCapture)
            }
            Some(capture) if capture.is_spoilt => Err(Refusal::Spoilt),
            Some(capture) => Ok(capture.work),
            None => Err(Refusal::NoCapture),
        }
    }

    /// Does captured work again, in a stream.
    pub(crate) fn launch(&mut self, stream: u64, work: &[Captured]) -> Result<(), Refusal> {
        let gone = work.iter().flat_map(|one| &one.places).any(|place| !self.allocations.contains_key(place));
        if gone {
            return Err(self.fail("a graph uses memory that was freed".into()));
        }
        work.iter().try_for_each(|one| self.give(stream, one.work.clone()))
    }

    /// The host waits for a stream.
    pub(crate) fn finish(&mut self, stream: u64) -> Result<(), Refusal> {
        if self.streams.get(&stream).is_some_and(|own| own.capture.is_some()) {
            return Err(self.spoil("the host waits for the stream"));
        }
        self.finish_stream(stream)?;
        if let Some(own) = self.streams.get(&stream) {
            self.host.join(&own.clock);
        }
        Ok(())
    }

    fn finish_all(&mut self) -> Result<(), Refusal> {
        let streams: Vec<u64> = self.streams.keys().copied().collect();
        streams.into_iter().try_for_each(|stream| self.finish_stream(stream))
    }

    pub(crate) fn make_event(&mut self, event: u64) {
        self.events.insert(event, None);
    }

    pub(crate) fn end_event(&mut self, event: u64) -> Result<(), Refusal> {
        self.events.remove(&event).map(|_| ()).ok_or_else(|| State::refuse("an event is destroyed that is none"))
    }

    /// The event means all that the stream was given so far.
    pub(crate) fn record(&mut self, event: u64, stream: u64) -> Result<(), Refusal> {
        self.alive()?;
        let host = self.host.clone();
        let own = self.streams.entry(stream).or_default();
        if own.capture.is_some() {
            // An event of the capture could be waited for by another stream, which would become part of it.
            return Err(self.spoil("an event is recorded"));
        }
        own.clock.join(&host);
        let record = Record { stream, done: own.given, clock: own.clock.clone() };
        let known = self.events.get_mut(&event).ok_or_else(|| State::refuse("an event is recorded that is none"))?;
        *known = Some(record);
        Ok(())
    }

    fn recorded(&self, event: u64) -> Result<Option<Record>, Refusal> {
        self.events.get(&event).cloned().ok_or_else(|| State::refuse("an event is waited for that is none"))
    }

    /// The stream goes on after the event; one never recorded is no hindrance, as with the driver.
    pub(crate) fn wait(&mut self, stream: u64, event: u64) -> Result<(), Refusal> {
        self.alive()?;
        let Some(record) = self.recorded(event)? else { return Ok(()) };
        if self.streams.get(&stream).is_some_and(|own| own.capture.is_some()) {
            self.spoil("a wait for an event from outside");
            return Err(Refusal::Isolated);
        }
        self.give(stream, Work::Wait { stream: record.stream, done: record.done })?;
        self.streams.entry(stream).or_default().clock.join(&record.clock);
        Ok(())
    }

    /// The host waits for an event.
    pub(crate) fn wait_for_event(&mut self, event: u64) -> Result<(), Refusal> {
        let Some(record) = self.recorded(event)? else { return Ok(()) };
        self.run(record.stream, record.done)?;
        self.host.join(&record.clock);
        Ok(())
    }

    /// Brings bytes to the host, after all that the stream was given.
    ///
    /// # Safety
    /// `to` must have room for `bytes`.
    pub(crate) unsafe fn read(&mut self, stream: u64, to: *mut u8, from: u64, bytes: usize) -> Result<(), Refusal> {
        let range = Range { address: from, bytes };
        if !self.holds(range) {
            return Err(State::refuse("a copy to the host reaches beyond its allocation"));
        }
        if self.streams.get(&stream).is_some_and(|own| own.capture.is_some()) {
            return Err(self.spoil("a copy to the host"));
        }
        let own = self.streams.entry(stream).or_default();
        let (number, mut clock) = (own.given, own.clock.clone());
        clock.join(&self.host);
        self.order(stream, number, &clock, "a copy to the host", &[range], &[])?;
        self.finish(stream)?;
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
            // SAFETY: as above; pinned memory is host memory that is freed after all work.
            Work::Pull { to, from, bytes } => unsafe {
                std::ptr::copy_nonoverlapping(*from as *const u8, *to as *mut u8, *bytes);
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
            // SAFETY: as above; cuDNN's functions saw the same.
            Work::Convolution(conv) => unsafe {
                conv.run();
                Ok(())
            },
            Work::Wait { .. } => Ok(()),
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
        for (&address, &Allocation { bytes, .. }) in &self.allocations {
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
        for grave in &self.graves {
            // SAFETY: freed memory that is kept, which only this state knows.
            let bytes = unsafe { std::slice::from_raw_parts_mut(grave.address as *mut u8, grave.bytes) };
            // SAFETY: every eight bytes are a number.
            let (start, middle, end) = unsafe { bytes.align_to_mut::<u64>() };
            if middle.iter().any(|&eight| eight != u64::MAX)
                || start.iter().chain(end.iter()).any(|&byte| byte != POISON)
            {
                wrong.get_or_insert(format!("{kernel} wrote to memory of {} bytes that was freed", grave.bytes));
                bytes.fill(POISON);
            }
        }
        match wrong {
            Some(wrong) => Err(self.fail(wrong)),
            None => Ok(()),
        }
    }
}
