//! What the emulator must catch, and what it must compute: a check that cannot fail is none.

use crate::compiler::{compile, kernels};
use crate::module::Module;
use crate::state::{Refusal, State, Work, state};
use cudarc::cublas::sys::{cublasMath_t, cublasOperation_t, cublasStatus_t};
use cudarc::cudnn::sys::{
    cudnnConvolutionFwdAlgo_t, cudnnConvolutionFwdAlgoPerf_t, cudnnConvolutionMode_t, cudnnDataType_t,
    cudnnDeterminism_t, cudnnMathType_t, cudnnStatus_t, cudnnTensorFormat_t,
};
use std::ptr::null_mut;
use std::sync::Mutex;

/// Tests change the one state of the process, so they take turns.
static TURN: Mutex<()> = Mutex::new(());

#[repr(C)]
#[derive(Clone, Copy)]
struct Argument {
    x: u64,
    n: u64,
}

const HEAD: &str = "struct A { float* x; unsigned long long n; };\n";

/// Runs a kernel `k` of one block of 64 threads on 64 floats; what they hold then, or what went wrong. None where there is no compiler.
fn run(body: &str, order: u32) -> Option<Result<Vec<f32>, String>> {
    if std::process::Command::new("g++").arg("--version").output().is_err() {
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), "skipped: the emulator needs g++, which is not installed");
        return None;
    }
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let image = match compile("test.cu", &format!("{HEAD}extern \"C\" __global__ void k(A a) {{ {body} }}")) {
        Ok(image) => image,
        Err(said) => return Some(Err(said)),
    };
    let kernel = Module::load(&image).unwrap().kernel("k").unwrap();
    assert_eq!(kernel.size(), size_of::<Argument>());
    let mut state = state();
    let x = state.allocate(256).unwrap();
    let result = match kernel.run([1, 1, 1], [64, 1, 1], &[x, 64], order) {
        Err(problem) => Err(problem),
        Ok(()) => {
            // Once more through the state, which looks for writes beside the allocation.
            let work = Work::Launch { kernel, grid: [1, 1, 1], block: [64, 1, 1], arguments: vec![x, 64] };
            match state.give(0, work).and_then(|()| state.finish(0)) {
                Err(Refusal::Failed) => Err(state.failed.take().unwrap()),
                other => {
                    other.unwrap();
                    let mut values = vec![0f32; 64];
                    // SAFETY: 64 floats have 256 bytes.
                    unsafe { state.read(0, values.as_mut_ptr().cast(), x, 256).unwrap() };
                    Ok(values)
                }
            }
        }
    };
    state.free(x).unwrap();
    Some(result)
}

fn complaint(body: &str) -> Option<String> {
    run(body, 0).map(|result| result.expect_err("must be caught"))
}

#[test]
fn threads_meet_at_barriers_in_any_order() {
    let turn_around = "__shared__ float s[64]; s[threadIdx.x] = threadIdx.x; __syncthreads(); a.x[threadIdx.x] = s[63 - threadIdx.x];";
    for order in [0, 1, 7] {
        let Some(result) = run(turn_around, order) else { return };
        assert_eq!(result.unwrap(), (0..64).rev().map(|i| i as f32).collect::<Vec<_>>());
    }
}

#[test]
fn lanes_exchange() {
    let sum = "float v = threadIdx.x; for (int o = 16; o > 0; o /= 2) v += __shfl_xor_sync(0xffffffffu, v, o); a.x[threadIdx.x] = v;";
    for order in [0, 1, 7] {
        let Some(result) = run(sum, order) else { return };
        let values = result.unwrap();
        assert!(values[..32].iter().all(|&v| v == 496.0) && values[32..].iter().all(|&v| v == 1520.0), "{values:?}");
    }
}

#[test]
fn a_missing_barrier_shows_in_some_order() {
    let racy = "__shared__ float s[64]; s[threadIdx.x] = 1.0f; a.x[threadIdx.x] = s[63 - threadIdx.x];";
    let Some(result) = run(racy, 0) else { return };
    assert!(result.unwrap().iter().any(|v| v.is_nan()));
}

