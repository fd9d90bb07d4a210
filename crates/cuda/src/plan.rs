//! A convolution as cuDNN is told of it: descriptors, and the algorithms that will do.

use crate::cudnn::{Handle, Operands, check, supported};
use crate::form::{Form, channels_last};
use cudarc::cudnn::sys::{
    self as dnn, cudnnConvolutionBwdDataAlgo_t as InputAlgorithm, cudnnConvolutionBwdFilterAlgo_t as KernelAlgorithm,
    cudnnConvolutionDescriptor_t, cudnnConvolutionFwdAlgo_t as ForwardAlgorithm, cudnnConvolutionMode_t,
    cudnnDataType_t, cudnnFilterDescriptor_t, cudnnMathType_t as Math, cudnnTensorDescriptor_t, cudnnTensorFormat_t,
};
use std::ffi::{c_int, c_void};
use std::sync::{Mutex, PoisonError};
use striate_tensor::{Precision, Result};

/// An algorithm that wants more room than this is passed over: activations need the memory more.
const MOST_WORKSPACE: usize = 512 << 20;
/// Algorithms that cuDNN is asked for at most, with and without tensor cores each.
const ALGORITHMS: usize = 16;

/// Which of a convolution's three products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Pass {
    Forward,
    /// The gradient of the input.
    Input,
    /// The gradient of the kernel.
    Kernel,
}

/// An algorithm, by its number among those of its pass; how it computes, and the room it needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Way {
    algorithm: u32,
    math: Math,
    pub(crate) bytes: usize,
}

/// What cuDNN says of an algorithm: the twin of its three structs, with numbers where a newer version may know more names.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Found {
    algorithm: u32,
    status: u32,
    time: f32,
    memory: usize,
    determinism: u32,
    math: u32,
    reserved: [c_int; 3],
}

const _: () = assert!(
    size_of::<Found>() == size_of::<dnn::cudnnConvolutionFwdAlgoPerf_t>()
        && size_of::<Found>() == size_of::<dnn::cudnnConvolutionBwdDataAlgoPerf_t>()
        && size_of::<Found>() == size_of::<dnn::cudnnConvolutionBwdFilterAlgoPerf_t>()
);

/// How the factors may be rounded: TF32 is what cuDNN's default mode allows, and FMA excludes it. ALLOW_CONVERSION would make them 16-bit.
fn wanted(precision: Precision) -> Math {
    match precision {
        Precision::Tf32 => Math::CUDNN_DEFAULT_MATH,
        _ => Math::CUDNN_FMA_MATH,
    }
}

/// The mode of a way that cuDNN offers, where it keeps the precision.
fn allowed(math: u32, precision: Precision) -> Option<Math> {
    match precision {
        _ if math == Math::CUDNN_FMA_MATH as u32 => Some(Math::CUDNN_FMA_MATH),
        Precision::Tf32 if math == Math::CUDNN_DEFAULT_MATH as u32 => Some(Math::CUDNN_DEFAULT_MATH),
        Precision::Tf32 if math == Math::CUDNN_TENSOR_OP_MATH as u32 => Some(Math::CUDNN_TENSOR_OP_MATH),
        _ => None,
    }
}

fn forward_algorithm(number: u32) -> Option<ForwardAlgorithm> {
    use ForwardAlgorithm::*;
    let all = [
        CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM,
        CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM,
        CUDNN_CONVOLUTION_FWD_ALGO_GEMM,
        CUDNN_CONVOLUTION_FWD_ALGO_DIRECT,
        CUDNN_CONVOLUTION_FWD_ALGO_FFT,
        CUDNN_CONVOLUTION_FWD_ALGO_FFT_TILING,
        CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD,
        CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD_NONFUSED,
    ];
    all.into_iter().find(|&algorithm| algorithm as u32 == number)
}

