//! The checked door to the primitives: each method checks shapes, types and devices, then asks the back end.

use crate::activation::Activation;
use crate::backend::{
    BinaryOp, ConvBackward, ConvGradients, Epilogue, MatmulGeometry, PadGeometry, PadMode, ReduceOp, UnaryOp,
};
use crate::conv::{ConvGeometry, ConvSpec};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::pool::{PoolKind, PoolSpec};
use crate::random::Key;
use crate::resample::{PictureBorder, Resampling};
use crate::shape::{MAX_RANK, Shape};
use crate::storage::Storage;
use crate::tensor::Tensor;
use crate::update::{Parameter, UpdateRule};

impl Tensor {
    fn made(&self, storage: Storage, shape: Shape) -> Result<Tensor> {
        Tensor::from_storage(storage, shape, self.device())
    }

    /// Refuses operands of another device or type than `self`.
    fn companions(&self, op: &str, others: &[&Tensor]) -> Result<()> {
        for other in others {
            if other.device() != self.device() {
                return Err(Error::device(
                    op,
                    "all operands must be on one device",
                    format!("{} and {}", self.device().name(), other.device().name()),
                    "move one with to_device",
                ));
            }
            if other.dtype() != self.dtype() {
                return Err(Error::dtype(
                    op,
                    "all operands must have one element type",
                    format!("{} and {}", self.dtype(), other.dtype()),
                    "convert one with cast",
                ));
            }
        }
        Ok(())
    }

    fn float(&self, op: &str) -> Result<()> {
        if self.dtype().is_float() {
            return Ok(());
        }
        Err(Error::dtype(op, "elements must be floating-point", self.dtype().name(), "convert with cast"))
    }

    /// Axis `i` of the result is axis `order[i]` of this tensor.
    ///
    /// # Errors
    /// [`Error::Shape`] if `order` does not name each axis once.
    pub fn permute(&self, order: &[usize]) -> Result<Tensor> {
        let mut seen = [false; MAX_RANK];
        let valid = order.len() == self.rank()
            && order.iter().all(|&axis| axis < self.rank() && !std::mem::replace(&mut seen[axis], true));
        if !valid {
            return Err(Error::shape(
                "permute",
                "the order must name each axis once",
                format!("{order:?} for {}", self.shape()),
                "",
            ));
        }
        let sizes: Vec<usize> = order.iter().map(|&axis| self.shape()[axis]).collect();
        self.made(self.device().permute(self, order)?, Shape::new(&sizes)?)
    }

    /// Works out padding; the result's shape and the geometry.
    fn pad_geometry(shape: &Shape, pads: &[(usize, usize)], mode: PadMode) -> Result<(Shape, PadGeometry)> {
        let refuse = |rule: &str| Err(Error::shape("pad", rule, format!("{pads:?} for {shape}, {mode:?}"), ""));
        if pads.len() != shape.rank() {
            return refuse("there must be one (before, after) for each axis");
        }
        let mut g = PadGeometry { pads: [(0, 0); MAX_RANK], mode };
        let mut sizes = [0; MAX_RANK];
        for (axis, (&(before, after), &n)) in pads.iter().zip(shape.iter()).enumerate() {
            if mode == PadMode::Reflect && (before > 0 || after > 0) && (before >= n || after >= n) {
                return refuse("reflected padding must be smaller than the axis");
            }
            if mode == PadMode::Replicate && n == 0 && (before > 0 || after > 0) {
                return refuse("an empty axis has no border to repeat");
            }
            g.pads[axis] = (before, after);
            sizes[axis] = match n.checked_add(before).and_then(|n| n.checked_add(after)) {
                Some(size) => size,
                None => return refuse("the padded size must fit in memory"),
            };
        }
        Ok((Shape::new(&sizes[..pads.len()])?, g))
    }

    /// This tensor with a border of `pads[axis]` = (before, after) elements.
    ///
    /// # Errors
    /// [`Error::Shape`] for a wrong number of axes, or reflection not smaller than its axis.
    pub fn pad(&self, pads: &[(usize, usize)], mode: PadMode) -> Result<Tensor> {
        let (shape, g) = Tensor::pad_geometry(self.shape(), pads, mode)?;
        self.made(self.device().pad(self, &g, &shape)?, shape)
    }

