//! The classic networks, layer by layer as in Keras's applications and with its names, so that its weights fit.
//!
//! [`Architecture`] names them; [`Architecture::graph`] gives the layers, to be made a model with
//! [`striate_nn::Model::from_graph`]; [`Architecture::preprocess`] brings pixels to the range a network wants,
//! [`Pretrained`] finds and loads published weights, and
//! [`decode_predictions`] the classes of ImageNet to words.
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod advice;
mod architecture;
pub mod catalog;
mod decode;
mod inception_v3;
mod mobilenet;
mod mobilenet_v2;
mod options;
mod parts;
mod pretrained;
mod resnet;
mod squeezenet;
mod vgg;
mod xception;

pub use advice::{Advice, Strategy, separation};
pub use architecture::Architecture;
pub use decode::{Prediction, class_of, decode_predictions};
pub use options::{FeaturePooling, ZooOptions};
pub use pretrained::Pretrained;

/// The examples of the README are tests too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;
