//! The commands, one a file.

pub mod advise;
pub mod augment;
pub mod convert;
pub mod curves;
pub mod data;
pub mod doctor;
pub mod dream;
pub mod evaluate;
pub mod explain;
pub mod kernels;
pub mod predict;
pub mod report;
pub mod style;
pub mod summary;
pub mod train;
