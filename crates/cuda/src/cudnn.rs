//! Convolutions by NVIDIA's cuDNN. Nothing here may be called before [`crate::availability::probe_cudnn`] has seen that the library and its
//! functions are there.
//!
//! Activations lie channels-last, as cuDNN is told. Kernels are (spatial…, in, out) here and (out, spatial…, in) there: they are turned on the
//! way ([`crate::convolution`]). What cuDNN can do with a shape it says itself, algorithm by algorithm; where none fits, the kernels of this
//! crate do the work.

use crate::availability::probe_cudnn;
use crate::context::Context;
use crate::driver::Gpu;
use crate::form::Form;
use crate::plan::{Pass, Plan};
use cudarc::cudnn::sys::{self as dnn, cudnnHandle_t, cudnnStatus_t};
use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_void};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use striate_tensor::{ConvGeometry, DType, Error, Precision, Result};

/// Every function of cuDNN that is called here. The last one came with cuDNN 9, whose codes these bindings know; version 8 lacks it.
pub(crate) const SYMBOLS: &[&str] = &[
    "cudnnCreate",
    "cudnnDestroy",
    "cudnnSetStream",
    "cudnnCreateTensorDescriptor",
    "cudnnDestroyTensorDescriptor",
    "cudnnSetTensorNdDescriptor",
    "cudnnCreateFilterDescriptor",
    "cudnnDestroyFilterDescriptor",
    "cudnnSetFilterNdDescriptor",
    "cudnnCreateConvolutionDescriptor",
    "cudnnDestroyConvolutionDescriptor",
    "cudnnSetConvolutionNdDescriptor",
    "cudnnSetConvolutionGroupCount",
    "cudnnSetConvolutionMathType",
    "cudnnGetConvolutionForwardAlgorithm_v7",
    "cudnnGetConvolutionBackwardDataAlgorithm_v7",
    "cudnnGetConvolutionBackwardFilterAlgorithm_v7",
    "cudnnGetConvolutionForwardWorkspaceSize",
    "cudnnGetConvolutionBackwardDataWorkspaceSize",
    "cudnnGetConvolutionBackwardFilterWorkspaceSize",
    "cudnnConvolutionForward",
    "cudnnConvolutionBackwardData",
    "cudnnConvolutionBackwardFilter",
    "cudnnGetErrorString",
    "cudnnGetLastErrorString",
];

/// What an operand's address must be a multiple of.
const ALIGNMENT: u64 = 16;

/// Whether convolutions go to cuDNN: it is wanted and there.
pub(crate) fn choose(wanted: bool) -> bool {
    wanted && probe_cudnn().is_ok()
}

/// Whether a call succeeded; false where cuDNN does not support what it was asked for.
pub(crate) fn supported(call: &'static str, status: cudnnStatus_t) -> Result<bool> {
    // Codes from 3000 to 3999 are the reasons why something is not supported.
    match status as u32 {
        0 => Ok(true),
        3000..4000 => Ok(false),
        _ => Err(failure(call, status)),
    }
}

/// As [`supported`], where what is asked for must be.
pub(crate) fn check(call: &'static str, status: cudnnStatus_t) -> Result<()> {
    if supported(call, status)? { Ok(()) } else { Err(failure(call, status)) }
}

fn failure(call: &'static str, status: cudnnStatus_t) -> Error {
    let mut said = [0 as c_char; 256];
    // SAFETY: cuDNN gives a string of its own that lives forever, and writes one with an end to the room it is told of; the last byte stays 0.
    let (name, more) = unsafe {
        let name = dnn::cudnnGetErrorString(status);
        dnn::cudnnGetLastErrorString(said.as_mut_ptr(), said.len() - 1);
        let name = if name.is_null() { format!("code {}", status as u32) } else { text(name) };
        (name, text(said.as_ptr()))
    };
    // It must stay one line.
    let more = more.split_whitespace().collect::<Vec<_>>().join(" ");
    let received = if more.is_empty() { name } else { format!("{name} ({more})") };
    Error::device("cudnn", format!("{call} must succeed"), received, "STRIATE_CUDA_LIBRARIES=off does without cuDNN")
}