#[test]
fn new_memory_is_no_number() {
    let Some(result) = run("if (threadIdx.x == 0) a.x[0] = 1.0f;", 0) else { return };
    let values = result.unwrap();
    assert!(values[0] == 1.0 && values[1..].iter().all(|v| v.is_nan()));
}

#[test]
fn a_write_beside_an_allocation_names_the_kernel() {
    let Some(said) = complaint("a.x[threadIdx.x + 1] = 0.0f;") else { return };
    assert_eq!(said, "k wrote 0 bytes after the end of an allocation of 256 bytes");
    let Some(said) = complaint("if (threadIdx.x == 3) a.x[-1] = 0.0f;") else { return };
    assert_eq!(said, "k wrote before the start of an allocation of 256 bytes");
}

#[test]
fn barriers_that_threads_miss_are_caught() {
    let Some(said) = complaint("if (threadIdx.x < 32) __syncthreads();") else { return };
    assert!(said.contains("which thread 63 never reached"), "{said}");
    let Some(said) = complaint("if (threadIdx.x < 32) {\n __syncthreads(); } else {\n __syncthreads(); }") else {
        return;
    };
    assert!(said.contains("divergent __syncthreads"), "{said}");
}

#[test]
fn masks_that_name_lanes_which_do_not_come_are_caught() {
    let Some(said) =
        complaint("if (threadIdx.x % 32 == 5) return; a.x[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1.0f, 1);")
    else {
        return;
    };
    assert!(said.contains("lane 5"), "{said}");
}

#[test]
fn what_nvrtc_does_not_declare_is_refused() {
    for body in ["a.x[0] = INFINITY;", "uint32_t i = 0;", "printf(\"\");"] {
        let Some(said) = complaint(body) else { return };
        assert!(said.contains("test.cu"), "{said}");
    }
}

#[test]
fn memory_that_was_freed_is_still_watched_where_that_is_asked_for() {
    if std::process::Command::new("g++").arg("--version").output().is_err() {
        return;
    }
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // Through a table, as an optimizer's kernel finds its weights: the parameter itself points to memory that is alive.
    let body = "extern \"C\" __global__ void k(A a) { (*(float**)a.x)[threadIdx.x] = 1.0f; }";
    let kernel = Module::load(&compile("test.cu", &format!("{HEAD}{body}")).unwrap()).unwrap().kernel("k").unwrap();
    let mut state = state();
    state.strict = Some(true);
    let (x, table) = (state.allocate(256).unwrap(), state.allocate(8).unwrap());
    state.give(0, Work::Write { to: table, bytes: x.to_ne_bytes().to_vec() }).unwrap();
    let launch = |to: u64| Work::Launch { kernel, grid: [1, 1, 1], block: [64, 1, 1], arguments: vec![to, 64] };
    let run = |state: &mut State, to: u64| state.give(0, launch(to)).and_then(|()| state.finish(0));
    run(&mut state, table).unwrap();
    state.free(x).unwrap();
    assert_eq!(run(&mut state, table), Err(Refusal::Failed));
    assert_eq!(state.failed.take().unwrap(), "k wrote to memory of 256 bytes that was freed");
    assert_eq!(run(&mut state, x), Err(Refusal::Failed));
    assert_eq!(state.failed.take().unwrap(), "k is given memory that was freed");
    state.free(table).unwrap();
    state.strict = None;
}

#[test]
fn memory_ends_and_is_not_freed_twice() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut state = state();
    assert_eq!(state.allocate(usize::MAX / 4), Err(Refusal::OutOfMemory));
    let x = state.allocate(100).unwrap();
    assert_eq!(state.give(0, Work::Write { to: x + 1, bytes: vec![0; 100] }), Err(Refusal::Invalid));
    assert_eq!(state.free(x), Ok(()));
    assert_eq!(state.free(x), Err(Refusal::Invalid));
}

