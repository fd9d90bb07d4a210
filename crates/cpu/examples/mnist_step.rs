//! Times the primitives of one training step of the lecture's MNIST network (batch 64), and of inference on one image.
//!
//! `cargo run --release -p striate-cpu --example mnist_step -- [threads]`

use std::collections::BTreeMap;
use std::time::Instant;
use striate_cpu::{CpuBackend, CpuOptions};
use striate_tensor::{
    Activation, ConvSpec, Device, Key, PoolKind, PoolSpec, ReduceOp, Result, Shape, Tensor, UnaryOp, UpdateRule,
};

const RELU: UnaryOp = UnaryOp::Activation(Activation::Relu);

struct Net {
    device: Device,
    /// Kernels and biases in turn, and the optimizer's slot of each.
    weights: Vec<Tensor>,
    slots: Vec<Tensor>,
    conv: ConvSpec,
    pool: PoolSpec,
}

fn random(seed: u64, shape: impl Into<Shape>, device: &Device) -> Result<Tensor> {
    let (shape, mut stream) = (shape.into(), Key::new(seed).stream());
    let data = (0..shape.elements()).map(|_| 0.2 * stream.uniform() as f32 - 0.1).collect();
    Tensor::from_vec(data, shape, device)
}

type Times = BTreeMap<&'static str, f64>;

fn timed<T>(times: &mut Times, name: &'static str, f: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let result = f();
    *times.entry(name).or_default() += start.elapsed().as_secs_f64();
    result
}

impl Net {
    fn new(device: &Device) -> Result<Net> {
        let shapes = [
            Shape::from([3, 3, 1, 32]),
            Shape::from([32]),
            Shape::from([3, 3, 32, 64]),
            Shape::from([64]),
            Shape::from([3, 3, 64, 64]),
            Shape::from([64]),
            Shape::from([576, 64]),
            Shape::from([64]),
            Shape::from([64, 10]),
            Shape::from([10]),
        ];
        let weights = shapes.iter().enumerate().map(|(i, s)| random(i as u64, *s, device)).collect::<Result<_>>()?;
        let slots = shapes.iter().map(|s| Tensor::zeros(*s, device)).collect::<Result<_>>()?;
        let pool = PoolSpec { kind: PoolKind::Max, window: [2; 3], strides: [2; 3], padding: Default::default() };
        Ok(Net { device: device.clone(), weights, slots, conv: ConvSpec::default(), pool })
    }

    fn predict(&self, x: &Tensor) -> Result<Tensor> {
        let w = &self.weights;
        let y = x.conv(&w[0], Some(&w[1]), &self.conv, Activation::Relu)?.pool(&self.pool, false)?.0;
        let y = y.conv(&w[2], Some(&w[3]), &self.conv, Activation::Relu)?.pool(&self.pool, false)?.0;
        let y = y.conv(&w[4], Some(&w[5]), &self.conv, Activation::Relu)?;
        let y = y.reshape([x.shape()[0], 576])?.matmul_with(false, &w[6], false, Some(&w[7]), Activation::Relu)?;
        y.matmul_with(false, &w[8], false, Some(&w[9]), Activation::Linear)?.softmax()
    }

