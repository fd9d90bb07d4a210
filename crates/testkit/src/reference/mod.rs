//! The reference back end: every primitive as the plainest loops, in double precision.
//!
//! It is the law: where another back end gives something else, that one is wrong. Inputs are read as f64, all
//! arithmetic is in f64, and results are rounded once, to the type of the inputs. Its speed is of no interest.

mod conv;
mod elementwise;
mod host;
mod layout;
mod matmul;
mod pool;
mod reduce;
mod softmax;
mod update;

use host::{Counter, read};
use std::sync::Arc;
use striate_tensor::{
    AlignedVec, Backend, BinaryOp, ConvGeometry, DType, Device, DeviceInfo, Epilogue, HostBuffer, HostData, Key,
    MAX_RANK, MatmulGeometry, MemoryStats, PadGeometry, PadMode, PoolGeometry, PoolKind, ReduceOp, Result, Shape,
    Storage, Tensor, UnaryOp, UpdateRule,
};

/// A device on a new [`ReferenceBackend`].
///
/// ```
/// use striate_tensor::{Shape, Tensor};
/// # fn main() -> striate_tensor::Result<()> {
/// let device = striate_testkit::reference::device();
/// let x = Tensor::from_vec(vec![1.0f64, 2.0, 3.0, 4.0], [2, 2], &device)?;
/// assert_eq!(x.matmul(&x)?.to_vec::<f64>()?, [7.0, 10.0, 15.0, 22.0]);
/// # Ok(())
/// # }
/// ```
pub fn device() -> Device {
    Device::new(ReferenceBackend::default())
}

/// The reference back end: host memory, one thread, all element types.
#[derive(Debug, Default)]
pub struct ReferenceBackend {
    counter: Arc<Counter>,
}

impl ReferenceBackend {
    fn store(&self, data: HostData) -> Result<Storage> {
        Ok(self.counter.storage(data))
    }

    fn write(&self, dtype: DType, values: AlignedVec<f64>) -> Result<Storage> {
        self.store(host::written(dtype, &values)?)
    }

    fn finish(&self, like: &Tensor, mut values: AlignedVec<f64>, epilogue: Epilogue<'_>) -> Result<Storage> {
        let bias = epilogue.bias.map(read).transpose()?;
        elementwise::finish(&mut values, bias.as_deref(), &epilogue);
        self.write(like.dtype(), values)
    }
}

impl Backend for ReferenceBackend {
    fn name(&self) -> &str {
        "reference"
    }

    fn info(&self) -> DeviceInfo {
        DeviceInfo {
            name: "reference".into(),
            hardware: std::env::consts::ARCH.into(),
            isa: "plain loops in float64".into(),
            threads: 1,
        }
    }

    fn memory(&self) -> MemoryStats {
        self.counter.stats()
    }

    fn upload(&self, mut data: HostBuffer) -> Result<Storage> {
        let nothing = HostData::U8(AlignedVec::from_vec(Vec::new()));
        self.store(std::mem::replace(data.data_mut(), nothing))
    }

    fn download(&self, x: &Tensor) -> Result<HostBuffer> {
        Ok(HostBuffer::new(host::picked(x, x.elements(), 0.0, Some)?, None))
    }

    fn full(&self, len: usize, dtype: DType, value: f64) -> Result<Storage> {
        self.store(host::filled(dtype, len, value)?)
    }

    fn copy(&self, x: &Tensor) -> Result<Storage> {
        self.store(host::picked(x, x.elements(), 0.0, Some)?)
    }

    fn cast(&self, x: &Tensor, dtype: DType) -> Result<Storage> {
        self.write(dtype, read(x)?)
    }

    fn permute(&self, x: &Tensor, order: &[usize]) -> Result<Storage> {
        let shape = Shape::new(&order.iter().map(|&axis| x.shape()[axis]).collect::<Vec<_>>())?;
        self.store(host::picked(x, x.elements(), 0.0, |i| Some(layout::permuted(i, x.shape(), order, &shape)))?)
    }

    fn pad(&self, x: &Tensor, pad: &PadGeometry, shape: &Shape) -> Result<Storage> {
        let fill = if let PadMode::Constant(value) = pad.mode { f64::from(value) } else { 0.0 };
        self.store(host::picked(x, shape.elements(), fill, |i| layout::padded(i, x.shape(), pad, shape))?)
    }

    fn pad_backward(&self, dy: &Tensor, pad: &PadGeometry, shape: &Shape) -> Result<Storage> {
        self.write(dy.dtype(), layout::pad_backward(&read(dy)?, pad, shape, dy.shape())?)
    }

    fn crop(&self, x: &Tensor, start: &[usize], shape: &Shape) -> Result<Storage> {
        self.store(host::picked(x, shape.elements(), 0.0, |i| Some(layout::cropped(i, x.shape(), start, shape)))?)
    }

