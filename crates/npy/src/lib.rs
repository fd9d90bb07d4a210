//! NumPy's `.npy`: a header that is a literal of a Python dictionary, then the numbers
//! (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).
#![warn(missing_docs)]
#![forbid(unsafe_code)]

use std::io::Read;
use striate_tensor::{Error, Result};

const MAGIC: &[u8] = b"\x93NUMPY";

/// The longest header that is read, in bytes. NumPy's own have 118, records some thousands.
const MAX_HEADER: usize = 1 << 16;

/// Kinds of numbers, with their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One byte, 0 or 1.
    Bool,
    /// 1, 2, 4 or 8 bytes.
    Signed(u8),
    /// 1, 2, 4 or 8 bytes.
    Unsigned(u8),
    /// 2, 4 or 8 bytes.
    Float(u8),
}

impl Kind {
    /// Bytes a number takes.
    pub fn size(self) -> usize {
        match self {
            Kind::Bool => 1,
            Kind::Signed(size) | Kind::Unsigned(size) | Kind::Float(size) => usize::from(size),
        }
    }
}

/// What a file says of its array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// NumPy's description of an element, as `<f4`; what the file has instead where elements are records.
    pub description: String,
    /// Whether the first axis varies fastest.
    pub is_fortran: bool,
    /// The sizes of the axes; their product may be beyond every bound.
    pub shape: Vec<usize>,
}

