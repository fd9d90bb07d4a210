//! Benchmarks of kernels and training steps: `cargo bench -p striate-benches`.
//!
//! They are for comparing two versions of the code on one machine. Figures against other programs come from `striate bench` and
//! from `benches/peers/`.
#![forbid(unsafe_code)]
