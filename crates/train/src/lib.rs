//! Training: losses, metrics, `fit`, `evaluate` and `predict`, callbacks, and the history of a run.
//!
//! [`Compile::compile`] joins a model, an optimizer, losses and metrics into a [`Training`]; [`Training::fit`] is the loop, and
//! `fit.rs` shows one training step as a straight line.
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod average;
pub mod callback;
mod checkpoint;
mod class_weight;
mod evaluate;
mod features;
mod fit;
mod history;
mod keras_training;
mod labels;
pub mod loss;
mod loss_scale;
pub mod metric;
mod predict;
mod progress;
mod replay;
mod training;

pub use callback::Callback;
pub use evaluate::Evaluation;
pub use features::features;
pub use fit::Fit;
pub use history::{EpochRecord, History};
pub use keras_training::{continue_training, loss_from_config};
pub use loss::Loss;
pub use loss_scale::LossScale;
pub use metric::Metric;
pub use predict::predict;
pub use progress::Progress;
pub use training::{Compile, Losses, Metrics, Training};

/// The examples of the README are tests too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;
