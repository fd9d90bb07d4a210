//! Tensors as files hold them: bytes with an element type, turned into numbers of this machine when they are asked for.

use crate::content::Content;
use half::{bf16, f16};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use striate_tensor::{Device, Error, Result, Shape, Tensor};

/// How one number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// IEEE float of 16 bits.
    F16,
    /// The upper half of an IEEE float of 32 bits.
    Bf16,
    /// IEEE float of 32 bits.
    F32,
    /// IEEE float of 64 bits.
    F64,
    /// Signed integer of so many bytes: 1, 2, 4 or 8.
    Signed(u8),
    /// Unsigned integer of so many bytes: 1, 2, 4 or 8.
    Unsigned(u8),
}

impl Number {
    /// Bytes a number takes.
    pub fn size(self) -> usize {
        match self {
            Number::F16 | Number::Bf16 => 2,
            Number::F32 => 4,
            Number::F64 => 8,
            Number::Signed(size) | Number::Unsigned(size) => usize::from(size),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Bf16 => write!(f, "bfloat16"),
            Number::Signed(size) => write!(f, "int{}", 8 * size),
            Number::Unsigned(size) => write!(f, "uint{}", 8 * size),
            float => write!(f, "float{}", 8 * float.size()),
        }
    }
}

/// Bytes that come when they are asked for.
pub(crate) trait Source: fmt::Debug + Send + Sync {
    /// The bytes of the tensor at a path.
    fn read(&self, path: &str) -> Result<Vec<u8>>;
}

/// Bytes of a region that are read at a time: they are turned into numbers while they are in the cache.
const AT_ONCE: usize = 64 << 10;

#[derive(Debug, Clone)]
pub(crate) enum Bytes {
    Owned(Arc<Vec<u8>>),
    /// What a container gives for a path.
    Lazy(Arc<dyn Source>, String),
    /// What lies in a file from an offset on: as many bytes as the tensor has.
    Region(Arc<Content>, u64),
}

/// One tensor of a file.
#[derive(Debug, Clone)]
pub struct StoredTensor {
    name: String,
    shape: Vec<usize>,
    number: Number,
    is_big_endian: bool,
    bytes: Bytes,
}

impl StoredTensor {
    /// The caller has checked that the sizes' product does not overflow.
    pub(crate) fn new(name: &str, shape: Vec<usize>, number: Number, is_big_endian: bool, bytes: Bytes) -> Self {
        StoredTensor { name: name.to_string(), shape, number, is_big_endian, bytes }
    }

