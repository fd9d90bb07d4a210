//! The one list of primitives.

use crate::activation::Activation;
use crate::buffer::HostBuffer;
use crate::conv::ConvGeometry;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::pool::PoolGeometry;
use crate::random::Key;
use crate::recording::Recording;
use crate::resample::Resampling;
use crate::shape::{MAX_RANK, Shape};
use crate::storage::Storage;
use crate::tensor::Tensor;
use crate::update::{Parameter, UpdateRule};
use std::fmt;

/// An elementwise function of one tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum UnaryOp {
    /// −x.
    Neg,
    /// |x|; its slope at 0 is 0.
    Abs,
    /// x².
    Square,
    /// √x.
    Sqrt,
    /// 1/x.
    Reciprocal,
    /// eˣ.
    Exp,
    /// ln x.
    Log,
    /// x·scale + offset.
    Affine {
        /// The factor.
        scale: f32,
        /// The summand.
        offset: f32,
    },
    /// min(max(x, low), high); the slope is 1 inside and at the limits, else 0.
    Clip {
        /// The lower limit.
        low: f32,
        /// The upper limit.
        high: f32,
    },
    /// One of the activations.
    Activation(Activation),
}

impl UnaryOp {
    /// f(x) in double precision: what every back end is held to.
    pub fn apply(self, x: f64) -> f64 {
        match self {
            UnaryOp::Neg => -x,
            UnaryOp::Abs => x.abs(),
            UnaryOp::Square => x * x,
            UnaryOp::Sqrt => x.sqrt(),
            UnaryOp::Reciprocal => 1.0 / x,
            UnaryOp::Exp => x.exp(),
            UnaryOp::Log => x.ln(),
            UnaryOp::Affine { scale, offset } => x * f64::from(scale) + f64::from(offset),
            UnaryOp::Clip { low, high } => x.max(f64::from(low)).min(f64::from(high)),
            UnaryOp::Activation(activation) => activation.apply(x),
        }
    }

    /// Whether [`UnaryOp::slope`] takes the output rather than the input.
    pub fn slope_from_output(self) -> bool {
        match self {
            UnaryOp::Neg | UnaryOp::Sqrt | UnaryOp::Reciprocal | UnaryOp::Exp | UnaryOp::Affine { .. } => true,
            UnaryOp::Abs | UnaryOp::Square | UnaryOp::Log | UnaryOp::Clip { .. } => false,
            UnaryOp::Activation(activation) => activation.slope_from_output(),
        }
    }

    /// f′ in double precision, of the output or the input as [`UnaryOp::slope_from_output`] says.
    pub fn slope(self, value: f64) -> f64 {
        match self {
            UnaryOp::Neg => -1.0,
            UnaryOp::Abs => {
                if value == 0.0 {
                    0.0
                } else {
                    value.signum()
                }
            }
            UnaryOp::Square => 2.0 * value,
            UnaryOp::Sqrt => 0.5 / value,
            UnaryOp::Reciprocal => -value * value,
            UnaryOp::Exp => value,
            UnaryOp::Log => 1.0 / value,
            UnaryOp::Affine { scale, .. } => f64::from(scale),
            UnaryOp::Clip { low, high } => f64::from(value >= f64::from(low) && value <= f64::from(high)),
            UnaryOp::Activation(activation) => activation.slope(value),
        }
    }
}

/// An elementwise function of two tensors, with broadcasting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BinaryOp {
    /// a + b.
    Add,
    /// a − b.
    Sub,
    /// a · b.
    Mul,
    /// a / b.
    Div,
    /// The larger one.
    Maximum,
    /// The smaller one.
    Minimum,
    /// 1 where a > b, else 0.
    Greater,
    /// 1 where a ≥ b, else 0.
    GreaterEqual,
    /// 1 where a = b, else 0.
    Equal,
}

impl BinaryOp {
    /// f(a, b) in double precision: what every back end is held to.
    pub fn apply(self, a: f64, b: f64) -> f64 {
        match self {
            BinaryOp::Add => a + b,
            BinaryOp::Sub => a - b,
            BinaryOp::Mul => a * b,
            BinaryOp::Div => a / b,
            BinaryOp::Maximum => {
                if a >= b {
                    a
                } else {
                    b
                }
            }
            BinaryOp::Minimum => {
                if a <= b {
                    a
                } else {
                    b
                }
            }
            BinaryOp::Greater => f64::from(a > b),
            BinaryOp::GreaterEqual => f64::from(a >= b),
            BinaryOp::Equal => f64::from(a == b),
        }
    }
}

