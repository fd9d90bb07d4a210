//! NVIDIA's driver, played.

use crate::export;
use crate::module::{Kernel, Module, elf_length};
use crate::settings::settings;
use crate::state::{Captured, Range, Refusal, Work, state};
use cudarc::driver::sys::{
    self as real, CUcontext, CUdevice, CUdevice_attribute_enum as Attribute, CUdeviceptr, CUevent, CUfunction, CUgraph,
    CUgraphExec, CUmodule, CUresult, CUstream, CUstreamCaptureMode_enum as CaptureMode,
};
use std::ffi::{CStr, c_char, c_int, c_uchar, c_uint, c_ulonglong, c_ushort, c_void};

fn code(result: Result<(), Refusal>) -> CUresult {
    match result {
        Ok(()) => CUresult::CUDA_SUCCESS,
        Err(Refusal::Invalid) => CUresult::CUDA_ERROR_INVALID_VALUE,
        Err(Refusal::OutOfMemory) => CUresult::CUDA_ERROR_OUT_OF_MEMORY,
        Err(Refusal::Failed) => CUresult::CUDA_ERROR_LAUNCH_FAILED,
        Err(Refusal::InCapture) => CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
        Err(Refusal::Isolated) => CUresult::CUDA_ERROR_STREAM_CAPTURE_ISOLATION,
        Err(Refusal::Spoilt) => CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED,
        Err(Refusal::NoCapture) => CUresult::CUDA_ERROR_STREAM_CAPTURE_UNMATCHED,
    }
}

fn set(stream: CUstream, to: CUdeviceptr, pattern: &[u8], count: usize) -> CUresult {
    code(state().give(stream as u64, Work::Set { to, pattern: pattern.to_vec(), count }))
}

const NAME: &[u8] = b"emulated device (threads as fibers on the CPU)\0";

