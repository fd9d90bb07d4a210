//! The back end's trait: each primitive handed to the module that computes it.

use crate::memory::Memory;
use crate::simd::{Isa, Level};
use crate::threads::Threads;
use crate::{conv, dropout, elementwise, layout, matmul, pool, reduce, softmax, update};
use std::fmt;
use striate_tensor::{
    Backend, BinaryOp, ConvAlgorithm, ConvBackward, ConvGeometry, ConvGradients, DType, DeviceInfo, Element, Epilogue,
    Error, HostBuffer, Key, MAX_RANK, MatmulGeometry, MemoryStats, PadGeometry, PoolGeometry, ReduceOp, Result, Shape,
    Storage, Tensor, UnaryOp, UpdateRule,
};

/// How a [`CpuBackend`] runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuOptions {
    /// Threads that work, the caller's included. Default: as many as the process may run at once.
    pub threads: Option<usize>,
    /// The instruction set. Default: the environment variable `STRIATE_ISA`, else the best available.
    pub isa: Option<Isa>,
    /// What [`ConvAlgorithm::Auto`] means here; a convolution that asks for an algorithm gets that. Default: decided by each
    /// convolution's shapes.
    pub algorithm: ConvAlgorithm,
}

/// What kernels need: memory, threads, and the instruction set they may use.
pub(crate) struct Context {
    pub(crate) memory: Memory,
    pub(crate) threads: Threads,
    pub(crate) level: Level,
    /// What convolutions that leave the choice open use.
    pub(crate) algorithm: ConvAlgorithm,
}

/// The CPU back end: every primitive of [`Backend`] in float32; memory and layout in all types.
pub struct CpuBackend {
    context: Context,
}

impl CpuBackend {
    /// A back end with threads and memory of its own.
    ///
    /// # Errors
    /// [`Error::Argument`] for no threads, more than the system grants, or an instruction set that is unknown or
    /// missing.
    ///
    /// ```
    /// use striate_cpu::{CpuBackend, CpuOptions, Isa};
    /// use striate_tensor::{Device, Tensor};
    /// let options = CpuOptions { threads: Some(1), isa: Some(Isa::Portable), ..CpuOptions::default() };
    /// let device = Device::new(CpuBackend::new(options)?);
    /// let x = Tensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2], &device)?;
    /// assert_eq!(x.matmul(&x)?.to_vec::<f32>()?, [7.0, 10.0, 15.0, 22.0]);
    /// # Ok::<(), striate_tensor::Error>(())
    /// ```
    pub fn new(options: CpuOptions) -> Result<CpuBackend> {
        let isa = options.isa.map_or_else(Isa::from_environment, Ok)?;
        let context = Context {
            memory: Memory::new(),
            threads: Threads::new(options.threads)?,
            level: Level::new(isa)?,
            algorithm: options.algorithm,
        };
        Ok(CpuBackend { context })
    }
}

impl fmt::Debug for CpuBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CpuBackend({}, {} threads)", self.context.level.isa(), self.context.threads.count())
    }
}

/// The error for an element type that an operation does not compute in.
pub(crate) fn unsupported(op: &str, dtype: DType) -> Error {
    let hint = match dtype {
        DType::F64 => "use the reference back end for float64, or cast to float32",
        _ => "cast to float32",
    };
    Error::dtype(op, "the CPU back end computes in float32", dtype.name(), hint)
}

/// The elements as float32.
pub(crate) fn f32s<'a>(op: &str, x: &'a Tensor) -> Result<&'a [f32]> {
    if x.dtype() != DType::F32 {
        return Err(unsupported(op, x.dtype()));
    }
    x.as_slice()
}

/// The elements, whose type was looked at before.
pub(crate) fn elements<T: Element>(x: &Tensor) -> Result<&[T]> {
    x.as_slice()
}

/// The name the machine's processor gives itself.
fn hardware() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or_else(|| std::env::consts::ARCH.to_string(), |(_, name)| name.trim().to_string())
}

impl Backend for CpuBackend {
    fn name(&self) -> &str {
        "cpu"
    }

    fn info(&self) -> DeviceInfo {
        DeviceInfo {
            name: "cpu".into(),
            hardware: hardware(),
            isa: self.context.level.isa().name().into(),
            threads: self.context.threads.count(),
        }
    }

    fn memory(&self) -> MemoryStats {
        self.context.memory.stats()
    }

    fn upload(&self, data: HostBuffer) -> Result<Storage> {
        Ok(Storage::host(self.context.memory.adopt(data)))
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
        dropout::dropout(&self.context, x, rate, key)
    }

    fn matmul(&self, a: &Tensor, b: &Tensor, g: &MatmulGeometry, epilogue: Epilogue<'_>) -> Result<Storage> {
        elementwise::known(epilogue.activation)?;
        matmul::matmul(&self.context, a, b, g, epilogue)
    }

    fn conv(&self, x: &Tensor, kernel: &Tensor, g: &ConvGeometry, epilogue: Epilogue<'_>) -> Result<Storage> {
        elementwise::known(epilogue.activation)?;
        conv::forward(&self.context, x, kernel, g, epilogue)
    }

    fn conv_max_pool(
        &self,
        x: &Tensor,
        kernel: &Tensor,
        g: &ConvGeometry,
        epilogue: Epilogue<'_>,
        pool: &PoolGeometry,
        with_indices: bool,
    ) -> Result<Option<(Storage, Option<Storage>)>> {
        conv::forward_pooled(&self.context, x, kernel, g, epilogue, (pool, with_indices))
    }

    fn conv_backward_input(&self, dy: &Tensor, kernel: &Tensor, g: &ConvGeometry) -> Result<Storage> {
        conv::input_gradient(&self.context, dy, kernel, g)
    }

    fn conv_backward_kernel(
        &self,
        x: &Tensor,
        dy: &Tensor,
        g: &ConvGeometry,
        with_bias: bool,
    ) -> Result<(Storage, Option<Storage>)> {
        conv::kernel_gradient(&self.context, x, dy, g, with_bias)
    }

    fn conv_backward(&self, x: &mut Tensor, work: &ConvBackward<'_>) -> Result<Option<ConvGradients<Storage>>> {
        conv::backward(&self.context, x, work).map(Some)
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
        update::update(&self.context, rule, weight, gradient, slots)
    }
}