/// What 64 floats hold after a copy from pinned memory in one stream and a kernel in another, with the work done as late as allowed.
fn two_streams(is_ordered: bool, is_overwritten: bool) -> Option<Result<Vec<f32>, String>> {
    if std::process::Command::new("g++").arg("--version").output().is_err() {
        return None;
    }
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let double = format!("{HEAD}extern \"C\" __global__ void k(A a) {{ a.x[threadIdx.x] *= 2.0f; }}");
    let kernel = Module::load(&compile("test.cu", &double).unwrap()).unwrap().kernel("k").unwrap();
    let mut state = state();
    state.lazy = Some(true);
    let (x, pinned) = (state.allocate(256).unwrap(), state.allocate_pinned(256).unwrap());
    // SAFETY: pinned memory is host memory of 256 bytes.
    let floats = unsafe { std::slice::from_raw_parts_mut(pinned as *mut f32, 64) };
    floats.fill(1.5);
    let (copies, compute, event) = (10, 11, 12);
    state.make_event(event);
    state.give(copies, Work::Pull { to: x, from: pinned, bytes: 256 }).unwrap();
    state.record(event, copies).unwrap();
    if is_overwritten {
        floats.fill(7.0);
    }
    if is_ordered {
        state.wait(compute, event).unwrap();
    }
    let work = Work::Launch { kernel, grid: [1, 1, 1], block: [64, 1, 1], arguments: vec![x, 64] };
    let mut values = vec![0f32; 64];
    // SAFETY: 64 floats have 256 bytes.
    let read =
        state.give(compute, work).and_then(|()| unsafe { state.read(compute, values.as_mut_ptr().cast(), x, 256) });
    let result = match read {
        Ok(()) => Ok(values),
        Err(_) => Err(state.failed.take().unwrap()),
    };
    state.lazy = None;
    state.end_event(event).unwrap();
    state.free(x).unwrap();
    state.free_pinned(pinned).unwrap();
    Some(result)
}

#[test]
fn streams_that_an_event_orders_may_share_memory() {
    let Some(result) = two_streams(true, false) else { return };
    assert_eq!(result.unwrap(), [3.0; 64]);
}

#[test]
fn a_missing_wait_between_streams_is_caught() {
    let Some(result) = two_streams(false, false) else { return };
    let said = result.unwrap_err();
    assert!(said.contains("k may run beside a copy from pinned memory of another stream"), "{said}");
}

#[test]
fn pinned_memory_that_is_written_before_its_copy_shows() {
    let Some(result) = two_streams(true, true) else { return };
    assert_eq!(result.unwrap(), [14.0; 64]);
}

#[test]
fn what_the_host_waited_for_is_done_before_what_it_gives_next() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut state = state();
    let x = state.allocate(8).unwrap();
    let set = |to: u64| Work::Set { to, pattern: vec![1], count: 8 };
    state.give(20, set(x)).unwrap();
    state.finish(20).unwrap();
    state.give(21, set(x)).unwrap();
    assert_eq!(state.give(20, set(x)), Err(Refusal::Failed));
    assert!(state.failed.take().unwrap().contains("a fill may run beside a fill"));
    state.free(x).unwrap();
}

#[test]
fn captured_work_is_done_when_it_is_launched_and_as_often() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut state = state();
    let (x, y) = (state.allocate(8).unwrap(), state.allocate(8).unwrap());
    let set = |to: u64, byte: u8| Work::Set { to, pattern: vec![byte], count: 8 };
    let read = |state: &mut State, from: u64| {
        let mut bytes = [0u8; 8];
        // SAFETY: there is room for 8 bytes.
        unsafe { state.read(30, bytes.as_mut_ptr(), from, 8).unwrap() };
        bytes[0]
    };
    state.give(30, set(x, 1)).unwrap();
    state.begin_capture(30).unwrap();
    state.give(30, Work::Copy { to: y, from: x, bytes: 8 }).unwrap();
    let work = state.end_capture(30).unwrap();
    assert_eq!(read(&mut state, y), 0xff);
    for byte in [3, 4] {
        state.give(30, set(x, byte)).unwrap();
        state.launch(30, &work).unwrap();
        assert_eq!(read(&mut state, y), byte);
    }
    state.free(x).unwrap();
    assert_eq!(state.launch(30, &work), Err(Refusal::Failed));
    assert!(state.failed.take().unwrap().contains("memory that was freed"));
    state.free(y).unwrap();
}

