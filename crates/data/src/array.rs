//! One value a sample, for all samples, in memory.

use crate::fingerprint::Fingerprint;
use crate::one_hot::checked_labels;
use std::sync::Arc;
use striate_tensor::{DType, Device, Error, Result, Shape, Tensor};

/// One input or target for all samples, kept in memory as compactly as it came and served as float32.
///
/// Cloning is cheap and shares memory.
#[derive(Debug, Clone)]
pub struct Array {
    samples: usize,
    /// One sample's.
    shape: Shape,
    values: Values,
}

#[derive(Debug, Clone)]
enum Values {
    Floats(Arc<Vec<f32>>),
    Bytes { bytes: Arc<Vec<u8>>, divisor: f32 },
    Classes(Arc<Vec<u32>>),
}

impl Array {
    /// Float32 values of shape (samples, …).
    ///
    /// # Errors
    /// [`Error::Shape`] if there is no samples axis or the number of values is not the shape's.
    pub fn floats(values: Vec<f32>, shape: impl Into<Shape>) -> Result<Self> {
        let (samples, shape) = split_samples(shape.into(), values.len())?;
        Ok(Array { samples, shape, values: Values::Floats(Arc::new(values)) })
    }

    /// Bytes of shape (samples, …), served as `byte / divisor`: 255 makes pixels 0..1.
    ///
    /// # Errors
    /// [`Error::Shape`] as [`Array::floats`]; [`Error::Argument`] unless the divisor is finite and not 0.
    pub fn bytes(values: Vec<u8>, shape: impl Into<Shape>, divisor: f32) -> Result<Self> {
        if !divisor.is_finite() || divisor == 0.0 {
            return Err(Error::argument(
                "Array::bytes",
                "the divisor must be finite and not 0",
                divisor.to_string(),
                "255 makes pixels 0..1, 1 keeps them",
            ));
        }
        let (samples, shape) = split_samples(shape.into(), values.len())?;
        Ok(Array { samples, shape, values: Values::Bytes { bytes: Arc::new(values), divisor } })
    }

    /// Class indices, served as rows of `classes` with a single 1.
    ///
    /// # Errors
    /// [`Error::Data`] for a label that is negative or not below `classes`.
    pub fn one_hot<L: Copy + Into<i64>>(labels: &[L], classes: usize) -> Result<Self> {
        let labels = checked_labels(labels, classes)?;
        let shape = Shape::from([classes]);
        shape.with_batch(labels.len())?;
        Ok(Array { samples: labels.len(), shape, values: Values::Classes(Arc::new(labels)) })
    }

    /// A tensor's rows; bytes stay bytes, other types become float32.
    ///
    /// # Errors
    /// [`Error::Shape`] for a scalar; what the device reports.
    pub fn from_tensor(tensor: &Tensor) -> Result<Self> {
        match tensor.dtype() {
            DType::U8 => Array::bytes(tensor.to_vec()?, *tensor.shape(), 1.0),
            DType::F32 => Array::floats(tensor.to_vec()?, *tensor.shape()),
            _ => Array::floats(tensor.to_f64_vec()?.into_iter().map(|v| v as f32).collect(), *tensor.shape()),
        }
    }

    /// Adds what tells these values from others: shape, and as many values as are soon looked at.
    pub(crate) fn mark(&self, print: Fingerprint) -> Fingerprint {
        const LOOKED_AT: usize = 1 << 14;
        let print = print.number(self.samples as u64).text(&self.shape.to_string());
        let step = |len: usize| len.div_ceil(LOOKED_AT).max(1);
        match &self.values {
            Values::Floats(v) => {
                v.iter().step_by(step(v.len())).fold(print, |print, v| print.number(u64::from(v.to_bits())))
            }
            Values::Bytes { bytes, divisor } => {
                let print = print.number(u64::from(divisor.to_bits()));
                bytes.iter().step_by(step(bytes.len())).fold(print, |print, &v| print.bytes(&[v]))
            }
            Values::Classes(v) => v.iter().fold(print, |print, &v| print.number(u64::from(v))),
        }
    }

    /// The number of samples.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// One sample's shape.
    pub fn sample_shape(&self) -> Shape {
        self.shape
    }

    /// The shape of all samples together: (samples, …).
    pub fn shape(&self) -> Shape {
        // Checked when the array was made; a rank beyond the largest was refused then.
        self.shape.with_batch(self.samples).unwrap_or(self.shape)
    }

