//! What of CUDA a machine has, found out without a panic.

use crate::{cublas, cudnn, driver};
use cudarc::cublas::sys as blas;
use cudarc::cudnn::sys as dnn;
use cudarc::driver::sys as cuda;
use cudarc::nvrtc::sys as nvrtc;
use std::fmt;
use striate_tensor::Error;

/// Why there is no CUDA device to work on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unavailable {
    /// The driver's library, `libcuda.so.1`, cannot be loaded: there is no NVIDIA driver.
    NoDriver,
    /// A library of the toolkit cannot be loaded; its short name, `nvrtc`, `cublas` or `cudnn`.
    NoLibrary(&'static str),
    /// The driver runs but sees no device.
    NoDevice,
    /// The driver sees fewer devices.
    NoSuchDevice {
        /// The number asked for.
        ordinal: usize,
        /// How many devices there are.
        found: usize,
    },
    /// A library lacks a function: it is too old.
    MissingSymbol {
        /// The library's short name.
        library: &'static str,
        /// The function.
        symbol: &'static str,
    },
    /// The device is older than the kernels allow.
    TooOld {
        /// Its compute capability, 10·major + minor.
        capability: u32,
        /// The least that will do.
        least: u32,
    },
    /// The driver answered with an error code.
    Driver {
        /// The function that was called.
        call: &'static str,
        /// CUDA's code.
        code: u32,
    },
}

/// The least compute capability (10·major + minor) that kernels are compiled for and checked on: Turing.
pub(crate) const LEAST_CAPABILITY: u32 = 75;

impl Unavailable {
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Unavailable::NoDriver => "install NVIDIA's driver, or use --device cpu",
            Unavailable::NoLibrary("cublas") => {
                "install NVIDIA's CUDA toolkit, or its pip package nvidia-cublas with its lib folder on LD_LIBRARY_PATH; or use --precision f32"
            }
            Unavailable::NoLibrary(_) => {
                "install NVIDIA's CUDA toolkit, or its pip package nvidia-cuda-nvrtc with its lib folder on LD_LIBRARY_PATH"
            }
            Unavailable::NoDevice | Unavailable::TooOld { .. } => "use --device cpu",
            Unavailable::NoSuchDevice { .. } => "devices are counted from 0",
            Unavailable::MissingSymbol { .. } => "install a newer version of it",
            Unavailable::Driver { .. } => "nvidia-smi shows whether the driver works",
        }
    }

    /// As the error of the workspace, for the device of this name.
    pub fn for_device(&self, name: &str) -> Error {
        Error::device(name, "a CUDA device needs NVIDIA's driver, NVRTC and a GPU", self.to_string(), self.hint())
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unavailable::NoDriver => f.write_str("no driver (libcuda.so.1 was not found)"),
            Unavailable::NoLibrary(name) => write!(f, "no library lib{name}.so"),
            Unavailable::NoDevice => f.write_str("a driver that sees no device"),
            Unavailable::NoSuchDevice { ordinal, found } => write!(f, "number {ordinal} of {found} devices"),
            Unavailable::MissingSymbol { library, symbol } => write!(f, "a lib{library}.so without {symbol}"),
            Unavailable::TooOld { capability, least } => {
                write!(f, "a device of compute capability {capability}, where {least} is the least")
            }
            Unavailable::Driver { call, code } => write!(f, "error {code} of {call}"),
        }
    }
}

impl std::error::Error for Unavailable {}

/// A library that the back end loads at run time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    /// The short name: `cuda` is the driver, `nvrtc` the compiler of kernels, `cublas` NVIDIA's matrix products, `cudnn` its
    /// convolutions.
    pub name: &'static str,
    /// Whether there is no device without it.
    pub required: bool,
    /// What it is for, for people.
    pub purpose: &'static str,
    /// Whether it can be loaded.
    pub found: bool,
    /// Functions the back end calls that it lacks.
    pub missing: Vec<&'static str>,
}