#[test]
fn what_a_capture_must_not_hold_spoils_it() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut state = state();
    let (x, event) = (state.allocate(8).unwrap(), 42);
    state.make_event(event);
    state.record(event, 31).unwrap();
    // SAFETY: there is room for 8 bytes.
    let read: Deed = |state, x| unsafe { state.read(30, [0u8; 8].as_mut_ptr(), x, 8) };
    type Deed = fn(&mut State, u64) -> Result<(), Refusal>;
    let deeds: [(&str, Deed, Refusal); 6] = [
        ("allocating", |state, _| state.allocate(8).map(|_| ()), Refusal::InCapture),
        ("freeing", |state, x| state.free(x), Refusal::InCapture),
        ("waiting on the host", |state, _| state.finish(30), Refusal::InCapture),
        ("reading", read, Refusal::InCapture),
        ("uploading", |state, x| state.give(30, Work::Write { to: x, bytes: vec![0; 8] }), Refusal::InCapture),
        ("waiting for an event from outside", |state, _| state.wait(30, 42), Refusal::Isolated),
    ];
    for (name, deed, refusal) in deeds {
        state.begin_capture(30).unwrap();
        assert_eq!(deed(&mut state, x), Err(refusal), "{name}");
        let set = Work::Set { to: x, pattern: vec![1], count: 8 };
        assert_eq!(state.give(30, set), Err(Refusal::Spoilt), "{name}");
        assert_eq!(state.end_capture(30).err(), Some(Refusal::Spoilt), "{name}");
    }
    assert_eq!(state.end_capture(30).err(), Some(Refusal::NoCapture));
    state.end_event(event).unwrap();
    state.free(x).unwrap();
}

/// Status of a product by cuBLAS of 2 by 3 and 3 by 4 numbers with this leading dimension of the first, and the result.
fn product(pitch: i32, tf32: bool) -> (cublasStatus_t, Vec<f32>) {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let buffers = [6, 12, 8].map(|n| state().allocate(4 * n).unwrap());
    for (buffer, n) in [(buffers[0], 6u8), (buffers[1], 12)] {
        let bytes = (0..n).flat_map(|i| (f32::from(i) + 1.0 + 2f32.powi(-12)).to_ne_bytes()).collect();
        state().give(0, Work::Write { to: buffer, bytes }).unwrap();
    }
    let mut handle = null_mut();
    let at = |i: usize| std::ptr::with_exposed_provenance_mut::<f32>(buffers[i] as usize);
    let none = cublasOperation_t::CUBLAS_OP_N;
    // SAFETY: the buffers have room for the sizes, or the call is refused.
    let status = unsafe {
        use crate::cublas::*;
        cublasCreate_v2(&mut handle);
        let mode = if tf32 { cublasMath_t::CUBLAS_TF32_TENSOR_OP_MATH } else { cublasMath_t::CUBLAS_DEFAULT_MATH };
        cublasSetMathMode(handle, mode);
        let status = cublasSgemm_v2(handle, none, none, 2, 4, 3, &1.0, at(0), pitch, at(1), 3, &0.0, at(2), 2);
        cublasDestroy_v2(handle);
        status
    };
    let mut values = vec![0f32; 8];
    // SAFETY: 8 floats have 32 bytes.
    unsafe { state().read(0, values.as_mut_ptr().cast(), buffers[2], 32).unwrap() };
    buffers.iter().for_each(|&buffer| state().free(buffer).unwrap());
    (status, values)
}

#[test]
fn products_are_by_columns_and_tf32_rounds_their_factors() {
    let (status, values) = product(2, true);
    assert_eq!(status, cublasStatus_t::CUBLAS_STATUS_SUCCESS);
    // Column-major: a is 1 3 5 over 2 4 6, the first column of b is 1 2 3; 1 + 2⁻¹² is 1.
    assert_eq!(values, [22.0, 28.0, 49.0, 64.0, 76.0, 100.0, 103.0, 136.0]);
    let (_, exact) = product(2, false);
    assert!(exact.iter().zip(&values).all(|(exact, rounded)| exact > rounded && exact - rounded < 0.02), "{exact:?}");
}

