//! A training step in its stride asks the system for no large block, and its memory stays as it is.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use striate_cpu::{CpuBackend, CpuOptions};
use striate_tensor::{
    Activation, ConvSpec, Device, Key, Padding, PoolKind, PoolSpec, ReduceOp, Result, Shape, Tensor, UnaryOp,
    UpdateRule,
};

/// Blocks of this size and more are counted: tensors and kernels' buffers. The tables of a kernel's rows are smaller.
const LARGE: usize = 16 << 10;

static LARGE_BLOCKS: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call is handed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGE_BLOCKS.fetch_add(usize::from(layout.size() >= LARGE), Ordering::Relaxed);
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LARGE_BLOCKS.fetch_add(usize::from(layout.size() >= LARGE), Ordering::Relaxed);
        // SAFETY: the caller's contract.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGE_BLOCKS.fetch_add(usize::from(size >= LARGE), Ordering::Relaxed);
        // SAFETY: the caller's contract.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn random(shape: impl Into<Shape>, device: &Device) -> Result<Tensor> {
    let (shape, mut stream) = (shape.into(), Key::new(3).stream());
    let values = (0..shape.elements()).map(|_| stream.uniform_in(-0.1, 0.1) as f32).collect();
    Tensor::from_vec(values, shape, device)
}

/// Forward, backward and update of two convolutions, direct and by Winograd's algorithm, and a dense layer.
fn step(weights: &mut [Tensor], slots: &mut [Tensor], x: &Tensor, targets: &Tensor) -> Result<f64> {
    let relu = UnaryOp::Activation(Activation::Relu);
    let (conv, n) = (ConvSpec { padding: Padding::Same, ..ConvSpec::default() }, x.shape()[0]);
    let pool = PoolSpec { kind: PoolKind::Max, window: [2; 3], strides: [2; 3], padding: Padding::Valid };
    let w = &*weights;
    let y1 = x.conv(&w[0], Some(&w[1]), &conv, Activation::Relu)?;
    let (p1, i1) = y1.pool(&pool, true)?;
    let y2 = p1.conv(&w[2], Some(&w[3]), &conv, Activation::Relu)?;
    let flat = y2.reshape([n, y2.elements() / n])?;
    let logits = flat.matmul_with(false, &w[4], false, Some(&w[5]), Activation::Linear)?;
    let (loss, p) = logits.softmax_crossentropy(targets)?;
    let dz = p.sub(targets)?.affine(1.0 / n as f32, 0.0)?;
    let dw4 = flat.matmul_with(true, &dz, false, None, Activation::Linear)?;
    let db5 = dz.reduce(ReduceOp::Sum, &[0], false)?;
    let dflat = dz.matmul_with(false, &w[4], true, None, Activation::Linear)?;
    let d2 = dflat.reshape(*y2.shape())?.unary_backward(relu, &y2)?;
    let (dw2, db3) = d2.conv_backward_kernel(&p1, w[2].shape(), &conv, true)?;
    let dp1 = d2.conv_backward_input(&w[2], p1.shape(), &conv)?;
    let d1 = dp1.pool_backward(y1.shape(), i1.as_ref(), &pool)?.unary_backward(relu, &y1)?;
    let (dw0, db1) = d1.conv_backward_kernel(x, w[0].shape(), &conv, true)?;
    let gradients = [Some(dw0), db1, Some(dw2), db3, Some(dw4), Some(db5)];
    let rule = UpdateRule::Sgd { learning_rate: 0.01, momentum: 0.9, nesterov: false };
    for ((weight, gradient), slot) in weights.iter_mut().zip(gradients.iter().flatten()).zip(slots) {
        weight.update(&rule, gradient, std::slice::from_mut(slot))?;
    }
    loss.reduce(ReduceOp::Mean, &[0], false)?.item()
}

#[test]
fn a_training_step_in_its_stride_asks_the_system_for_nothing_large() {
    let device = Device::new(CpuBackend::new(CpuOptions { threads: Some(2), ..CpuOptions::default() }).unwrap());
    let sizes: [&[usize]; 6] = [&[3, 3, 3, 32], &[32], &[3, 3, 32, 40], &[40], &[40 * 64, 10], &[10]];
    let shapes: Vec<Shape> = sizes.iter().map(|size| Shape::new(size).unwrap()).collect();
    let mut weights: Vec<Tensor> = shapes.iter().map(|&shape| random(shape, &device).unwrap()).collect();
    let mut slots: Vec<Tensor> = shapes.iter().map(|&shape| Tensor::zeros(shape, &device).unwrap()).collect();
    let x = random([24, 16, 16, 3], &device).unwrap();
    let labels = (0..240).map(|i| f32::from(u8::from(i % 10 == i / 10 % 10))).collect();
    let targets = Tensor::from_vec(labels, [24, 10], &device).unwrap();
    let mut run = |steps: usize| {
        let mut loss = 0.0;
        for _ in 0..steps {
            loss = step(&mut weights, &mut slots, &x, &targets).unwrap();
        }
        loss
    };
    // Which thread holds a buffer at which moment varies: after some steps there are enough of every size.
    let early = run(40);
    let (before, blocks) = (device.memory(), LARGE_BLOCKS.load(Ordering::Relaxed));
    let late = run(200);
    let (after, asked) = (device.memory(), LARGE_BLOCKS.load(Ordering::Relaxed) - blocks);
    assert!(late < early, "it learns: {early} to {late}");
    assert_eq!(after.live, before.live);
    // Two threads may still meet as they never did before: a few blocks in all, not some in every step.
    assert!(asked <= 8, "{asked} large blocks in 200 steps");
    assert!(after.peak <= before.peak + before.peak / 8, "{before:?} to {after:?}");
}