    /// The gradient of [`Tensor::pad`]'s input of shape `shape`, where this tensor is the output's gradient.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes do not belong together.
    pub fn pad_backward(&self, shape: &Shape, pads: &[(usize, usize)], mode: PadMode) -> Result<Tensor> {
        let (padded, g) = Tensor::pad_geometry(shape, pads, mode)?;
        self.has_shape("pad_backward", &padded)?;
        self.made(self.device().pad_backward(self, &g, shape)?, *shape)
    }

    /// The box of `shape` that starts at index `start[axis]` of each axis.
    ///
    /// # Errors
    /// [`Error::Shape`] if the box does not lie inside.
    pub fn crop(&self, start: &[usize], shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        let inside = start.len() == self.rank()
            && shape.rank() == self.rank()
            && (0..self.rank())
                .all(|axis| start[axis].checked_add(shape[axis]).is_some_and(|end| end <= self.shape()[axis]));
        if !inside {
            return Err(Error::shape(
                "crop",
                "the box must lie inside the tensor",
                format!("box {shape} at {start:?} of {}", self.shape()),
                "",
            ));
        }
        self.made(self.device().crop(self, start, &shape)?, shape)
    }

    /// Tensors one after another along `axis`.
    ///
    /// # Errors
    /// [`Error::Shape`] for no tensor, or sizes that differ along another axis.
    pub fn concat(parts: &[&Tensor], axis: usize) -> Result<Tensor> {
        let describe = || parts.iter().map(|p| p.shape().to_string()).collect::<Vec<_>>().join(", ");
        let refuse = || {
            Error::shape(
                "concatenate",
                format!("there must be at least one part, and all sizes but that of axis {axis} must be equal"),
                if parts.is_empty() { "no parts".into() } else { describe() },
                "",
            )
        };
        let first = *parts.first().ok_or_else(refuse)?;
        first.companions("concatenate", parts)?;
        let mut sizes = first.shape().to_vec();
        if axis >= sizes.len() {
            return Err(refuse());
        }
        sizes[axis] = 0;
        for part in parts {
            let fits =
                part.rank() == first.rank() && (0..sizes.len()).all(|a| a == axis || part.shape()[a] == sizes[a]);
            if !fits {
                return Err(refuse());
            }
            sizes[axis] += part.shape()[axis];
        }
        let shape = Shape::new(&sizes)?;
        first.made(first.device().concat(parts, axis, &shape)?, shape)
    }

    /// Rows along the leading axis, in the given order; one may come several times.
    ///
    /// # Errors
    /// [`Error::Shape`] for a scalar or an index beyond the axis.
    pub fn gather(&self, rows: &[usize]) -> Result<Tensor> {
        let n = self.shape().first().copied().unwrap_or(0);
        if let Some(row) = rows.iter().find(|&&row| row >= n) {
            return Err(Error::shape(
                "gather",
                format!("row indices must be below {n}"),
                format!("{row} for {}", self.shape()),
                "",
            ));
        }
        if self.rank() == 0 {
            return Err(Error::shape("gather", "a scalar has no rows", self.shape().to_string(), ""));
        }
        self.made(self.device().gather(self, rows)?, self.shape().without_batch().with_batch(rows.len())?)
    }

    /// f(x) for every element.
    ///
    /// # Errors
    /// [`Error::DType`] unless floating-point.
    pub fn unary(&self, op: UnaryOp) -> Result<Tensor> {
        self.float("elementwise function")?;
        self.made(self.device().unary(op, self)?, *self.shape())
    }

    /// The gradient of a unary function's input, where this tensor is the output's gradient and `saved` the output if
    /// [`UnaryOp::slope_from_output`], else the input.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes differ.
    pub fn unary_backward(&self, op: UnaryOp, saved: &Tensor) -> Result<Tensor> {
        self.companions("elementwise gradient", &[saved])?;
        self.has_shape("elementwise gradient", saved.shape())?;
        self.made(self.device().unary_backward(op, saved, self)?, *self.shape())
    }

    /// An activation of every element.
    ///
    /// # Errors
    /// As [`Tensor::unary`].
    pub fn activate(&self, activation: Activation) -> Result<Tensor> {
        if activation == Activation::Linear {
            return Ok(self.clone());
        }
        self.unary(UnaryOp::Activation(activation))
    }

