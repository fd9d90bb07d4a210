//! NumPy's `.npz`: an archive of arrays, each a member `name.npy`.
//!
//! Source: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use crate::limits::Budget;
use crate::stored::{Bytes, Number, StoredTensor};
use crate::zip_archive;
use std::sync::Arc;
use striate_npy::{Header, Kind, is_npy, to_f32_file};
use striate_tensor::Result;

/// The arrays of an archive with their names, sorted. Members that are no arrays of numbers are left aside.
///
/// # Errors
/// [`Error::Data`] if the archive or an array is damaged.
pub(crate) fn parse(name: &str, bytes: &[u8]) -> Result<Vec<StoredTensor>> {
    let mut budget = Budget::of_file(name, bytes.len());
    let mut arrays = Vec::new();
    for (member, content) in zip_archive::unpack(name, bytes)? {
        if !is_npy(&content) {
            continue;
        }
        let plain = member.strip_suffix(".npy").unwrap_or(&member);
        let mut rest = &content[..];
        let header = Header::read(&mut rest, &format!("{name}: {member}"))?;
        let Some(number) = header.kind().map(number) else { continue };
        let sizes: Vec<u64> = header.shape.iter().map(|&n| n as u64).collect();
        budget.take_tensor(plain, &sizes, number.size())?;
        let data = header.row_major(rest.to_vec(), number.size());
        let is_big_endian = header.is_big_endian();
        arrays.push(StoredTensor::new(plain, header.shape, number, is_big_endian, Bytes::Owned(Arc::new(data))));
    }
    Ok(arrays)
}

/// An array to be written: name, shape, numbers.
pub(crate) type Array = (String, Vec<usize>, Vec<f32>);

fn number(kind: Kind) -> Number {
    match kind {
        Kind::Bool => Number::Unsigned(1),
        Kind::Signed(size) => Number::Signed(size),
        Kind::Unsigned(size) => Number::Unsigned(size),
        Kind::Float(2) => Number::F16,
        Kind::Float(4) => Number::F32,
        Kind::Float(_) => Number::F64,
    }
}

/// An archive of float32 arrays, as `numpy.savez` writes it but for the times of the members.
///
/// # Errors
/// [`Error::Data`] if they do not fit the format.
pub(crate) fn pack(arrays: &[Array]) -> Result<Vec<u8>> {
    let members: Vec<(String, Vec<u8>)> =
        arrays.iter().map(|(name, shape, values)| (format!("{name}.npy"), to_f32_file(shape, values))).collect();
    let members: Vec<(&str, &[u8])> = members.iter().map(|(name, content)| (name.as_str(), &content[..])).collect();
    zip_archive::pack(&members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(content: &[u8]) -> Result<Vec<StoredTensor>> {
        parse("f", &zip_archive::pack(&[("x.npy", content)]).unwrap())
    }

    fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY".to_vec();
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