    fn concat(&self, parts: &[&Tensor], axis: usize, shape: &Shape) -> Result<Storage> {
        let shapes: Vec<&Shape> = parts.iter().map(|part| part.shape()).collect();
        self.store(host::picked_among(parts, shape.elements(), |i| layout::concatenated(i, &shapes, axis, shape))?)
    }

    fn gather(&self, x: &Tensor, rows: &[usize]) -> Result<Storage> {
        let row = x.shape().without_batch().elements();
        self.store(host::picked(x, rows.len() * row, 0.0, |i| Some(rows[i / row] * row + i % row))?)
    }

    fn unary(&self, op: UnaryOp, x: &Tensor) -> Result<Storage> {
        self.write(x.dtype(), elementwise::unary(op, &read(x)?)?)
    }

    fn unary_backward(&self, op: UnaryOp, saved: &Tensor, dy: &Tensor) -> Result<Storage> {
        self.write(dy.dtype(), elementwise::unary_backward(op, &read(saved)?, &read(dy)?)?)
    }

    fn binary(&self, op: BinaryOp, a: &Tensor, b: &Tensor, shape: &Shape) -> Result<Storage> {
        self.write(a.dtype(), elementwise::binary(op, (&read(a)?, a.shape()), (&read(b)?, b.shape()), shape)?)
    }

    fn reduce(&self, op: ReduceOp, x: &Tensor, reduced: &[bool; MAX_RANK]) -> Result<Storage> {
        self.write(x.dtype(), reduce::reduce(op, &read(x)?, x.shape(), reduced)?)
    }

    fn argmax(&self, x: &Tensor) -> Result<Storage> {
        self.write(DType::I32, reduce::argmax(&read(x)?, x.shape().channels())?)
    }

    fn dropout(&self, x: &Tensor, rate: f32, key: Key) -> Result<Storage> {
        self.write(x.dtype(), elementwise::dropout(&read(x)?, rate, key)?)
    }

    fn matmul(&self, a: &Tensor, b: &Tensor, g: &MatmulGeometry, epilogue: Epilogue<'_>) -> Result<Storage> {
        self.finish(a, matmul::matmul(&read(a)?, &read(b)?, g)?, epilogue)
    }

    fn conv(&self, x: &Tensor, kernel: &Tensor, g: &ConvGeometry, epilogue: Epilogue<'_>) -> Result<Storage> {
        self.finish(x, conv::forward(&read(x)?, &read(kernel)?, g)?, epilogue)
    }

    fn conv_backward_input(&self, dy: &Tensor, kernel: &Tensor, g: &ConvGeometry) -> Result<Storage> {
        self.write(dy.dtype(), conv::backward_input(&read(dy)?, &read(kernel)?, g)?)
    }

    fn conv_backward_kernel(
        &self,
        x: &Tensor,
        dy: &Tensor,
        g: &ConvGeometry,
        with_bias: bool,
    ) -> Result<(Storage, Option<Storage>)> {
        let dy_values = read(dy)?;
        let kernel = self.write(dy.dtype(), conv::backward_kernel(&read(x)?, &dy_values, g)?)?;
        let bias = with_bias.then(|| self.write(dy.dtype(), conv::backward_bias(&dy_values, g)?)).transpose()?;
        Ok((kernel, bias))
    }

    fn pool(&self, x: &Tensor, g: &PoolGeometry, with_indices: bool) -> Result<(Storage, Option<Storage>)> {
        let (y, indices) = pool::forward(&read(x)?, g)?;
        let small = g.window.iter().product::<usize>() <= 256;
        let dtype = if small { DType::U8 } else { DType::I32 };
        let wanted = with_indices && g.kind == PoolKind::Max;
        Ok((self.write(x.dtype(), y)?, wanted.then(|| self.write(dtype, indices)).transpose()?))
    }

    fn pool_backward(&self, dy: &Tensor, indices: Option<&Tensor>, g: &PoolGeometry) -> Result<Storage> {
        let indices = indices.map(read).transpose()?;
        self.write(dy.dtype(), pool::backward(&read(dy)?, indices.as_deref(), g)?)
    }

    fn softmax(&self, x: &Tensor) -> Result<Storage> {
        self.write(x.dtype(), softmax::softmax(&read(x)?, x.shape().channels())?)
    }

    fn softmax_backward(&self, y: &Tensor, dy: &Tensor) -> Result<Storage> {
        self.write(dy.dtype(), softmax::backward(&read(y)?, &read(dy)?, y.shape().channels())?)
    }

    fn softmax_crossentropy(&self, logits: &Tensor, targets: &Tensor) -> Result<(Storage, Storage)> {
        let (x, last) = (read(logits)?, logits.shape().channels());
        let loss = softmax::crossentropy(&x, &read(targets)?, last)?;
        Ok((self.write(logits.dtype(), loss)?, self.write(logits.dtype(), softmax::softmax(&x, last)?)?))
    }

    fn update(&self, rule: &UpdateRule, weight: &mut Tensor, gradient: &Tensor, slots: &mut [Tensor]) -> Result<()> {
        update::update(rule, weight, gradient, slots)
    }
}
