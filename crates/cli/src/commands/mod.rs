//! The commands, one a file.

pub mod augment;
pub mod convert;
pub mod doctor;
pub mod evaluate;
pub mod predict;
pub mod summary;
pub mod train;
