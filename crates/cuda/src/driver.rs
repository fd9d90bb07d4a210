//! The driver's functions, each behind a function that turns its code into an error. Nothing here may be called before
//! [`crate::availability::probe`] has seen that the libraries and their functions are there.

use crate::availability::Unavailable;
use cudarc::driver::sys::{self as cuda, CUcontext, CUdevice, CUdevice_attribute_enum as Attribute, CUresult};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use striate_tensor::{Error, Result};

/// Every function of the driver that is called here.
pub(crate) const SYMBOLS: &[&str] = &[
    "cuInit",
    "cuDriverGetVersion",
    "cuDeviceGetCount",
    "cuDeviceGet",
    "cuDeviceGetName",
    "cuDeviceGetAttribute",
    "cuDevicePrimaryCtxRetain",
    "cuDevicePrimaryCtxRelease_v2",
    "cuCtxSetCurrent",
    "cuStreamCreate",
    "cuStreamDestroy_v2",
    "cuStreamSynchronize",
    "cuStreamWaitEvent",
    "cuStreamBeginCapture_v2",
    "cuStreamEndCapture",
    "cuGraphInstantiateWithFlags",
    "cuGraphLaunch",
    "cuGraphDestroy",
    "cuGraphExecDestroy",
    "cuEventCreate",
    "cuEventDestroy_v2",
    "cuEventRecord",
    "cuEventSynchronize",
    "cuMemHostAlloc",
    "cuMemFreeHost",
    "cuMemAlloc_v2",
    "cuMemFree_v2",
    "cuMemcpyHtoDAsync_v2",
    "cuMemcpyDtoHAsync_v2",
    "cuMemcpyDtoDAsync_v2",
    "cuMemsetD8Async",
    "cuMemsetD16Async",
    "cuMemsetD32Async",
    "cuModuleLoadData",
    "cuModuleGetFunction",
    "cuLaunchKernel",
    "cuGetErrorName",
];

/// CUDA's name of a code, `CUDA_ERROR_…`.
fn name(code: CUresult) -> String {
    let mut text: *const c_char = std::ptr::null();
    // SAFETY: the driver writes a pointer to a string of its own that lives forever, or leaves null.
    unsafe {
        if cuda::cuGetErrorName(code, &mut text) == CUresult::CUDA_SUCCESS && !text.is_null() {
            return CStr::from_ptr(text).to_string_lossy().into_owned();
        }
    }
    format!("code {}", code as u32)
}

/// A driver's code as a result; `call` is what was called.
fn check(call: &'static str, code: CUresult) -> Result<()> {
    if code == CUresult::CUDA_SUCCESS {
        return Ok(());
    }
    Err(Error::device("cuda", format!("{call} must succeed"), name(code), ""))
}

fn early(call: &'static str, code: CUresult) -> std::result::Result<(), Unavailable> {
    match code {
        CUresult::CUDA_SUCCESS => Ok(()),
        CUresult::CUDA_ERROR_NO_DEVICE => Err(Unavailable::NoDevice),
        other => Err(Unavailable::Driver { call, code: other as u32 }),
    }
}

/// Starts the driver and counts devices.
pub(crate) fn count_devices() -> std::result::Result<usize, Unavailable> {
    let mut count: c_int = 0;
    // SAFETY: the driver writes one integer.
    unsafe {
        early("cuInit", cuda::cuInit(0))?;
        early("cuDeviceGetCount", cuda::cuDeviceGetCount(&mut count))?;
    }
    usize::try_from(count).ok().filter(|&count| count > 0).ok_or(Unavailable::NoDevice)
}

/// What a device says about itself.
#[derive(Debug, Clone)]
pub(crate) struct Properties {
    pub(crate) name: String,
    /// 10·major + minor.
    pub(crate) capability: u32,
    /// The highest CUDA version the driver knows, 1000·major + 10·minor.
    pub(crate) driver: u32,
}

/// The streams of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Everything but uploads.
    Compute,
    /// Uploads from pinned memory.
    Copies,
}

/// A device's primary context with two streams: one that computes, in whose order everything is done, and one that copies what is
/// uploaded; events put the two in order.
#[derive(Debug)]
pub(crate) struct Gpu {
    device: CUdevice,
    context: CUcontext,
    stream: cuda::CUstream,
    copies: cuda::CUstream,
    /// Closed while a thread captures: what others do would be captured too, or spoil it.
    gate: RwLock<()>,
    /// The thread that captures, by [`token`].
    capturer: AtomicUsize,
}

/// A number that tells living threads apart; never 0.
fn token() -> usize {
    thread_local!(static PLACE: u8 = const { 0 });
    PLACE.with(|place| std::ptr::from_ref(place).addr())
}

