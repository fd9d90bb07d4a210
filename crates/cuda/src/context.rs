//! What primitives need: the device, its memory, and the kernels by name.

use crate::compiler::Compiler;
use crate::cublas::Cublas;
use crate::cudnn::Cudnn;
use crate::driver::{Function, Gpu, Module, Properties};
use crate::memory::{CudaBuffer, Pool};
use crate::narrow::rounding;
use crate::recording::Active;
use crate::sources::SOURCES;
use crate::transfer::Uploads;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use striate_tensor::{DType, Error, Precision, Result, Storage, Tensor};

/// Blocks of a launch at most: every kernel loops over the whole grid.
const MOST_BLOCKS: u64 = 8192;

#[derive(Default)]
struct Loaded {
    modules: HashMap<&'static str, Module>,
    functions: HashMap<(&'static str, &'static str), Function>,
}

/// A device that is ready to work.
pub(crate) struct Context {
    pub(crate) name: String,
    pub(crate) gpu: Arc<Gpu>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) uploads: Uploads,
    pub(crate) properties: Properties,
    compiler: Compiler,
    /// What kernels are compiled for.
    architecture: u32,
    loaded: Mutex<Loaded>,
    launches: AtomicU64,
    replays: AtomicU64,
    precision: Precision,
    products: Products<Cublas>,
    convolutions: Products<Cudnn>,
    /// What is being recorded.
    pub(crate) active: Mutex<Option<Active>>,
    /// Held by the thread that records.
    pub(crate) turn: Mutex<()>,
}

/// Who multiplies matrices, or convolves.
#[derive(Debug)]
enum Products<L> {
    /// The kernels of this crate.
    Kernels,
    /// A library, which is made ready at the first product.
    Library(Precision, Mutex<Option<Arc<L>>>),
}

impl<L> Products<L> {
    fn new(precision: Option<Precision>) -> Products<L> {
        precision.map_or(Products::Kernels, |precision| Products::Library(precision, Mutex::default()))
    }

    fn is_library(&self) -> bool {
        matches!(self, Products::Library(..))
    }

    /// The library, where products go to it.
    fn ready(&self, make: impl FnOnce(Precision) -> Result<L>) -> Result<Option<Arc<L>>> {
        let Products::Library(precision, ready) = self else { return Ok(None) };
        let locked = || ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ready) = &*locked() {
            return Ok(Some(ready.clone()));
        }
        // Made outside of the lock: a thread that waits for a recording to end must hold none.
        let made = Arc::new(make(*precision)?);
        Ok(Some(locked().get_or_insert(made).clone()))
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.properties.name)
    }
}

/// Where a tensor's elements begin on the device.
pub(crate) fn address(x: &Tensor) -> Result<u64> {
    let buffer = x.storage().as_device().and_then(|buffer| buffer.as_any().downcast_ref::<CudaBuffer>());
    let buffer = buffer.ok_or_else(|| foreign(x))?;
    Ok(buffer.ready()? + (x.offset() * x.dtype().size()) as u64)
}

/// The same for writing: the memory is made the tensor's own first.
pub(crate) fn address_mut(x: &mut Tensor) -> Result<u64> {
    x.storage_mut()?;
    address(x)
}

fn foreign(x: &Tensor) -> Error {
    Error::device("cuda", "a tensor must lie in the memory of its device", x.device().name(), "use to_device")
}

/// The address of float32 elements; other types are refused.
pub(crate) fn f32s(op: &str, x: &Tensor) -> Result<u64> {
    float32(op, x)?;
    address(x)
}

/// Refuses other types than float32.
pub(crate) fn float32(op: &str, x: &Tensor) -> Result<()> {
    if x.dtype() == DType::F32 {
        return Ok(());
    }
    Err(Error::dtype(op, "the CUDA back end computes in float32", x.dtype().name(), "cast to float32"))
}

/// A size as a 32-bit integer, which is what kernels count in.
pub(crate) fn int(op: &str, value: usize) -> Result<i32> {
    i32::try_from(value).map_err(|_| {
        Error::shape(op, "sizes on a CUDA device must be below 2^31", value.to_string(), "use a smaller batch")
    })
}

/// Threads that do `count` things, one each or several in turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    pub(crate) blocks: u32,
    pub(crate) threads: u32,
}

impl Grid {
    /// Blocks of 256 threads, one element each.
    pub(crate) fn elements(count: usize) -> Grid {
        Grid { blocks: (count as u64).div_ceil(256).clamp(1, MOST_BLOCKS) as u32, threads: 256 }
    }

    /// Blocks of 128 threads, one row for each warp.
    pub(crate) fn rows(count: usize) -> Grid {
        Grid { blocks: (count as u64).div_ceil(4).clamp(1, MOST_BLOCKS) as u32, threads: 128 }
    }