/// # Safety
/// The text must end with a zero.
unsafe fn text(text: *const c_char) -> String {
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// A handle of cuDNN, bound to the device's stream.
pub(crate) struct Handle(cudnnHandle_t);

// SAFETY: a handle may move between threads; it is used by one at a time, behind a lock.
unsafe impl Send for Handle {}

impl Handle {
    pub(crate) fn raw(&self) -> cudnnHandle_t {
        self.0
    }
}

/// A form that cuDNN was asked about, and what it offered.
type Plans = HashMap<(Pass, Form), Option<Arc<Plan>>>;

/// cuDNN on one device, in its stream's order.
pub(crate) struct Cudnn {
    // Before the handle, which its descriptors were asked about with.
    plans: Mutex<Plans>,
    planned: AtomicU64,
    handle: Mutex<Handle>,
    gpu: Arc<Gpu>,
    precision: Precision,
}

impl fmt::Debug for Cudnn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cudnn")
    }
}

/// Where the three tensors of a convolution are, as cuDNN lays them: one of them is the result.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operands {
    pub(crate) x: u64,
    pub(crate) kernel: u64,
    pub(crate) y: u64,
}

impl Operands {
    /// Whether cuDNN takes tensors from there; a part of a batch may begin anywhere.
    pub(crate) fn is_aligned(&self) -> bool {
        [self.x, self.kernel, self.y].iter().all(|address| address.is_multiple_of(ALIGNMENT))
    }
}

fn open<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cudnn {
    pub(crate) fn new(gpu: Arc<Gpu>, precision: Precision) -> Result<Cudnn> {
        let inside = gpu.enter()?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: cuDNN writes a handle; the context is current.
        check("cudnnCreate", unsafe { dnn::cudnnCreate(&mut handle) })?;
        drop(inside);
        let (plans, planned) = (Mutex::default(), AtomicU64::new(0));
        let made = Cudnn { plans, planned, handle: Mutex::new(Handle(handle)), gpu, precision };
        let inside = made.gpu.enter()?;
        // SAFETY: the handle was made above; the stream outlives it because `gpu` is kept.
        check("cudnnSetStream", unsafe { dnn::cudnnSetStream(handle, made.gpu.stream().cast()) })?;
        drop(inside);
        Ok(made)
    }

    /// How many forms of convolutions cuDNN was asked about.
    pub(crate) fn planned(&self) -> u64 {
        self.planned.load(Ordering::Relaxed)
    }

    /// What cuDNN offers for a pass of a convolution; none where it has nothing fitting. Asked once for each form.
    pub(crate) fn plan(&self, g: &ConvGeometry, pass: Pass) -> Result<Option<Arc<Plan>>> {
        let Some(form) = Form::new(g) else { return Ok(None) };
        let key = (pass, form);
        if let Some(known) = open(&self.plans).get(&key) {
            return Ok(known.clone());
        }
        // Made outside of the lock: a thread that waits for a recording to end must hold none.
        let made = {
            let _inside = self.gpu.enter()?;
            Plan::new(&open(&self.handle), pass, &key.1, self.precision)?.map(Arc::new)
        };
        self.planned.fetch_add(1, Ordering::Relaxed);
        Ok(open(&self.plans).entry(key).or_insert(made).clone())
    }

    /// Starts a pass; false where nothing was done, because no algorithm is left that cuDNN supports and that there is memory for.
    ///
    /// # Safety
    /// The operands must have the room that the plan's form says, and the result no other user outside the stream's order.
    pub(crate) unsafe fn run(&self, cx: &Context, plan: &Plan, operands: &Operands) -> Result<bool> {
        while let Some(way) = plan.way() {
            // Given back when the call was made: whoever gets it next comes later in the stream's order.
            let workspace = match way.bytes {
                0 => None,
                bytes => match cx.take(bytes, DType::U8) {
                    Ok(workspace) => Some(workspace),
                    Err(Error::OutOfMemory { .. }) => {
                        plan.give_up(way);
                        continue;
                    }
                    Err(error) => return Err(error),
                },
            };
            let at = workspace.as_ref().map_or(0, |workspace| workspace.address());
            let _inside = self.gpu.enter()?;
            let handle = open(&self.handle);
            let room: *mut c_void = std::ptr::with_exposed_provenance_mut(at as usize);
            // SAFETY: the caller's promise; the workspace has the bytes that cuDNN asked for.
            if unsafe { plan.start(&handle, way, operands, room)? } {
                return Ok(true);
            }
            plan.give_up(way);
        }
        Ok(false)
    }
}

impl Drop for Cudnn {
    fn drop(&mut self) {
        self.plans.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        let handle = self.handle.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Ok(_inside) = self.gpu.enter() {
            // SAFETY: the handle was made by cudnnCreate and this is its only owner; errors at the end have nobody to go to.
            let _ = unsafe { dnn::cudnnDestroy(handle.0) };
        }
    }
}
