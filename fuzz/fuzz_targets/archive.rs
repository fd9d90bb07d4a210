//! Any bytes as a zip archive, its signature given.
#![no_main]

use libfuzzer_sys::fuzz_target;

mod everything;

fuzz_target!(|bytes: &[u8]| everything::try_everything([b"PK\x03\x04", bytes].concat()));
