#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod availability;
mod backend;
mod compiler;
mod context;
mod convolution;
mod cublas;
mod cudnn;
mod driver;
mod elementwise;
mod form;
mod layout;
mod memory;
mod narrow;
mod picture;
mod plan;
mod pool;
mod product;
mod recording;
mod reduce;
mod softmax;
mod sources;
mod transfer;
mod update;

pub use availability::{Library, Unavailable, libraries, probe};
pub use backend::{CudaBackend, CudaOptions};
pub use compiler::{Compiled, Compiler};
pub use sources::{SOURCES, Source};

use striate_tensor::{Device, Result};

/// The device with this number, with the default options.
///
/// # Errors
/// As [`CudaBackend::new`]: on a machine without CUDA an error that says what is missing.
///
/// ```
/// match striate_cuda::device(0) {
///     Ok(device) => println!("{}", device.info().hardware),
///     Err(error) => println!("{error}"),
/// }
/// ```
pub fn device(ordinal: usize) -> Result<Device> {
    Ok(Device::new(CudaBackend::new(CudaOptions { ordinal, ..CudaOptions::default() })?))
}
