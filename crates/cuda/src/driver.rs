//! The driver's functions, each behind a function that turns its code into an error. Nothing here may be called before
//! [`crate::availability::probe`] has seen that the libraries and their functions are there.

use crate::availability::Unavailable;
use cudarc::driver::sys::{self as cuda, CUcontext, CUdevice, CUdevice_attribute_enum as Attribute, CUresult};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::ptr::null_mut;
use std::sync::Arc;
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
        let mut gpu = Gpu { device, context, stream: null_mut(), copies: null_mut() };
        gpu.enter()?;
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
    pub(crate) fn enter(&self) -> Result<()> {
        // SAFETY: the context was retained and is released only when this is dropped.
        check("cuCtxSetCurrent", unsafe { cuda::cuCtxSetCurrent(self.context) })
    }

    /// The stream that everything is done in.
    pub(crate) fn stream(&self) -> cuda::CUstream {
        self.stream
    }

    pub(crate) fn synchronize(&self) -> Result<()> {
        self.enter()?;
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
        self.enter()?;
        // SAFETY: the stream lives as long as this.
        check("cuStreamSynchronize", unsafe { cuda::cuStreamSynchronize(self.copies) })?;
        self.synchronize()
    }

    /// A new event.
    pub(crate) fn event(self: &Arc<Self>) -> Result<Event> {
        self.enter()?;
        let mut event = null_mut();
        // SAFETY: the driver writes a handle; 2 is CU_EVENT_DISABLE_TIMING.
        check("cuEventCreate", unsafe { cuda::cuEventCreate(&mut event, 2) })?;
        Ok(Event { event, gpu: self.clone() })
    }

    /// The event from now on means all that the stream was given so far.
    pub(crate) fn record(&self, event: &Event, which: Which) -> Result<()> {
        self.enter()?;
        // SAFETY: event and stream are alive.
        check("cuEventRecord", unsafe { cuda::cuEventRecord(event.event, self.of(which)) })
    }

    /// What the stream is given from now on comes after the event.
    pub(crate) fn wait(&self, which: Which, event: &Event) -> Result<()> {
        self.enter()?;
        // SAFETY: event and stream are alive.
        check("cuStreamWaitEvent", unsafe { cuda::cuStreamWaitEvent(self.of(which), event.event, 0) })
    }

    /// Host memory that the device copies from by itself; none where the machine has none to give.
    pub(crate) fn pinned(self: &Arc<Self>, bytes: usize) -> Result<Option<Pinned>> {
        self.enter()?;
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
        self.enter()?;
        // SAFETY: the caller's promise; the length was checked.
        check("cuMemcpyHtoDAsync", unsafe { cuda::cuMemcpyHtoDAsync_v2(to, from.address, bytes, self.copies) })
    }

    /// New device memory, or none if the device has none left.
    pub(crate) fn allocate(&self, bytes: usize) -> Result<Option<u64>> {
        self.enter()?;
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
        // SAFETY: the address came from `allocate`, its one owner gives it up here, and no work on it is left.
        check("cuMemFree", unsafe { cuda::cuMemFree_v2(address) })
    }

    /// # Safety
    /// `address` must have room for `bytes`.
    pub(crate) unsafe fn upload(&self, address: u64, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.enter()?;
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
        self.enter()?;
        let to = bytes.as_mut_ptr().cast::<c_void>();
        // SAFETY: the caller's promise; the stream is waited for while `bytes` is borrowed.
        check("cuMemcpyDtoHAsync", unsafe { cuda::cuMemcpyDtoHAsync_v2(to, address, bytes.len(), self.stream) })?;
        self.synchronize()
    }

    /// # Safety
    /// Both must have room for `bytes` and not overlap.
    pub(crate) unsafe fn copy(&self, to: u64, from: u64, bytes: usize) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        self.enter()?;
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
        self.enter()?;
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
        self.enter()?;
        let mut module = null_mut();
        // SAFETY: the image is a whole cubin, which knows its own length.
        check("cuModuleLoadData", unsafe { cuda::cuModuleLoadData(&mut module, image.as_ptr().cast::<c_void>()) })?;
        Ok(Module(module))
    }

    pub(crate) fn function(&self, module: &Module, name: &str) -> Result<Function> {
        self.enter()?;
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
        self.enter()?;
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
        self.gpu.enter()?;
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
        if self.gpu.enter().is_ok() {
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
        if self.gpu.synchronize_all().is_ok() {
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
