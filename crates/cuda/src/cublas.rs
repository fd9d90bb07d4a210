//! Matrix products by NVIDIA's cuBLAS. Nothing here may be called before [`crate::availability::probe_cublas`] has seen that the library and
//! its functions are there.

use crate::availability::probe_cublas;
use crate::driver::Gpu;
use crate::memory::{CudaBuffer, Pool};
use cudarc::cublas::sys::{
    self as blas, cublasComputeType_t, cublasGemmAlgo_t, cublasHandle_t, cublasMath_t, cublasOperation_t,
    cublasStatus_t, cudaDataType,
};
use std::ffi::CStr;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use striate_tensor::{DType, Error, Precision, Result};

/// Every function of cuBLAS that is called here.
pub(crate) const SYMBOLS: &[&str] = &[
    "cublasCreate_v2",
    "cublasDestroy_v2",
    "cublasSetStream_v2",
    "cublasSetMathMode",
    "cublasSetWorkspace_v2",
    "cublasSgemm_v2",
    "cublasSgemmStridedBatched",
    "cublasGemmStridedBatchedEx",
    "cublasGetStatusName",
];

/// The least compute capability that has TF32 and bfloat16.
const TF32_CAPABILITY: u32 = 80;

/// Room that cuBLAS works in, by its documentation's recommendation: with room of its own for one stream, the same call gives the same bits,
/// and a call takes no memory.
fn workspace_bytes(capability: u32) -> usize {
    if capability >= 90 { 32 << 20 } else { 4 << 20 }
}

/// Whether products go to cuBLAS: it is wanted and there. Asking for TF32 without what it needs is an error.
pub(crate) fn choose(name: &str, wanted: bool, precision: Precision, capability: u32) -> Result<bool> {
    let missing = if wanted { probe_cublas().err() } else { None };
    let refuse = |received: String, hint: &str| {
        let rule = "TF32 needs cuBLAS and a device of compute capability 8.0 or newer";
        Err(Error::device(name, rule, received, hint))
    };
    match (precision, missing) {
        (Precision::Tf32, _) if !wanted => {
            refuse("no libraries".into(), "unset STRIATE_CUDA_LIBRARIES, or use --precision f32")
        }
        (Precision::Tf32, Some(missing)) => refuse(missing.to_string(), missing.hint()),
        (Precision::Tf32, None) if capability < TF32_CAPABILITY => {
            refuse(format!("{}.{}", capability / 10, capability % 10), "use --precision f32")
        }
        // Older devices have no bfloat16; the kernels do without.
        (Precision::Bf16, _) if capability < TF32_CAPABILITY => Ok(false),
        (_, missing) => Ok(wanted && missing.is_none()),
    }
}

fn check(call: &'static str, status: cublasStatus_t) -> Result<()> {
    if status == cublasStatus_t::CUBLAS_STATUS_SUCCESS {
        return Ok(());
    }
    // SAFETY: cuBLAS gives a string of its own that lives forever.
    let name = unsafe {
        let name = blas::cublasGetStatusName(status);
        if name.is_null() { format!("code {}", status as u32) } else { CStr::from_ptr(name).to_string_lossy().into() }
    };
    Err(Error::device("cublas", format!("{call} must succeed"), name, "STRIATE_CUDA_LIBRARIES=off does without cuBLAS"))
}

/// A handle of cuBLAS, bound to the device's stream.
struct Handle(cublasHandle_t);

// SAFETY: a handle may move between threads; it is used by one at a time, behind a lock.
unsafe impl Send for Handle {}

/// cuBLAS on one device, in its stream's order.
pub(crate) struct Cublas {
    handle: Mutex<Handle>,
    gpu: Arc<Gpu>,
    /// What the handle works in; given back after the handle is gone.
    _workspace: CudaBuffer,
}

impl fmt::Debug for Cublas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cublas")
    }
}

/// y = a·b for each of `batch` products of row-major matrices, m by k and k by n, or transposed: stored k by m and n by k.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gemm {
    pub(crate) a: u64,
    pub(crate) b: u64,
    pub(crate) y: u64,
    pub(crate) transpose_a: bool,
    pub(crate) transpose_b: bool,
    pub(crate) m: i32,
    pub(crate) n: i32,
    pub(crate) k: i32,
    pub(crate) batch: i32,
    /// Elements from one product's operand to the next one's; 0 for one that all share.
    pub(crate) a_batch: i64,
    pub(crate) b_batch: i64,
    /// The type of the factors, where it is one of 16 bits.
    pub(crate) narrow: Option<DType>,
}

