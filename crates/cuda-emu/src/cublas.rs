//! cuBLAS, played: the few functions that the back end calls.

use crate::export;
use crate::settings::settings;
use crate::state::{Range, Refusal, Work, state};
use cudarc::cublas::sys::{
    self as real, cublasComputeType_t as Compute, cublasGemmAlgo_t as Algorithm, cublasHandle_t, cublasMath_t as Math,
    cublasOperation_t as Operation, cublasStatus_t as Status, cudaDataType as Type, cudaStream_t,
};
use std::ffi::{c_char, c_int, c_longlong, c_void};

/// Bytes of the workspace that a product overwrites: whoever keeps something there finds it gone.
const USED: usize = 4096;

struct Handle {
    stream: u64,
    workspace: Option<Range>,
    tf32: bool,
}

/// What numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    F32,
    F16,
    Bf16,
}

impl Kind {
    fn new(code: Type) -> Result<Kind, Status> {
        match code {
            Type::CUDA_R_32F => Ok(Kind::F32),
            Type::CUDA_R_16F => Ok(Kind::F16),
            Type::CUDA_R_16BF if settings().arch >= 80 => Ok(Kind::Bf16),
            _ => Err(Status::CUBLAS_STATUS_NOT_SUPPORTED),
        }
    }

    fn bytes(self) -> usize {
        if self == Kind::F32 { 4 } else { 2 }
    }

    /// All numbers of a range.
    ///
    /// # Safety
    /// The range must lie in memory.
    unsafe fn read(self, range: Range) -> Vec<f32> {
        let from = std::ptr::with_exposed_provenance::<u8>(range.address as usize);
        // SAFETY: the caller's promise.
        let bytes = unsafe { std::slice::from_raw_parts(from, range.bytes) };
        let halves =
            |of: fn(u16) -> f32| bytes.as_chunks::<2>().0.iter().map(|&two| of(u16::from_ne_bytes(two))).collect();
        match self {
            Kind::F32 => bytes.as_chunks::<4>().0.iter().map(|&four| f32::from_ne_bytes(four)).collect(),
            Kind::F16 => halves(from_f16),
            Kind::Bf16 => halves(|half| f32::from_bits(u32::from(half) << 16)),
        }
    }
}

/// The number that 16 bits stand for.
fn from_f16(half: u16) -> f32 {
    let (sign, exponent, mantissa) = (half >> 15, i32::from(half >> 10 & 31), f32::from(half & 1023));
    let magnitude = match exponent {
        31 if mantissa != 0.0 => f32::NAN,
        31 => f32::INFINITY,
        0 => mantissa * 2f32.powi(-24),
        _ => (1024.0 + mantissa) * 2f32.powi(exponent - 25),
    };
    if sign == 1 { -magnitude } else { magnitude }
}

/// A column-major operand: `rows` by `columns` as it lies in memory, its columns `pitch` apart, products `step` apart.
#[derive(Debug, Clone, Copy)]
struct Operand {
    address: u64,
    kind: Kind,
    rows: usize,
    columns: usize,
    pitch: usize,
    step: usize,
    transposed: bool,
}

impl Operand {
    /// All memory from its first element to its last.
    fn range(&self, batch: usize) -> Range {
        let last = (batch - 1) * self.step + (self.columns - 1) * self.pitch + self.rows;
        Range { address: self.address, bytes: self.kind.bytes() * last }
    }

    /// Element (i, j) of what the operation makes of it.
    fn index(&self, i: usize, j: usize) -> usize {
        if self.transposed { j + i * self.pitch } else { i + j * self.pitch }
    }
}

/// Products of matrices, waiting in a stream.
#[derive(Debug, Clone)]
pub(crate) struct Gemm {
    a: Operand,
    b: Operand,
    c: Operand,
    inner: usize,
    batch: usize,
    alpha: f32,
    beta: f32,
    tf32: bool,
    workspace: Option<Range>,
}