/// How a reduction combines elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReduceOp {
    /// The sum.
    Sum,
    /// The mean.
    Mean,
    /// The largest element.
    Max,
    /// The smallest element.
    Min,
}

/// What padding is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PadMode {
    /// One value.
    Constant(f32),
    /// The nearest element of the border: the lecture's "extension".
    Replicate,
    /// The elements inside the border, mirrored without repeating it; each padding must be below the axis's size.
    Reflect,
}

/// Elements to add before and after each axis of a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PadGeometry {
    /// (before, after) for each axis; (0, 0) beyond the rank.
    pub pads: [(usize, usize); MAX_RANK],
    /// What they hold.
    pub mode: PadMode,
}

/// A matrix product with every size worked out: `c[b] = op(a[b]) · op(b[b])`, (m, k) · (k, n) = (m, n).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MatmulGeometry {
    /// Independent products; 1 for plain matrices.
    pub batch: usize,
    /// Rows of the result.
    pub m: usize,
    /// The length of the sums.
    pub k: usize,
    /// Columns of the result.
    pub n: usize,
    /// `a` is stored as (k, m).
    pub transpose_a: bool,
    /// `b` is stored as (n, k).
    pub transpose_b: bool,
}

/// What is done to each result of a convolution or matrix product before it is written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Epilogue<'a> {
    /// Added along the last axis: one value per output channel.
    pub bias: Option<&'a Tensor>,
    /// Applied last.
    pub activation: Activation,
}

/// What [`Backend::conv_backward`] computes.
#[derive(Debug, Clone, Copy)]
pub struct ConvBackward<'a> {
    /// The gradient of the convolution's result or, with `pool`, of that pooled.
    pub dy: &'a Tensor,
    /// The convolution's kernel.
    pub kernel: &'a Tensor,
    /// The convolution.
    pub geometry: ConvGeometry,
    /// A maximum pooling of the result, and its winners.
    pub pool: Option<(PoolGeometry, &'a Tensor)>,
    /// Whether the input's gradient is wanted.
    pub input: bool,
    /// Whether the input is a ReLU's output and its gradient to be zero wherever that is not positive: the gradient of what the
    /// ReLU was applied to.
    pub masked: bool,
    /// Whether the kernel's gradient is wanted.
    pub weights: bool,
    /// Whether the bias's gradient is wanted.
    pub bias: bool,
}

/// The gradients of a convolution; none where none was wanted.
#[derive(Debug)]
pub struct ConvGradients<T = Tensor> {
    /// Of the input.
    pub input: Option<T>,
    /// Of the kernel.
    pub kernel: Option<T>,
    /// Of the bias.
    pub bias: Option<T>,
}

/// How products of float32 numbers are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Precision {
    /// In float32 throughout.
    #[default]
    F32,
    /// By tensor cores, on factors rounded to TF32: 10 bits after the leading one instead of 23, the same range; sums are float32.
    Tf32,
    /// On factors rounded to bfloat16: 7 bits after the leading one, the same range. Weights, activations and sums are float32.
    Bf16,
    /// On factors rounded to float16: 10 bits after the leading one, and numbers from 6·10⁻⁸ to 65504. Weights, activations and sums are
    /// float32; training scales the loss.
    F16,
}

impl Precision {
    /// The name: `f32`, `tf32`, `bf16` or `f16`.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Tf32 => "tf32",
            Precision::Bf16 => "bf16",
            Precision::F16 => "f16",
        }
    }
}

/// What a device is, for people: `striate doctor` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceInfo {
    /// The short name: `cpu`, `cuda:0`.
    pub name: String,
    /// The hardware's own name.
    pub hardware: String,
    /// The instruction set or compute capability in use: `avx2`, `sm_90`.
    pub isa: String,
    /// Worker threads; 0 where that means nothing.
    pub threads: usize,
}

/// Bytes held by tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryStats {
    /// In tensors now.
    pub live: usize,
    /// In tensors at most since the start.
    pub peak: usize,
    /// Kept for reuse, beyond the live ones.
    pub cached: usize,
}