fn input_algorithm(number: u32) -> Option<InputAlgorithm> {
    use InputAlgorithm::*;
    let all = [
        CUDNN_CONVOLUTION_BWD_DATA_ALGO_0,
        CUDNN_CONVOLUTION_BWD_DATA_ALGO_1,
        CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT,
        CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT_TILING,
        CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD,
        CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD_NONFUSED,
    ];
    all.into_iter().find(|&algorithm| algorithm as u32 == number)
}

fn kernel_algorithm(number: u32) -> Option<KernelAlgorithm> {
    use KernelAlgorithm::*;
    let all = [
        CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0,
        CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1,
        CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT,
        CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3,
        CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD,
        CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD_NONFUSED,
        CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT_TILING,
    ];
    all.into_iter().find(|&algorithm| algorithm as u32 == number)
}

/// cuDNN's descriptors of one convolution; they are host memory, freed at the end.
#[derive(Debug)]
struct Descriptors {
    x: cudnnTensorDescriptor_t,
    kernel: cudnnFilterDescriptor_t,
    y: cudnnTensorDescriptor_t,
    how: cudnnConvolutionDescriptor_t,
}

// SAFETY: descriptors may move between threads; after they are made they are used and changed by one thread at a time, which has the handle.
unsafe impl Send for Descriptors {}
// SAFETY: as above.
unsafe impl Sync for Descriptors {}

impl Descriptors {
    fn new(form: &Form) -> Result<Descriptors> {
        use std::ptr::null_mut;
        // Whatever is made before an error is freed with it.
        let mut made = Descriptors { x: null_mut(), kernel: null_mut(), y: null_mut(), how: null_mut() };
        let float = cudnnDataType_t::CUDNN_DATA_FLOAT;
        let (x, y) = (channels_last(&form.x), channels_last(&form.y));
        let (rank, axes) = (form.x.len() as c_int, form.pad.len() as c_int);
        // SAFETY: cuDNN writes new descriptors, and reads as many numbers as it is told there are.
        unsafe {
            check("cudnnCreateTensorDescriptor", dnn::cudnnCreateTensorDescriptor(&mut made.x))?;
            check("cudnnCreateTensorDescriptor", dnn::cudnnCreateTensorDescriptor(&mut made.y))?;
            check("cudnnCreateFilterDescriptor", dnn::cudnnCreateFilterDescriptor(&mut made.kernel))?;
            check("cudnnCreateConvolutionDescriptor", dnn::cudnnCreateConvolutionDescriptor(&mut made.how))?;
            for (tensor, sizes, strides) in [(made.x, &form.x, &x), (made.y, &form.y, &y)] {
                let status = dnn::cudnnSetTensorNdDescriptor(tensor, float, rank, sizes.as_ptr(), strides.as_ptr());
                check("cudnnSetTensorNdDescriptor", status)?;
            }
            let last = cudnnTensorFormat_t::CUDNN_TENSOR_NHWC;
            let status = dnn::cudnnSetFilterNdDescriptor(made.kernel, float, last, rank, form.kernel.as_ptr());
            check("cudnnSetFilterNdDescriptor", status)?;
            // Deep learning's convolution does not mirror the kernel.
            let mode = cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
            let (pad, stride, dilation) = (form.pad.as_ptr(), form.stride.as_ptr(), form.dilation.as_ptr());
            let status = dnn::cudnnSetConvolutionNdDescriptor(made.how, axes, pad, stride, dilation, mode, float);
            check("cudnnSetConvolutionNdDescriptor", status)?;
            let status = dnn::cudnnSetConvolutionGroupCount(made.how, form.groups);
            check("cudnnSetConvolutionGroupCount", status)?;
        }
        Ok(made)
    }

    fn set_math(&self, math: Math) -> Result<()> {
        // SAFETY: the descriptor was made by cuDNN; the caller has the handle.
        check("cudnnSetConvolutionMathType", unsafe { dnn::cudnnSetConvolutionMathType(self.how, math) })
    }
}