impl Cublas {
    pub(crate) fn new(gpu: Arc<Gpu>, pool: &Arc<Pool>, precision: Precision, capability: u32) -> Result<Cublas> {
        let bytes = workspace_bytes(capability);
        let workspace = pool.take(bytes, DType::U8)?;
        let inside = gpu.enter()?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: cuBLAS writes a handle; the context is current.
        check("cublasCreate", unsafe { blas::cublasCreate_v2(&mut handle) })?;
        drop(inside);
        let address = workspace.address();
        let made = Cublas { handle: Mutex::new(Handle(handle)), gpu, _workspace: workspace };
        let mode = match precision {
            Precision::Tf32 => cublasMath_t::CUBLAS_TF32_TENSOR_OP_MATH,
            _ => cublasMath_t::CUBLAS_DEFAULT_MATH,
        };
        let inside = made.gpu.enter()?;
        // SAFETY: the handle was made above; the stream outlives it because `gpu` is kept, and so does the workspace. Setting the stream
        // takes the workspace away, so it comes first.
        unsafe {
            check("cublasSetStream", blas::cublasSetStream_v2(handle, made.gpu.stream().cast()))?;
            let room = std::ptr::with_exposed_provenance_mut(address as usize);
            check("cublasSetWorkspace", blas::cublasSetWorkspace_v2(handle, room, bytes))?;
            check("cublasSetMathMode", blas::cublasSetMathMode(handle, mode))?;
        }
        drop(inside);
        Ok(made)
    }

    /// Starts the products.
    ///
    /// # Safety
    /// Operands and results must have the room that the sizes say, and the results no other user outside the stream's order; `k` must not be 0.
    pub(crate) unsafe fn multiply(&self, g: &Gemm) -> Result<()> {
        let _inside = self.gpu.enter()?;
        let (one, zero) = (1.0f32, 0.0f32);
        let at = |address: u64| std::ptr::with_exposed_provenance_mut::<f32>(address as usize);
        let op = |transposed| if transposed { cublasOperation_t::CUBLAS_OP_T } else { cublasOperation_t::CUBLAS_OP_N };
        // A row-major matrix is its own transpose to cuBLAS, which counts along columns: yᵀ = bᵀ·aᵀ needs no copy.
        let (of_b, of_a) = (op(g.transpose_b), op(g.transpose_a));
        let b_pitch = if g.transpose_b { g.k } else { g.n };
        let a_pitch = if g.transpose_a { g.m } else { g.k };
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(narrow) = g.narrow {
            let factor = match narrow {
                DType::Bf16 => cudaDataType::CUDA_R_16BF,
                _ => cudaDataType::CUDA_R_16F,
            };
            // SAFETY: the caller's promise; the factors are read before the call returns.
            let status = unsafe {
                blas::cublasGemmStridedBatchedEx(
                    handle.0,
                    of_b,
                    of_a,
                    g.n,
                    g.m,
                    g.k,
                    (&raw const one).cast(),
                    at(g.b).cast(),
                    factor,
                    b_pitch,
                    g.b_batch,
                    at(g.a).cast(),
                    factor,
                    a_pitch,
                    g.a_batch,
                    (&raw const zero).cast(),
                    at(g.y).cast(),
                    cudaDataType::CUDA_R_32F,
                    g.n,
                    i64::from(g.m) * i64::from(g.n),
                    g.batch,
                    cublasComputeType_t::CUBLAS_COMPUTE_32F,
                    cublasGemmAlgo_t::CUBLAS_GEMM_DFALT,
                )
            };
            return check("cublasGemmStridedBatchedEx", status);
        }
        if g.batch == 1 {
            // SAFETY: the caller's promise; the factors are read before the call returns.
            let status = unsafe {
                blas::cublasSgemm_v2(
                    handle.0,
                    of_b,
                    of_a,
                    g.n,
                    g.m,
                    g.k,
                    &one,
                    at(g.b),
                    b_pitch,
                    at(g.a),
                    a_pitch,
                    &zero,
                    at(g.y),
                    g.n,
                )
            };
            return check("cublasSgemm", status);
        }
        // SAFETY: as above.
        let status = unsafe {
            blas::cublasSgemmStridedBatched(
                handle.0,
                of_b,
                of_a,
                g.n,
                g.m,
                g.k,
                &one,
                at(g.b),
                b_pitch,
                g.b_batch,
                at(g.a),
                a_pitch,
                g.a_batch,
                &zero,
                at(g.y),
                g.n,
                i64::from(g.m) * i64::from(g.n),
                g.batch,
            )
        };
        check("cublasSgemmStridedBatched", status)
    }
}

impl Drop for Cublas {
    fn drop(&mut self) {
        let handle = self.handle.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Ok(_inside) = self.gpu.enter() {
            // SAFETY: the handle was made by cublasCreate and this is its only owner; errors at the end have nobody to go to.
            let _ = unsafe { blas::cublasDestroy_v2(handle.0) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tf32_without_what_it_needs_is_one_line() {
        let error = choose("cuda:0", false, Precision::Tf32, 90).unwrap_err().to_string();
        assert!(error.starts_with("cuda:0: TF32 needs cuBLAS") && error.contains("received no libraries"), "{error}");
        assert!(!choose("cuda:0", false, Precision::F32, 90).unwrap());
        // Where there is no cuBLAS, float32 does without and TF32 does not.
        let found = probe_cublas().is_ok();
        assert_eq!(choose("cuda:0", true, Precision::F32, 75).unwrap(), found);
        let error = choose("cuda:0", true, Precision::Tf32, 75).unwrap_err().to_string();
        assert!(error.contains(if found { "received 7.5" } else { "cublas" }) && error.contains("hint"), "{error}");
    }
}
