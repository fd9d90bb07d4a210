//! Tensors, devices and the one list of primitives that every back end implements.
//!
//! This crate computes nothing itself. It holds what all others agree on: [`Shape`] and [`DType`], the
//! [`Tensor`] (contiguous, row-major, on some [`Device`]), the [`Backend`] trait, the output-shape rules of
//! convolution and pooling ([`ConvSpec`], [`PoolSpec`]), counter-based randomness ([`Key`]) and the [`Error`].
//!
//! Images are channels-last, (samples, height, width, channels), and kernels
//! (height, width, channels in, channels out), as in Keras.
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod activation;
mod backend;
mod buffer;
mod conv;
mod device;
mod dtype;
mod error;
mod files;
mod names;
mod ops;
mod pool;
mod random;
mod recording;
mod resample;
mod shape;
mod storage;
mod tensor;
mod update;

pub use activation::Activation;
pub use backend::{
    Backend, BinaryOp, ConvBackward, ConvGradients, DeviceInfo, Epilogue, MatmulGeometry, MemoryStats, PadGeometry,
    PadMode, Precision, ReduceOp, UnaryOp,
};
pub use buffer::{AlignedVec, HostBuffer, HostData, Loan, Recycle};
pub use conv::{ConvAlgorithm, ConvGeometry, ConvSpec, Padding};
pub use device::Device;
pub use dtype::{DType, Element};
pub use error::{Error, Result, Violation};
pub use files::replace_file;
pub use half::{bf16, f16};
pub use names::{known_names, meant_name};
pub use pool::{PoolGeometry, PoolKind, PoolSpec};
pub use random::{Key, Stream, Trail};
pub use recording::{Recording, Take};
pub use resample::{PictureBorder, PictureView, Resampling};
pub use shape::{MAX_RANK, Shape};
pub use storage::{DeviceBuffer, Storage};
pub use tensor::Tensor;
pub use update::{Parameter, UpdateRule};

/// The examples of the README are tests too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;
