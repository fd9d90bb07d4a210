//! The tensor: a view of contiguous, row-major memory on some device.

use crate::buffer::HostBuffer;
use crate::device::Device;
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::shape::Shape;
use crate::storage::Storage;
use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Numbers in a rectangular arrangement, on some [`Device`].
///
/// Rank, element type and device are values, not types. A tensor is always contiguous and row-major: reshaping and taking a range
/// of the leading axis are views of the same memory; everything else writes new memory. Cloning is cheap and
/// shares memory; writing through [`Tensor::make_mut`] copies first if anyone else looks at it.
#[derive(Clone)]
pub struct Tensor {
    storage: Arc<Storage>,
    offset: usize,
    shape: Shape,
    device: Device,
}

impl Tensor {
    /// A tensor of the given elements, row-major.
    ///
    /// # Errors
    /// [`Error::Shape`] if the number of elements is not the shape's.
    pub fn from_vec<T: Element>(data: Vec<T>, shape: impl Into<Shape>, device: &Device) -> Result<Self> {
        Tensor::from_host(data.into(), shape, device)
    }

    /// A tensor of a host buffer's elements; a device with host memory keeps the buffer.
    ///
    /// # Errors
    /// [`Error::Shape`] if the number of elements is not the shape's.
    pub fn from_host(data: HostBuffer, shape: impl Into<Shape>, device: &Device) -> Result<Self> {
        let shape = shape.into();
        if data.data().len() != shape.elements() {
            return Err(Error::shape(
                "Tensor::from_vec",
                "the number of elements must be the product of the sizes",
                format!("{} elements for shape {shape}", data.data().len()),
                "",
            ));
        }
        Tensor::from_storage(device.upload(data)?, shape, device)
    }

    /// A tensor of memory that a back end made.
    ///
    /// # Errors
    /// [`Error::Shape`] if the number of elements is not the shape's.
    pub fn from_storage(storage: Storage, shape: impl Into<Shape>, device: &Device) -> Result<Self> {
        let shape = shape.into();
        if storage.len() != shape.elements() {
            return Err(Error::shape(
                device.name(),
                "a back end's result must have the elements of its shape",
                format!("{} elements for shape {shape}", storage.len()),
                "this is a defect of the back end",
            ));
        }
        Ok(Tensor { storage: Arc::new(storage), offset: 0, shape, device: device.clone() })
    }

