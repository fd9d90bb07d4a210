//! A back end with one fault.

use std::sync::atomic::{AtomicU64, Ordering};
use striate_tensor::{
    Activation, Backend, BinaryOp, ConvGeometry, DType, Device, DeviceInfo, Epilogue, HostBuffer, Key, MAX_RANK,
    MatmulGeometry, MemoryStats, PadGeometry, PadMode, Parameter, PoolGeometry, PoolKind, ReduceOp, Result, Shape,
    Storage, Tensor, UnaryOp, UpdateRule,
};
use striate_testkit::reference::ReferenceBackend;

/// One defect, as kernels have them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    None,
    /// The first element of the buffer is taken for that of a view.
    CopyIgnoresOffset,
    FullIsOneShort,
    CastRounds,
    MemoryForgetsNothing,
    PermuteSwapsBack,
    PadRepeatsTheBorder,
    PadBackwardDropsTheBorder,
    CropStartsAtZero,
    ConcatTurnsParts,
    GatherSortsRows,
    TanhIsSlightlyOff,
    GeluIsApproximated,
    ReluPassesAtZero,
    ScalingByZeroGivesZero,
    BinaryTurnsOperands,
    DropoutIsOneElementLate,
    DropoutDoesNotScale,
    MeanCountsOneMore,
    ArgmaxTakesTheLast,
    MatmulForgetsTheTail,
    MatmulForgetsTheBias,
    MatmulIsOfHalfPrecision,
    MatmulIsNotDeterministic,
    ConvIsOneOff,
    ConvIgnoresDilation,
    ConvIgnoresGroups,
    ConvActivatesBeforeBias,
    ConvMissesTheLastChannel,
    ConvMissesABlock,
    InputGradientIgnoresStride,
    KernelGradientDropsASample,
    BiasGradientIsMissing,
    MaxTakesTheLast,
    AverageCountsPadding,
    PoolBackwardOverwrites,
    LargeIndicesWrap,
    SoftmaxOverflows,
    SoftmaxBackwardForgetsTheSum,
    CrossentropyIsOfTheLargest,
    AdamDoesNotCorrect,
    MomentumIsLost,
    LastWeightIsForgotten,
    DecayIsForgotten,
    EmptyInputsPanic,
}

/// The reference, but for one fault.
#[derive(Debug)]
pub struct Wrong {
    right: ReferenceBackend,
    fault: Fault,
    calls: AtomicU64,
}

/// Changes a result's elements.
fn edited(mut storage: Storage, edit: impl Fn(usize, f64) -> f64) -> Result<Storage> {
    let host = storage.as_host_mut().unwrap();
    if let Some(values) = host.as_mut_slice::<f32>() {
        values.iter_mut().enumerate().for_each(|(i, value)| *value = edit(i, f64::from(*value)) as f32);
    } else if let Some(values) = host.as_mut_slice::<f64>() {
        values.iter_mut().enumerate().for_each(|(i, value)| *value = edit(i, *value));
    }
    Ok(storage)
}

impl Wrong {
    pub fn device(fault: Fault) -> Device {
        Device::new(Wrong { right: ReferenceBackend::default(), fault, calls: AtomicU64::new(0) })
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    /// The winner's index among equals is the last one.
    fn last_of_equals(&self, x: &Tensor, g: &PoolGeometry) -> Result<Storage> {
        let (y, first) = self.right.pool(x, g, true)?;
        let first = first.unwrap();
        let shape = Shape::from([g.batch, g.output[0], g.output[1], g.output[2], g.channels]);
        let (values, mut first) = (
            Tensor::from_storage(y, shape, x.device())?.to_f64_vec()?,
            Tensor::from_storage(first, shape, x.device())?,
        );
        let elements = x.to_f64_vec()?;
        if let Ok(indices) = first.make_mut::<u8>() {
            for (i, index) in indices.iter_mut().enumerate() {
                let (c, ow) = (i % g.channels, i / g.channels % g.output[2]);
                let row = i / g.channels / g.output[2];
                for tap in usize::from(*index) + 1..g.window[2] {
                    let place = (ow * g.strides[2] + tap).wrapping_sub(g.pad_before[2]);
                    let one_row = g.input[..2] == [1, 1] && place < g.input[2];
                    if one_row && elements[(row * g.input[2] + place) * g.channels + c] == values[i] {
                        *index = tap as u8;
                    }
                }
            }
        }
        self.right.copy(&first)
    }
}

impl Backend for Wrong {
    fn name(&self) -> &str {
        "wrong"
    }