    /// f(a, b) for every element, with broadcasting.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes do not broadcast.
    pub fn binary(&self, op: BinaryOp, other: &Tensor) -> Result<Tensor> {
        self.float("elementwise function")?;
        self.companions("elementwise function", &[other])?;
        let shape = self.shape().broadcast(other.shape())?;
        self.made(self.device().binary(op, self, other, &shape)?, shape)
    }

    /// Elementwise sum with broadcasting.
    ///
    /// # Errors
    /// As [`Tensor::binary`].
    pub fn add(&self, other: &Tensor) -> Result<Tensor> {
        self.binary(BinaryOp::Add, other)
    }

    /// Elementwise difference with broadcasting.
    ///
    /// # Errors
    /// As [`Tensor::binary`].
    pub fn sub(&self, other: &Tensor) -> Result<Tensor> {
        self.binary(BinaryOp::Sub, other)
    }

    /// Elementwise product with broadcasting.
    ///
    /// # Errors
    /// As [`Tensor::binary`].
    pub fn mul(&self, other: &Tensor) -> Result<Tensor> {
        self.binary(BinaryOp::Mul, other)
    }

    /// Every element times `scale` plus `offset`.
    ///
    /// # Errors
    /// As [`Tensor::unary`].
    pub fn affine(&self, scale: f32, offset: f32) -> Result<Tensor> {
        self.unary(UnaryOp::Affine { scale, offset })
    }

    /// Combines the elements along `axes`; `keep` leaves them as axes of size 1. The mean, maximum or minimum of nothing is
    /// refused.
    ///
    /// # Errors
    /// [`Error::Shape`] for an axis the tensor does not have, or an empty one where that has no meaning.
    pub fn reduce(&self, op: ReduceOp, axes: &[usize], keep: bool) -> Result<Tensor> {
        self.float("reduction")?;
        let mut reduced = [false; MAX_RANK];
        let (mut rest, mut kept) = (Vec::new(), self.shape().to_vec());
        for &axis in axes {
            if axis >= self.rank() {
                return Err(Error::shape(
                    "reduction",
                    "axes must be below the rank",
                    format!("axis {axis} of {}", self.shape()),
                    "",
                ));
            }
            reduced[axis] = true;
            kept[axis] = 1;
        }
        for (axis, &size) in self.shape().iter().enumerate() {
            if !reduced[axis] {
                rest.push(size);
            } else if size == 0 && op != ReduceOp::Sum {
                return Err(Error::shape(
                    "reduction",
                    format!("{op:?} needs at least one element"),
                    self.shape().to_string(),
                    "",
                ));
            }
        }
        let storage = self.device().reduce(op, self, &reduced)?;
        self.made(storage, Shape::new(if keep { &kept } else { &rest })?)
    }

    /// The sum of all elements, a scalar.
    ///
    /// # Errors
    /// As [`Tensor::reduce`].
    pub fn sum_all(&self) -> Result<Tensor> {
        self.reduce(ReduceOp::Sum, &(0..self.rank()).collect::<Vec<_>>(), false)
    }

    /// Sums over broadcast axes, so that the result has `shape`: the gradient of broadcasting.
    ///
    /// # Errors
    /// [`Error::Shape`] if `shape` does not broadcast to this tensor's.
    pub fn sum_to(&self, shape: &Shape) -> Result<Tensor> {
        if self.shape() == shape {
            return Ok(self.clone());
        }
        if shape.broadcast(self.shape())? != *self.shape() {
            return Err(Error::shape(
                "sum_to",
                "the shape must broadcast to the tensor's",
                format!("{} to {shape}", self.shape()),
                "",
            ));
        }
        let lead = self.rank() - shape.rank();
        let axes: Vec<usize> =
            (0..self.rank()).filter(|&a| a < lead || (shape[a - lead] == 1 && self.shape()[a] != 1)).collect();
        self.reduce(ReduceOp::Sum, &axes, false)?.reshape(*shape)
    }

    /// The index of the largest element along the last axis, type I32.
    ///
    /// # Errors
    /// [`Error::Shape`] for a scalar or an empty last axis.
    pub fn argmax(&self) -> Result<Tensor> {
        self.last_axis("argmax")?;
        let sizes = &self.shape()[..self.rank() - 1];
        self.made(self.device().argmax(self)?, Shape::new(sizes)?)
    }

