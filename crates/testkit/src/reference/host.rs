//! Elements in host memory: read as f64, written in the type asked for, and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use striate_tensor::{
    AlignedVec, DType, Element, Error, HostBuffer, HostData, MemoryStats, Recycle, Result, Storage, Tensor, bf16, f16,
};

/// Runs one generic expression for the Rust type of a [`DType`].
macro_rules! for_dtype {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            DType::F32 => {
                type $T = f32;
                $body
            }
            DType::F64 => {
                type $T = f64;
                $body
            }
            DType::F16 => {
                type $T = f16;
                $body
            }
            DType::Bf16 => {
                type $T = bf16;
                $body
            }
            DType::U8 => {
                type $T = u8;
                $body
            }
            DType::I32 => {
                type $T = i32;
                $body
            }
            DType::I64 => {
                type $T = i64;
                $body
            }
            other => {
                Err(Error::dtype("reference", "the element type must be one the reference knows", other.name(), ""))
            }
        }
    };
}

/// `len` zeros to compute in.
pub(super) fn room(len: usize) -> Result<AlignedVec<f64>> {
    AlignedVec::zeros(len)
}

/// The tensor's elements as f64.
pub(super) fn read(x: &Tensor) -> Result<AlignedVec<f64>> {
    let mut values = room(x.elements())?;
    for_dtype!(x.dtype(), T => {
        for (value, element) in values.iter_mut().zip(x.as_slice::<T>()?) {
            *value = element.to_f64();
        }
        Ok(values)
    })
}

/// The values rounded to `dtype`.
pub(super) fn written(dtype: DType, values: &[f64]) -> Result<HostData> {
    for_dtype!(dtype, T => {
        let mut elements = AlignedVec::<T>::zeros(values.len())?;
        for (element, &value) in elements.iter_mut().zip(values) {
            *element = T::from_f64(value);
        }
        Ok(T::into_host(elements))
    })
}

/// `len` elements of one value.
pub(super) fn filled(dtype: DType, len: usize, value: f64) -> Result<HostData> {
    for_dtype!(dtype, T => {
        let mut elements = AlignedVec::<T>::zeros(len)?;
        elements.fill(T::from_f64(value));
        Ok(T::into_host(elements))
    })
}

/// `len` elements, each a copy of the element of `x` that `source` names, or `fill` where it names none.
pub(super) fn picked(x: &Tensor, len: usize, fill: f64, source: impl Fn(usize) -> Option<usize>) -> Result<HostData> {
    for_dtype!(x.dtype(), T => {
        let from = x.as_slice::<T>()?;
        let mut elements = AlignedVec::<T>::zeros(len)?;
        for (i, element) in elements.iter_mut().enumerate() {
            *element = source(i).map_or(T::from_f64(fill), |source| from[source]);
        }
        Ok(T::into_host(elements))
    })
}

/// `len` elements, each a copy of the element that `source` names as (part, element).
pub(super) fn picked_among(
    parts: &[&Tensor],
    len: usize,
    source: impl Fn(usize) -> (usize, usize),
) -> Result<HostData> {
    for_dtype!(parts[0].dtype(), T => {
        let slices = parts.iter().map(|part| part.as_slice::<T>()).collect::<Result<Vec<_>>>()?;
        let mut elements = AlignedVec::<T>::zeros(len)?;
        for (i, element) in elements.iter_mut().enumerate() {
            let (part, source) = source(i);
            *element = slices[part][source];
        }
        Ok(T::into_host(elements))
    })
}

/// Overwrites the tensor's elements.
pub(super) fn overwrite(x: &mut Tensor, values: &[f64]) -> Result<()> {
    for_dtype!(x.dtype(), T => {
        for (element, &value) in x.make_mut::<T>()?.iter_mut().zip(values) {
            *element = T::from_f64(value);
        }
        Ok(())
    })
}

/// Counts the bytes in buffers that it is the pool of; it keeps none for reuse.
#[derive(Debug, Default)]
pub(super) struct Counter {
    live: AtomicUsize,
    peak: AtomicUsize,
}

fn bytes(data: &HostData) -> usize {
    data.len() * data.dtype().size()
}

impl Counter {
    pub(super) fn stats(&self) -> MemoryStats {
        MemoryStats { live: self.live.load(Ordering::Relaxed), peak: self.peak.load(Ordering::Relaxed), cached: 0 }
    }

    /// Storage that is counted until it is dropped.
    pub(super) fn storage(self: &Arc<Self>, data: HostData) -> Storage {
        let live = self.live.fetch_add(bytes(&data), Ordering::Relaxed) + bytes(&data);
        self.peak.fetch_max(live, Ordering::Relaxed);
        Storage::host(HostBuffer::new(data, Some(self.clone())))
    }
}

impl Recycle for Counter {
    fn recycle(&self, data: HostData) {
        self.live.fetch_sub(bytes(&data), Ordering::Relaxed);
    }
}