    fn info(&self) -> DeviceInfo {
        self.right.info()
    }

    fn memory(&self) -> MemoryStats {
        let stats = self.right.memory();
        if self.is(Fault::MemoryForgetsNothing) { MemoryStats { live: stats.peak, ..stats } } else { stats }
    }

    fn upload(&self, data: HostBuffer) -> Result<Storage> {
        self.right.upload(data)
    }

    fn download(&self, x: &Tensor) -> Result<HostBuffer> {
        self.right.download(x)
    }

    fn full(&self, len: usize, dtype: DType, value: f64) -> Result<Storage> {
        let storage = self.right.full(len, dtype, value)?;
        if !self.is(Fault::FullIsOneShort) {
            return Ok(storage);
        }
        edited(storage, |i, value| if i + 1 == len { 0.0 } else { value })
    }

    fn copy(&self, x: &Tensor) -> Result<Storage> {
        if !self.is(Fault::CopyIgnoresOffset) || x.offset() == 0 {
            return self.right.copy(x);
        }
        let Ok(slice) = x.as_slice::<f32>() else { return self.right.copy(x) };
        let all = x.storage().as_host().unwrap().as_slice::<f32>().unwrap();
        self.right.upload(all[..slice.len()].to_vec().into())
    }

    fn cast(&self, x: &Tensor, dtype: DType) -> Result<Storage> {
        if self.is(Fault::CastRounds) && dtype == DType::I32 {
            let rounded: Vec<i32> = x.to_f64_vec()?.into_iter().map(|value| value.round() as i32).collect();
            return self.right.upload(rounded.into());
        }
        self.right.cast(x, dtype)
    }

    fn permute(&self, x: &Tensor, order: &[usize]) -> Result<Storage> {
        if self.is(Fault::PermuteSwapsBack) {
            let mut inverse = order.to_vec();
            order.iter().enumerate().for_each(|(i, &axis)| inverse[axis] = i);
            return self.right.permute(x, &inverse);
        }
        self.right.permute(x, order)
    }

    fn pad(&self, x: &Tensor, pad: &PadGeometry, shape: &Shape) -> Result<Storage> {
        if self.is(Fault::PadRepeatsTheBorder) && pad.mode == PadMode::Reflect {
            return self.right.pad(x, &PadGeometry { mode: PadMode::Replicate, ..*pad }, shape);
        }
        self.right.pad(x, pad, shape)
    }

    fn pad_backward(&self, dy: &Tensor, pad: &PadGeometry, shape: &Shape) -> Result<Storage> {
        if self.is(Fault::PadBackwardDropsTheBorder) {
            return self.right.pad_backward(dy, &PadGeometry { mode: PadMode::Constant(0.0), ..*pad }, shape);
        }
        self.right.pad_backward(dy, pad, shape)
    }

    fn crop(&self, x: &Tensor, start: &[usize], shape: &Shape) -> Result<Storage> {
        let mut start = start.to_vec();
        if self.is(Fault::CropStartsAtZero) && start.len() == 3 {
            start[1] = 0;
        }
        self.right.crop(x, &start, shape)
    }

    fn concat(&self, parts: &[&Tensor], axis: usize, shape: &Shape) -> Result<Storage> {
        let mut parts = parts.to_vec();
        if self.is(Fault::ConcatTurnsParts) {
            parts.reverse();
        }
        self.right.concat(&parts, axis, shape)
    }

    fn gather(&self, x: &Tensor, rows: &[usize]) -> Result<Storage> {
        let mut rows = rows.to_vec();
        if self.is(Fault::GatherSortsRows) {
            rows.sort_unstable();
        }
        self.right.gather(x, &rows)
    }