/// Inside the context, and no capture of another thread begins meanwhile.
pub(crate) struct Inside<'a> {
    _gate: Option<RwLockReadGuard<'a, ()>>,
}

/// A capture of the computing stream by this thread.
pub(crate) struct Capture<'a> {
    gpu: &'a Arc<Gpu>,
    is_ended: bool,
    _gate: RwLockWriteGuard<'a, ()>,
}

// SAFETY: the driver's handles may be used from any thread; each call makes the context current on its own thread first.
unsafe impl Send for Gpu {}
// SAFETY: as above; the driver locks what it shares.
unsafe impl Sync for Gpu {}

impl Gpu {
    /// The device with this number, which must be below [`count_devices`].
    pub(crate) fn open(ordinal: usize) -> Result<(Gpu, Properties)> {
        let (mut device, mut context) = (0, null_mut());
        let (mut version, mut label) = (0, [0 as c_char; 256]);
        let attribute = |which: Attribute, device: CUdevice| -> Result<u32> {
            let mut value = 0;
            // SAFETY: the driver writes one integer.
            check("cuDeviceGetAttribute", unsafe { cuda::cuDeviceGetAttribute(&mut value, which, device) })?;
            Ok(value as u32)
        };
        // SAFETY: each call writes to a place of the type it wants; the text has room for the length that is told.
        unsafe {
            check("cuDeviceGet", cuda::cuDeviceGet(&mut device, ordinal as c_int))?;
            check("cuDeviceGetName", cuda::cuDeviceGetName(label.as_mut_ptr(), 255, device))?;
            check("cuDriverGetVersion", cuda::cuDriverGetVersion(&mut version))?;
            check("cuDevicePrimaryCtxRetain", cuda::cuDevicePrimaryCtxRetain(&mut context, device))?;
        }
        let (stream, copies) = (null_mut(), null_mut());
        let mut gpu = Gpu { device, context, stream, copies, gate: RwLock::new(()), capturer: AtomicUsize::new(0) };
        drop(gpu.enter()?);
        // SAFETY: the driver writes handles; 1 is CU_STREAM_NON_BLOCKING.
        unsafe {
            check("cuStreamCreate", cuda::cuStreamCreate(&mut gpu.stream, 1))?;
            check("cuStreamCreate", cuda::cuStreamCreate(&mut gpu.copies, 1))?;
        }
        let major = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device)?;
        let minor = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device)?;
        // SAFETY: the driver ended the text with a zero within its 256 places, which were zero before.
        let name = unsafe { CStr::from_ptr(label.as_ptr()) }.to_string_lossy().into_owned();
        Ok((gpu, Properties { name, capability: 10 * major + minor, driver: version as u32 }))
    }

    /// Makes the context current on this thread; each call from outside does it first.
    ///
    /// What it gives must not be held while this is called again.
    pub(crate) fn enter(&self) -> Result<Inside<'_>> {
        let gate =
            if self.captures_here() { None } else { Some(self.gate.read().unwrap_or_else(PoisonError::into_inner)) };
        // SAFETY: the context was retained and is released only when this is dropped.
        check("cuCtxSetCurrent", unsafe { cuda::cuCtxSetCurrent(self.context) })?;
        Ok(Inside { _gate: gate })
    }

    /// Whether this thread captures the computing stream.
    pub(crate) fn captures_here(&self) -> bool {
        self.capturer.load(Ordering::Acquire) == token()
    }

    /// Refuses what has no place in a graph, before the driver does.
    fn not_captured(&self, what: &str) -> Result<()> {
        if !self.captures_here() {
            return Ok(());
        }
        Err(Error::device("cuda", "work that is recorded must stay on the device and take no new memory", what, ""))
    }

    /// From here on work is captured instead of done.
    pub(crate) fn begin_capture(self: &Arc<Self>) -> Result<Capture<'_>> {
        self.not_captured("a recording inside another")?;
        let gate = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the context was retained and is released only when this is dropped.
        check("cuCtxSetCurrent", unsafe { cuda::cuCtxSetCurrent(self.context) })?;
        let mode = cuda::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream is alive, and nobody else gives it work before the gate opens.
        check("cuStreamBeginCapture", unsafe { cuda::cuStreamBeginCapture_v2(self.stream, mode) })?;
        self.capturer.store(token(), Ordering::Release);
        Ok(Capture { gpu: self, is_ended: false, _gate: gate })
    }

    /// Does captured work.
    pub(crate) fn launch_graph(&self, graph: &Graph, which: Which) -> Result<()> {
        self.not_captured("a recording inside another")?;
        let _inside = self.enter()?;
        // SAFETY: the graph is alive, and so is the memory that its work uses, which the recording holds.
        check("cuGraphLaunch", unsafe { cuda::cuGraphLaunch(graph.exec, self.of(which)) })
    }

    /// The stream that everything is done in.
    pub(crate) fn stream(&self) -> cuda::CUstream {
        self.stream
    }

    pub(crate) fn synchronize(&self) -> Result<()> {
        self.not_captured("a wait for it")?;
        let _inside = self.enter()?;
        // SAFETY: the stream lives as long as this.
        check("cuStreamSynchronize", unsafe { cuda::cuStreamSynchronize(self.stream) })
    }

    fn of(&self, which: Which) -> cuda::CUstream {
        match which {
            Which::Compute => self.stream,
            Which::Copies => self.copies,
        }
    }

    /// Waits for both streams.
    pub(crate) fn synchronize_all(&self) -> Result<()> {
        self.not_captured("a wait for it")?;
        let inside = self.enter()?;
        // SAFETY: the stream lives as long as this.
        check("cuStreamSynchronize", unsafe { cuda::cuStreamSynchronize(self.copies) })?;
        drop(inside);
        self.synchronize()
    }

    /// A new event.
    pub(crate) fn event(self: &Arc<Self>) -> Result<Event> {
        let _inside = self.enter()?;
        let mut event = null_mut();
        // SAFETY: the driver writes a handle; 2 is CU_EVENT_DISABLE_TIMING.
        check("cuEventCreate", unsafe { cuda::cuEventCreate(&mut event, 2) })?;
        Ok(Event { event, gpu: self.clone() })
    }

    /// The event from now on means all that the stream was given so far.
    pub(crate) fn record(&self, event: &Event, which: Which) -> Result<()> {
        self.not_captured("a mark for other streams")?;
        let _inside = self.enter()?;
        // SAFETY: event and stream are alive.
        check("cuEventRecord", unsafe { cuda::cuEventRecord(event.event, self.of(which)) })
    }

    /// What the stream is given from now on comes after the event.
    pub(crate) fn wait(&self, which: Which, event: &Event) -> Result<()> {
        self.not_captured("data that is still on its way")?;
        let _inside = self.enter()?;
        // SAFETY: event and stream are alive.
        check("cuStreamWaitEvent", unsafe { cuda::cuStreamWaitEvent(self.of(which), event.event, 0) })
    }

    /// Host memory that the device copies from by itself; none where the machine has none to give.
    pub(crate) fn pinned(self: &Arc<Self>, bytes: usize) -> Result<Option<Pinned>> {
        let _inside = self.enter()?;
        let mut address = null_mut();
        // SAFETY: the driver writes an address.
        match unsafe { cuda::cuMemHostAlloc(&mut address, bytes, 0) } {
            CUresult::CUDA_ERROR_OUT_OF_MEMORY => Ok(None),
            code => check("cuMemHostAlloc", code).map(|()| Some(Pinned { address, bytes, gpu: self.clone() })),
        }
    }

    /// Copies the first `bytes` of pinned memory in the stream of copies; they are read when the stream gets there.
    ///
    /// # Safety
    /// `to` must have room for them, and until an event recorded after this call has passed nobody may use that room outside the stream's order
    /// or write to the pinned memory.
    pub(crate) unsafe fn pull(&self, to: u64, from: &Pinned, bytes: usize) -> Result<()> {
        assert!(bytes <= from.bytes, "a copy of {bytes} bytes from {}", from.bytes);
        let _inside = self.enter()?;
        // SAFETY: the caller's promise; the length was checked.
        check("cuMemcpyHtoDAsync", unsafe { cuda::cuMemcpyHtoDAsync_v2(to, from.address, bytes, self.copies) })
    }

    /// New device memory, or none if the device has none left.
    pub(crate) fn allocate(&self, bytes: usize) -> Result<Option<u64>> {
        self.not_captured("new memory")?;
        let _inside = self.enter()?;
        let mut address = 0;
        // SAFETY: the driver writes an address.
        match unsafe { cuda::cuMemAlloc_v2(&mut address, bytes) } {
            CUresult::CUDA_ERROR_OUT_OF_MEMORY => Ok(None),
            code => check("cuMemAlloc", code).map(|()| Some(address)),
        }
    }

    /// Gives memory back to the device, after all work that was given before.
    pub(crate) fn free(&self, address: u64) -> Result<()> {
        self.synchronize()?;
        let _inside = self.enter()?;
        // SAFETY: the address came from `allocate`, its one owner gives it up here, and no work on it is left.
        check("cuMemFree", unsafe { cuda::cuMemFree_v2(address) })
    }

    /// # Safety
    /// `address` must have room for `bytes`.
    pub(crate) unsafe fn upload(&self, address: u64, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.not_captured("data of the host")?;
        let _inside = self.enter()?;
        // SAFETY: the caller's promise; pageable memory is read before the call returns.
        let code =
            unsafe { cuda::cuMemcpyHtoDAsync_v2(address, bytes.as_ptr().cast::<c_void>(), bytes.len(), self.stream) };
        check("cuMemcpyHtoDAsync", code)
    }

    /// # Safety
    /// `address` must hold as many bytes.
    pub(crate) unsafe fn download(&self, bytes: &mut [u8], address: u64) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.not_captured("a copy to the host")?;
        let inside = self.enter()?;
        let to = bytes.as_mut_ptr().cast::<c_void>();
        // SAFETY: the caller's promise; the stream is waited for while `bytes` is borrowed.
        check("cuMemcpyDtoHAsync", unsafe { cuda::cuMemcpyDtoHAsync_v2(to, address, bytes.len(), self.stream) })?;
        drop(inside);
        self.synchronize()
    }

    /// # Safety
    /// Both must have room for `bytes` and not overlap.
    pub(crate) unsafe fn copy(&self, to: u64, from: u64, bytes: usize) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        let _inside = self.enter()?;
        // SAFETY: the caller's promise.
        check("cuMemcpyDtoDAsync", unsafe { cuda::cuMemcpyDtoDAsync_v2(to, from, bytes, self.stream) })
    }

    /// Sets `len` elements of 1, 2 or 4 bytes.
    ///
    /// # Safety
    /// `address` must have room for them.
    pub(crate) unsafe fn set(&self, address: u64, size: usize, bits: u64, len: usize) -> Result<()> {
        if len == 0 {
            return Ok(());
        }
        let _inside = self.enter()?;
        // SAFETY: the caller's promise.
        let code = unsafe {
            match size {
                1 => cuda::cuMemsetD8Async(address, bits as u8, len, self.stream),
                2 => cuda::cuMemsetD16Async(address, bits as u16, len, self.stream),
                _ => cuda::cuMemsetD32Async(address, bits as u32, len, self.stream),
            }
        };
        check("cuMemsetAsync", code)
    }

    /// Loads compiled code; it stays as long as the context.
    pub(crate) fn load(&self, image: &[u8]) -> Result<Module> {
        self.not_captured("new kernels")?;
        let _inside = self.enter()?;
        let mut module = null_mut();
        // SAFETY: the image is a whole cubin, which knows its own length.
        check("cuModuleLoadData", unsafe { cuda::cuModuleLoadData(&mut module, image.as_ptr().cast::<c_void>()) })?;
        Ok(Module(module))
    }

    pub(crate) fn function(&self, module: &Module, name: &str) -> Result<Function> {
        let _inside = self.enter()?;
        let symbol = CString::new(name).unwrap_or_default();
        let mut function = null_mut();
        // SAFETY: the module is loaded, the name ends with a zero.
        let code = unsafe { cuda::cuModuleGetFunction(&mut function, module.0, symbol.as_ptr()) };
        if code == CUresult::CUDA_ERROR_NOT_FOUND {
            return Err(Error::device("cuda", "the kernel must be in its module", name, "this is a defect of striate"));
        }
        check("cuModuleGetFunction", code)?;
        Ok(Function(function))
    }

    /// Starts a kernel of one parameter, a struct by value.
    ///
    /// # Safety
    /// `arguments` must be the struct the kernel takes, all its addresses must have the room the kernel uses, and none of
    /// what it writes may be in use elsewhere outside this stream's order.
    pub(crate) unsafe fn launch<A: Copy>(
        &self,
        function: Function,
        blocks: u32,
        threads: u32,
        arguments: &A,
    ) -> Result<()> {
        let _inside = self.enter()?;
        let mut size = size_of::<A>();
        // CU_LAUNCH_PARAM_BUFFER_POINTER, …_BUFFER_SIZE, …_END: the parameters as one block of bytes whose size the driver sees.
        let mut extra: [*mut c_void; 5] = [
            std::ptr::without_provenance_mut(1),
            std::ptr::from_ref(arguments).cast_mut().cast::<c_void>(),
            std::ptr::without_provenance_mut(2),
            std::ptr::from_mut(&mut size).cast::<c_void>(),
            null_mut(),
        ];
        // SAFETY: the caller's promise; the driver copies the parameters before it returns.
        let code = unsafe {
            cuda::cuLaunchKernel(
                function.0,
                blocks,
                1,
                1,
                threads,
                1,
                1,
                0,
                self.stream,
                null_mut(),
                extra.as_mut_ptr(),
            )
        };
        check("cuLaunchKernel", code)
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        if self.synchronize_all().is_ok() {
            // SAFETY: nothing uses streams and context any more; errors at the end have nobody to go to.
            unsafe {
                let _ = cuda::cuStreamDestroy_v2(self.copies);
                let _ = cuda::cuStreamDestroy_v2(self.stream);
                let _ = cuda::cuDevicePrimaryCtxRelease_v2(self.device);
            }
        }
    }
}

