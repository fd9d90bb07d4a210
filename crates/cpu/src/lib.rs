#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod arena;
mod backend;
mod conv;
mod dropout;
mod elementwise;
mod kernels;
mod layout;
mod matmul;
mod memory;
mod peak;
mod pool;
mod reduce;
mod simd;
mod softmax;
mod threads;
mod trial;
mod update;

pub use backend::{CpuBackend, CpuOptions};
pub use peak::{Peak, measure_peak};
pub use simd::Isa;

use striate_tensor::{Device, Result};

/// A device with the default options: all cores, the best instruction set.
///
/// # Errors
/// As [`CpuBackend::new`].
///
/// ```
/// use striate_tensor::Tensor;
/// let device = striate_cpu::device()?;
/// let x = Tensor::from_vec(vec![3.0f32, 1.0, 2.0], [3], &device)?;
/// assert_eq!(x.sum_all()?.item()?, 6.0);
/// # Ok::<(), striate_tensor::Error>(())
/// ```
pub fn device() -> Result<Device> {
    Ok(Device::new(CpuBackend::new(CpuOptions::default())?))
}
