//! Pictures of training. For now: the curves of loss and accuracy over the epochs.
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod curves;

pub use curves::{Curves, PlotHistory};
