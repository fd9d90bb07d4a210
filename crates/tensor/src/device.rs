//! A handle to a back end.

use crate::backend::{Backend, DeviceInfo, MemoryStats};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Where tensors live and work is done: a shared handle to a [`Backend`].
///
/// Two devices are equal if they are the same back end object. Make one per process and pass it on:
/// `striate_cpu::CpuBackend::new(…)` gives the CPU's.
#[derive(Clone)]
pub struct Device(Arc<dyn Backend>);

impl Device {
    /// A device from a back end.
    pub fn new(backend: impl Backend + 'static) -> Self {
        Device(Arc::new(backend))
    }

    /// The short name: `cpu`, `reference`, `cuda:0`.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// What the device is and how it runs.
    pub fn info(&self) -> DeviceInfo {
        self.0.info()
    }

    /// Memory held by tensors now and at most.
    pub fn memory(&self) -> MemoryStats {
        self.0.memory()
    }

    /// The primitives. Their arguments are checked by [`crate::Tensor`]'s methods, which is the door to use.
    pub fn backend(&self) -> &dyn Backend {
        &*self.0
    }
}

/// A device whose back end is kept beside it, for methods that only that back end has.
impl<B: Backend + 'static> From<Arc<B>> for Device {
    fn from(backend: Arc<B>) -> Self {
        Device(backend)
    }
}

impl Deref for Device {
    type Target = dyn Backend;
    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl PartialEq for Device {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.0), Arc::as_ptr(&other.0))
    }
}

impl Eq for Device {}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({})", self.name())
    }
}
