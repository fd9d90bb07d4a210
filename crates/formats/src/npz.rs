//! NumPy's `.npz`: an archive of arrays, each a member `name.npy`.
//!
//! Source: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use crate::limits::Budget;
use crate::stored::{Bytes, Number, StoredTensor};
use crate::zip_archive;
use std::sync::Arc;
use striate_tensor::{Error, Result};

const MAGIC: &[u8] = b"\x93NUMPY";

/// The arrays of an archive with their names, sorted. Members that are no arrays of numbers are left aside.
///
/// # Errors
/// [`Error::Data`] if the archive or an array is damaged.
pub(crate) fn parse(name: &str, bytes: &[u8]) -> Result<Vec<StoredTensor>> {
    let mut budget = Budget::of_file(name, bytes.len());
    let mut arrays = Vec::new();
    for (member, content) in zip_archive::unpack(name, bytes)? {
        if !content.starts_with(MAGIC) {
            continue;
        }
        let plain = member.strip_suffix(".npy").unwrap_or(&member);
        let Some(header) = header(&content) else {
            let rule = format!("`{member}` must be an array of the npy format");
            return Err(Error::data(name, rule, "another header", "the file is damaged"));
        };
        let Some((number, is_big_endian)) = number(&header.descr) else { continue };
        let sizes: Vec<u64> = header.shape.iter().map(|&n| n as u64).collect();
        budget.take_tensor(plain, &sizes, number.size())?;
        let mut data = content[header.end..].to_vec();
        if header.is_fortran && header.shape.len() > 1 {
            data = row_major(&data, &header.shape, number.size());
        }
        arrays.push(StoredTensor::new(plain, header.shape, number, is_big_endian, Bytes::Owned(Arc::new(data))));
    }
    Ok(arrays)
}

/// An array to be written: name, shape, numbers.
pub(crate) type Array = (String, Vec<usize>, Vec<f32>);

struct Header {
    descr: String,
    is_fortran: bool,
    shape: Vec<usize>,
    /// Where the data starts.
    end: usize,
}

/// The header of an array: a literal of a Python dictionary with the keys `descr`, `fortran_order` and `shape`.
fn header(content: &[u8]) -> Option<Header> {
    let (length, start) = match content.get(6)? {
        1 => (u64::from(u16::from_le_bytes(content.get(8..10)?.try_into().ok()?)), 10),
        2 | 3 => (u64::from(u32::from_le_bytes(content.get(8..12)?.try_into().ok()?)), 12),
        _ => return None,
    };
    let end = usize::try_from(length).ok()?.checked_add(start)?;
    let text = std::str::from_utf8(content.get(start..end)?).ok()?;
    let value = |key: &str| -> Option<&str> {
        let at = text.find(&format!("'{key}'"))?;
        Some(text[at + key.len() + 2..].trim_start().strip_prefix(':')?.trim_start())
    };
    let descr = value("descr")?.strip_prefix('\'')?.split_once('\'')?.0.to_string();
    let is_fortran = value("fortran_order")?.starts_with("True");
    let sizes = value("shape")?.strip_prefix('(')?.split_once(')')?.0;
    let shape = sizes.split(',').map(str::trim).filter(|size| !size.is_empty());
    let shape = shape.map(|size| size.parse().ok()).collect::<Option<Vec<usize>>>()?;
    Some(Header { descr, is_fortran, shape, end })
}

/// The number type of NumPy's description, as `<f4`.
fn number(descr: &str) -> Option<(Number, bool)> {
    let (order, kind) = descr.split_at_checked(1)?;
    let number = match kind {
        "f2" => Number::F16,
        "f4" => Number::F32,
        "f8" => Number::F64,
        "i1" | "i2" | "i4" | "i8" => Number::Signed(kind[1..].parse().ok()?),
        "b1" => Number::Unsigned(1),
        "u1" | "u2" | "u4" | "u8" => Number::Unsigned(kind[1..].parse().ok()?),
        _ => return None,
    };
    Some((number, order == ">"))
}

/// Elements whose first axis runs fastest, put in the order in which the last one does. Data that is too short stays as it is.
fn row_major(data: &[u8], shape: &[usize], size: usize) -> Vec<u8> {
    let elements: usize = shape.iter().product();
    if data.len() != elements * size {
        return data.to_vec();
    }
    let mut strides = vec![1; shape.len()];
    for axis in 1..shape.len() {
        strides[axis] = strides[axis - 1] * shape[axis - 1];
    }
    let mut out = Vec::with_capacity(data.len());
    let mut index = vec![0; shape.len()];
    for _ in 0..elements {
        let at: usize = index.iter().zip(&strides).map(|(i, stride)| i * stride).sum();
        out.extend_from_slice(&data[at * size..(at + 1) * size]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    out
}

/// An archive of float32 arrays, as `numpy.savez` writes it but for the times of the members.
///
/// # Errors
/// [`Error::Data`] if they do not fit the format.
pub(crate) fn pack(arrays: &[Array]) -> Result<Vec<u8>> {
    let members: Vec<(String, Vec<u8>)> =
        arrays.iter().map(|(name, shape, values)| (format!("{name}.npy"), array(shape, values))).collect();
    let members: Vec<(&str, &[u8])> = members.iter().map(|(name, content)| (name.as_str(), &content[..])).collect();
    zip_archive::pack(&members)
}

fn array(shape: &[usize], values: &[f32]) -> Vec<u8> {
    let mut sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    if shape.len() > 1 {
        sizes.truncate(sizes.len() - 2);
    } else {
        sizes.truncate(sizes.trim_end().len());
    }
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({sizes}), }}");
    // The data starts at a multiple of 64 bytes.
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

    fn one(content: &[u8]) -> Result<Vec<StoredTensor>> {
        parse("f", &zip_archive::pack(&[("x.npy", content)]).unwrap())
    }

    fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn arrays_come_back() {
        let arrays = [
            ("dense/kernel".to_string(), vec![2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            ("bias".to_string(), vec![2], vec![0.5, -0.5]),
            ("scalar".to_string(), vec![], vec![9.0]),
        ];
        let bytes = pack(&arrays).unwrap();
        assert_eq!(bytes, pack(&arrays).unwrap());
        let read = parse("f", &bytes).unwrap();
        let names: Vec<&str> = read.iter().map(StoredTensor::name).collect();
        assert_eq!(names, ["bias", "dense/kernel", "scalar"]);
        assert_eq!(read[1].shape(), [2, 3]);
        assert_eq!(read[1].to_f32().unwrap(), arrays[0].2);
        assert_eq!(read[2].to_f32().unwrap(), [9.0]);
    }

    #[test]
    fn fortran_order_and_big_endian() {
        let header = "{'descr': '>f4', 'fortran_order': True, 'shape': (2, 3), }";
        let data: Vec<u8> = [1f32, 4.0, 2.0, 5.0, 3.0, 6.0].iter().flat_map(|v| v.to_be_bytes()).collect();
        let read = one(&npy(header, &data)).unwrap();
        assert_eq!(read[0].to_f32().unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn what_is_wrong_is_an_error() {
        assert!(one(&npy("{'descr': '<f4'}", &[])).is_err());
        let huge = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }", &[]);
        assert!(one(&huge).unwrap_err().to_string().contains("16 times"));
        let short = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }", &[0; 8]);
        assert!(one(&short).unwrap()[0].to_f32().is_err());
        let text = npy("{'descr': '<U4', 'fortran_order': False, 'shape': (1,), }", &[0; 16]);
        assert!(one(&text).unwrap().is_empty(), "texts are no tensors");
    }
}