    /// Drops elements at random; see [`crate::Backend::dropout`].
    ///
    /// # Errors
    /// [`Error::Argument`] unless 0 ≤ rate < 1.
    pub fn dropout(&self, rate: f32, key: Key) -> Result<Tensor> {
        self.float("dropout")?;
        if !(0.0..1.0).contains(&rate) {
            return Err(Error::argument("dropout", "the rate must be in [0, 1)", rate.to_string(), ""));
        }
        if rate == 0.0 {
            return Ok(self.clone());
        }
        self.made(self.device().dropout(self, rate, key)?, *self.shape())
    }

    /// Pictures (n, height, width, channels) of bytes seen through matrices, one each, as float32; see [`crate::Backend::resample`].
    ///
    /// # Errors
    /// [`Error::Shape`] for another rank or number of views; [`Error::DType`] for anything but bytes; [`Error::Argument`] for numbers that
    /// are not finite; [`Error::Device`] where the device has no resampling.
    pub fn resample(&self, how: &Resampling<'_>) -> Result<Tensor> {
        let op = "resampling";
        if self.rank() != 4 || how.views.len() != self.shape()[0] {
            let rule = "there must be a view for each of the pictures (n, height, width, channels)";
            return Err(Error::shape(op, rule, format!("{} views, {}", how.views.len(), self.shape()), ""));
        }
        if self.dtype() != DType::U8 {
            return Err(Error::dtype(op, "pictures must be bytes", self.dtype().name(), ""));
        }
        let constant = if let PictureBorder::Constant(value) = how.border { value } else { 0.0 };
        let all =
            how.views.iter().flat_map(|view| view.matrix).flatten().chain([f64::from(how.scale), f64::from(constant)]);
        if let Some(wrong) = all.into_iter().find(|value| !value.is_finite()) {
            return Err(Error::argument(
                op,
                "matrices, the scale and the constant must be finite",
                wrong.to_string(),
                "",
            ));
        }
        self.made(self.device().resample(self, how)?, *self.shape())
    }

    /// The matrix product op(self)·op(b), plus bias, activated.
    ///
    /// Ranks 2 or 3; a leading axis of rank 3 counts independent products, and an operand without one serves all.
    ///
    /// # Errors
    /// [`Error::Shape`] if ranks, inner sizes, batch sizes or the bias do not fit.
    pub fn matmul_with(
        &self,
        transpose_a: bool,
        b: &Tensor,
        transpose_b: bool,
        bias: Option<&Tensor>,
        activation: Activation,
    ) -> Result<Tensor> {
        let op = "matrix product";
        self.float(op)?;
        self.companions(op, &[b])?;
        let refuse = |rule: &str| {
            let mark = |t| if t { "ᵀ" } else { "" };
            let received = format!("{}{} · {}{}", self.shape(), mark(transpose_a), b.shape(), mark(transpose_b));
            Err(Error::shape(op, rule, received, ""))
        };
        if !(2..=3).contains(&self.rank()) || !(2..=3).contains(&b.rank()) {
            return refuse("operands must have rank 2 or 3");
        }
        let sides = |t: &Tensor, transposed: bool| {
            let [rows, columns] = [t.shape()[t.rank() - 2], t.shape()[t.rank() - 1]];
            if transposed { (columns, rows) } else { (rows, columns) }
        };
        let ((m, k), (k2, n)) = (sides(self, transpose_a), sides(b, transpose_b));
        if k != k2 {
            return refuse("the inner sizes must be equal");
        }
        let batch = match (self.rank(), b.rank()) {
            (2, 2) => 1,
            (3, 2) => self.shape()[0],
            (2, 3) => b.shape()[0],
            _ if self.shape()[0] == b.shape()[0] => self.shape()[0],
            _ => return refuse("the batch sizes must be equal"),
        };
        let shape = match (self.rank(), b.rank()) {
            (2, 2) => Shape::from([m, n]),
            _ => Shape::new(&[batch, m, n])?,
        };
        if let Some(bias) = bias {
            self.companions(op, &[bias])?;
            bias.has_shape(op, &Shape::from([n]))?;
        }
        let g = MatmulGeometry { batch, m, k, n, transpose_a, transpose_b };
        self.made(self.device().matmul(self, b, &g, Epilogue { bias, activation })?, shape)
    }

    /// The matrix product self·b.
    ///
    /// # Errors
    /// As [`Tensor::matmul_with`].
    pub fn matmul(&self, b: &Tensor) -> Result<Tensor> {
        self.matmul_with(false, b, false, None, Activation::Linear)
    }

