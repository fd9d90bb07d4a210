//! Any bytes as HDF5, its signature given.
#![no_main]

use libfuzzer_sys::fuzz_target;

mod everything;

fuzz_target!(|bytes: &[u8]| everything::try_everything([b"\x89HDF\r\n\x1a\n", bytes].concat()));
