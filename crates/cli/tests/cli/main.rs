//! The program as its users run it: arguments in, exit code, streams and files out.

mod augment;
mod bench;
mod convert;
mod data;
mod errors;
mod explain;
mod interrupted;
mod photographs;
mod predict;
mod pretrained;
mod process;
mod report;
mod serve;
mod summary;
mod train;