    /// A tensor of one value everywhere.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn full(shape: impl Into<Shape>, value: f64, dtype: DType, device: &Device) -> Result<Self> {
        let shape = shape.into();
        Tensor::from_storage(device.full(shape.elements(), dtype, value)?, shape, device)
    }

    /// A tensor of float32 zeros.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn zeros(shape: impl Into<Shape>, device: &Device) -> Result<Self> {
        Tensor::full(shape, 0.0, DType::F32, device)
    }

    /// A float32 tensor of rank 0.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn scalar(value: f32, device: &Device) -> Result<Self> {
        Tensor::from_vec(vec![value], Shape::SCALAR, device)
    }

    /// The sizes of the axes.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.shape.rank()
    }

    /// The number of elements.
    pub fn elements(&self) -> usize {
        self.shape.elements()
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.storage.dtype()
    }

    /// Where the tensor lives.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The memory behind the tensor; back ends get at their own buffers through it.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The index of the tensor's first element in its memory.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The elements as a slice, without a copy.
    ///
    /// # Errors
    /// [`Error::Device`] if they are not in host memory, [`Error::DType`] if they are not of type `T`.
    pub fn as_slice<T: Element>(&self) -> Result<&[T]> {
        let host = self.storage.as_host().ok_or_else(|| not_on_host(&self.device))?;
        let all = host.as_slice::<T>().ok_or_else(|| self.not_of_type(T::DTYPE))?;
        Ok(&all[self.offset..self.offset + self.elements()])
    }

    /// The elements for writing; shared memory is copied first, so that no other tensor changes.
    ///
    /// # Errors
    /// As [`Tensor::as_slice`], and [`Error::OutOfMemory`].
    pub fn make_mut<T: Element>(&mut self) -> Result<&mut [T]> {
        if self.dtype() != T::DTYPE {
            return Err(self.not_of_type(T::DTYPE));
        }
        if self.storage.as_host().is_none() {
            return Err(not_on_host(&self.device));
        }
        let (offset, len) = (self.unshare()?, self.elements());
        let storage = Arc::get_mut(&mut self.storage).ok_or_else(|| not_on_host(&self.device))?;
        let all = storage.as_host_mut().and_then(|host| host.as_mut_slice::<T>());
        all.map(|all| &mut all[offset..offset + len])
            .ok_or_else(|| Error::dtype("Tensor::make_mut", "memory must be of the asked type", T::DTYPE.name(), ""))
    }

    /// The memory for writing by the tensor's own back end, made the tensor's alone first.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if it had to be copied and could not.
    pub fn storage_mut(&mut self) -> Result<&mut Storage> {
        self.unshare()?;
        Arc::get_mut(&mut self.storage).ok_or_else(|| not_on_host(&self.device))
    }

    /// The same elements in memory of their own.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn contiguous_copy(&self) -> Result<Tensor> {
        Tensor::from_storage(self.device.copy(self)?, self.shape, &self.device)
    }

    /// Whether no other tensor looks at this memory: writing copies nothing then.
    pub fn is_sole_owner(&mut self) -> bool {
        Arc::get_mut(&mut self.storage).is_some()
    }

    /// Copies the memory if anyone else holds it; returns the offset then.
    fn unshare(&mut self) -> Result<usize> {
        if Arc::get_mut(&mut self.storage).is_none() {
            let copy = self.device.copy(self)?;
            self.storage = Arc::new(copy);
            self.offset = 0;
        }
        Ok(self.offset)
    }

    /// The elements copied to the host.
    ///
    /// # Errors
    /// [`Error::DType`] if they are not of type `T`; what the device reports.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        if self.storage.as_host().is_some() {
            return self.as_slice::<T>().map(<[T]>::to_vec);
        }
        let host = self.device.download(self)?;
        host.as_slice::<T>().map(<[T]>::to_vec).ok_or_else(|| self.not_of_type(T::DTYPE))
    }

    /// The elements as 64-bit floats, whatever their type.
    ///
    /// # Errors
    /// What the device reports.
    pub fn to_f64_vec(&self) -> Result<Vec<f64>> {
        Ok(self.device.download(self)?.data().to_f64())
    }

    /// The only element of a tensor as a 64-bit float.
    ///
    /// # Errors
    /// [`Error::Shape`] if there is not exactly one element.
    pub fn item(&self) -> Result<f64> {
        if self.elements() != 1 {
            return Err(Error::shape("item", "the tensor must have exactly one element", self.shape.to_string(), ""));
        }
        if let Ok(slice) = self.as_slice::<f32>() {
            return Ok(f64::from(slice[0]));
        }
        Ok(self.to_f64_vec()?[0])
    }

    /// The same elements under another shape; a view.
    ///
    /// # Errors
    /// [`Error::Shape`] if the numbers of elements differ.
    pub fn reshape(&self, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        if shape.elements() != self.elements() {
            return Err(Error::shape(
                "reshape",
                "the number of elements must stay the same",
                format!("{} ({} elements) to {shape} ({})", self.shape, self.elements(), shape.elements()),
                "",
            ));
        }
        Ok(Tensor { shape, ..self.clone() })
    }

    /// A range of the leading axis; a view.
    ///
    /// # Errors
    /// [`Error::Shape`] for a scalar or a range outside the axis.
    pub fn rows(&self, range: Range<usize>) -> Result<Tensor> {
        let n = self.shape.first().copied().unwrap_or(0);
        if self.rank() == 0 || range.start > range.end || range.end > n {
            return Err(Error::shape(
                "rows",
                format!("the range must lie within the leading axis of size {n}"),
                format!("{range:?} of {}", self.shape),
                "",
            ));
        }
        let row = self.shape.without_batch();
        let offset = self.offset + range.start * row.elements();
        Ok(Tensor { offset, shape: row.with_batch(range.len())?, ..self.clone() })
    }

    /// The same elements on another device; itself if it is there already.
    ///
    /// # Errors
    /// What the devices report.
    pub fn to_device(&self, device: &Device) -> Result<Tensor> {
        if self.device == *device {
            return Ok(self.clone());
        }
        Tensor::from_host(self.device.download(self)?, self.shape, device)
    }

    /// The elements converted to another type; itself if it has it already.
    ///
    /// # Errors
    /// What the device reports.
    pub fn cast(&self, dtype: DType) -> Result<Tensor> {
        if self.dtype() == dtype {
            return Ok(self.clone());
        }
        Tensor::from_storage(self.device.cast(self, dtype)?, self.shape, &self.device)
    }

    /// A form of this tensor that the back end prepared under `key`; see [`Storage::prepared`].
    ///
    /// # Errors
    /// Those of `make`.
    pub fn prepared<T: Any + Send + Sync>(&self, key: u64, make: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        let key = key ^ (self.offset as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.storage.prepared(key, make)
    }

    fn not_of_type(&self, asked: DType) -> Error {
        Error::dtype("Tensor", format!("elements of type {asked} were asked for"), self.dtype().name(), "use cast")
    }
}

fn not_on_host(device: &Device) -> Error {
    Error::device(
        "Tensor::as_slice",
        "the elements must be in host memory",
        format!("a tensor on {}", device.name()),
        "use to_vec, which copies them",
    )
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor{} {} on {}", self.shape, self.dtype(), self.device.name())?;
        if self.elements() <= 16 {
            match self.to_f64_vec() {
                Ok(values) => write!(f, " {values:?}")?,
                Err(error) => write!(f, " <{error}>")?,
            }
        }
        Ok(())
    }
}