/// Every library the back end uses, found or not.
pub fn libraries() -> Vec<Library> {
    vec![
        library("cuda", "NVIDIA's driver", true, driver::SYMBOLS),
        library("nvrtc", "compiles kernels at run time", true, crate::compiler::SYMBOLS),
        library("cublas", "matrix products; without it kernels of the program's own do them", false, cublas::SYMBOLS),
        library(
            "cudnn",
            "convolutions, version 9; without it kernels of the program's own do them",
            false,
            cudnn::SYMBOLS,
        ),
    ]
}

fn library(name: &'static str, purpose: &'static str, required: bool, symbols: &[&'static str]) -> Library {
    // SAFETY: loading a library runs its initialisers; these are NVIDIA's libraries or what the user put in their place.
    let found = unsafe {
        match name {
            "cuda" => cuda::is_culib_present(),
            "cublas" => blas::is_culib_present(),
            "cudnn" => dnn::is_culib_present(),
            _ => nvrtc::is_culib_present(),
        }
    };
    let lacks = |symbol: &&'static str| found && !has_symbol(name, symbol);
    Library { name, required, purpose, found, missing: symbols.iter().copied().filter(lacks).collect() }
}

impl Library {
    /// What keeps it from being used.
    fn check(&self) -> Result<(), Unavailable> {
        match (self.found, self.missing.first()) {
            (false, _) if self.name == "cuda" => Err(Unavailable::NoDriver),
            (false, _) => Err(Unavailable::NoLibrary(self.name)),
            (true, Some(&symbol)) => Err(Unavailable::MissingSymbol { library: self.name, symbol }),
            (true, None) => Ok(()),
        }
    }
}

/// Whether cuBLAS is there and has every function that is called; what keeps it from being used otherwise.
pub(crate) fn probe_cublas() -> Result<(), Unavailable> {
    library("cublas", "", false, cublas::SYMBOLS).check()
}

/// The same for cuDNN.
pub(crate) fn probe_cudnn() -> Result<(), Unavailable> {
    library("cudnn", "", false, cudnn::SYMBOLS).check()
}

/// Whether a library that is present has a function. Must not be asked of one that is absent.
fn has_symbol(library: &'static str, name: &'static str) -> bool {
    type Any = unsafe extern "C" fn();
    // SAFETY: the caller saw that the library is there, and the pointer looked up is not called.
    unsafe {
        match library {
            "cuda" => cuda::culib().get::<Any>(name.as_bytes()).is_ok(),
            "cublas" => blas::culib().get::<Any>(name.as_bytes()).is_ok(),
            "cudnn" => dnn::culib().get::<Any>(name.as_bytes()).is_ok(),
            _ => nvrtc::culib().get::<Any>(name.as_bytes()).is_ok(),
        }
    }
}

/// Makes sure of libraries and driver, and counts the devices: at least one.
///
/// # Errors
/// What is missing. On a machine without CUDA that is [`Unavailable::NoDriver`].
///
/// ```
/// match striate_cuda::probe() {
///     Ok(devices) => assert!(devices > 0),
///     Err(missing) => println!("no CUDA here: {missing}"),
/// }
/// ```
pub fn probe() -> Result<usize, Unavailable> {
    library("cuda", "", true, driver::SYMBOLS).check()?;
    library("nvrtc", "", true, crate::compiler::SYMBOLS).check()?;
    driver::count_devices()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_one_line_that_names_what_is_missing() {
        let error = Unavailable::NoDriver.for_device("cuda:0").to_string();
        assert_eq!(
            error,
            "cuda:0: a CUDA device needs NVIDIA's driver, NVRTC and a GPU; received no driver (libcuda.so.1 was not \
             found) (hint: install NVIDIA's driver, or use --device cpu)"
        );
        let error = Unavailable::MissingSymbol { library: "cuda", symbol: "cuInit" }.for_device("cuda:1").to_string();
        assert!(error.contains("a libcuda.so without cuInit") && !error.contains('\n'), "{error}");
    }

    #[test]
    fn probing_twice_says_the_same_and_never_panics() {
        assert_eq!(probe(), probe());
    }
}