impl Drop for Descriptors {
    fn drop(&mut self) {
        // SAFETY: each was made by cuDNN or is null, and this is its only owner; errors at the end have nobody to go to.
        unsafe {
            for tensor in [self.x, self.y] {
                if !tensor.is_null() {
                    let _ = dnn::cudnnDestroyTensorDescriptor(tensor);
                }
            }
            if !self.kernel.is_null() {
                let _ = dnn::cudnnDestroyFilterDescriptor(self.kernel);
            }
            if !self.how.is_null() {
                let _ = dnn::cudnnDestroyConvolutionDescriptor(self.how);
            }
        }
    }
}

/// One pass of one form of convolution, ready to start.
#[derive(Debug)]
pub(crate) struct Plan {
    pass: Pass,
    descriptors: Descriptors,
    /// What will do, the best first. What failed once is not tried again, so that a recording does what its rehearsal did.
    ways: Mutex<Vec<Way>>,
}

impl Plan {
    /// None where cuDNN has nothing that keeps the precision, gives the same bits each time and makes do with the room.
    pub(crate) fn new(handle: &Handle, pass: Pass, form: &Form, precision: Precision) -> Result<Option<Plan>> {
        let plan = Plan { pass, descriptors: Descriptors::new(form)?, ways: Mutex::default() };
        plan.descriptors.set_math(wanted(precision))?;
        let mut ways = Vec::new();
        for found in plan.found(handle)? {
            let is_repeatable = found.determinism == dnn::cudnnDeterminism_t::CUDNN_DETERMINISTIC as u32;
            let Some(math) = allowed(found.math, precision).filter(|_| found.status == 0 && is_repeatable) else {
                continue;
            };
            plan.descriptors.set_math(math)?;
            let Some(bytes) = plan.room(handle, found.algorithm)? else { continue };
            if bytes <= MOST_WORKSPACE {
                ways.push(Way { algorithm: found.algorithm, math, bytes });
            }
        }
        let has_none = ways.is_empty();
        *plan.ways.lock().unwrap_or_else(PoisonError::into_inner) = ways;
        Ok(if has_none { None } else { Some(plan) })
    }

    /// What cuDNN offers, the fastest first as far as it can tell.
    fn found(&self, handle: &Handle) -> Result<Vec<Found>> {
        let mut all = [Found::default(); ALGORITHMS];
        let (mut count, most) = (0, ALGORITHMS as c_int);
        let (handle, Descriptors { x, kernel, y, how }) = (handle.raw(), &self.descriptors);
        // SAFETY: cuDNN writes at most as many structs as it is told of, whose twin is Found; the descriptors are alive.
        let is_supported = unsafe {
            match self.pass {
                Pass::Forward => {
                    let to = all.as_mut_ptr().cast();
                    let status = dnn::cudnnGetConvolutionForwardAlgorithm_v7(
                        handle, *x, *kernel, *how, *y, most, &mut count, to,
                    );
                    supported("cudnnGetConvolutionForwardAlgorithm", status)?
                }
                Pass::Input => {
                    let to = all.as_mut_ptr().cast();
                    let status = dnn::cudnnGetConvolutionBackwardDataAlgorithm_v7(
                        handle, *kernel, *y, *how, *x, most, &mut count, to,
                    );
                    supported("cudnnGetConvolutionBackwardDataAlgorithm", status)?
                }
                Pass::Kernel => {
                    let to = all.as_mut_ptr().cast();
                    let status = dnn::cudnnGetConvolutionBackwardFilterAlgorithm_v7(
                        handle, *x, *y, *how, *kernel, most, &mut count, to,
                    );
                    supported("cudnnGetConvolutionBackwardFilterAlgorithm", status)?
                }
            }
        };
        let count = if is_supported { (count.max(0) as usize).min(ALGORITHMS) } else { 0 };
        Ok(all[..count].to_vec())
    }