    fn unary(&self, op: UnaryOp, x: &Tensor) -> Result<Storage> {
        if self.is(Fault::EmptyInputsPanic) {
            assert!(x.elements() > 0, "an empty tensor");
        }
        match (self.fault, op) {
            (Fault::TanhIsSlightlyOff, UnaryOp::Activation(Activation::Tanh)) => {
                edited(self.right.unary(op, x)?, |_, y| y * (1.0 + 1e-5))
            }
            (Fault::ScalingByZeroGivesZero, UnaryOp::Affine { scale: 0.0, offset }) => {
                edited(self.right.copy(x)?, |_, _| f64::from(offset))
            }
            (Fault::GeluIsApproximated, UnaryOp::Activation(Activation::Gelu)) => {
                self.right.unary(UnaryOp::Activation(Activation::GeluTanh), x)
            }
            _ => self.right.unary(op, x),
        }
    }

    fn unary_backward(&self, op: UnaryOp, saved: &Tensor, dy: &Tensor) -> Result<Storage> {
        if self.is(Fault::ReluPassesAtZero) && op == UnaryOp::Activation(Activation::Relu) {
            let (saved, dy) = (saved.to_f64_vec()?, self.right.copy(dy)?);
            return edited(dy, |i, dy| if saved[i] >= 0.0 { dy } else { 0.0 });
        }
        self.right.unary_backward(op, saved, dy)
    }

    fn binary(&self, op: BinaryOp, a: &Tensor, b: &Tensor, shape: &Shape) -> Result<Storage> {
        if self.is(Fault::BinaryTurnsOperands) && a.rank() < b.rank() {
            return self.right.binary(op, b, a, shape);
        }
        self.right.binary(op, a, b, shape)
    }

    fn reduce(&self, op: ReduceOp, x: &Tensor, reduced: &[bool; MAX_RANK]) -> Result<Storage> {
        let y = self.right.reduce(op, x, reduced)?;
        if self.is(Fault::MeanCountsOneMore) && op == ReduceOp::Mean && !y.is_empty() {
            let count = (x.elements() / y.len()) as f64;
            return edited(y, |_, y| y * count / (count + 1.0));
        }
        Ok(y)
    }

    fn argmax(&self, x: &Tensor) -> Result<Storage> {
        if self.is(Fault::ArgmaxTakesTheLast) {
            let last = |row: &[f64]| (0..row.len()).max_by(|&i, &j| row[i].total_cmp(&row[j])).unwrap() as i32;
            let indices: Vec<i32> = x.to_f64_vec()?.chunks(x.shape().channels()).map(last).collect();
            return self.right.upload(indices.into());
        }
        self.right.argmax(x)
    }

    fn dropout(&self, x: &Tensor, rate: f32, key: Key) -> Result<Storage> {
        let values = x.to_f64_vec()?;
        let kept = |i: u64| f64::from(key.word(i)) >= (f64::from(rate) * 4_294_967_296.0).round();
        let scale = 1.0 / (1.0 - f64::from(rate));
        let y = self.right.dropout(x, rate, key)?;
        match self.fault {
            Fault::DropoutIsOneElementLate => {
                edited(y, |i, _| if kept(i as u64 + 1) { values[i] * scale } else { 0.0 })
            }
            Fault::DropoutDoesNotScale => edited(y, |i, y| if y == 0.0 { 0.0 } else { values[i] }),
            _ => Ok(y),
        }
    }

    fn matmul(&self, a: &Tensor, b: &Tensor, g: &MatmulGeometry, epilogue: Epilogue<'_>) -> Result<Storage> {
        match self.fault {
            Fault::MatmulForgetsTheTail if !g.transpose_a && !g.transpose_b && a.rank() == 2 && g.k % 8 == 1 => {
                // The last column of `a` counts as zero.
                let k = g.k;
                let shorter = edited(self.right.copy(a)?, |i, a| if i % k == k - 1 { 0.0 } else { a })?;
                self.right.matmul(&Tensor::from_storage(shorter, *a.shape(), a.device())?, b, g, epilogue)
            }
            Fault::MatmulForgetsTheBias => self.right.matmul(a, b, g, Epilogue { bias: None, ..epilogue }),
            Fault::MatmulIsOfHalfPrecision => {
                let half = |x: &Tensor| x.cast(DType::F16)?.cast(x.dtype());
                self.right.matmul(&half(a)?, &half(b)?, g, epilogue)
            }
            Fault::MatmulIsNotDeterministic => {
                let call = self.calls.fetch_add(1, Ordering::Relaxed) as f64;
                edited(self.right.matmul(a, b, g, epilogue)?, |_, c| c * (1.0 + 1e-7 * call))
            }
            _ => self.right.matmul(a, b, g, epilogue),
        }
    }