/// The primitives a device offers. Object safe; a new back end implements this and passes the conformance suite of
/// `striate-testkit`.
///
/// Callers are the methods of [`Tensor`], which check shapes, element types and devices first: an implementation may rely on the
/// geometry it is given and on tensors being its own. Every method returns new memory holding the result in row-major
/// order. Floating-point inputs of one call have one type, and the result has it too unless stated otherwise.
///
/// The same arguments give the same bits, for any number of threads.
pub trait Backend: Send + Sync + fmt::Debug {
    /// The short name: `cpu`, `reference`, `cuda:0`.
    fn name(&self) -> &str;
    /// What the device is and how it runs.
    fn info(&self) -> DeviceInfo;
    /// Memory held by tensors.
    fn memory(&self) -> MemoryStats;
    /// Waits until all work given so far is done. A back end that works at once has nothing to do.
    ///
    /// # Errors
    /// What the device reports late.
    fn synchronize(&self) -> Result<()> {
        Ok(())
    }

    /// Whether training should scale the loss: factors of products are rounded to a type in which small gradients become zero.
    fn scales_loss(&self) -> bool {
        false
    }

    /// Begins a recording of work that is to be done again and again; none where the back end does not record.
    ///
    /// # Errors
    /// What the device reports.
    fn record(&self) -> Result<Option<Box<dyn Recording>>> {
        Ok(None)
    }

    // --- memory -----------------------------------------------------------------------------------------------

    /// Takes host data to the device; a back end with host memory keeps the very buffer.
    fn upload(&self, data: HostBuffer) -> Result<Storage>;
    /// Brings the tensor's elements to the host.
    fn download(&self, x: &Tensor) -> Result<HostBuffer>;
    /// `len` elements of one value.
    fn full(&self, len: usize, dtype: DType, value: f64) -> Result<Storage>;
    /// A copy of the tensor's elements in memory of their own.
    fn copy(&self, x: &Tensor) -> Result<Storage>;
    /// The elements converted to another type.
    fn cast(&self, x: &Tensor, dtype: DType) -> Result<Storage>;

    // --- layout -----------------------------------------------------------------------------------------------

    /// Axis `i` of the result is axis `order[i]` of `x`.
    fn permute(&self, x: &Tensor, order: &[usize]) -> Result<Storage>;
    /// `x` with a border; `shape` is the result's.
    fn pad(&self, x: &Tensor, pad: &PadGeometry, shape: &Shape) -> Result<Storage>;
    /// The gradient of [`Backend::pad`]: each border element's gradient goes to the element it repeats.
    fn pad_backward(&self, dy: &Tensor, pad: &PadGeometry, shape: &Shape) -> Result<Storage>;
    /// The box that starts at `start` in `x` and has `shape`.
    fn crop(&self, x: &Tensor, start: &[usize], shape: &Shape) -> Result<Storage>;
    /// Tensors one after another along `axis`.
    fn concat(&self, parts: &[&Tensor], axis: usize, shape: &Shape) -> Result<Storage>;
    /// Rows of `x` (along the leading axis) in the order of `rows`, each below the number of rows.
    fn gather(&self, x: &Tensor, rows: &[usize]) -> Result<Storage>;

    // --- elementwise and reductions ---------------------------------------------------------------------------

    /// f(x) for every element.
    fn unary(&self, op: UnaryOp, x: &Tensor) -> Result<Storage>;
    /// dy · f′, where `saved` is the output of [`Backend::unary`] if [`UnaryOp::slope_from_output`], else its input.
    fn unary_backward(&self, op: UnaryOp, saved: &Tensor, dy: &Tensor) -> Result<Storage>;
    /// f(a, b) for every element of the broadcast `shape`.
    fn binary(&self, op: BinaryOp, a: &Tensor, b: &Tensor, shape: &Shape) -> Result<Storage>;
    /// Combines the elements along the axes with `reduced[axis]`; the rest stay in order.
    fn reduce(&self, op: ReduceOp, x: &Tensor, reduced: &[bool; MAX_RANK]) -> Result<Storage>;
    /// The index of the largest element along the last axis, the first one if several are equal; type I32.
    fn argmax(&self, x: &Tensor) -> Result<Storage>;
    /// `x` with each element dropped with probability `rate` and the others divided by 1 − rate.
    ///
    /// Element i is kept where `key.word(i) ≥ round(rate · 2³²)`; the backward pass is the same call on the gradient, so no mask is
    /// kept. Also DropConnect's, on weights.
    fn dropout(&self, x: &Tensor, rate: f32, key: Key) -> Result<Storage>;

    // --- pictures ---------------------------------------------------------------------------------------------