    fn step(&mut self, x: &Tensor, targets: &Tensor, t: &mut Times) -> Result<f64> {
        let (w, conv, pool, n) = (&self.weights, &self.conv, &self.pool, x.shape()[0]);
        let y1 = timed(t, "conv1 forward", || x.conv(&w[0], Some(&w[1]), conv, Activation::Relu))?;
        let (p1, i1) = timed(t, "pool1 forward", || y1.pool(pool, true))?;
        let y2 = timed(t, "conv2 forward", || p1.conv(&w[2], Some(&w[3]), conv, Activation::Relu))?;
        let (p2, i2) = timed(t, "pool2 forward", || y2.pool(pool, true))?;
        let y3 = timed(t, "conv3 forward", || p2.conv(&w[4], Some(&w[5]), conv, Activation::Relu))?;
        let flat = y3.reshape([n, 576])?;
        let h = timed(t, "dense forward", || flat.matmul_with(false, &w[6], false, Some(&w[7]), Activation::Relu))?;
        let logits = timed(t, "dense forward", || h.matmul_with(false, &w[8], false, Some(&w[9]), Activation::Linear))?;
        let (loss, p) = timed(t, "loss", || logits.softmax_crossentropy(targets))?;
        let dz = timed(t, "loss", || p.sub(targets)?.affine(1.0 / n as f32, 0.0))?;
        let (dw8, db9) = timed(t, "dense backward", || {
            Ok((h.matmul_with(true, &dz, false, None, Activation::Linear)?, dz.reduce(ReduceOp::Sum, &[0], false)?))
        })?;
        let dh = timed(t, "dense backward", || dz.matmul_with(false, &w[8], true, None, Activation::Linear))?;
        let dh = timed(t, "dense backward", || dh.unary_backward(RELU, &h))?;
        let (dw6, db7) = timed(t, "dense backward", || {
            Ok((flat.matmul_with(true, &dh, false, None, Activation::Linear)?, dh.reduce(ReduceOp::Sum, &[0], false)?))
        })?;
        let dflat = timed(t, "dense backward", || dh.matmul_with(false, &w[6], true, None, Activation::Linear))?;
        let d3 = timed(t, "relu backward", || dflat.reshape(*y3.shape())?.unary_backward(RELU, &y3))?;
        let (dw4, db5) = timed(t, "conv3 kernel", || d3.conv_backward_kernel(&p2, w[4].shape(), conv, true))?;
        let dp2 = timed(t, "conv3 input", || d3.conv_backward_input(&w[4], p2.shape(), conv))?;
        // A winner that is not positive has no gradient: the ReLU before a maximum is dealt with at the pooled size.
        let dp2 = timed(t, "relu backward", || dp2.unary_backward(RELU, &p2))?;
        let d2 = timed(t, "pool2 backward", || dp2.pool_backward(y2.shape(), i2.as_ref(), pool))?;
        let (dw2, db3) = timed(t, "conv2 kernel", || d2.conv_backward_kernel(&p1, w[2].shape(), conv, true))?;
        let dp1 = timed(t, "conv2 input", || d2.conv_backward_input(&w[2], p1.shape(), conv))?;
        let dp1 = timed(t, "relu backward", || dp1.unary_backward(RELU, &p1))?;
        let d1 = timed(t, "pool1 backward", || dp1.pool_backward(y1.shape(), i1.as_ref(), pool))?;
        let (dw0, db1) = timed(t, "conv1 kernel", || d1.conv_backward_kernel(x, w[0].shape(), conv, true))?;
        let gradients = [Some(dw0), db1, Some(dw2), db3, Some(dw4), db5, Some(dw6), Some(db7), Some(dw8), Some(db9)];
        timed(t, "update", || {
            let rule =
                UpdateRule::RmsProp { learning_rate: 1e-3, rho: 0.9, momentum: 0.0, epsilon: 1e-7, centered: false };
            for ((weight, gradient), slot) in
                self.weights.iter_mut().zip(gradients.iter().flatten()).zip(&mut self.slots)
            {
                weight.update(&rule, gradient, std::slice::from_mut(slot))?;
            }
            Ok(())
        })?;
        loss.reduce(ReduceOp::Mean, &[0], false)?.item()
    }
}

fn main() -> Result<()> {
    let threads = std::env::args().nth(1).and_then(|n| n.parse().ok());
    let device = Device::new(CpuBackend::new(CpuOptions { threads, ..CpuOptions::default() })?);
    let mut net = Net::new(&device)?;
    let x = random(77, [64, 28, 28, 1], &net.device)?;
    let labels: Vec<f32> = (0..640).map(|i| f32::from(u8::from(i % 10 == i / 10 % 10))).collect();
    let targets = Tensor::from_vec(labels, [64, 10], &device)?;
    let (mut best, mut best_times, mut losses) = (f64::MAX, Times::new(), Vec::new());
    for _ in 0..200 {
        let (mut times, start) = (Times::new(), Instant::now());
        losses.push(net.step(&x, &targets, &mut times)?);
        if start.elapsed().as_secs_f64() < best {
            (best, best_times) = (start.elapsed().as_secs_f64(), times);
        }
    }
    println!("{:?}: {:.2} ms a step; loss {:.3} to {:.3}", device.info(), best * 1e3, losses[0], losses[199]);
    for (name, time) in best_times {
        println!("  {name:16} {:7.0} µs", time * 1e6);
    }
    println!("  memory {:?}", device.memory());
    let one = x.rows(0..1)?;
    let mut latency = f64::MAX;
    for _ in 0..2000 {
        let start = Instant::now();
        net.predict(&one)?;
        latency = latency.min(start.elapsed().as_secs_f64());
    }
    println!("  one image {:.1} µs", latency * 1e6);
    Ok(())
}
