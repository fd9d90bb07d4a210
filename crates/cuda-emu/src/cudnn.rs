//! cuDNN's convolutions, played: the functions that the back end calls.

use crate::convolution::{Convolution, Form, Operands, Pass};
use crate::descriptors::{create, destroy, form, refuse};
use crate::export;
use crate::settings::settings;
use crate::state::{Range, Refusal, Work, state};
use cudarc::cudnn::sys::{
    self as real, cudaStream_t, cudnnConvolutionBwdDataAlgo_t as InputAlgorithm,
    cudnnConvolutionBwdDataAlgoPerf_t as InputPerf, cudnnConvolutionBwdFilterAlgo_t as KernelAlgorithm,
    cudnnConvolutionBwdFilterAlgoPerf_t as KernelPerf, cudnnConvolutionDescriptor_t,
    cudnnConvolutionFwdAlgo_t as ForwardAlgorithm, cudnnConvolutionFwdAlgoPerf_t as ForwardPerf,
    cudnnDeterminism_t as Determinism, cudnnFilterDescriptor_t, cudnnHandle_t, cudnnMathType_t as Math,
    cudnnStatus_t as Status, cudnnTensorDescriptor_t,
};
use std::ffi::{c_char, c_int, c_void};

struct Handle {
    stream: u64,
}

/// An algorithm as it is offered: there are as many traps as there are mistakes to make.
struct Offer {
    number: u32,
    status: Status,
    determinism: Determinism,
    math: Math,
    bytes: usize,
}

/// What is offered for a form: first what gives other bits each time, then what is not supported, what rounds to 16 bits, what needs more
/// memory than anybody has, and at last two that will do, with and without a workspace.
fn offers(pass: Pass, form: &Form, math: Math) -> Vec<Offer> {
    let supported = Status::CUDNN_STATUS_SUCCESS;
    let conversion = Math::CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION;
    let (changing, same) = (Determinism::CUDNN_NON_DETERMINISTIC, Determinism::CUDNN_DETERMINISTIC);
    let numbers = match pass {
        // As with the real one, whose gradients have the changing algorithm as number 0.
        Pass::Forward => [2, 6, 4, 5, 1, 0],
        Pass::Input | Pass::Kernel => [0, 4, 2, 3, 1, 5],
    };
    let wanted = 256 + 4 * form.kernel_elements();
    let of =
        |i: usize, status, determinism, math, bytes| Offer { number: numbers[i], status, determinism, math, bytes };
    vec![
        of(0, supported, changing, math, 0),
        of(1, Status::CUDNN_STATUS_NOT_SUPPORTED, same, math, 0),
        of(2, supported, same, conversion, 0),
        of(3, supported, same, math, 1 << 40),
        of(4, supported, same, math, wanted),
        of(5, supported, same, math, 0),
    ]
}

/// # Safety
/// The handle must be one of this library's, and not destroyed.
unsafe fn handle<'a>(handle: cudnnHandle_t) -> Option<&'a mut Handle> {
    // SAFETY: the caller's promise.
    unsafe { handle.cast::<Handle>().as_mut() }
}

/// Writes as many offers as there is room for.
///
/// # Safety
/// `returned` must point to a number, `to` to room for `most` structs; `write` must write one.
unsafe fn list<P>(
    pass: Pass,
    form: Result<(Form, Math), Status>,
    most: c_int,
    returned: *mut c_int,
    to: *mut P,
    write: impl Fn(&Offer) -> Option<P>,
) -> Status {
    let (form, math) = match form {
        Ok(form) => form,
        Err(status) => return status,
    };
    let all = offers(pass, &form, math);
    let count = all.len().min(most.max(0) as usize);
    for (i, offer) in all.iter().take(count).enumerate() {
        let Some(perf) = write(offer) else { return Status::CUDNN_STATUS_INTERNAL_ERROR };
        // SAFETY: the caller's promise.
        unsafe { to.add(i).write(perf) };
    }
    // SAFETY: the caller's promise.
    unsafe { *returned = count as c_int };
    Status::CUDNN_STATUS_SUCCESS
}