impl Capture<'_> {
    /// Ends it; what was captured, ready to be launched.
    pub(crate) fn end(mut self) -> Result<Graph> {
        let mut exec = null_mut();
        let graph = self.close()?;
        // SAFETY: the driver writes a handle; the graph is alive and destroyed after its last use.
        let made = unsafe {
            let made = check("cuGraphInstantiate", cuda::cuGraphInstantiateWithFlags(&mut exec, graph, 0));
            let _ = cuda::cuGraphDestroy(graph);
            made
        };
        made.map(|()| Graph { exec, gpu: self.gpu.clone() })
    }

    fn close(&mut self) -> Result<cuda::CUgraph> {
        self.is_ended = true;
        let mut graph = null_mut();
        // SAFETY: this thread began the capture; the driver writes a handle, or null and an error for a capture that was spoilt.
        let code = unsafe { cuda::cuStreamEndCapture(self.gpu.stream, &mut graph) };
        self.gpu.capturer.store(0, Ordering::Release);
        check("cuStreamEndCapture", code)?;
        Ok(graph)
    }
}

impl Drop for Capture<'_> {
    fn drop(&mut self) {
        if !self.is_ended
            && let Ok(graph) = self.close()
        {
            // SAFETY: the graph was made just now, and this is its only owner.
            let _ = unsafe { cuda::cuGraphDestroy(graph) };
        }
    }
}

