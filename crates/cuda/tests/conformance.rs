//! The conformance suite on a CUDA device, real or emulated.

mod common;

striate_testkit::conformance_suite!(match common::device() {
    Some(device) => device,
    None => return,
});

/// Two back ends on one device share nothing and give the same bits, with and without the cache of memory.
#[test]
fn the_cache_of_memory_does_not_change_bits() {
    use striate_cuda::{CudaBackend, CudaOptions};
    use striate_tensor::Device;
    if common::device().is_none() {
        return;
    }
    let open = |pooling| {
        Device::new(
            CudaBackend::new(CudaOptions { pooling, ..CudaOptions::default() })
                .expect("the device opens a second time"),
        )
    };
    if let Err(failure) = striate_testkit::conformance::equal_bits(&open(true), &open(false), 16) {
        panic!("{failure}");
    }
}