/// The room that an algorithm needs in the mode that is set.
fn room(pass: Pass, form: Result<(Form, Math), Status>, number: u32) -> Result<usize, Status> {
    let (form, math) = form?;
    let all = offers(pass, &form, math);
    let offer = all.iter().find(|offer| offer.number == number);
    match offer {
        Some(offer) if offer.status == Status::CUDNN_STATUS_SUCCESS && offer.math == math => Ok(offer.bytes),
        _ => Err(Status::CUDNN_STATUS_NOT_SUPPORTED),
    }
}

/// # Safety
/// `bytes` must point to a number.
unsafe fn give_room(room: Result<usize, Status>, bytes: *mut usize) -> Status {
    match room {
        Ok(needed) => {
            // SAFETY: the caller's promise.
            unsafe { *bytes = needed };
            Status::CUDNN_STATUS_SUCCESS
        }
        Err(status) => status,
    }
}

/// Numbers of one call: where the tensors are, and the workspace.
struct Call {
    operands: Operands,
    workspace: *mut c_void,
    bytes: usize,
}

/// # Safety
/// `alpha` and `beta` must point to numbers.
unsafe fn convolve(
    handle: Option<&mut Handle>,
    pass: Pass,
    form: Result<(Form, Math), Status>,
    number: u32,
    call: Call,
    [alpha, beta]: [*const c_void; 2],
) -> Status {
    let Some(handle) = handle else { return Status::CUDNN_STATUS_NOT_INITIALIZED };
    // SAFETY: the caller's promise.
    if unsafe { (*alpha.cast::<f32>(), *beta.cast::<f32>()) } != (1.0, 0.0) {
        return refuse("only alpha 1 and beta 0 are played");
    }
    let needed =
        match room(pass, form.as_ref().map(|(form, math)| (form.clone(), *math)).map_err(|&status| status), number) {
            Ok(needed) => needed,
            Err(status) => return status,
        };
    let Ok((form, math)) = form else { return Status::CUDNN_STATUS_INTERNAL_ERROR };
    let workspace = Range { address: call.workspace as u64, bytes: needed };
    if needed > 0 && (call.bytes < needed || !workspace.address.is_multiple_of(256) || !state().holds(workspace)) {
        refuse(&format!("the workspace has {} bytes, or lies nowhere, where {needed} are needed", call.bytes));
        return Status::CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT;
    }
    if call.operands.all().iter().any(|address| !address.is_multiple_of(16)) {
        refuse("a tensor does not begin at a multiple of 16 bytes");
        return Status::CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER;
    }
    // Tensor cores multiply TF32 where they have it and the mode allows it.
    let tf32 = math != Math::CUDNN_FMA_MATH && settings().arch >= 80;
    let is_changing = offers(pass, &form, math).first().is_some_and(|offer| offer.number == number);
    let workspace = (needed > 0).then_some(workspace);
    let work = Convolution { pass, form, operands: call.operands, workspace, tf32, is_changing };
    let (reads, writes) = (work.reads(), work.writes());
    let clash = |a: &Range| reads.iter().any(|b| a.overlaps(*b));
    if writes.iter().any(clash) || writes.len() == 2 && writes[0].overlaps(writes[1]) {
        return refuse("a result lies over an operand or the workspace");
    }
    match state().give(handle.stream, Work::Convolution(Box::new(work))) {
        Ok(()) => Status::CUDNN_STATUS_SUCCESS,
        Err(Refusal::Invalid) => refuse("a tensor reaches beyond its allocation"),
        Err(_) => Status::CUDNN_STATUS_EXECUTION_FAILED,
    }
}

macro_rules! perf {
    ($perf:ident, $algorithm:ident, [$($name:ident),*]) => {
        |offer: &Offer| Some($perf {
            algo: [$($algorithm::$name),*].into_iter().find(|&algorithm| algorithm as u32 == offer.number)?,
            status: offer.status,
            time: -1.0,
            memory: offer.bytes,
            determinism: offer.determinism,
            mathType: offer.math,
            reserved: [0; 3],
        })
    };
}