    /// The given samples as a float32 tensor (samples.len(), …) on `device`.
    ///
    /// # Errors
    /// [`Error::Shape`] for an index beyond the samples; [`Error::OutOfMemory`].
    pub fn gather(&self, samples: &[usize], device: &Device) -> Result<Tensor> {
        if let Some(sample) = samples.iter().find(|&&sample| sample >= self.samples) {
            return Err(Error::shape(
                "Array",
                format!("sample indices must be below {}", self.samples),
                sample.to_string(),
                "",
            ));
        }
        let shape = self.shape.with_batch(samples.len())?;
        let mut storage = device.full(shape.elements(), DType::F32, 0.0)?;
        // Host memory from the device's own pool is written in place; other devices get an upload.
        if let Some(rows) = storage.as_host_mut().and_then(|host| host.as_mut_slice::<f32>()) {
            self.write(samples, rows);
            return Tensor::from_storage(storage, shape, device);
        }
        let mut rows = vec![0.0; shape.elements()];
        self.write(samples, &mut rows);
        Tensor::from_vec(rows, shape, device)
    }

    /// Writes the samples one after another over zeros; indices are in range and `rows` has their size.
    fn write(&self, samples: &[usize], rows: &mut [f32]) {
        let size = self.shape.elements();
        if size == 0 {
            return;
        }
        let rows = rows.chunks_exact_mut(size).zip(samples);
        match &self.values {
            Values::Floats(values) => {
                rows.for_each(|(row, &sample)| row.copy_from_slice(&values[sample * size..][..size]));
            }
            Values::Bytes { bytes, divisor } => rows.for_each(|(row, &sample)| {
                for (value, &byte) in row.iter_mut().zip(&bytes[sample * size..][..size]) {
                    *value = f32::from(byte) / divisor;
                }
            }),
            Values::Classes(labels) => rows.for_each(|(row, &sample)| row[labels[sample] as usize] = 1.0),
        }
    }
}

/// The samples axis and the rest of a shape that must hold `len` values.
fn split_samples(shape: Shape, len: usize) -> Result<(usize, Shape)> {
    match shape.as_slice() {
        [samples, rest @ ..] if shape.elements() == len => Ok((*samples, Shape::new(rest)?)),
        _ => Err(Error::shape(
            "Array",
            "the shape must be (samples, …) with as many elements as there are values",
            format!("{len} values for shape {shape}"),
            "",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use striate_testkit::reference;

    #[test]
    fn every_kind_is_served_as_float32_rows() {
        let device = reference::device();
        let floats = Array::floats(vec![1.0, 2.0, 3.0, 4.0], [2, 2]).unwrap();
        let bytes = Array::bytes(vec![0, 51, 255, 1], [2, 2], 255.0).unwrap();
        let classes = Array::one_hot(&[2u8, 0], 3).unwrap();
        let rows = |array: &Array| array.gather(&[1, 0, 1], &device).unwrap().to_vec::<f32>().unwrap();
        assert_eq!(rows(&floats), [3.0, 4.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(rows(&bytes), [1.0, 1.0 / 255.0, 0.0, 0.2, 1.0, 1.0 / 255.0]);
        assert_eq!(rows(&classes), [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
        assert_eq!(classes.shape(), Shape::from([2, 3]));
    }

    #[test]
    fn tensors_come_back_as_they_were() {
        let device = reference::device();
        let bytes = Tensor::from_vec(vec![7u8, 8, 9], [3, 1], &device).unwrap();
        let longs = Tensor::from_vec(vec![-1i64, 5], [2], &device).unwrap();
        assert_eq!(Array::from_tensor(&bytes).unwrap().gather(&[2], &device).unwrap().to_vec::<f32>().unwrap(), [9.0]);
        let longs = Array::from_tensor(&longs).unwrap();
        assert_eq!(longs.gather(&[0, 1], &device).unwrap().to_vec::<f32>().unwrap(), [-1.0, 5.0]);
        assert_eq!(longs.sample_shape(), Shape::SCALAR);
        assert!(Array::from_tensor(&Tensor::scalar(1.0, &device).unwrap()).is_err());
    }

    #[test]
    fn bad_arrays_are_refused() {
        assert!(matches!(Array::floats(vec![1.0; 5], [2, 2]), Err(Error::Shape(_))));
        assert!(matches!(Array::bytes(vec![1; 4], [2, 2], 0.0), Err(Error::Argument(_))));
        assert!(matches!(Array::one_hot(&[10u8], 10), Err(Error::Data(_))));
        let array = Array::floats(vec![1.0; 4], [2, 2]).unwrap();
        assert!(matches!(array.gather(&[2], &reference::device()), Err(Error::Shape(_))));
    }
}
