//! The commands, one a file.

pub mod doctor;
pub mod evaluate;
pub mod predict;
pub mod summary;
pub mod train;