#[test]
fn products_that_reach_too_far_or_have_too_short_columns_are_refused() {
    for pitch in [1, 3] {
        let (status, values) = product(pitch, false);
        assert_eq!(status, cublasStatus_t::CUBLAS_STATUS_INVALID_VALUE);
        assert!(values.iter().all(|v| v.is_nan()), "{values:?}");
    }
}

/// What becomes of a convolution of 1 by 4 by 4 by 2 numbers by three filters of 3 by 3 by cuDNN's algorithm of this number.
struct Convolved {
    status: cudnnStatus_t,
    y: Vec<f32>,
    workspace: Vec<u8>,
}

/// With so many bytes of workspace, x so many bytes beyond where it should be, outputs of this height, and this mode.
fn convolved(algorithm: u32, room: usize, beyond: u64, height: i32, math: cudnnMathType_t) -> Convolved {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let [x, kernel, y, workspace] = [4 * 32, 4 * 54, 4 * 12, 1024].map(|bytes| state().allocate(bytes).unwrap());
    for (to, n) in [(x, 32u8), (kernel, 54)] {
        let bytes = (0..n).flat_map(|i| (f32::from(i % 7) + 1.0 + 2f32.powi(-12)).to_ne_bytes()).collect();
        state().give(0, Work::Write { to, bytes }).unwrap();
    }
    let at = |address: u64| std::ptr::with_exposed_provenance_mut::<std::ffi::c_void>(address as usize);
    let (mut handle, mut of_kernel, mut how) = (null_mut(), null_mut(), null_mut());
    let (mut of_x, mut of_y) = (null_mut(), null_mut());
    let float = cudnnDataType_t::CUDNN_DATA_FLOAT;
    // SAFETY: arrays have as many numbers as is said, and the buffers have room for the sizes, or the call is refused.
    let status = unsafe {
        use crate::cudnn::*;
        use crate::descriptors::*;
        cudnnCreate(&mut handle);
        cudnnCreateTensorDescriptor(&mut of_x);
        cudnnCreateTensorDescriptor(&mut of_y);
        cudnnCreateFilterDescriptor(&mut of_kernel);
        cudnnCreateConvolutionDescriptor(&mut how);
        cudnnSetTensorNdDescriptor(of_x, float, 4, [1, 2, 4, 4].as_ptr(), [32, 1, 8, 2].as_ptr());
        cudnnSetTensorNdDescriptor(of_y, float, 4, [1, 3, height, 2].as_ptr(), [6 * height, 1, 6, 3].as_ptr());
        let last = cudnnTensorFormat_t::CUDNN_TENSOR_NHWC;
        cudnnSetFilterNdDescriptor(of_kernel, float, last, 4, [3, 2, 3, 3].as_ptr());
        let mode = cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
        cudnnSetConvolutionNdDescriptor(how, 2, [0, 0].as_ptr(), [1, 1].as_ptr(), [1, 1].as_ptr(), mode, float);
        cudnnSetConvolutionMathType(how, math);
        let mut offers = [cudnnConvolutionFwdAlgoPerf_t {
            algo: cudnnConvolutionFwdAlgo_t::CUDNN_CONVOLUTION_FWD_ALGO_DIRECT,
            status: cudnnStatus_t::CUDNN_STATUS_NOT_INITIALIZED,
            time: 0.0,
            memory: 0,
            determinism: cudnnDeterminism_t::CUDNN_DETERMINISTIC,
            mathType: math,
            reserved: [0; 3],
        }; 8];
        let mut count = 0;
        let most = offers.len() as i32;
        let to = offers.as_mut_ptr();
        let mut status =
            cudnnGetConvolutionForwardAlgorithm_v7(handle, of_x, of_kernel, how, of_y, most, &mut count, to);
        if status == cudnnStatus_t::CUDNN_STATUS_SUCCESS {
            let offers = &offers[..count as usize];
            assert_eq!(offers[0].determinism, cudnnDeterminism_t::CUDNN_NON_DETERMINISTIC);
            let algorithm = offers.iter().find(|offer| offer.algo as u32 == algorithm).unwrap().algo;
            let (one, zero) = (1f32, 0f32);
            let (one, zero) = ((&raw const one).cast(), (&raw const zero).cast());
            let [x, kernel, y, workspace] = [x + beyond, kernel, y, workspace].map(at);
            status = cudnnConvolutionForward(
                handle, one, of_x, x, of_kernel, kernel, how, algorithm, workspace, room, zero, of_y, y,
            );
        }
        cudnnDestroyTensorDescriptor(of_x);
        cudnnDestroyTensorDescriptor(of_y);
        cudnnDestroyFilterDescriptor(of_kernel);
        cudnnDestroyConvolutionDescriptor(how);
        cudnnDestroy(handle);
        status
    };
    let (mut values, mut used) = (vec![0f32; 12], vec![0u8; 1024]);
    // SAFETY: there is room for as many bytes.
    unsafe {
        state().read(0, values.as_mut_ptr().cast(), y, 48).unwrap();
        state().read(0, used.as_mut_ptr(), workspace, 1024).unwrap();
    }
    [x, kernel, y, workspace].iter().for_each(|&buffer| state().free(buffer).unwrap());
    Convolved { status, y: values, workspace: used }
}

