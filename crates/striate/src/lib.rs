//! Convolutional networks: tensors, layers, training and pictures, behind one door.
//!
//! `use striate::prelude::*;` brings everything a program needs; the crates behind it are modules here and can be used alone.
//!
//! ```
//! use striate::prelude::*;
//! # fn main() -> Result<()> {
//! let mut model = Sequential::new([28, 28, 1])
//!     .add(Conv2D::new(8, 3).activation(Relu))
//!     .add(MaxPooling2D::new(2))
//!     .add(Flatten)
//!     .add(Dense::new(10).activation(Softmax))
//!     .build()?;
//! let mnist = Mnist::load()?;
//! let mut training = model.compile(RmsProp::default(), CategoricalCrossentropy, [Accuracy])?;
//! let few = mnist.train.take(640);
//! let history = training.fit(&few, Fit { epochs: 2, batch_size: 64, progress: Progress::Silent, ..Fit::default() })?;
//! assert!(history.last("loss") < Some(2.3));
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod build;
mod device;
pub mod prelude;

pub use build::{Build, Save, build_options, functional, load};
pub use device::{DeviceOptions, device, open_device, set_device};
pub use striate_tensor::{Error, Result};

pub use striate_autograd as autograd;
pub use striate_cpu as cpu;
#[cfg(feature = "cuda")]
pub use striate_cuda as cuda;
pub use striate_data as data;
pub use striate_formats as formats;
pub use striate_nn as nn;
pub use striate_optim as optim;
pub use striate_tensor as tensor;
pub use striate_train as train;
pub use striate_viz as viz;
pub use striate_zoo as zoo;

/// The examples of the README are tests too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;