/// Captured work.
pub(crate) struct Graph {
    exec: cuda::CUgraphExec,
    gpu: Arc<Gpu>,
}
// SAFETY: a handle, valid on every thread; it is launched by one at a time, behind the recording's lock.
unsafe impl Send for Graph {}

impl Drop for Graph {
    fn drop(&mut self) {
        // It may still run.
        if self.gpu.synchronize().is_ok()
            && let Ok(_inside) = self.gpu.enter()
        {
            // SAFETY: this is its only owner, and it does not run any more.
            let _ = unsafe { cuda::cuGraphExecDestroy(self.exec) };
        }
    }
}

/// A mark in a stream.
pub(crate) struct Event {
    event: cuda::CUevent,
    gpu: Arc<Gpu>,
}
// SAFETY: a handle, valid on every thread; the driver locks what it shares.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

impl Event {
    /// The host waits for it.
    pub(crate) fn synchronize(&self) -> Result<()> {
        let _inside = self.gpu.enter()?;
        // SAFETY: the event is alive.
        check("cuEventSynchronize", unsafe { cuda::cuEventSynchronize(self.event) })
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Event")
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if let Ok(_inside) = self.gpu.enter() {
            // SAFETY: this is its only owner; the driver keeps what streams still wait for.
            let _ = unsafe { cuda::cuEventDestroy_v2(self.event) };
        }
    }
}

/// Host memory that the device copies from by itself.
pub(crate) struct Pinned {
    address: *mut c_void,
    bytes: usize,
    gpu: Arc<Gpu>,
}
// SAFETY: memory of its own, written through an exclusive borrow only.
unsafe impl Send for Pinned {}

impl Pinned {
    /// Writes from its start.
    pub(crate) fn fill(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.bytes, "{} bytes for {}", bytes.len(), self.bytes);
        // SAFETY: the driver gave `self.bytes` bytes of host memory, the length was checked, and the two do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.address.cast::<u8>(), bytes.len()) };
    }
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pinned({} bytes)", self.bytes)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // No copy may be reading it.
        if self.gpu.synchronize_all().is_ok()
            && let Ok(_inside) = self.gpu.enter()
        {
            // SAFETY: the address came from cuMemHostAlloc and this is its only owner.
            let _ = unsafe { cuda::cuMemFreeHost(self.address) };
        }
    }
}

/// Loaded code.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Module(cuda::CUmodule);
// SAFETY: a handle, valid on every thread.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}

/// A kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Function(cuda::CUfunction);
// SAFETY: a handle, valid on every thread.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}