    /// Bytes that an algorithm works in; none where it is not supported or not known.
    fn room(&self, handle: &Handle, algorithm: u32) -> Result<Option<usize>> {
        let mut bytes = 0;
        let (handle, Descriptors { x, kernel, y, how }) = (handle.raw(), &self.descriptors);
        // SAFETY: cuDNN writes a size; the descriptors are alive.
        let status = unsafe {
            match self.pass {
                Pass::Forward => forward_algorithm(algorithm).map(|algorithm| {
                    dnn::cudnnGetConvolutionForwardWorkspaceSize(handle, *x, *kernel, *how, *y, algorithm, &mut bytes)
                }),
                Pass::Input => input_algorithm(algorithm).map(|algorithm| {
                    dnn::cudnnGetConvolutionBackwardDataWorkspaceSize(
                        handle, *kernel, *y, *how, *x, algorithm, &mut bytes,
                    )
                }),
                Pass::Kernel => kernel_algorithm(algorithm).map(|algorithm| {
                    dnn::cudnnGetConvolutionBackwardFilterWorkspaceSize(
                        handle, *x, *y, *how, *kernel, algorithm, &mut bytes,
                    )
                }),
            }
        };
        let Some(status) = status else { return Ok(None) };
        Ok(supported("cudnnGetConvolutionWorkspaceSize", status)?.then_some(bytes))
    }

    /// The best way that is left.
    pub(crate) fn way(&self) -> Option<Way> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner).first().copied()
    }

    /// Leaves a way out from here on.
    pub(crate) fn give_up(&self, way: Way) {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| *other != way);
    }

    /// Starts the pass; false where cuDNN says that it does not support it after all, and nothing was done.
    ///
    /// # Safety
    /// The operands must have the room that the form says and the workspace that of the way; the result must have no other user outside
    /// the stream's order.
    pub(crate) unsafe fn start(
        &self,
        handle: &Handle,
        way: Way,
        operands: &Operands,
        workspace: *mut c_void,
    ) -> Result<bool> {
        self.descriptors.set_math(way.math)?;
        let at = |address: u64| std::ptr::with_exposed_provenance_mut::<c_void>(address as usize);
        let [of_x, of_kernel, of_y] = [operands.x, operands.kernel, operands.y].map(at);
        let (one, zero) = (1f32, 0f32);
        let (one, zero) = ((&raw const one).cast::<c_void>(), (&raw const zero).cast::<c_void>());
        let (handle, Descriptors { x, kernel, y, how }) = (handle.raw(), &self.descriptors);
        let (number, bytes) = (way.algorithm, way.bytes);
        // SAFETY: the caller's promise; the factors are read before the calls return.
        let status = unsafe {
            match self.pass {
                Pass::Forward => forward_algorithm(number).map(|algorithm| {
                    dnn::cudnnConvolutionForward(
                        handle, one, *x, of_x, *kernel, of_kernel, *how, algorithm, workspace, bytes, zero, *y, of_y,
                    )
                }),
                Pass::Input => input_algorithm(number).map(|algorithm| {
                    dnn::cudnnConvolutionBackwardData(
                        handle, one, *kernel, of_kernel, *y, of_y, *how, algorithm, workspace, bytes, zero, *x, of_x,
                    )
                }),
                Pass::Kernel => kernel_algorithm(number).map(|algorithm| {
                    dnn::cudnnConvolutionBackwardFilter(
                        handle, one, *x, of_x, *y, of_y, *how, algorithm, workspace, bytes, zero, *kernel, of_kernel,
                    )
                }),
            }
        };
        let Some(status) = status else { return Ok(false) };
        supported("cudnnConvolution", status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_precision_that_was_asked_for_will_do() {
        let half = Math::CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION as u32;
        assert_eq!(allowed(half, Precision::Tf32), None);
        assert_eq!(allowed(Math::CUDNN_DEFAULT_MATH as u32, Precision::F32), None);
        assert_eq!(allowed(Math::CUDNN_FMA_MATH as u32, Precision::F32), Some(Math::CUDNN_FMA_MATH));
        assert_eq!(allowed(99, Precision::Tf32), None);
    }
}
