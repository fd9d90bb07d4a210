//! The memory behind a tensor, on whichever device.

use crate::buffer::HostBuffer;
use crate::dtype::DType;
use crate::error::Result;
use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Memory that only its own back end can read, a GPU's for instance.
pub trait DeviceBuffer: Any + Send + Sync + fmt::Debug {
    /// The number of elements.
    fn len(&self) -> usize;
    /// Whether there is no element.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The element type.
    fn dtype(&self) -> DType;
    /// For the back end to get at its own type.
    fn as_any(&self) -> &dyn Any;
    /// For the back end to get at its own type, for writing.
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

#[derive(Debug)]
enum Memory {
    Host(HostBuffer),
    Device(Box<dyn DeviceBuffer>),
}

/// A form's key, and the form once it was asked for twice.
type Prepared = (u64, Option<Arc<dyn Any + Send + Sync>>);

/// The memory behind one or several tensors, with room for forms of it that a back end prepared (packed weights).
pub struct Storage {
    memory: Memory,
    prepared: Mutex<Vec<Prepared>>,
}

impl Storage {
    /// Host memory.
    pub fn host(buffer: HostBuffer) -> Self {
        Storage { memory: Memory::Host(buffer), prepared: Mutex::default() }
    }

    /// A device's memory.
    pub fn device(buffer: Box<dyn DeviceBuffer>) -> Self {
        Storage { memory: Memory::Device(buffer), prepared: Mutex::default() }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        match &self.memory {
            Memory::Host(buffer) => buffer.data().len(),
            Memory::Device(buffer) => buffer.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        match &self.memory {
            Memory::Host(buffer) => buffer.data().dtype(),
            Memory::Device(buffer) => buffer.dtype(),
        }
    }

    /// The host buffer, unless the memory is a device's.
    pub fn as_host(&self) -> Option<&HostBuffer> {
        if let Memory::Host(buffer) = &self.memory { Some(buffer) } else { None }
    }

    /// The host buffer for writing; what was prepared from it is forgotten.
    pub fn as_host_mut(&mut self) -> Option<&mut HostBuffer> {
        self.forget_prepared();
        if let Memory::Host(buffer) = &mut self.memory { Some(buffer) } else { None }
    }

    /// The device buffer, unless the memory is the host's.
    pub fn as_device(&self) -> Option<&dyn DeviceBuffer> {
        if let Memory::Device(buffer) = &self.memory { Some(&**buffer) } else { None }
    }

    /// The device buffer for writing; what was prepared from it is forgotten.
    pub fn as_device_mut(&mut self) -> Option<&mut dyn DeviceBuffer> {
        self.forget_prepared();
        if let Memory::Device(buffer) = &mut self.memory { Some(&mut **buffer) } else { None }
    }

    fn forget_prepared(&mut self) {
        self.prepared.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The form of this memory that was prepared under `key`, made by `make`.
    ///
    /// It is kept from the second request on, until the memory is written or dropped: weights that change between any two
    /// requests, as in training, have no second form in memory. `key` must tell apart everything `make` depends on.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn prepared<T: Any + Send + Sync>(&self, key: u64, make: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        let mut all = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        let place = all.iter().position(|(known, _)| *known == key);
        if let Some(Ok(value)) = place.and_then(|i| all[i].1.clone()).map(Arc::downcast::<T>) {
            return Ok(value);
        }
        let value = Arc::new(make()?);
        match place {
            Some(i) => all[i].1 = Some(value.clone()),
            None => all.push((key, None)),
        }
        Ok(value)
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.memory.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prepared_forms_last_until_the_next_write() {
        let mut storage = Storage::host(vec![1.0f32, 2.0].into());
        let sum =
            |s: &Storage| s.prepared(7, || Ok(s.as_host().unwrap().as_slice::<f32>().unwrap().iter().sum::<f32>()));
        assert_eq!(*sum(&storage).unwrap(), 3.0);
        storage.as_host_mut().unwrap().as_mut_slice::<f32>().unwrap()[0] = 5.0;
        assert_eq!(*sum(&storage).unwrap(), 7.0);
    }

    #[test]
    fn a_form_is_kept_from_the_second_request_on() {
        let mut storage = Storage::host(vec![1.0f32].into());
        let mut made = 0;
        let mut ask = |storage: &Storage| {
            let form = storage.prepared(1, || {
                made += 1;
                Ok(made)
            });
            *form.unwrap()
        };
        assert_eq!([(); 4].map(|()| ask(&storage)), [1, 2, 2, 2]);
        storage.as_host_mut().unwrap();
        assert_eq!(ask(&storage), 3);
    }
}
