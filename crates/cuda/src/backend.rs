//! The back end's trait: each primitive handed to the module that computes it.

use crate::availability::{LEAST_CAPABILITY, Unavailable, probe};
use crate::compiler::Compiler;
use crate::context::Context;
use crate::driver::Gpu;
use crate::memory::Pool;
use crate::narrow::narrow_type;
use crate::recording::CudaRecording;
use crate::{convolution, cublas, cudnn, elementwise, layout, picture, pool, product, reduce, softmax, update};
use std::sync::Arc;
use striate_tensor::{
    Backend, BinaryOp, ConvGeometry, DType, DeviceInfo, Epilogue, Error, HostBuffer, Key, MAX_RANK, MatmulGeometry,
    MemoryStats, PadGeometry, Parameter, PoolGeometry, Precision, Recording, ReduceOp, Resampling, Result, Shape,
    Storage, Tensor, UnaryOp, UpdateRule,
};

/// How a [`CudaBackend`] runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CudaOptions {
    /// Which device, counted from 0. Default 0.
    pub ordinal: usize,
    /// Whether memory of dropped tensors is kept for reuse. Off, each tensor is an allocation of its very size, which memory
    /// checkers want. Default on, unless the environment variable `STRIATE_CUDA_POOL` is `off`.
    pub pooling: bool,
    /// How products are computed. [`Precision::Tf32`] is for those that cuBLAS and cuDNN do: matrix products, dense layers and
    /// convolutions; the kernels of this crate know float32 and the two 16-bit types. Default float32.
    pub precision: Precision,
    /// Whether cuBLAS and cuDNN are used where they are found. Without them results do not depend on the device or on NVIDIA's versions.
    /// Default on, unless the environment variable `STRIATE_CUDA_LIBRARIES` is `off`.
    pub libraries: bool,
    /// Whether training steps are recorded as CUDA graphs and replayed, which gives the same bits. A recording keeps the memory of a step for
    /// itself. Default off, unless the environment variable `STRIATE_CUDA_GRAPHS` is `on`.
    pub graphs: bool,
}

impl Default for CudaOptions {
    fn default() -> Self {
        let on = |name: &str| std::env::var_os(name).is_none_or(|value| value != "off");
        CudaOptions {
            ordinal: 0,
            pooling: on("STRIATE_CUDA_POOL"),
            precision: Precision::F32,
            libraries: on("STRIATE_CUDA_LIBRARIES"),
            graphs: std::env::var_os("STRIATE_CUDA_GRAPHS").is_some_and(|value| value == "on"),
        }
    }
}

/// The CUDA back end: every primitive of [`Backend`] in float32; memory and layout in all types.
#[derive(Debug)]
pub struct CudaBackend {
    context: Arc<Context>,
    graphs: bool,
}

impl CudaBackend {
    /// A back end on a device of this machine, with a stream and memory of its own.
    ///
    /// # Errors
    /// [`striate_tensor::Error::Device`] that says what is missing: see [`Unavailable`]. So does asking for TF32 without cuBLAS or on a
    /// device older than Ampere.
    pub fn new(options: CudaOptions) -> Result<CudaBackend> {
        let name = format!("cuda:{}", options.ordinal);
        let missing = |missing: Unavailable| missing.for_device(&name);
        let found = probe().map_err(missing)?;
        if options.ordinal >= found {
            return Err(missing(Unavailable::NoSuchDevice { ordinal: options.ordinal, found }));
        }
        let (gpu, properties) = Gpu::open(options.ordinal)?;
        if properties.capability < LEAST_CAPABILITY {
            let (capability, least) = (properties.capability, LEAST_CAPABILITY);
            return Err(missing(Unavailable::TooOld { capability, least }));
        }
        let with_cublas = cublas::choose(&name, options.libraries, options.precision, properties.capability)?;
        if options.precision == Precision::F16 && options.graphs {
            let rule = "float16 scales the loss, which steps recorded as graphs do not";
            return Err(Error::device(name, rule, "both", "use --precision bf16, or no graphs"));
        }
        // Kernels of this crate do 16-bit convolutions: cuDNN's would round the sums too.
        let with_cudnn = cudnn::choose(options.libraries) && narrow_type(options.precision).is_none();
        let gpu = Arc::new(gpu);
        let pool = Pool::new(gpu.clone(), name.clone(), options.pooling);
        let context =
            Context::new(name, gpu, pool, properties, Compiler::new()?, options.precision, [with_cublas, with_cudnn])?;
        Ok(CudaBackend { context: Arc::new(context), graphs: options.graphs })
    }