/// Rounded to TF32: 10 bits after the leading one.
pub(crate) fn to_tf32(v: f32) -> f32 {
    if !v.is_finite() {
        return v;
    }
    f32::from_bits(v.to_bits().wrapping_add(0xfff + (v.to_bits() >> 13 & 1)) & !0x1fff)
}

impl Gemm {
    /// What it reads.
    pub(crate) fn reads(&self) -> Vec<Range> {
        let mut all = vec![self.a.range(self.batch), self.b.range(self.batch)];
        if self.beta != 0.0 {
            all.push(self.c.range(self.batch));
        }
        all
    }

    /// What it writes.
    pub(crate) fn writes(&self) -> Vec<Range> {
        std::iter::once(self.c.range(self.batch)).chain(self.workspace).collect()
    }

    /// Does it.
    ///
    /// # Safety
    /// The ranges of `reads` and `writes` must lie in memory, and no range written may overlap another.
    pub(crate) unsafe fn run(&self) {
        // SAFETY: the caller's promise.
        let read = |operand: &Operand| unsafe { operand.kind.read(operand.range(self.batch)) };
        let (a, b) = (read(&self.a), read(&self.b));
        let c = self.c.range(self.batch);
        // SAFETY: as above.
        let c = unsafe {
            std::slice::from_raw_parts_mut(
                std::ptr::with_exposed_provenance_mut::<f32>(c.address as usize),
                c.bytes / 4,
            )
        };
        let of = |v: f32| if self.tf32 { to_tf32(v) } else { v };
        let (rows, columns) = (self.c.rows, self.c.columns);
        let mut sums = vec![0f32; rows];
        for product in 0..self.batch {
            let (a, b) = (&a[product * self.a.step..], &b[product * self.b.step..]);
            let c = &mut c[product * self.c.step..];
            for j in 0..columns {
                sums.fill(0.0);
                for k in 0..self.inner {
                    let factor = of(b[self.b.index(k, j)]);
                    if self.a.transposed {
                        sums.iter_mut().enumerate().for_each(|(i, sum)| *sum += of(a[self.a.index(i, k)]) * factor);
                    } else {
                        let column = &a[k * self.a.pitch..][..rows];
                        sums.iter_mut().zip(column).for_each(|(sum, &v)| *sum += of(v) * factor);
                    }
                }
                for (i, sum) in sums.iter().enumerate() {
                    let at = i + j * self.c.pitch;
                    let before = if self.beta == 0.0 { 0.0 } else { self.beta * c[at] };
                    c[at] = self.alpha * sum + before;
                }
            }
        }
        if let Some(used) = self.workspace {
            // SAFETY: as above.
            unsafe { std::ptr::write_bytes(used.address as *mut u8, 0xff, used.bytes) };
        }
    }
}

/// # Safety
/// The handle must be one of this library's, and not destroyed.
unsafe fn handle<'a>(handle: cublasHandle_t) -> Option<&'a mut Handle> {
    // SAFETY: the caller's promise.
    unsafe { handle.cast::<Handle>().as_mut() }
}

fn refuse(what: &str) -> Status {
    eprintln!("cuda-emu: cublasSgemm: {what}");
    Status::CUBLAS_STATUS_INVALID_VALUE
}

fn operand(
    name: &str,
    address: u64,
    operation: Operation,
    [rows, columns]: [c_int; 2],
    pitch: c_int,
    step: c_longlong,
    kind: Kind,
) -> Result<Operand, Status> {
    let transposed = operation != Operation::CUBLAS_OP_N;
    let [rows, columns] = if transposed { [columns, rows] } else { [rows, columns] };
    if rows < 1 || columns < 1 || step < 0 {
        return Err(refuse(&format!("{name} has {rows} rows, {columns} columns, a step of {step}")));
    }
    if pitch < rows {
        return Err(refuse(&format!("{name} has {rows} rows and a leading dimension of {pitch}")));
    }
    let [rows, columns, pitch, step] = [rows as usize, columns as usize, pitch as usize, step as usize];
    Ok(Operand { address, kind, rows, columns, pitch, step, transposed })
}

