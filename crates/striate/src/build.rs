//! Building, saving and loading models on the process's device.

use crate::device::device;
use std::path::Path;
use striate_formats::ModelFile;
use striate_nn::{BuildOptions, Model, Registry, Sequential, Symbol};
use striate_tensor::Result;

/// The process's device and the given seed.
///
/// # Errors
/// As [`device`].
pub fn build_options(seed: u64) -> Result<BuildOptions> {
    Ok(BuildOptions { seed, ..BuildOptions::on(&device()?) })
}

/// Building a stack of layers on the process's device.
pub trait Build {
    /// The model with weights of seed 0.
    ///
    /// # Errors
    /// As [`Sequential::build_on`].
    fn build(self) -> Result<Model>;
    /// The model with weights of the given seed.
    ///
    /// # Errors
    /// As [`Sequential::build_on`].
    fn build_seeded(self, seed: u64) -> Result<Model>;
}

impl Build for Sequential {
    fn build(self) -> Result<Model> {
        self.build_seeded(0)
    }

    fn build_seeded(self, seed: u64) -> Result<Model> {
        self.build_on(&build_options(seed)?)
    }
}

/// A functional model on the process's device, with weights of seed 0.
///
/// # Errors
/// As [`Model::from_symbols`].
pub fn functional(inputs: &[Symbol], outputs: &[Symbol]) -> Result<Model> {
    Model::from_symbols("functional", inputs, outputs, &build_options(0)?)
}

/// Writing a model to a file.
pub trait Save {
    /// Writes the model: config, weights.
    ///
    /// # Errors
    /// As [`striate_formats::save`].
    fn save(&self, path: impl AsRef<Path>) -> Result<()>;
}

impl Save for Model {
    fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        striate_formats::save(&ModelFile::of(self.clone()), path)
    }
}

/// Reads a model of this crate's layers onto the process's device.
///
/// # Errors
/// As [`striate_formats::load`].
pub fn load(path: impl AsRef<Path>) -> Result<Model> {
    Ok(striate_formats::load(path, &Registry::default(), &device()?)?.model)
}
