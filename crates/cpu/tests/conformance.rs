//! The conformance suite for each instruction set that this machine has, and the same bits for any number of threads.

use striate_cpu::{CpuBackend, CpuOptions, Isa};
use striate_tensor::Device;

fn device(isa: Isa, threads: usize) -> Device {
    let options = CpuOptions { threads: Some(threads), isa: Some(isa), ..CpuOptions::default() };
    Device::new(CpuBackend::new(options).expect("an available instruction set"))
}

/// The best instruction set, as users have it.
mod best {
    use super::*;
    striate_testkit::conformance_suite!(device(Isa::available()[0], 2));
}

/// What other processors and aarch64 run.
mod portable {
    use super::*;
    striate_testkit::conformance_suite!(device(Isa::Portable, 2));
}

/// On a machine with AVX-512 the instruction set below it.
mod second {
    use super::*;
    striate_testkit::conformance_suite!(device(*Isa::available().get(1).unwrap_or(&Isa::Portable), 1));
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for isa in Isa::available() {
        for threads in [2, 3] {
            let same = striate_testkit::conformance::equal_bits(&device(isa, 1), &device(isa, threads), 128);
            assert!(same.is_ok(), "{isa}, {threads} threads: {}", same.unwrap_err());
        }
    }
}
