//! The device that tests run on: a GPU, or the emulated one.

use std::io::Write;
use std::sync::OnceLock;
use striate_tensor::Device;

/// The first CUDA device; none where there is none, which is said on standard error. With `STRIATE_REQUIRE_CUDA=1` that is a
/// failure: `cargo xtask test-gpu` sets it.
pub fn device() -> Option<Device> {
    static DEVICE: OnceLock<Option<Device>> = OnceLock::new();
    DEVICE
        .get_or_init(|| match striate_cuda::device(0) {
            Ok(device) => Some(device),
            Err(missing) if std::env::var_os("STRIATE_REQUIRE_CUDA").is_some() => {
                panic!("a device is required: {missing}")
            }
            Err(missing) => {
                // Not eprintln: the test harness would keep it to itself.
                let _ = writeln!(std::io::stderr(), "skipped, not passed: no CUDA device ({missing})");
                None
            }
        })
        .clone()
}