    /// Whether the back end has [`Backend::resample`]; a host whose processor does as well leaves it out.
    fn resamples(&self) -> bool {
        false
    }
    /// Pictures of bytes (n, height, width, channels) seen through matrices, as float32 of the same shape.
    ///
    /// # Errors
    /// [`crate::Error::Device`] where the back end does not have it.
    fn resample(&self, pictures: &Tensor, how: &Resampling<'_>) -> Result<Storage> {
        let _ = (pictures, how);
        Err(Error::device(
            self.name(),
            "a device must resample pictures by itself",
            "one that does not",
            "see resamples",
        ))
    }

    // --- products ---------------------------------------------------------------------------------------------

    /// A matrix product. Where `batch` > 1 an operand without batch axis is used for all.
    fn matmul(&self, a: &Tensor, b: &Tensor, g: &MatmulGeometry, epilogue: Epilogue<'_>) -> Result<Storage>;
    /// A convolution with its bias and activation.
    fn conv(&self, x: &Tensor, kernel: &Tensor, g: &ConvGeometry, epilogue: Epilogue<'_>) -> Result<Storage>;
    /// A convolution and the maximum pooling of its result, where the back end has both in one pass; none where it has not.
    /// With `with_indices` also the winners, as [`Backend::pool`] gives them.
    fn conv_max_pool(
        &self,
        x: &Tensor,
        kernel: &Tensor,
        g: &ConvGeometry,
        epilogue: Epilogue<'_>,
        pool: &PoolGeometry,
        with_indices: bool,
    ) -> Result<Option<(Storage, Option<Storage>)>> {
        let _ = (x, kernel, g, epilogue, pool, with_indices);
        Ok(None)
    }
    /// The gradient of the convolution's input.
    fn conv_backward_input(&self, dy: &Tensor, kernel: &Tensor, g: &ConvGeometry) -> Result<Storage>;
    /// The gradients of the convolution's kernel and, if asked for, of its bias.
    fn conv_backward_kernel(
        &self,
        x: &Tensor,
        dy: &Tensor,
        g: &ConvGeometry,
        with_bias: bool,
    ) -> Result<(Storage, Option<Storage>)>;
    /// All gradients of a convolution in one go, where the back end can do with less memory that way; none where it cannot. If
    /// nobody else looks at `x` it may write the input's gradient there, and return none for it.
    fn conv_backward(&self, x: &mut Tensor, work: &ConvBackward<'_>) -> Result<Option<ConvGradients<Storage>>> {
        let _ = (x, work);
        Ok(None)
    }

    // --- pooling ----------------------------------------------------------------------------------------------

    /// Pooling. With `with_indices` (maximum only) also each winner's index in its window, row-major over the window: type
    /// U8 if the window has at most 256 elements, else I32.
    fn pool(&self, x: &Tensor, g: &PoolGeometry, with_indices: bool) -> Result<(Storage, Option<Storage>)>;
    /// The gradient of pooling's input; `indices` as [`Backend::pool`] gave them for a maximum, none for an average.
    fn pool_backward(&self, dy: &Tensor, indices: Option<&Tensor>, g: &PoolGeometry) -> Result<Storage>;

    // --- softmax and losses -----------------------------------------------------------------------------------

    /// Softmax along the last axis, computed on x − max x.
    fn softmax(&self, x: &Tensor) -> Result<Storage>;
    /// The gradient of softmax's input from its output: y·(dy − Σ dy·y).
    fn softmax_backward(&self, y: &Tensor, dy: &Tensor) -> Result<Storage>;
    /// Along the last axis of `logits`: −Σ target·log softmax(logits) for every row, and softmax(logits).
    fn softmax_crossentropy(&self, logits: &Tensor, targets: &Tensor) -> Result<(Storage, Storage)>;

    // --- training ---------------------------------------------------------------------------------------------

    /// One optimizer step on one parameter: `weight` and `slots` are changed in place.
    fn update(&self, rule: &UpdateRule, weight: &mut Tensor, gradient: &Tensor, slots: &mut [Tensor]) -> Result<()>;
    /// The same step on many parameters, each decayed before it as [`Parameter::kept`] says; for back ends to whom a call is dear. What a
    /// parameter becomes does not depend on the others.
    fn update_all(&self, rule: &UpdateRule, parameters: &mut [Parameter<'_>]) -> Result<()> {
        parameters.iter_mut().try_for_each(|one| {
            let stepped = one.decay().and_then(|()| self.update(rule, one.weight, one.gradient, one.slots));
            stepped.map_err(|error| error.at(one.path))
        })
    }
}
