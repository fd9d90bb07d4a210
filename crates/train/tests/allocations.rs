//! What a training step of the MNIST network asks the system's allocator for: small blocks for the tape and for tables, no memory of
//! tensors, and no more of them later than earlier.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use striate_cpu::{CpuBackend, CpuOptions};
use striate_data::{Array, ArrayDataset, BatchContext, Dataset};
use striate_nn::layers::{Conv2D, Dense, Flatten, MaxPooling2D, Softmax};
use striate_nn::{BuildOptions, Sequential};
use striate_optim::RmsProp;
use striate_tensor::Activation::Relu;
use striate_tensor::{Device, Key};
use striate_train::Compile;
use striate_train::loss::CategoricalCrossentropy;
use striate_train::metric::Accuracy;

static COUNT: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);
static LARGEST: AtomicUsize = AtomicUsize::new(0);
struct Counting;

fn note(size: usize) {
    COUNT.fetch_add(1, Relaxed);
    BYTES.fetch_add(size, Relaxed);
    LARGEST.fetch_max(size, Relaxed);
}

// SAFETY: every call is handed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's contract.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: the caller's contract.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const BATCH: usize = 32;
const PAGE: usize = 4096;

/// What was asked for since the last call: blocks, bytes, the largest block.
fn asked() -> (usize, usize, usize) {
    (COUNT.swap(0, Relaxed), BYTES.swap(0, Relaxed), LARGEST.swap(0, Relaxed))
}

/// Bytes of this process in memory, where the system says it.
fn resident() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    text.split(' ').nth(1)?.parse::<usize>().ok().map(|pages| pages * PAGE)
}

/// Bytes that the general allocator has from the system, where it says so: what it keeps for small blocks, and large ones.
fn from_system() -> Option<usize> {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: the function reads the allocator's own counters.
        let info = unsafe { libc::mallinfo2() };
        Some(info.arena + info.hblkhd)
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    None
}

#[test]
fn a_training_step_allocates_little_and_memory_is_flat_over_2000_steps() {
    let device = Device::new(CpuBackend::new(CpuOptions { threads: Some(2), ..CpuOptions::default() }).unwrap());
    let mut stream = Key::new(2).stream();
    let labels: Vec<u8> = (0..BATCH).map(|_| stream.below(10) as u8).collect();
    let pixels = (0..BATCH * 784).map(|_| stream.uniform() as f32).collect();
    let images = Array::floats(pixels, [BATCH, 28, 28, 1]).unwrap();
    let data = ArrayDataset::new(vec![images], vec![Array::one_hot(&labels, 10).unwrap()]).unwrap();
    let batch = data.batch(&(0..BATCH).collect::<Vec<_>>(), &BatchContext::new(Key::new(0), &device)).unwrap();
    let network = Sequential::new([28, 28, 1])
        .add(Conv2D::new(32, 3).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(64, 3).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(64, 3).activation(Relu))
        .add(Flatten)
        .add(Dense::new(64).activation(Relu))
        .add(Dense::new(10).activation(Softmax));
    let mut model = network.build_on(&BuildOptions::on(&device)).unwrap();
    let mut training = model.compile(RmsProp::default(), CategoricalCrossentropy, [Accuracy]).unwrap();
    let mut run = |steps: u64| (0..steps).map(|i| training.step(&batch, Key::new(i)).unwrap()).last().unwrap();
    // Which thread holds a buffer at which moment varies: after some steps there are enough of every size.
    let early = run(200);
    let (held, in_memory, system) = (device.memory(), resident(), from_system());
    asked();
    let steps = 1800;
    let late = run(steps);
    let (blocks, bytes, largest) = asked();
    let (blocks, bytes) = (blocks / steps as usize, bytes / steps as usize);
    if let (Some(before), Some(after)) = (system, from_system()) {
        println!("from the system: {before} bytes after 200 steps, {after} after 2000");
        // Which small block lies where depends on the threads' timing: a page more now and then.
        assert!(after <= before + (64 << 10), "{before} to {after} bytes from the system");
    }
    println!("a step: {blocks} blocks of together {bytes} bytes; the largest of all has {largest}");
    assert!(late < early, "it learns: {early} to {late}");
    assert!(blocks <= 400, "{blocks} blocks a step");
    assert!(bytes <= 80 << 10, "{bytes} bytes a step");
    let now = device.memory();
    assert_eq!(now.live, held.live);
    assert!(now.peak <= held.peak + held.peak / 8, "{held:?} to {now:?}");
    if let (Some(before), Some(after)) = (in_memory, resident()) {
        println!("in memory: {before} bytes after 200 steps, {after} after 2000");
        assert!(after <= before + (1 << 20), "{before} to {after} bytes in memory");
    }
}