    fn conv(&self, x: &Tensor, kernel: &Tensor, g: &ConvGeometry, epilogue: Epilogue<'_>) -> Result<Storage> {
        let mut g = *g;
        match self.fault {
            Fault::ConvIsOneOff => g.pad_before[2] += 1,
            Fault::ConvIgnoresDilation => g.dilations[1] = 1,
            Fault::ConvIgnoresGroups if g.groups > 1 && g.out_per_group() == 1 => {
                // As if each filter saw the channels of the next group.
                let turned: Vec<usize> = (0..g.out_channels).map(|o| (o + 1) % g.out_channels).collect();
                let last = kernel.rank() - 1;
                let mut order: Vec<usize> = (0..kernel.rank()).collect();
                order.rotate_right(1);
                let back: Vec<usize> = (1..=last).chain([0]).collect();
                let kernel = kernel.permute(&order)?.gather(&turned)?.permute(&back)?;
                return self.right.conv(x, &kernel, &g, epilogue);
            }
            Fault::ConvActivatesBeforeBias => {
                let Some(bias) = epilogue.bias else { return self.right.conv(x, kernel, &g, epilogue) };
                let bias = bias.to_f64_vec()?;
                let y = self.right.conv(x, kernel, &g, Epilogue { bias: None, ..epilogue })?;
                return edited(y, |i, y| y + bias[i % bias.len()]);
            }
            Fault::ConvMissesTheLastChannel if g.in_channels == 17 && g.groups == 1 => {
                let short = edited(self.right.copy(x)?, |i, x| if i % 17 == 16 { 0.0 } else { x })?;
                let short = Tensor::from_storage(short, *x.shape(), x.device())?;
                return self.right.conv(&short, kernel, &g, epilogue);
            }
            Fault::ConvMissesABlock if g.in_channels > 64 && g.out_channels > 64 && g.kernel == [1, 3, 3] => {
                let (channels, groups) = (g.in_channels, g.groups);
                let short =
                    edited(self.right.copy(x)?, |i, x| if i % channels == 64 && groups == 1 { 0.0 } else { x })?;
                let short = Tensor::from_storage(short, *x.shape(), x.device())?;
                return self.right.conv(&short, kernel, &g, epilogue);
            }
            _ => {}
        }
        self.right.conv(x, kernel, &g, epilogue)
    }

    fn conv_backward_input(&self, dy: &Tensor, kernel: &Tensor, g: &ConvGeometry) -> Result<Storage> {
        let mut g = *g;
        if self.is(Fault::InputGradientIgnoresStride) {
            g.strides = [1; 3];
        }
        self.right.conv_backward_input(dy, kernel, &g)
    }

    fn conv_backward_kernel(
        &self,
        x: &Tensor,
        dy: &Tensor,
        g: &ConvGeometry,
        with_bias: bool,
    ) -> Result<(Storage, Option<Storage>)> {
        let mut g = *g;
        if self.is(Fault::KernelGradientDropsASample) && g.batch == 3 {
            g.batch = 2;
            return self.right.conv_backward_kernel(&x.rows(0..2)?, &dy.rows(0..2)?, &g, with_bias);
        }
        self.right.conv_backward_kernel(x, dy, &g, with_bias && !self.is(Fault::BiasGradientIsMissing))
    }