    /// The convolution of (n, spatial…, c) with `kernel` (spatial…, c / groups, filters), plus bias, activated.
    ///
    /// # Errors
    /// As [`ConvSpec::geometry`]; [`Error::Shape`] for a bias that is not (filters).
    pub fn conv(
        &self,
        kernel: &Tensor,
        bias: Option<&Tensor>,
        spec: &ConvSpec,
        activation: Activation,
    ) -> Result<Tensor> {
        let g = self.conv_geometry(kernel, bias, spec)?;
        let shape = spec.output_shape(self.shape(), kernel.shape())?;
        self.made(self.device().conv(self, kernel, &g, Epilogue { bias, activation })?, shape)
    }

    fn conv_geometry(&self, kernel: &Tensor, bias: Option<&Tensor>, spec: &ConvSpec) -> Result<ConvGeometry> {
        self.float("convolution")?;
        self.companions("convolution", &[kernel])?;
        let g = spec.geometry(self.shape(), kernel.shape())?;
        if let Some(bias) = bias {
            self.companions("convolution", &[bias])?;
            bias.has_shape("convolution bias", &Shape::from([g.out_channels]))?;
        }
        Ok(g)
    }

    /// [`Tensor::conv`] followed by maximum pooling: the same numbers, without the result between where the back end can do
    /// without. With `with_indices` also the winners, as [`Tensor::pool`] gives them; among equal ones any.
    ///
    /// # Errors
    /// As [`Tensor::conv`] and [`PoolSpec::geometry`].
    pub fn conv_max_pool(
        &self,
        kernel: &Tensor,
        bias: Option<&Tensor>,
        spec: &ConvSpec,
        activation: Activation,
        pool: &PoolSpec,
        with_indices: bool,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let g = self.conv_geometry(kernel, bias, spec)?;
        let between = spec.output_shape(self.shape(), kernel.shape())?;
        let pool = PoolSpec { kind: PoolKind::Max, ..*pool };
        let (pooling, shape) = (pool.geometry(&between)?, pool.output_shape(&between)?);
        match self.device().conv_max_pool(self, kernel, &g, Epilogue { bias, activation }, &pooling, with_indices)? {
            Some((storage, indices)) => {
                let indices = indices.map(|indices| self.made(indices, shape)).transpose()?;
                Ok((self.made(storage, shape)?, indices))
            }
            None => self.conv(kernel, bias, spec, activation)?.pool(&pool, with_indices),
        }
    }

    /// The gradient of the input, of shape `input`, of [`Tensor::conv`], where this tensor is the output's gradient. It is
    /// also what a transposed convolution computes.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes do not belong together.
    pub fn conv_backward_input(&self, kernel: &Tensor, input: &Shape, spec: &ConvSpec) -> Result<Tensor> {
        self.companions("convolution gradient", &[kernel])?;
        let g = spec.geometry(input, kernel.shape())?;
        self.has_shape("convolution gradient", &spec.output_shape(input, kernel.shape())?)?;
        self.made(self.device().conv_backward_input(self, kernel, &g)?, *input)
    }

    /// The gradients of the kernel, of shape `kernel`, and if asked for of the bias, of [`Tensor::conv`], where this tensor is
    /// the output's gradient.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes do not belong together.
    pub fn conv_backward_kernel(
        &self,
        x: &Tensor,
        kernel: &Shape,
        spec: &ConvSpec,
        with_bias: bool,
    ) -> Result<(Tensor, Option<Tensor>)> {
        self.companions("convolution gradient", &[x])?;
        let g = spec.geometry(x.shape(), kernel)?;
        self.has_shape("convolution gradient", &spec.output_shape(x.shape(), kernel)?)?;
        let (kernel_gradient, bias) = self.device().conv_backward_kernel(x, self, &g, with_bias)?;
        let bias = bias.map(|bias| self.made(bias, Shape::from([g.out_channels]))).transpose()?;
        Ok((self.made(kernel_gradient, *kernel)?, bias))
    }

