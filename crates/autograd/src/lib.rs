//! Reverse-mode differentiation over tensors.
//!
//! A [`Var`] is a tensor that remembers how it was computed; [`Var::backward`] gives the [`Gradients`] of a scalar with respect to
//! every [`Var::leaf`]. The tape is owned by the variables of one step and freed with them: there is no global
//! state. Each differentiable op is one file in `ops/`, forward and backward side by side; an op of your own is a
//! [`CustomOp`].
//!
//! ```
//! use striate_autograd::Var;
//! use striate_tensor::Tensor;
//! # fn main() -> striate_tensor::Result<()> {
//! let device = striate_testkit::reference::device();
//! let x = Var::leaf(Tensor::from_vec(vec![1.0f32, -2.0, 3.0], [3], &device)?);
//! let loss = (&x * &x)?.sum()?; // x₁² + x₂² + x₃²
//! let gradients = loss.backward()?;
//! assert_eq!(gradients.of(&x).unwrap().to_vec::<f32>()?, [2.0, -4.0, 6.0]);
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod custom;
mod gradients;
mod ops;
mod var;

pub use custom::CustomOp;
pub use gradients::Gradients;
pub use ops::conv::{COMPUTED_AGAIN_BYTES, COMPUTED_AGAIN_PRODUCTS};
pub use var::{Backward, Var};

/// The examples of the README are tests too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;