    /// The driver's CUDA version, (major, minor).
    pub fn driver_version(&self) -> (u32, u32) {
        let version = self.context.properties.driver;
        (version / 1000, version % 1000 / 10)
    }

    /// Whether matrix products go to cuBLAS.
    pub fn uses_cublas(&self) -> bool {
        self.context.uses_cublas()
    }

    /// Whether convolutions go to cuDNN, where it has something fitting.
    pub fn uses_cudnn(&self) -> bool {
        self.context.uses_cudnn()
    }

    /// How many forms of convolutions cuDNN was asked about so far: each once.
    ///
    /// # Errors
    /// If cuDNN, asked for the first time, does not start.
    pub fn planned_convolutions(&self) -> Result<u64> {
        Ok(self.context.cudnn()?.map_or(0, |cudnn| cudnn.planned()))
    }

    /// How many parts of recorded work were replayed so far: two a training step.
    pub fn replays(&self) -> u64 {
        self.context.replays()
    }

    /// How many of this crate's kernels were started so far.
    pub fn launches(&self) -> u64 {
        self.context.launches()
    }

    /// Gives memory that is kept for reuse back to the driver.
    ///
    /// # Errors
    /// What the device reports.
    pub fn trim(&self) -> Result<()> {
        self.context.pool.trim()
    }
}

impl Backend for CudaBackend {
    fn name(&self) -> &str {
        &self.context.name
    }

    fn info(&self) -> DeviceInfo {
        let properties = &self.context.properties;
        DeviceInfo {
            name: self.context.name.clone(),
            hardware: properties.name.clone(),
            isa: match self.context.precision() {
                Precision::F32 => format!("sm_{}", properties.capability),
                rounded => format!("sm_{}, products in {rounded}", properties.capability, rounded = rounded.name()),
            },
            threads: 0,
        }
    }

    fn memory(&self) -> MemoryStats {
        self.context.pool.stats()
    }

    fn synchronize(&self) -> Result<()> {
        self.context.gpu.synchronize_all()
    }

    fn scales_loss(&self) -> bool {
        self.context.precision() == Precision::F16
    }

    fn record(&self) -> Result<Option<Box<dyn Recording>>> {
        if !self.graphs {
            return Ok(None);
        }
        Ok(Some(Box::new(CudaRecording::new(self.context.clone())?)))
    }

    fn upload(&self, data: HostBuffer) -> Result<Storage> {
        layout::upload(&self.context, &data)
    }

    fn download(&self, x: &Tensor) -> Result<HostBuffer> {
        layout::download(&self.context, x)
    }

    fn full(&self, len: usize, dtype: DType, value: f64) -> Result<Storage> {
        layout::full(&self.context, len, dtype, value)
    }

    fn copy(&self, x: &Tensor) -> Result<Storage> {
        layout::copy(&self.context, x)
    }

    fn cast(&self, x: &Tensor, dtype: DType) -> Result<Storage> {
        layout::cast(&self.context, x, dtype)
    }

    fn permute(&self, x: &Tensor, order: &[usize]) -> Result<Storage> {
        layout::permute(&self.context, x, order)
    }

    fn pad(&self, x: &Tensor, pad: &PadGeometry, shape: &Shape) -> Result<Storage> {
        layout::pad(&self.context, x, pad, shape)
    }

    fn pad_backward(&self, dy: &Tensor, pad: &PadGeometry, shape: &Shape) -> Result<Storage> {
        layout::pad_backward(&self.context, dy, pad, shape)
    }

