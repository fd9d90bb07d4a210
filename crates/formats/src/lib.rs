//! Model files.
//!
//! [`save`] writes a model as safetensors (<https://huggingface.co/docs/safetensors>): the weights under their paths, the config of the
//! layers and the names of the classes in the metadata. [`load`] gives the model back, [`load_weights`] only takes over weights.
//! Files are not trusted: sizes are checked against the file before anything is allocated.
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod digest;
mod model_file;
mod tensor_file;

pub use digest::weights_sha256;
pub use model_file::{ModelFile, load, load_weights, save};
pub use tensor_file::{TensorFile, write_tensors};

/// The examples of the README are tests too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;
