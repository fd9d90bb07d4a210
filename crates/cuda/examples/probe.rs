//! What of CUDA this machine has, one line each; ends with 0 if there is a device, else with 2.

use std::process::ExitCode;
use striate_tensor::Backend;

fn main() -> ExitCode {
    for library in striate_cuda::libraries() {
        let state = match (library.found, library.missing.is_empty()) {
            (false, _) if !library.required => "missing, which is no hindrance".to_string(),
            (false, _) => "missing".to_string(),
            (true, true) => "found".to_string(),
            (true, false) => format!("found, but without {}", library.missing.join(", ")),
        };
        println!("lib{}.so ({}): {state}", library.name, library.purpose);
    }
    let count = match striate_cuda::probe() {
        Ok(count) => count,
        Err(missing) => {
            println!("no device: {missing}");
            return ExitCode::from(2);
        }
    };
    for ordinal in 0..count {
        let options = striate_cuda::CudaOptions { ordinal, ..striate_cuda::CudaOptions::default() };
        match striate_cuda::CudaBackend::new(options) {
            Ok(device) => {
                let (info, (major, minor)) = (device.info(), device.driver_version());
                println!("{}: {} ({}), driver for CUDA {major}.{minor}", info.name, info.hardware, info.isa);
            }
            Err(error) => {
                println!("{error}");
                return ExitCode::from(2);
            }
        }
    }
    ExitCode::SUCCESS
}