export! {
    fn cudnnCreate(made: *mut cudnnHandle_t) -> Status {
        if state().outside_capture("a handle is made").is_err() {
            return Status::CUDNN_STATUS_INTERNAL_ERROR;
        }
        create(made, Handle { stream: 0 })
    }

    fn cudnnDestroy(gone: cudnnHandle_t) -> Status { destroy::<Handle, _>(gone) }

    fn cudnnSetStream(of: cudnnHandle_t, stream: cudaStream_t) -> Status {
        let Some(handle) = handle(of) else { return Status::CUDNN_STATUS_NOT_INITIALIZED };
        handle.stream = stream as u64;
        Status::CUDNN_STATUS_SUCCESS
    }

    fn cudnnGetConvolutionForwardAlgorithm_v7(
        of: cudnnHandle_t,
        x: cudnnTensorDescriptor_t,
        kernel: cudnnFilterDescriptor_t,
        how: cudnnConvolutionDescriptor_t,
        y: cudnnTensorDescriptor_t,
        most: c_int,
        returned: *mut c_int,
        to: *mut ForwardPerf,
    ) -> Status {
        let Some(_) = handle(of) else { return Status::CUDNN_STATUS_NOT_INITIALIZED };
        let write = perf!(ForwardPerf, ForwardAlgorithm, [
            CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM,
            CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM,
            CUDNN_CONVOLUTION_FWD_ALGO_GEMM,
            CUDNN_CONVOLUTION_FWD_ALGO_FFT,
            CUDNN_CONVOLUTION_FWD_ALGO_FFT_TILING,
            CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD
        ]);
        list(Pass::Forward, form(x, kernel, how, y), most, returned, to, write)
    }

    fn cudnnGetConvolutionBackwardDataAlgorithm_v7(
        of: cudnnHandle_t,
        kernel: cudnnFilterDescriptor_t,
        y: cudnnTensorDescriptor_t,
        how: cudnnConvolutionDescriptor_t,
        x: cudnnTensorDescriptor_t,
        most: c_int,
        returned: *mut c_int,
        to: *mut InputPerf,
    ) -> Status {
        let Some(_) = handle(of) else { return Status::CUDNN_STATUS_NOT_INITIALIZED };
        let write = perf!(InputPerf, InputAlgorithm, [
            CUDNN_CONVOLUTION_BWD_DATA_ALGO_0,
            CUDNN_CONVOLUTION_BWD_DATA_ALGO_1,
            CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT,
            CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT_TILING,
            CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD,
            CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD_NONFUSED
        ]);
        list(Pass::Input, form(x, kernel, how, y), most, returned, to, write)
    }

    fn cudnnGetConvolutionBackwardFilterAlgorithm_v7(
        of: cudnnHandle_t,
        x: cudnnTensorDescriptor_t,
        y: cudnnTensorDescriptor_t,
        how: cudnnConvolutionDescriptor_t,
        kernel: cudnnFilterDescriptor_t,
        most: c_int,
        returned: *mut c_int,
        to: *mut KernelPerf,
    ) -> Status {
        let Some(_) = handle(of) else { return Status::CUDNN_STATUS_NOT_INITIALIZED };
        let write = perf!(KernelPerf, KernelAlgorithm, [
            CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0,
            CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1,
            CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT,
            CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3,
            CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD,
            CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD_NONFUSED
        ]);
        list(Pass::Kernel, form(x, kernel, how, y), most, returned, to, write)
    }

    fn cudnnGetConvolutionForwardWorkspaceSize(
        of: cudnnHandle_t,
        x: cudnnTensorDescriptor_t,
        kernel: cudnnFilterDescriptor_t,
        how: cudnnConvolutionDescriptor_t,
        y: cudnnTensorDescriptor_t,
        algorithm: ForwardAlgorithm,
        bytes: *mut usize,
    ) -> Status {
        let Some(_) = handle(of) else { return Status::CUDNN_STATUS_NOT_INITIALIZED };
        give_room(room(Pass::Forward, form(x, kernel, how, y), algorithm as u32), bytes)
    }

    fn cudnnGetConvolutionBackwardDataWorkspaceSize(
        of: cudnnHandle_t,
        kernel: cudnnFilterDescriptor_t,
        y: cudnnTensorDescriptor_t,
        how: cudnnConvolutionDescriptor_t,
        x: cudnnTensorDescriptor_t,
        algorithm: InputAlgorithm,
        bytes: *mut usize,
    ) -> Status {
        let Some(_) = handle(of) else { return Status::CUDNN_STATUS_NOT_INITIALIZED };
        give_room(room(Pass::Input, form(x, kernel, how, y), algorithm as u32), bytes)
    }

    fn cudnnGetConvolutionBackwardFilterWorkspaceSize(
        of: cudnnHandle_t,
        x: cudnnTensorDescriptor_t,
        y: cudnnTensorDescriptor_t,
        how: cudnnConvolutionDescriptor_t,
        kernel: cudnnFilterDescriptor_t,
        algorithm: KernelAlgorithm,
        bytes: *mut usize,
    ) -> Status {
        let Some(_) = handle(of) else { return Status::CUDNN_STATUS_NOT_INITIALIZED };
        give_room(room(Pass::Kernel, form(x, kernel, how, y), algorithm as u32), bytes)
    }

    fn cudnnConvolutionForward(
        of: cudnnHandle_t,
        alpha: *const c_void,
        x: cudnnTensorDescriptor_t,
        x_at: *const c_void,
        kernel: cudnnFilterDescriptor_t,
        kernel_at: *const c_void,
        how: cudnnConvolutionDescriptor_t,
        algorithm: ForwardAlgorithm,
        workspace: *mut c_void,
        bytes: usize,
        beta: *const c_void,
        y: cudnnTensorDescriptor_t,
        y_at: *mut c_void,
    ) -> Status {
        let operands = Operands { x: x_at as u64, kernel: kernel_at as u64, y: y_at as u64 };
        let call = Call { operands, workspace, bytes };
        convolve(handle(of), Pass::Forward, form(x, kernel, how, y), algorithm as u32, call, [alpha, beta])
    }

    fn cudnnConvolutionBackwardData(
        of: cudnnHandle_t,
        alpha: *const c_void,
        kernel: cudnnFilterDescriptor_t,
        kernel_at: *const c_void,
        y: cudnnTensorDescriptor_t,
        y_at: *const c_void,
        how: cudnnConvolutionDescriptor_t,
        algorithm: InputAlgorithm,
        workspace: *mut c_void,
        bytes: usize,
        beta: *const c_void,
        x: cudnnTensorDescriptor_t,
        x_at: *mut c_void,
    ) -> Status {
        let operands = Operands { x: x_at as u64, kernel: kernel_at as u64, y: y_at as u64 };
        let call = Call { operands, workspace, bytes };
        convolve(handle(of), Pass::Input, form(x, kernel, how, y), algorithm as u32, call, [alpha, beta])
    }

    fn cudnnConvolutionBackwardFilter(
        of: cudnnHandle_t,
        alpha: *const c_void,
        x: cudnnTensorDescriptor_t,
        x_at: *const c_void,
        y: cudnnTensorDescriptor_t,
        y_at: *const c_void,
        how: cudnnConvolutionDescriptor_t,
        algorithm: KernelAlgorithm,
        workspace: *mut c_void,
        bytes: usize,
        beta: *const c_void,
        kernel: cudnnFilterDescriptor_t,
        kernel_at: *mut c_void,
    ) -> Status {
        let operands = Operands { x: x_at as u64, kernel: kernel_at as u64, y: y_at as u64 };
        let call = Call { operands, workspace, bytes };
        convolve(handle(of), Pass::Kernel, form(x, kernel, how, y), algorithm as u32, call, [alpha, beta])
    }

    fn cudnnGetErrorString(status: Status) -> *const c_char {
        let text = match status {
            Status::CUDNN_STATUS_SUCCESS => c"CUDNN_STATUS_SUCCESS",
            Status::CUDNN_STATUS_NOT_INITIALIZED => c"CUDNN_STATUS_NOT_INITIALIZED",
            Status::CUDNN_STATUS_BAD_PARAM => c"CUDNN_STATUS_BAD_PARAM",
            Status::CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT => c"CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT",
            Status::CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER => c"CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER",
            Status::CUDNN_STATUS_NOT_SUPPORTED => c"CUDNN_STATUS_NOT_SUPPORTED",
            Status::CUDNN_STATUS_EXECUTION_FAILED => c"CUDNN_STATUS_EXECUTION_FAILED",
            _ => c"CUDNN_STATUS",
        };
        text.as_ptr()
    }

    fn cudnnGetLastErrorString(message: *mut c_char, most: usize) -> () {
        // What went wrong was said on standard error.
        if most > 0 {
            *message = 0;
        }
    }
}