export! {
    fn cuInit(flags: c_uint) -> CUresult {
        match (flags, settings().devices) {
            (0, 0) => CUresult::CUDA_ERROR_NO_DEVICE,
            (0, _) => CUresult::CUDA_SUCCESS,
            _ => CUresult::CUDA_ERROR_INVALID_VALUE,
        }
    }

    fn cuDriverGetVersion(version: *mut c_int) -> CUresult {
        *version = 13_000;
        CUresult::CUDA_SUCCESS
    }

    fn cuDeviceGetCount(count: *mut c_int) -> CUresult {
        *count = settings().devices as c_int;
        CUresult::CUDA_SUCCESS
    }

    fn cuDeviceGet(device: *mut CUdevice, ordinal: c_int) -> CUresult {
        if ordinal < 0 || ordinal as usize >= settings().devices {
            return CUresult::CUDA_ERROR_INVALID_DEVICE;
        }
        *device = ordinal;
        CUresult::CUDA_SUCCESS
    }

    fn cuDeviceGetName(name: *mut c_char, length: c_int, _device: CUdevice) -> CUresult {
        let shown = NAME.len().min(length.max(1) as usize);
        std::ptr::copy_nonoverlapping(NAME.as_ptr().cast(), name, shown);
        *name.add(shown - 1) = 0;
        CUresult::CUDA_SUCCESS
    }

    fn cuDeviceGetAttribute(value: *mut c_int, attribute: Attribute, _device: CUdevice) -> CUresult {
        *value = match attribute {
            Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR => (settings().arch / 10) as c_int,
            Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR => (settings().arch % 10) as c_int,
            _ => return CUresult::CUDA_ERROR_INVALID_VALUE,
        };
        CUresult::CUDA_SUCCESS
    }

    fn cuDevicePrimaryCtxRetain(context: *mut CUcontext, device: CUdevice) -> CUresult {
        *context = (0x1000 + 16 * device as usize) as CUcontext;
        CUresult::CUDA_SUCCESS
    }

    fn cuDevicePrimaryCtxRelease_v2(_device: CUdevice) -> CUresult {
        CUresult::CUDA_SUCCESS
    }

    fn cuCtxSetCurrent(context: CUcontext) -> CUresult {
        if context.is_null() { CUresult::CUDA_ERROR_INVALID_CONTEXT } else { CUresult::CUDA_SUCCESS }
    }

    fn cuStreamCreate(stream: *mut CUstream, _flags: c_uint) -> CUresult {
        *stream = Box::into_raw(Box::new(0u64)).cast();
        CUresult::CUDA_SUCCESS
    }

    fn cuStreamDestroy_v2(stream: CUstream) -> CUresult {
        let done = code(state().finish(stream as u64));
        drop(Box::from_raw(stream.cast::<u64>()));
        done
    }

    fn cuStreamSynchronize(stream: CUstream) -> CUresult {
        code(state().finish(stream as u64))
    }

    fn cuStreamWaitEvent(stream: CUstream, event: CUevent, flags: c_uint) -> CUresult {
        if flags != 0 { CUresult::CUDA_ERROR_INVALID_VALUE } else { code(state().wait(stream as u64, event as u64)) }
    }

    fn cuStreamBeginCapture_v2(stream: CUstream, mode: CaptureMode) -> CUresult {
        // The other modes have other rules, which are not played.
        match mode {
            CaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL => code(state().begin_capture(stream as u64)),
            _ => CUresult::CUDA_ERROR_INVALID_VALUE,
        }
    }

    fn cuStreamEndCapture(stream: CUstream, graph: *mut CUgraph) -> CUresult {
        *graph = std::ptr::null_mut();
        code(state().end_capture(stream as u64).map(|work| *graph = Box::into_raw(Box::new(work)).cast()))
    }

    fn cuGraphInstantiateWithFlags(made: *mut CUgraphExec, graph: CUgraph, flags: c_ulonglong) -> CUresult {
        if flags != 0 {
            return CUresult::CUDA_ERROR_INVALID_VALUE;
        }
        let work: &Vec<Captured> = &*graph.cast();
        *made = Box::into_raw(Box::new(work.clone())).cast();
        CUresult::CUDA_SUCCESS
    }

    fn cuGraphDestroy(graph: CUgraph) -> CUresult {
        drop(Box::from_raw(graph.cast::<Vec<Captured>>()));
        CUresult::CUDA_SUCCESS
    }

    fn cuGraphLaunch(graph: CUgraphExec, stream: CUstream) -> CUresult {
        let work: &Vec<Captured> = &*graph.cast();
        code(state().launch(stream as u64, work))
    }

    fn cuGraphExecDestroy(graph: CUgraphExec) -> CUresult {
        drop(Box::from_raw(graph.cast::<Vec<Captured>>()));
        CUresult::CUDA_SUCCESS
    }

    fn cuEventCreate(event: *mut CUevent, _flags: c_uint) -> CUresult {
        *event = Box::into_raw(Box::new(0u64)).cast();
        state().make_event(*event as u64);
        CUresult::CUDA_SUCCESS
    }

    fn cuEventDestroy_v2(event: CUevent) -> CUresult {
        let known = code(state().end_event(event as u64));
        if known == CUresult::CUDA_SUCCESS {
            drop(Box::from_raw(event.cast::<u64>()));
        }
        known
    }

    fn cuEventRecord(event: CUevent, stream: CUstream) -> CUresult {
        code(state().record(event as u64, stream as u64))
    }

    fn cuEventSynchronize(event: CUevent) -> CUresult {
        code(state().wait_for_event(event as u64))
    }

    fn cuMemHostAlloc(address: *mut *mut c_void, bytes: usize, _flags: c_uint) -> CUresult {
        let made = state().allocate_pinned(bytes);
        code(made.map(|made| *address = std::ptr::with_exposed_provenance_mut(made as usize)))
    }

    fn cuMemFreeHost(address: *mut c_void) -> CUresult {
        code(state().free_pinned(address as u64))
    }

    fn cuMemAlloc_v2(address: *mut CUdeviceptr, bytes: usize) -> CUresult {
        code(state().allocate(bytes).map(|made| *address = made))
    }

    fn cuMemFree_v2(address: CUdeviceptr) -> CUresult {
        code(state().free(address))
    }

    fn cuMemcpyHtoDAsync_v2(to: CUdeviceptr, from: *const c_void, bytes: usize, stream: CUstream) -> CUresult {
        let range = Range { address: from as u64, bytes };
        if state().is_pinned(range) {
            return code(state().give(stream as u64, Work::Pull { to, from: range.address, bytes }));
        }
        // Pageable memory is read before the call returns, as the driver does.
        let bytes = std::slice::from_raw_parts(from.cast::<u8>(), bytes).to_vec();
        code(state().give(stream as u64, Work::Write { to, bytes }))
    }

    fn cuMemcpyDtoHAsync_v2(to: *mut c_void, from: CUdeviceptr, bytes: usize, stream: CUstream) -> CUresult {
        code(state().read(stream as u64, to.cast(), from, bytes))
    }

    fn cuMemcpyDtoDAsync_v2(to: CUdeviceptr, from: CUdeviceptr, bytes: usize, stream: CUstream) -> CUresult {
        code(state().give(stream as u64, Work::Copy { to, from, bytes }))
    }

    fn cuMemsetD8Async(to: CUdeviceptr, value: c_uchar, count: usize, stream: CUstream) -> CUresult {
        set(stream, to, &value.to_ne_bytes(), count)
    }

    fn cuMemsetD16Async(to: CUdeviceptr, value: c_ushort, count: usize, stream: CUstream) -> CUresult {
        if !to.is_multiple_of(2) { CUresult::CUDA_ERROR_INVALID_VALUE } else { set(stream, to, &value.to_ne_bytes(), count) }
    }

    fn cuMemsetD32Async(to: CUdeviceptr, value: c_uint, count: usize, stream: CUstream) -> CUresult {
        if !to.is_multiple_of(4) { CUresult::CUDA_ERROR_INVALID_VALUE } else { set(stream, to, &value.to_ne_bytes(), count) }
    }

    fn cuModuleLoadData(module: *mut CUmodule, image: *const c_void) -> CUresult {
        if state().outside_capture("code is loaded").is_err() {
            return CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
        }
        let Some(length) = elf_length(image.cast()) else { return CUresult::CUDA_ERROR_INVALID_IMAGE };
        match Module::load(std::slice::from_raw_parts(image.cast::<u8>(), length)) {
            Ok(loaded) => {
                *module = std::ptr::from_ref(loaded).cast_mut().cast();
                CUresult::CUDA_SUCCESS
            }
            Err(problem) => {
                eprintln!("cuda-emu: {problem}");
                CUresult::CUDA_ERROR_INVALID_IMAGE
            }
        }
    }

    fn cuModuleGetFunction(function: *mut CUfunction, module: CUmodule, name: *const c_char) -> CUresult {
        let module: &'static Module = &*module.cast::<Module>();
        match module.kernel(&CStr::from_ptr(name).to_string_lossy()) {
            Some(kernel) => {
                *function = Box::into_raw(Box::new(kernel)).cast();
                CUresult::CUDA_SUCCESS
            }
            None => CUresult::CUDA_ERROR_NOT_FOUND,
        }
    }

    fn cuLaunchKernel(
        function: CUfunction,
        grid_x: c_uint,
        grid_y: c_uint,
        grid_z: c_uint,
        block_x: c_uint,
        block_y: c_uint,
        block_z: c_uint,
        shared: c_uint,
        stream: CUstream,
        parameters: *mut *mut c_void,
        extra: *mut *mut c_void,
    ) -> CUresult {
        let kernel = *function.cast::<Kernel>();
        let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
        let threads = block.iter().map(|&size| u64::from(size)).product::<u64>();
        let fits = grid.iter().chain(&block).all(|&size| size > 0)
            && threads <= 1024
            && grid_x < 1 << 31
            && grid_y < 1 << 16
            && grid_z < 1 << 16;
        if !fits || shared != 0 || !parameters.is_null() || extra.is_null() {
            eprintln!("cuda-emu: {} is launched with {grid:?} blocks of {block:?} threads", kernel.name());
            return CUresult::CUDA_ERROR_INVALID_VALUE;
        }
        let (mut bytes, mut at) = (std::ptr::null::<u8>(), 0);
        let mut size = 0;
        while !(*extra.add(at)).is_null() {
            let value = *extra.add(at + 1);
            match *extra.add(at) as usize {
                1 => bytes = value.cast(),
                2 => size = *value.cast::<usize>(),
                _ => return CUresult::CUDA_ERROR_INVALID_VALUE,
            }
            at += 2;
        }
        if size != kernel.size() || bytes.is_null() {
            eprintln!("cuda-emu: {} takes {} bytes of parameters and was given {size}", kernel.name(), kernel.size());
            return CUresult::CUDA_ERROR_INVALID_VALUE;
        }
        let mut arguments = vec![0u64; size.div_ceil(8)];
        std::ptr::copy_nonoverlapping(bytes, arguments.as_mut_ptr().cast::<u8>(), size);
        code(state().give(stream as u64, Work::Launch { kernel, grid, block, arguments }))
    }

    fn cuGetErrorName(error: CUresult, name: *mut *const c_char) -> CUresult {
        let text = match error {
            CUresult::CUDA_SUCCESS => c"CUDA_SUCCESS",
            CUresult::CUDA_ERROR_INVALID_VALUE => c"CUDA_ERROR_INVALID_VALUE",
            CUresult::CUDA_ERROR_OUT_OF_MEMORY => c"CUDA_ERROR_OUT_OF_MEMORY",
            CUresult::CUDA_ERROR_NO_DEVICE => c"CUDA_ERROR_NO_DEVICE",
            CUresult::CUDA_ERROR_INVALID_DEVICE => c"CUDA_ERROR_INVALID_DEVICE",
            CUresult::CUDA_ERROR_INVALID_IMAGE => c"CUDA_ERROR_INVALID_IMAGE",
            CUresult::CUDA_ERROR_INVALID_CONTEXT => c"CUDA_ERROR_INVALID_CONTEXT",
            CUresult::CUDA_ERROR_NOT_FOUND => c"CUDA_ERROR_NOT_FOUND",
            CUresult::CUDA_ERROR_LAUNCH_FAILED => c"CUDA_ERROR_LAUNCH_FAILED",
            CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED => c"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
            CUresult::CUDA_ERROR_STREAM_CAPTURE_ISOLATION => c"CUDA_ERROR_STREAM_CAPTURE_ISOLATION",
            CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED => c"CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
            CUresult::CUDA_ERROR_STREAM_CAPTURE_UNMATCHED => c"CUDA_ERROR_STREAM_CAPTURE_UNMATCHED",
            _ => c"CUDA_ERROR",
        };
        *name = text.as_ptr();
        CUresult::CUDA_SUCCESS
    }
}
