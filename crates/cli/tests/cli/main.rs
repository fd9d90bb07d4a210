//! The program as its users run it: arguments in, exit code, streams and files out.

mod bench;
mod errors;
mod interrupted;
mod predict;
mod process;
mod summary;
mod train;