    /// A block of 128 threads for each thing.
    pub(crate) fn blocks(count: usize) -> Grid {
        Grid { blocks: (count as u64).clamp(1, MOST_BLOCKS) as u32, threads: 128 }
    }

    /// As many blocks of 256 threads, exactly.
    pub(crate) fn exactly(op: &str, count: u64) -> Result<Grid> {
        let blocks = u32::try_from(count).ok().filter(|&blocks| blocks < 1 << 31).ok_or_else(|| {
            Error::shape(op, "a CUDA device takes at most 2^31 blocks", count.to_string(), "use a smaller batch")
        })?;
        Ok(Grid { blocks, threads: 256 })
    }
}

impl Context {
    pub(crate) fn new(
        name: String,
        gpu: Arc<Gpu>,
        pool: Arc<Pool>,
        properties: Properties,
        compiler: Compiler,
        precision: Precision,
        [cublas, cudnn]: [bool; 2],
    ) -> Result<Self> {
        let architecture = compiler.architecture_for(properties.capability)?;
        Ok(Context {
            name,
            uploads: Uploads::new(gpu.clone()),
            gpu,
            pool,
            properties,
            compiler,
            architecture,
            loaded: Mutex::default(),
            launches: AtomicU64::new(0),
            replays: AtomicU64::new(0),
            active: Mutex::default(),
            turn: Mutex::default(),
            precision,
            products: Products::new(cublas.then_some(precision)),
            convolutions: Products::new(cudnn.then_some(precision)),
        })
    }

    /// cuBLAS, where products go to it.
    pub(crate) fn cublas(&self) -> Result<Option<Arc<Cublas>>> {
        self.products
            .ready(|precision| Cublas::new(self.gpu.clone(), &self.pool, precision, self.properties.capability))
    }

    /// How factors of products are rounded.
    pub(crate) fn precision(&self) -> Precision {
        self.precision
    }

    /// The same in the kernels' numbers: TF32 they do not know.
    pub(crate) fn rounding(&self) -> i32 {
        rounding(self.precision)
    }

    /// The file of the kernels that multiply.
    pub(crate) fn products_file(&self) -> &'static str {
        if self.rounding() == 0 { "product" } else { "product_narrow" }
    }

    /// Whether matrix products go to cuBLAS.
    pub(crate) fn uses_cublas(&self) -> bool {
        self.products.is_library()
    }

    /// cuDNN, where convolutions go to it.
    pub(crate) fn cudnn(&self) -> Result<Option<Arc<Cudnn>>> {
        self.convolutions.ready(|precision| Cudnn::new(self.gpu.clone(), precision))
    }

    /// Whether convolutions go to cuDNN.
    pub(crate) fn uses_cudnn(&self) -> bool {
        self.convolutions.is_library()
    }

    /// New memory.
    pub(crate) fn take(&self, len: usize, dtype: DType) -> Result<CudaBuffer> {
        self.pool.take(len, dtype)
    }

    /// Kernels started so far.
    pub(crate) fn launches(&self) -> u64 {
        self.launches.load(Ordering::Relaxed)
    }

    /// Recorded parts done so far.
    pub(crate) fn replays(&self) -> u64 {
        self.replays.load(Ordering::Relaxed)
    }

    pub(crate) fn count_replay(&self) {
        self.replays.fetch_add(1, Ordering::Relaxed);
    }

    /// A kernel; its file is compiled when one of its kernels is first asked for.
    fn function(&self, file: &'static str, kernel: &'static str) -> Result<Function> {
        let locked = || self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&function) = locked().functions.get(&(file, kernel)) {
            return Ok(function);
        }
        let known = locked().modules.get(file).copied();
        // Compiled and loaded outside of the lock: a thread that waits for a recording to end must hold none.
        let module = match known {
            Some(module) => module,
            None => {
                let source = SOURCES.iter().find(|source| source.name == file).ok_or_else(|| {
                    Error::device("cuda", "the file of kernels must exist", file, "this is a defect of striate")
                })?;
                let image = self.compiler.cached(file, &source.text(), self.architecture)?;
                let module = self.gpu.load(&image)?;
                *locked().modules.entry(file).or_insert(module)
            }
        };
        let function = self.gpu.function(&module, kernel)?;
        locked().functions.insert((file, kernel), function);
        Ok(function)
    }

    /// Starts a kernel.
    ///
    /// # Safety
    /// `arguments` must be the twin of the struct the kernel takes, and its addresses must have the room the kernel uses.
    pub(crate) unsafe fn launch<A: Copy>(
        &self,
        file: &'static str,
        kernel: &'static str,
        grid: Grid,
        arguments: &A,
    ) -> Result<()> {
        let function = self.function(file, kernel)?;
        self.launches.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { self.gpu.launch(function, grid.blocks, grid.threads, arguments) }
    }
}

/// What a primitive gives back.
pub(crate) fn stored(buffer: CudaBuffer) -> Result<Storage> {
    Ok(buffer.into_storage())
}