    fn crop(&self, x: &Tensor, start: &[usize], shape: &Shape) -> Result<Storage> {
        layout::crop(&self.context, x, start, shape)
    }

    fn concat(&self, parts: &[&Tensor], axis: usize, shape: &Shape) -> Result<Storage> {
        layout::concat(&self.context, parts, axis, shape)
    }

    fn gather(&self, x: &Tensor, rows: &[usize]) -> Result<Storage> {
        layout::gather(&self.context, x, rows)
    }

    fn unary(&self, op: UnaryOp, x: &Tensor) -> Result<Storage> {
        elementwise::unary(&self.context, op, x)
    }

    fn unary_backward(&self, op: UnaryOp, saved: &Tensor, dy: &Tensor) -> Result<Storage> {
        elementwise::unary_backward(&self.context, op, saved, dy)
    }

    fn binary(&self, op: BinaryOp, a: &Tensor, b: &Tensor, shape: &Shape) -> Result<Storage> {
        elementwise::binary(&self.context, op, a, b, shape)
    }

    fn reduce(&self, op: ReduceOp, x: &Tensor, reduced: &[bool; MAX_RANK]) -> Result<Storage> {
        reduce::reduce(&self.context, op, x, reduced)
    }

    fn argmax(&self, x: &Tensor) -> Result<Storage> {
        reduce::argmax(&self.context, x)
    }

    fn dropout(&self, x: &Tensor, rate: f32, key: Key) -> Result<Storage> {
        elementwise::dropout(&self.context, x, rate, key)
    }

    fn resamples(&self) -> bool {
        true
    }

    fn resample(&self, pictures: &Tensor, how: &Resampling<'_>) -> Result<Storage> {
        picture::resample(&self.context, pictures, how)
    }

    fn matmul(&self, a: &Tensor, b: &Tensor, g: &MatmulGeometry, epilogue: Epilogue<'_>) -> Result<Storage> {
        product::matmul(&self.context, a, b, g, epilogue)
    }

    fn conv(&self, x: &Tensor, kernel: &Tensor, g: &ConvGeometry, epilogue: Epilogue<'_>) -> Result<Storage> {
        convolution::forward(&self.context, x, kernel, g, epilogue)
    }

    fn conv_backward_input(&self, dy: &Tensor, kernel: &Tensor, g: &ConvGeometry) -> Result<Storage> {
        convolution::input_gradient(&self.context, dy, kernel, g)
    }

    fn conv_backward_kernel(
        &self,
        x: &Tensor,
        dy: &Tensor,
        g: &ConvGeometry,
        with_bias: bool,
    ) -> Result<(Storage, Option<Storage>)> {
        convolution::kernel_gradient(&self.context, x, dy, g, with_bias)
    }

    fn pool(&self, x: &Tensor, g: &PoolGeometry, with_indices: bool) -> Result<(Storage, Option<Storage>)> {
        pool::pool(&self.context, x, g, with_indices)
    }

    fn pool_backward(&self, dy: &Tensor, indices: Option<&Tensor>, g: &PoolGeometry) -> Result<Storage> {
        pool::backward(&self.context, dy, indices, g)
    }

    fn softmax(&self, x: &Tensor) -> Result<Storage> {
        softmax::softmax(&self.context, x)
    }

    fn softmax_backward(&self, y: &Tensor, dy: &Tensor) -> Result<Storage> {
        softmax::softmax_backward(&self.context, y, dy)
    }

    fn softmax_crossentropy(&self, logits: &Tensor, targets: &Tensor) -> Result<(Storage, Storage)> {
        softmax::softmax_crossentropy(&self.context, logits, targets)
    }

    fn update(&self, rule: &UpdateRule, weight: &mut Tensor, gradient: &Tensor, slots: &mut [Tensor]) -> Result<()> {
        update::update_all(&self.context, rule, &mut [Parameter { path: "", weight, gradient, slots, kept: 1.0 }])
    }

    fn update_all(&self, rule: &UpdateRule, parameters: &mut [Parameter<'_>]) -> Result<()> {
        update::update_all(&self.context, rule, parameters)
    }
}