    fn pool(&self, x: &Tensor, g: &PoolGeometry, with_indices: bool) -> Result<(Storage, Option<Storage>)> {
        let (y, indices) = self.right.pool(x, g, with_indices)?;
        if self.is(Fault::AverageCountsPadding) && g.kind == PoolKind::Average {
            let window = g.window.iter().product::<usize>() as f64;
            let inside = |axis: usize, out: usize| {
                let start = (out * g.strides[axis]) as isize - g.pad_before[axis] as isize;
                let end = (start + g.window[axis] as isize).min(g.input[axis] as isize);
                (end - start.max(0)) as f64
            };
            let (c, [_, oh, ow]) = (g.channels, g.output);
            let y = edited(y, |i, y| {
                let place = i / c;
                let (w, h, d) = (place % ow, place / ow % oh, place / ow / oh % g.output[0]);
                y * inside(0, d) * inside(1, h) * inside(2, w) / window
            })?;
            return Ok((y, indices));
        }
        if self.is(Fault::LargeIndicesWrap) {
            if let Some(mut wide) = indices {
                if let Some(indices) = wide.as_host_mut().unwrap().as_mut_slice::<i32>() {
                    indices.iter_mut().for_each(|index| *index %= 256);
                }
                return Ok((y, Some(wide)));
            }
            return Ok((y, None));
        }
        if self.is(Fault::MaxTakesTheLast) && indices.is_some() && !y.is_empty() {
            return Ok((y, Some(self.last_of_equals(x, g)?)));
        }
        Ok((y, indices))
    }

    fn pool_backward(&self, dy: &Tensor, indices: Option<&Tensor>, g: &PoolGeometry) -> Result<Storage> {
        let dx = self.right.pool_backward(dy, indices, g)?;
        if self.is(Fault::PoolBackwardOverwrites) && !g.is_disjoint() {
            // The gradient of overlapping windows is not added up: no element is larger than the largest of `dy`.
            let largest = dy.to_f64_vec()?.into_iter().fold(0.0, |m: f64, dy| m.max(dy.abs()));
            return edited(dx, |_, dx| dx.clamp(-largest, largest));
        }
        Ok(dx)
    }

    fn softmax(&self, x: &Tensor) -> Result<Storage> {
        if self.is(Fault::SoftmaxOverflows) {
            let last = x.shape().channels();
            let powers: Vec<f32> = x.to_f64_vec()?.into_iter().map(|x| (x as f32).exp()).collect();
            let sums: Vec<f32> = powers.chunks(last).map(|row| row.iter().sum()).collect();
            return edited(self.right.copy(x)?, |i, _| f64::from(powers[i] / sums[i / last]));
        }
        self.right.softmax(x)
    }

    fn softmax_backward(&self, y: &Tensor, dy: &Tensor) -> Result<Storage> {
        if self.is(Fault::SoftmaxBackwardForgetsTheSum) {
            return self.right.binary(BinaryOp::Mul, y, dy, y.shape());
        }
        self.right.softmax_backward(y, dy)
    }

    fn softmax_crossentropy(&self, logits: &Tensor, targets: &Tensor) -> Result<(Storage, Storage)> {
        let (loss, probabilities) = self.right.softmax_crossentropy(logits, targets)?;
        if self.is(Fault::CrossentropyIsOfTheLargest) {
            let p = Tensor::from_storage(self.right.softmax(logits)?, *logits.shape(), logits.device())?;
            let (p, t, last) = (p.to_f64_vec()?, targets.to_f64_vec()?, logits.shape().channels());
            let loss = edited(loss, |row, _| {
                let row = row * last..(row + 1) * last;
                let best = row.max_by(|&i, &j| t[i].total_cmp(&t[j])).unwrap();
                -t[best] * p[best].max(1e-300).ln()
            })?;
            return Ok((loss, probabilities));
        }
        Ok((loss, probabilities))
    }

    fn update(&self, rule: &UpdateRule, weight: &mut Tensor, gradient: &Tensor, slots: &mut [Tensor]) -> Result<()> {
        let mut rule = *rule;
        match &mut rule {
            UpdateRule::Adam { step, .. } if self.is(Fault::AdamDoesNotCorrect) => *step = 1_000_000,
            UpdateRule::Sgd { .. } if self.is(Fault::MomentumIsLost) => {
                let mut lost = slots.to_vec();
                return self.right.update(&rule, weight, gradient, &mut lost);
            }
            _ => {}
        }
        self.right.update(&rule, weight, gradient, slots)
    }

    fn update_all(&self, rule: &UpdateRule, parameters: &mut [Parameter<'_>]) -> Result<()> {
        let count = parameters.len() - usize::from(self.is(Fault::LastWeightIsForgotten));
        if self.is(Fault::DecayIsForgotten) {
            parameters.iter_mut().for_each(|one| one.kept = 1.0);
        }
        self.right.update_all(rule, &mut parameters[..count])
    }
}
