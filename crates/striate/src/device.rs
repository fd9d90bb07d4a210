//! Which device a program computes on.

use std::sync::OnceLock;
use striate_cpu::{CpuBackend, CpuOptions};
use striate_tensor::{ConvAlgorithm, Device, Error, Precision, Result};

/// What [`open_device`] opens.
#[derive(Debug, Clone, Default)]
pub struct DeviceOptions {
    /// `cpu` or `cuda:N`. Default `cpu`.
    pub name: Option<String>,
    /// Worker threads of the CPU. Default all cores.
    pub threads: Option<usize>,
    /// The algorithm of convolutions that do not ask for one themselves. Default by shape.
    pub conv_algorithm: ConvAlgorithm,
    /// How a CUDA device computes products; the CPU has float32 alone. Default float32.
    pub precision: Precision,
    /// Whether a CUDA device records training steps as graphs and replays them; the CPU records nothing. Default off, unless the environment
    /// variable `STRIATE_CUDA_GRAPHS` is `on`.
    pub graphs: bool,
}

static CHOSEN: OnceLock<Device> = OnceLock::new();

/// Opens a device.
///
/// # Errors
/// [`Error::Device`] for one that this build or machine does not have, or that does not compute in the precision asked for.
pub fn open_device(options: &DeviceOptions) -> Result<Device> {
    match options.name.as_deref().unwrap_or("cpu") {
        "cpu" if options.precision != Precision::F32 => {
            let hint = "use --precision f32, or --device cuda:0";
            Err(Error::device("cpu", "the CPU computes in float32", options.precision.name(), hint))
        }
        "cpu" if options.graphs => {
            let rule = "a CUDA device records training steps, the CPU does not";
            Err(Error::device("cpu", rule, "--cuda-graphs", "leave it out, or use --device cuda:0"))
        }
        "cpu" => Ok(Device::new(CpuBackend::new(CpuOptions {
            threads: options.threads,
            algorithm: options.conv_algorithm,
            ..CpuOptions::default()
        })?)),
        name if name == "cuda" || name.starts_with("cuda:") => open_cuda(name, options),
        name => Err(Error::device(name, "the device must be cpu or cuda:N", format!("`{name}`"), "")),
    }
}

/// The device number of `cuda` or `cuda:N`.
fn ordinal(name: &str) -> Result<usize> {
    name.strip_prefix("cuda:").unwrap_or("0").parse().map_err(|_| {
        Error::device(name, "the device must be cpu or cuda:N with a number N", format!("`{name}`"), "use cuda:0")
    })
}

#[cfg(feature = "cuda")]
fn open_cuda(name: &str, options: &DeviceOptions) -> Result<Device> {
    use striate_cuda::{CudaBackend, CudaOptions};
    let usual = CudaOptions::default();
    let graphs = options.graphs || usual.graphs;
    let options = CudaOptions { ordinal: ordinal(name)?, precision: options.precision, graphs, ..usual };
    Ok(Device::new(CudaBackend::new(options)?))
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(name: &str, _options: &DeviceOptions) -> Result<Device> {
    ordinal(name)?;
    Err(Error::device(
        name,
        "a CUDA device needs a build with the CUDA back end",
        "a build for the CPU",
        "build with --features cuda, or use --device cpu",
    ))
}

/// Chooses the process's device. Call it before anything else uses one.
///
/// # Errors
/// [`Error::Device`] if another device is in use already.
pub fn set_device(device: Device) -> Result<()> {
    CHOSEN.set(device).map_err(|refused| {
        Error::device(refused.name(), "the device is chosen once, before its first use", "a second choice", "")
    })
}

/// The process's device: the one chosen with [`set_device`], else the CPU with all cores.
///
/// # Errors
/// As [`open_device`].
pub fn device() -> Result<Device> {
    if let Some(device) = CHOSEN.get() {
        return Ok(device.clone());
    }
    let opened = open_device(&DeviceOptions::default())?;
    Ok(CHOSEN.get_or_init(|| opened).clone())
}
