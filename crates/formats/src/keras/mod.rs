//! Keras's files.

pub(crate) mod archive;
mod channels_first;
pub(crate) mod dialect;
pub(crate) mod h5_weights;
mod hard_sigmoid;
mod masks;
pub(crate) mod model_json;
mod operations;
pub(crate) mod options;
pub(crate) mod order;
pub(crate) mod vars_weights;

/// The version of Keras whose forms are written; a real one of this version reads them.
pub(crate) const KERAS_VERSION: &str = "3.15.1";
