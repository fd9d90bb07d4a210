//! Any bytes as a file of weights and as a model.
#![no_main]

use libfuzzer_sys::fuzz_target;

mod everything;

fuzz_target!(|bytes: &[u8]| everything::try_everything(bytes.to_vec()));