    /// The gradients of [`Tensor::conv`] or, with `pool` and its winners, of [`Tensor::conv_max_pool`], where this tensor is the
    /// gradient of the result: of the input, the kernel and the bias, where `wanted` says so. With `masked` the input is a ReLU's
    /// output, and its gradient is zero wherever that is not positive.
    ///
    /// `x` is given up so that its memory may be used again.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes do not belong together.
    pub fn conv_backward(
        &self,
        mut x: Tensor,
        kernel: &Tensor,
        spec: &ConvSpec,
        pool: Option<(&PoolSpec, &Tensor)>,
        wanted: [bool; 3],
        masked: bool,
    ) -> Result<ConvGradients> {
        self.companions("convolution gradient", &[&x, kernel])?;
        let geometry = spec.geometry(x.shape(), kernel.shape())?;
        let between = spec.output_shape(x.shape(), kernel.shape())?;
        let pooling = match pool {
            Some((pool, indices)) => {
                let pooled = pool.output_shape(&between)?;
                indices.has_shape("convolution gradient", &pooled)?;
                self.has_shape("convolution gradient", &pooled)?;
                Some((pool.geometry(&between)?, indices))
            }
            None => {
                self.has_shape("convolution gradient", &between)?;
                None
            }
        };
        let [input, weights, bias] = wanted;
        let work = ConvBackward { dy: self, kernel, geometry, pool: pooling, input, masked, weights, bias };
        if let Some(made) = self.device().conv_backward(&mut x, &work)? {
            let shape = *x.shape();
            let of_input = match made.input {
                Some(storage) => Some(self.made(storage, shape)?),
                None => input.then_some(x),
            };
            let of_kernel = made.kernel.map(|storage| self.made(storage, *kernel.shape())).transpose()?;
            let channels = Shape::from([geometry.out_channels]);
            let of_bias = made.bias.map(|storage| self.made(storage, channels)).transpose()?;
            return Ok(ConvGradients { input: of_input, kernel: of_kernel, bias: of_bias });
        }
        let scattered = pool.map(|(pool, indices)| self.pool_backward(&between, Some(indices), pool)).transpose()?;
        let dz = scattered.as_ref().unwrap_or(self);
        let (mut of_kernel, mut of_bias) = (None, None);
        if weights || bias {
            let (kernel, bias) = dz.conv_backward_kernel(&x, kernel.shape(), spec, bias)?;
            (of_kernel, of_bias) = (Some(kernel).filter(|_| weights), bias);
        }
        let mut of_input = None;
        if input {
            let dx = dz.conv_backward_input(kernel, x.shape(), spec)?;
            let relu = UnaryOp::Activation(Activation::Relu);
            of_input = Some(if masked { dx.unary_backward(relu, &x)? } else { dx });
        }
        Ok(ConvGradients { input: of_input, kernel: of_kernel, bias: of_bias })
    }

    /// Pooling of (n, spatial…, c); `with_indices` also gives the winners of a maximum, for the backward pass.
    ///
    /// # Errors
    /// As [`PoolSpec::geometry`].
    pub fn pool(&self, spec: &PoolSpec, with_indices: bool) -> Result<(Tensor, Option<Tensor>)> {
        self.float("pooling")?;
        let g = spec.geometry(self.shape())?;
        let shape = spec.output_shape(self.shape())?;
        let (y, indices) = self.device().pool(self, &g, with_indices && spec.kind == PoolKind::Max)?;
        Ok((self.made(y, shape)?, indices.map(|indices| self.made(indices, shape)).transpose()?))
    }

    /// The gradient of the input, of shape `input`, of [`Tensor::pool`], where this tensor is the output's gradient.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes do not belong together; [`Error::Argument`] for a maximum without indices.
    pub fn pool_backward(&self, input: &Shape, indices: Option<&Tensor>, spec: &PoolSpec) -> Result<Tensor> {
        let g = spec.geometry(input)?;
        let output = spec.output_shape(input)?;
        self.has_shape("pooling gradient", &output)?;
        match (spec.kind, indices) {
            (PoolKind::Max, None) => {
                return Err(Error::argument("pooling gradient", "a maximum needs its indices", "none", ""));
            }
            (PoolKind::Max, Some(indices)) => indices.has_shape("pooling gradient", &output)?,
            (PoolKind::Average, _) => {}
        }
        let indices = indices.filter(|_| spec.kind == PoolKind::Max);
        self.made(self.device().pool_backward(self, indices, &g)?, *input)
    }

    /// Softmax along the last axis.
    ///
    /// # Errors
    /// [`Error::Shape`] for a scalar or an empty last axis.
    pub fn softmax(&self) -> Result<Tensor> {
        self.float("softmax")?;
        self.last_axis("softmax")?;
        self.made(self.device().softmax(self)?, *self.shape())
    }

