//! Pictures of training. For now: the curves of loss and accuracy over the epochs.
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod axis;
mod curves;

pub use curves::{Curves, PlotHistory};

/// The examples of the README are tests too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;
