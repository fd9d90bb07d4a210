//! Model files: read by content, written by the name's ending.
//!
//! [`load`] reads a whole model, [`load_weights`] only its weights, from Keras's `.h5` and `.keras` (Keras 1, 2, tf.keras and
//! 3), safetensors and npz; [`save`] writes them. [`WeightsFile`] looks into a file without a model, and [`LoadReport`] tells
//! what became of each tensor. Files are not trusted: sizes are checked against the file before anything is allocated.
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod arrange;
mod content;
mod digest;
mod hdf5;
mod keras;
mod layer_tree;
mod limits;
mod load_report;
mod load_weights;
mod matching;
mod model_file;
mod npz;
mod renaming;
mod saved_training;
mod stored;
mod tensor_file;
mod weights_file;
mod words;
mod zip_archive;

pub use digest::weights_sha256;
pub use load_report::{LoadReport, Matched, Mismatched};
pub use load_weights::{LoadOptions, load_weights, load_weights_with};
pub use model_file::{
    ModelFile, ModelOptions, check_model_ending, load, load_with, save, save_h5_weights, save_training,
};
pub use renaming::Renaming;
pub use saved_training::{SavedOptimizer, SavedTraining};
pub use stored::{Number, StoredTensor};
pub use tensor_file::{TensorFile, write_tensors};
pub use weights_file::{Format, StoredLayer, TrainingState, WeightsFile};

/// The examples of the README are tests too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;
