//! Layers and the model graph, with Keras's names, defaults and meanings.
//!
//! A [`Layer`] is a plain description: options, the weights it declares, its forward pass. A [`Model`] is a graph of
//! layers plus the values of their weights on a device. Build one with [`Sequential`], or from [`Symbol`]s
//! with several inputs and outputs; a model is itself a layer of a larger one.
//!
//! ```
//! use striate_nn::{BuildOptions, Model, Sequential, layers::*};
//! use striate_tensor::Activation::Relu;
//! # fn main() -> striate_tensor::Result<()> {
//! let device = striate_testkit::reference::device();
//! let model = Sequential::new([28, 28, 1])
//!     .add(Conv2D::new(32, 3).activation(Relu))
//!     .add(MaxPooling2D::new(2))
//!     .add(Flatten)
//!     .add(Dense::new(10).activation(Softmax))
//!     .build_on(&BuildOptions::on(&device))?;
//! assert_eq!(model.parameter_count(), 54_410);
//!
//! // The same as a functional graph.
//! let image = Symbol::input([28, 28, 1])?;
//! let maps = Conv2D::new(32, 3).activation(Relu).call(&image)?;
//! let flat = Flatten.call(&MaxPooling2D::new(2).call(&maps)?)?;
//! let digit = Dense::new(10).activation(Softmax).call(&flat)?;
//! let functional = Model::from_symbols("digits", &[image], &[digit], &BuildOptions::on(&device))?;
//! assert_eq!(functional.parameter_count(), model.parameter_count());
//! # use striate_nn::{Call, Symbol};
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod activation;
mod config;
mod costs;
mod functional;
mod graph;
mod initializer;
mod layer;
pub mod layers;
mod model;
mod part;
mod registry;
mod regularizer;
mod sequential;
mod summary;

pub use activation::{Activation, Composed};
pub use config::Config;
pub use costs::{Costs, LayerCosts};
pub use functional::{Call, Inputs, Instance, Symbol, snake_case};
pub use graph::{Graph, GraphKind};
pub use initializer::Initializer;
pub use layer::{Builder, Context, Layer, Run, WeightSpec};
pub use model::{BuildOptions, Model};
pub use part::{LayerInfo, PartEnd};
pub use registry::Registry;
pub use regularizer::Regularizer;
pub use sequential::Sequential;
pub use summary::{Summary, SummaryRow, thousands};

/// The examples of the README are tests too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;