/// Whether a file starts as an array does.
pub fn is_npy(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

impl Header {
    /// Reads a header and leaves the reader before the numbers. `name` is for messages.
    ///
    /// # Errors
    /// [`Error::Data`] if it is none.
    pub fn read(reader: &mut impl Read, name: &str) -> Result<Header> {
        let wrong = |received: &str| {
            let rule = "the array must be of the npy format";
            Err(Error::data(name, rule, received, "it may be truncated or damaged"))
        };
        let mut start = [0; 8];
        if reader.read_exact(&mut start).is_err() || !is_npy(&start) {
            return wrong("another file");
        }
        let mut length = [0; 4];
        let width = match start[6] {
            1 => 2,
            2 | 3 => 4,
            version => return wrong(&format!("version {version}")),
        };
        if reader.read_exact(&mut length[..width]).is_err() {
            return wrong("a header cut short");
        }
        let length = u32::from_le_bytes(length) as usize;
        if length > MAX_HEADER {
            return wrong(&format!("a header of {length} bytes"));
        }
        let mut text = vec![0; length];
        if reader.read_exact(&mut text).is_err() {
            return wrong("a header cut short");
        }
        match std::str::from_utf8(&text).ok().and_then(Header::parse) {
            Some(header) => Ok(header),
            None => wrong("a header without descr, fortran_order or shape"),
        }
    }

    fn parse(text: &str) -> Option<Header> {
        let value = |key: &str| -> Option<&str> {
            let at = text.find(&format!("'{key}'"))?;
            Some(text[at + key.len() + 2..].trim_start().strip_prefix(':')?.trim_start())
        };
        let description = value("descr")?;
        let description = match description.strip_prefix('\'') {
            Some(rest) => rest.split_once('\'')?.0,
            None => description.split_once(']').map_or(description, |(fields, _)| fields),
        };
        let sizes = value("shape")?.strip_prefix('(')?.split_once(')')?.0;
        let sizes = sizes.split(',').map(str::trim).filter(|size| !size.is_empty());
        Some(Header {
            description: description.to_string(),
            is_fortran: value("fortran_order")?.starts_with("True"),
            shape: sizes.map(|size| size.parse().ok()).collect::<Option<_>>()?,
        })
    }

    /// The kind of number; nothing if the elements are none.
    pub fn kind(&self) -> Option<Kind> {
        let (order, kind) = self.description.split_at_checked(1)?;
        let size = || kind[1..].parse().ok();
        match kind {
            _ if !"<>|=".contains(order) => None,
            "b1" => Some(Kind::Bool),
            "i1" | "i2" | "i4" | "i8" => Some(Kind::Signed(size()?)),
            "u1" | "u2" | "u4" | "u8" => Some(Kind::Unsigned(size()?)),
            "f2" | "f4" | "f8" => Some(Kind::Float(size()?)),
            _ => None,
        }
    }

    /// Whether a number's first byte is its highest.
    pub fn is_big_endian(&self) -> bool {
        self.description.starts_with('>')
    }

    /// Numbers of `size` bytes, as they lie in the file, put in C order: the last axis varies fastest. Data of another length than
    /// the shape asks for stays as it is.
    pub fn row_major(&self, data: Vec<u8>, size: usize) -> Vec<u8> {
        let shape = &self.shape;
        let bytes = shape.iter().try_fold(size, |product, &n| product.checked_mul(n));
        if !self.is_fortran || shape.len() < 2 || bytes != Some(data.len()) {
            return data;
        }
        let strides: Vec<usize> =
            shape.iter().scan(1, |stride, &size| Some(std::mem::replace(stride, *stride * size))).collect();
        let mut out = Vec::with_capacity(data.len());
        let mut index = vec![0; shape.len()];
        while out.len() < data.len() {
            let at: usize = index.iter().zip(&strides).map(|(i, stride)| i * stride).sum();
            out.extend_from_slice(&data[at * size..(at + 1) * size]);
            for (i, &size) in index.iter_mut().zip(shape).rev() {
                *i += 1;
                if *i < size {
                    break;
                }
                *i = 0;
            }
        }
        out
    }
}

/// A file of float32 numbers, byte for byte as `numpy.save` writes it. `values` are row-major, as many as the shape asks for.
pub fn to_f32_file(shape: &[usize], values: &[f32]) -> Vec<u8> {
    let mut sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    if shape.len() > 1 {
        sizes.truncate(sizes.len() - 2);
    } else {
        sizes.truncate(sizes.trim_end().len());
    }
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({sizes}), }}");
    // The numbers start at a multiple of 64 bytes.
    let padding = (10 + text.len() + 1).next_multiple_of(64) - (10 + text.len() + 1);
    text.extend(std::iter::repeat_n(' ', padding));
    text.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(version: u8, text: &str) -> Vec<u8> {
        let length = (text.len() as u32).to_le_bytes();
        let length = if version == 1 { &length[..2] } else { &length[..] };
        [MAGIC, &[version, 0], length, text.as_bytes()].concat()
    }

    fn read(bytes: &[u8]) -> Result<Header> {
        Header::read(&mut &bytes[..], "a.npy")
    }

    #[test]
    fn every_version_and_kind_is_read() {
        for version in [1, 2, 3] {
            let text = "{'descr': '>i2', 'fortran_order': True, 'shape': (3, 4), }\n";
            let header = read(&file(version, text)).unwrap();
            assert_eq!((header.kind(), &header.shape[..]), (Some(Kind::Signed(2)), &[3, 4][..]));
            assert!(header.is_big_endian() && header.is_fortran);
        }
        for (description, kind) in [
            ("'|b1'", Some(Kind::Bool)),
            ("'|u1'", Some(Kind::Unsigned(1))),
            ("'<u8'", Some(Kind::Unsigned(8))),
            ("'<f2'", Some(Kind::Float(2))),
            ("'<U3'", None),
            ("'<c8'", None),
            ("''", None),
            ("[('a', '<f4')]", None),
        ] {
            let text = format!("{{'descr': {description}, 'fortran_order': False, 'shape': (), }}");
            let header = read(&file(1, &text)).unwrap();
            assert_eq!(header.kind(), kind, "{description}");
            assert!(header.shape.is_empty());
        }
    }

    #[test]
    fn what_was_written_is_read() {
        for shape in [&[][..], &[3], &[2, 3], &[1, 2, 3, 4]] {
            let values: Vec<f32> = (0..shape.iter().product()).map(|i| i as f32).collect();
            let bytes = to_f32_file(shape, &values);
            let mut rest = &bytes[..];
            let header = Header::read(&mut rest, "a").unwrap();
            assert_eq!((&header.shape[..], header.kind()), (shape, Some(Kind::Float(4))));
            assert_eq!(rest, values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
            assert_eq!((bytes.len() - rest.len()) % 64, 0);
        }
    }

    #[test]
    fn fortran_order_is_turned() {
        let header = |shape: &[usize]| Header { description: "|u1".into(), is_fortran: true, shape: shape.to_vec() };
        assert_eq!(header(&[2, 3]).row_major(vec![1, 4, 2, 5, 3, 6], 1), [1, 2, 3, 4, 5, 6]);
        let deep = header(&[2, 3, 4]).row_major((0..24).collect(), 1);
        for (i, &byte) in deep.iter().enumerate() {
            assert_eq!(usize::from(byte), i / 12 + 2 * (i / 4 % 3) + 6 * (i % 4));
        }
        assert_eq!(header(&[2, 3]).row_major(vec![1, 2], 1), [1, 2], "too short");
        assert!(header(&[2, 0]).row_major(vec![], 1).is_empty());
        assert_eq!(header(&[usize::MAX, 2]).row_major(vec![1], 1), [1], "beyond every bound");
    }

    #[test]
    fn damaged_headers_are_errors() {
        let whole = file(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }");
        for cut in 0..whole.len() - 1 {
            assert!(read(&whole[..cut]).is_err(), "{cut}");
        }
        for at in 0..whole.len() {
            for mask in [0xff, 1, 0x80] {
                let mut bytes = whole.clone();
                bytes[at] ^= mask;
                let _ = read(&bytes);
            }
        }
        let mut long = file(2, "");
        long[8..12].fill(0xff);
        assert!(read(&long).unwrap_err().to_string().contains("4294967295 bytes"));
        assert!(read(&file(9, "")).unwrap_err().to_string().contains("version 9"));
    }
}

/// The examples of the README are tests too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;