    /// The gradient of softmax's input, where this tensor is the output's gradient and `y` the output.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes differ.
    pub fn softmax_backward(&self, y: &Tensor) -> Result<Tensor> {
        self.last_axis("softmax gradient")?;
        self.companions("softmax gradient", &[y])?;
        self.has_shape("softmax gradient", y.shape())?;
        self.made(self.device().softmax_backward(y, self)?, *self.shape())
    }

    /// The cross-entropy of softmax(self) with `targets` along the last axis, one value a row, and softmax(self).
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes differ.
    pub fn softmax_crossentropy(&self, targets: &Tensor) -> Result<(Tensor, Tensor)> {
        let op = "categorical cross-entropy";
        self.float(op)?;
        self.last_axis(op)?;
        self.companions(op, &[targets])?;
        targets.has_shape(op, self.shape())?;
        let (loss, probabilities) = self.device().softmax_crossentropy(self, targets)?;
        let rows = Shape::new(&self.shape()[..self.rank() - 1])?;
        Ok((self.made(loss, rows)?, self.made(probabilities, *self.shape())?))
    }

    /// One optimizer step: this weight and `slots` change in place.
    ///
    /// # Errors
    /// [`Error::Shape`] if gradient or slots do not have the weight's shape, or their number is not the rule's.
    pub fn update(&mut self, rule: &UpdateRule, gradient: &Tensor, slots: &mut [Tensor]) -> Result<()> {
        self.check_update(rule, gradient, slots)?;
        let device = self.device().clone();
        device.update(rule, self, gradient, slots)
    }

    /// The same optimizer step on many weights, each decayed before it as [`Parameter::kept`] says; on a GPU one launch for all of them.
    ///
    /// # Errors
    /// As [`Tensor::update`], at the path of the first weight that does not fit; no weight was changed then.
    pub fn update_all(rule: &UpdateRule, parameters: &mut [Parameter<'_>]) -> Result<()> {
        for one in parameters.iter() {
            one.weight.check_update(rule, one.gradient, one.slots).map_err(|error| error.at(one.path))?;
        }
        // Weights of one model may lie on several devices; each device gets the ones in a row at once.
        for same in parameters.chunk_by_mut(|a, b| a.weight.device() == b.weight.device()) {
            let device = same[0].weight.device().clone();
            device.update_all(rule, same)?;
        }
        Ok(())
    }

    fn check_update(&self, rule: &UpdateRule, gradient: &Tensor, slots: &[Tensor]) -> Result<()> {
        let op = "optimizer step";
        self.float(op)?;
        self.companions(op, &[gradient])?;
        gradient.has_shape(op, self.shape())?;
        if slots.len() != rule.slots() {
            return Err(Error::argument(
                op,
                format!("the rule keeps {} tensors a weight", rule.slots()),
                slots.len().to_string(),
                "",
            ));
        }
        for slot in slots {
            self.companions(op, &[slot])?;
            slot.has_shape(op, self.shape())?;
        }
        Ok(())
    }

    /// Refuses any other shape.
    ///
    /// # Errors
    /// [`Error::Shape`] naming `op`, the shape wanted and the one there is.
    pub fn has_shape(&self, op: &str, shape: &Shape) -> Result<()> {
        if self.shape() == shape {
            return Ok(());
        }
        Err(Error::shape(op, format!("the tensor must have shape {shape}"), self.shape().to_string(), ""))
    }

    fn last_axis(&self, op: &str) -> Result<()> {
        if self.rank() > 0 && self.shape().channels() > 0 {
            return Ok(());
        }
        Err(Error::shape(op, "the last axis must not be empty", self.shape().to_string(), ""))
    }

    /// Whether every element is finite; integers are.
    ///
    /// # Errors
    /// What the device reports.
    pub fn is_finite(&self) -> Result<bool> {
        if !self.dtype().is_float() {
            return Ok(true);
        }
        let total = match self.dtype() {
            DType::F32 | DType::F64 => self.unary(UnaryOp::Affine { scale: 0.0, offset: 0.0 })?.sum_all()?,
            _ => self.cast(DType::F32)?.affine(0.0, 0.0)?.sum_all()?,
        };
        Ok(total.item()?.is_finite())
    }
}