/// # Safety
/// `alpha` and `beta` must point to numbers.
unsafe fn gemm(handle: &Handle, gemm: Gemm) -> Status {
    let [a, b, c] = [gemm.a, gemm.b, gemm.c].map(|operand| operand.range(gemm.batch));
    if c.overlaps(a) || c.overlaps(b) {
        return refuse("the result lies over an operand");
    }
    if gemm.batch > 1 && gemm.c.step < (gemm.c.columns - 1) * gemm.c.pitch + gemm.c.rows {
        return refuse("results lie over each other");
    }
    if gemm.workspace.is_none() && state().outside_capture("a product without a workspace").is_err() {
        return Status::CUBLAS_STATUS_NOT_SUPPORTED;
    }
    match state().give(handle.stream, Work::Gemm(Box::new(gemm))) {
        Ok(()) => Status::CUBLAS_STATUS_SUCCESS,
        Err(Refusal::Invalid) => refuse("an operand reaches beyond its allocation"),
        Err(_) => Status::CUBLAS_STATUS_EXECUTION_FAILED,
    }
}

export! {
    fn cublasCreate_v2(made: *mut cublasHandle_t) -> Status {
        if state().outside_capture("a handle is made").is_err() {
            return Status::CUBLAS_STATUS_ALLOC_FAILED;
        }
        *made = Box::into_raw(Box::new(Handle { stream: 0, workspace: None, tf32: false })).cast();
        Status::CUBLAS_STATUS_SUCCESS
    }

    fn cublasDestroy_v2(gone: cublasHandle_t) -> Status {
        if gone.is_null() {
            return Status::CUBLAS_STATUS_NOT_INITIALIZED;
        }
        drop(Box::from_raw(gone.cast::<Handle>()));
        Status::CUBLAS_STATUS_SUCCESS
    }

    fn cublasSetStream_v2(of: cublasHandle_t, stream: cudaStream_t) -> Status {
        let Some(handle) = handle(of) else { return Status::CUBLAS_STATUS_NOT_INITIALIZED };
        // As the real one does: the workspace is the default one again.
        (handle.stream, handle.workspace) = (stream as u64, None);
        Status::CUBLAS_STATUS_SUCCESS
    }

    fn cublasSetWorkspace_v2(of: cublasHandle_t, workspace: *mut c_void, bytes: usize) -> Status {
        let Some(handle) = handle(of) else { return Status::CUBLAS_STATUS_NOT_INITIALIZED };
        let range = Range { address: workspace as u64, bytes };
        if !range.address.is_multiple_of(256) || !state().holds(range) {
            eprintln!("cuda-emu: cublasSetWorkspace: {bytes} bytes that are no aligned device memory");
            return Status::CUBLAS_STATUS_INVALID_VALUE;
        }
        handle.workspace = Some(range);
        Status::CUBLAS_STATUS_SUCCESS
    }

    fn cublasSetMathMode(of: cublasHandle_t, mode: Math) -> Status {
        let Some(handle) = handle(of) else { return Status::CUBLAS_STATUS_NOT_INITIALIZED };
        handle.tf32 = match mode {
            Math::CUBLAS_DEFAULT_MATH | Math::CUBLAS_PEDANTIC_MATH => false,
            Math::CUBLAS_TF32_TENSOR_OP_MATH => true,
            _ => return Status::CUBLAS_STATUS_NOT_SUPPORTED,
        };
        Status::CUBLAS_STATUS_SUCCESS
    }

    fn cublasSgemm_v2(
        of: cublasHandle_t,
        transa: Operation,
        transb: Operation,
        m: c_int,
        n: c_int,
        k: c_int,
        alpha: *const f32,
        a: *const f32,
        lda: c_int,
        b: *const f32,
        ldb: c_int,
        beta: *const f32,
        c: *mut f32,
        ldc: c_int,
    ) -> Status {
        cublasSgemmStridedBatched(of, transa, transb, m, n, k, alpha, a, lda, 0, b, ldb, 0, beta, c, ldc, 0, 1)
    }

    fn cublasSgemmStridedBatched(
        of: cublasHandle_t,
        transa: Operation,
        transb: Operation,
        m: c_int,
        n: c_int,
        k: c_int,
        alpha: *const f32,
        a: *const f32,
        lda: c_int,
        a_step: c_longlong,
        b: *const f32,
        ldb: c_int,
        b_step: c_longlong,
        beta: *const f32,
        c: *mut f32,
        ldc: c_int,
        c_step: c_longlong,
        batch: c_int,
    ) -> Status {
        let (alpha, beta, float) = (alpha.cast(), beta.cast(), Type::CUDA_R_32F);
        let (compute, algorithm) = (Compute::CUBLAS_COMPUTE_32F, Algorithm::CUBLAS_GEMM_DFALT);
        cublasGemmStridedBatchedEx(
            of, transa, transb, m, n, k, alpha, a.cast(), float, lda, a_step, b.cast(), float, ldb, b_step, beta, c.cast(), float,
            ldc, c_step, batch, compute, algorithm,
        )
    }

    fn cublasGemmStridedBatchedEx(
        of: cublasHandle_t,
        transa: Operation,
        transb: Operation,
        m: c_int,
        n: c_int,
        k: c_int,
        alpha: *const c_void,
        a: *const c_void,
        a_type: Type,
        lda: c_int,
        a_step: c_longlong,
        b: *const c_void,
        b_type: Type,
        ldb: c_int,
        b_step: c_longlong,
        beta: *const c_void,
        c: *mut c_void,
        c_type: Type,
        ldc: c_int,
        c_step: c_longlong,
        batch: c_int,
        compute: Compute,
        algorithm: Algorithm,
    ) -> Status {
        let Some(handle) = handle(of) else { return Status::CUBLAS_STATUS_NOT_INITIALIZED };
        if batch < 1 {
            return refuse("no product");
        }
        if compute != Compute::CUBLAS_COMPUTE_32F
            || algorithm != Algorithm::CUBLAS_GEMM_DFALT
            || c_type != Type::CUDA_R_32F
            || a_type != b_type
        {
            return Status::CUBLAS_STATUS_NOT_SUPPORTED;
        }
        let operands = (|| {
            let (kind, none) = (Kind::new(a_type)?, Operation::CUBLAS_OP_N);
            Ok((
                operand("a", a as u64, transa, [m, k], lda, a_step, kind)?,
                operand("b", b as u64, transb, [k, n], ldb, b_step, kind)?,
                operand("c", c as u64, none, [m, n], ldc, c_step, Kind::F32)?,
            ))
        })();
        let (a, b, c) = match operands {
            Ok(operands) => operands,
            Err(status) => return status,
        };
        let workspace = handle.workspace.map(|range| Range { bytes: range.bytes.min(USED), ..range });
        let (alpha, beta) = (*alpha.cast::<f32>(), *beta.cast::<f32>());
        let (inner, batch, tf32) = (k as usize, batch as usize, handle.tf32 && a.kind == Kind::F32);
        gemm(handle, Gemm { a, b, c, inner, batch, alpha, beta, tf32, workspace })
    }

    fn cublasGetStatusName(status: Status) -> *const c_char {
        let text = match status {
            Status::CUBLAS_STATUS_SUCCESS => c"CUBLAS_STATUS_SUCCESS",
            Status::CUBLAS_STATUS_NOT_INITIALIZED => c"CUBLAS_STATUS_NOT_INITIALIZED",
            Status::CUBLAS_STATUS_INVALID_VALUE => c"CUBLAS_STATUS_INVALID_VALUE",
            Status::CUBLAS_STATUS_EXECUTION_FAILED => c"CUBLAS_STATUS_EXECUTION_FAILED",
            Status::CUBLAS_STATUS_NOT_SUPPORTED => c"CUBLAS_STATUS_NOT_SUPPORTED",
            _ => c"CUBLAS_STATUS",
        };
        text.as_ptr()
    }
}