    /// Its name as the file spells it, within its layer: `conv2d/kernel:0`, `0`.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn renamed(mut self, name: &str) -> Self {
        self.name = name.to_string();
        self
    }

    /// The sizes, as stored.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How its numbers are written.
    pub fn number(&self) -> Number {
        self.number
    }

    /// How many numbers it has.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// All numbers as float32, row-major.
    ///
    /// # Errors
    /// [`Error::Data`] if the file is damaged.
    pub fn to_f32(&self) -> Result<Vec<f32>> {
        let bytes: Cow<'_, [u8]> = match &self.bytes {
            Bytes::Owned(bytes) => Cow::Borrowed(bytes),
            Bytes::Lazy(source, path) => Cow::Owned(source.read(path)?),
            Bytes::Region(content, offset) => return self.read_region(content, *offset),
        };
        let wanted = self.elements() * self.number.size();
        if bytes.len() != wanted {
            return Err(Error::data(
                self.name.clone(),
                format!("a tensor of shape {:?} of {} must have {wanted} bytes", self.shape, self.number),
                bytes.len().to_string(),
                "the file is damaged",
            ));
        }
        let mut values = Vec::with_capacity(self.elements());
        self.decode(&bytes, &mut values);
        Ok(values)
    }

    /// The numbers of a region of a file, which are in memory once.
    fn read_region(&self, content: &Content, offset: u64) -> Result<Vec<f32>> {
        let wanted = self.elements() * self.number.size();
        let mut values = Vec::with_capacity(self.elements());
        let mut buffer = vec![0; AT_ONCE.min(wanted)];
        for start in (0..wanted).step_by(AT_ONCE) {
            let part = &mut buffer[..AT_ONCE.min(wanted - start)];
            content.read_at(offset + start as u64, part).map_err(|error| {
                let rule = format!("a tensor of shape {:?} must have {wanted} bytes in its file", self.shape);
                Error::data(self.name.clone(), rule, error.to_string(), "the file is damaged, or was changed meanwhile")
            })?;
            self.decode(part, &mut values);
        }
        Ok(values)
    }

    /// Adds the numbers that whole bytes stand for.
    fn decode(&self, bytes: &[u8], values: &mut Vec<f32>) {
        macro_rules! each {
            ($type:ty, $value:ident => $number:expr) => {{
                let (whole, _) = bytes.as_chunks::<{ size_of::<$type>() }>();
                if self.is_big_endian {
                    values.extend(whole.iter().map(|&b| <$type>::from_be_bytes(b)).map(|$value| $number));
                } else {
                    values.extend(whole.iter().map(|&b| <$type>::from_le_bytes(b)).map(|$value| $number));
                }
            }};
        }
        match self.number {
            Number::F16 => each!(f16, v => v.to_f32()),
            Number::Bf16 => each!(bf16, v => v.to_f32()),
            Number::F32 => each!(f32, v => v),
            Number::F64 => each!(f64, v => v as f32),
            Number::Signed(1) => each!(i8, v => f32::from(v)),
            Number::Signed(2) => each!(i16, v => f32::from(v)),
            Number::Signed(4) => each!(i32, v => v as f32),
            Number::Signed(_) => each!(i64, v => v as f32),
            Number::Unsigned(1) => each!(u8, v => f32::from(v)),
            Number::Unsigned(2) => each!(u16, v => f32::from(v)),
            Number::Unsigned(4) => each!(u32, v => v as f32),
            Number::Unsigned(_) => each!(u64, v => v as f32),
        }
    }

    /// The tensor as float32 on a device.
    ///
    /// # Errors
    /// As [`StoredTensor::to_f32`]; what the device reports.
    pub fn to_tensor(&self, device: &Device) -> Result<Tensor> {
        Tensor::from_vec(self.to_f32()?, Shape::new(&self.shape)?, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(number: Number, is_big_endian: bool, bytes: &[u8]) -> StoredTensor {
        let shape = vec![bytes.len() / number.size()];
        StoredTensor::new("x", shape, number, is_big_endian, Bytes::Owned(Arc::new(bytes.to_vec())))
    }

    #[test]
    fn every_number_in_both_orders() {
        macro_rules! both {
            ($number:expr, $type:ty, $values:expr, $expected:expr) => {{
                let values: [$type; 2] = $values;
                let little: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                let big: Vec<u8> = values.iter().flat_map(|v| v.to_be_bytes()).collect();
                assert_eq!(stored($number, false, &little).to_f32().unwrap(), $expected, "{}", $number);
                assert_eq!(stored($number, true, &big).to_f32().unwrap(), $expected, "{}", $number);
            }};
        }
        both!(Number::F16, f16, [f16::from_f32(1.5), f16::from_f32(-2.0)], [1.5, -2.0]);
        both!(Number::Bf16, bf16, [bf16::from_f32(1.5), bf16::from_f32(-2.0)], [1.5, -2.0]);
        both!(Number::F32, f32, [1.25, -3.5], [1.25, -3.5]);
        both!(Number::F64, f64, [1.25, -3.5], [1.25, -3.5]);
        both!(Number::Signed(1), i8, [1, -3], [1.0, -3.0]);
        both!(Number::Signed(2), i16, [300, -3], [300.0, -3.0]);
        both!(Number::Signed(4), i32, [70_000, -3], [70_000.0, -3.0]);
        both!(Number::Signed(8), i64, [70_000, -3], [70_000.0, -3.0]);
        both!(Number::Unsigned(1), u8, [1, 250], [1.0, 250.0]);
        both!(Number::Unsigned(2), u16, [300, 2], [300.0, 2.0]);
        both!(Number::Unsigned(4), u32, [70_000, 2], [70_000.0, 2.0]);
        both!(Number::Unsigned(8), u64, [70_000, 2], [70_000.0, 2.0]);
        assert_eq!(
            [Number::F16, Number::Bf16, Number::Signed(8)].map(|n| n.to_string()),
            ["float16", "bfloat16", "int64"]
        );
    }

    #[test]
    fn too_few_bytes_are_an_error() {
        let short = StoredTensor::new("x", vec![3], Number::F32, false, Bytes::Owned(Arc::new(vec![0; 8])));
        assert!(matches!(short.to_f32().unwrap_err(), Error::Data(_)));
        let region = Bytes::Region(Arc::new(Content::in_memory(vec![0; 8])), 0);
        let outside = StoredTensor::new("x", vec![3], Number::F32, false, region);
        assert!(matches!(outside.to_f32().unwrap_err(), Error::Data(_)));
    }
}
