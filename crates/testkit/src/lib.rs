//! What the other crates are tested with. A development dependency only: nothing of it ships.
//!
//! - [`mod@reference`]: the back end of plain loops in double precision that defines every primitive;
//! - [`conformance`]: properties that hold every other back end to it;
//! - [`gradcheck`]: gradients against central differences;
//! - [`golden`]: arrays that other programs computed;
//! - [`layer_contract`]: what every layer promises.
#![warn(missing_docs)]
#![forbid(unsafe_code)]

pub mod conformance;
pub mod golden;
pub mod gradcheck;
pub mod layer_contract;
pub mod reference;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
