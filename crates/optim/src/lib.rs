//! Optimizers, learning-rate schedules and gradient clipping, with Keras's names, defaults and formulas
//! (<https://keras.io/api/optimizers/>).
//!
//! An [`Optimizer`] is a description: its hyperparameters, and how one weight changes. An [`Engine`] runs one: it counts steps,
//! clips gradients, decays weights and keeps each weight's slots under the weight's path.
//!
//! ```
//! use striate_optim::{Adam, Engine};
//! use striate_tensor::Tensor;
//! let device = striate_testkit::reference::device();
//! let mut w = Tensor::from_vec(vec![4.0f32, -2.0], [2], &device)?;
//! let mut engine = Engine::new(Adam::new(0.1).clipnorm(1.0))?;
//! for _ in 0..200 {
//!     let gradient = w.clone(); // of ½·|w|²
//!     engine.step(&mut [("dense/kernel", &mut w)], &[gradient])?;
//! }
//! assert!(w.to_vec::<f32>()?.iter().all(|w| w.abs() < 0.1));
//! # Ok::<(), striate_tensor::Error>(())
//! ```
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod adam;
mod adamw;
mod clip;
mod config;
mod engine;
mod optimizer;
mod rmsprop;
mod schedule;
mod schedule_config;
mod settings;
mod sgd;

pub use adam::Adam;
pub use adamw::AdamW;
pub use clip::Clip;
pub use config::from_config;
pub use engine::{Engine, OptimizerState};
pub use optimizer::{Optimizer, Slot};
pub use rmsprop::RmsProp;
pub use schedule::Schedule;
pub use settings::Settings;
pub use sgd::Sgd;