#[test]
fn convolutions_are_those_of_the_definition_and_tf32_rounds_their_factors() {
    let (fma, default) = (cudnnMathType_t::CUDNN_FMA_MATH, cudnnMathType_t::CUDNN_DEFAULT_MATH);
    let rounded = convolved(0, 0, 0, 2, default);
    assert_eq!(rounded.status, cudnnStatus_t::CUDNN_STATUS_SUCCESS);
    let number = |i: usize| (i % 7) as f32 + 1.0;
    let expected: Vec<f32> = (0..12)
        .map(|at| {
            let (out, w, h) = (at % 3, at / 3 % 2, at / 6);
            let tap = |t: usize| {
                let (c, kw, kh) = (t % 2, t / 2 % 3, t / 6);
                number(((h + kh) * 4 + w + kw) * 2 + c) * number(out * 18 + t)
            };
            (0..18).map(tap).sum()
        })
        .collect();
    assert_eq!(rounded.y, expected);
    let exact = convolved(0, 0, 0, 2, fma).y;
    assert!(exact.iter().zip(&expected).all(|(exact, rounded)| exact > rounded && exact - rounded < 0.1), "{exact:?}");
    // With a workspace it is the same, and the workspace is overwritten.
    let other = convolved(1, 1024, 0, 2, fma);
    assert_eq!(other.y, exact);
    assert!(other.workspace[..256 + 4 * 54].iter().all(|&byte| byte == 0xff));
}

#[test]
fn convolutions_that_are_asked_for_wrongly_are_refused() {
    let fma = cudnnMathType_t::CUDNN_FMA_MATH;
    // An output too many, a workspace too small, an address between two numbers, one beyond the end, what is not supported, what rounds.
    let wrong = [(0, 0, 0, 3), (1, 255, 0, 2), (0, 0, 4, 2), (0, 0, 16, 2), (6, 0, 0, 2), (4, 0, 0, 2)];
    for (algorithm, room, beyond, height) in wrong {
        let result = convolved(algorithm, room, beyond, height, fma);
        assert_ne!(result.status, cudnnStatus_t::CUDNN_STATUS_SUCCESS, "{algorithm} {room} {beyond} {height}");
        assert!(result.y.iter().all(|v| v.is_nan()));
    }
    // What changes its sums does so each time.
    let one = convolved(2, 0, 0, 2, fma).y;
    assert_ne!(one, convolved(2, 0, 0, 2, fma).y);
}

#[test]
fn kernels_are_found_with_and_without_bounds() {
    let text = "// __global__ void no(A a)\nextern \"C\" __global__ void one(A a) {}\n/* __global__ void none( */\n\
                extern \"C\" __global__ void __launch_bounds__(256) two(B b) { g(1); }";
    assert_eq!(kernels(text), ["one", "two"]);
}
