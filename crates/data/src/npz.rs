//! NumPy's `.npz`, in which arrays come by name: `mnist.npz` is one
//! (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).

use crate::array::Array;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;
use striate_npy::{Header, Kind};
use striate_tensor::{Error, Result, Shape};
use zip::ZipArchive;

/// The most elements an array may have: 2³⁰.
pub const MAX_ELEMENTS: usize = 1 << 30;

/// Deflate never expands data by more than this.
const DEFLATE_RATIO: u64 = 1032;

/// An array of an archive, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct NpzArray {
    /// Where it came from, for messages.
    pub name: String,
    /// The sizes of its axes.
    pub shape: Shape,
    /// Its elements.
    pub numbers: Numbers,
}

/// Elements, as exactly as they came.
#[derive(Debug, Clone, PartialEq)]
pub enum Numbers {
    /// uint8 and bool.
    Bytes(Vec<u8>),
    /// All other integers.
    Integers(Vec<i64>),
    /// float32, and float64 rounded to it.
    Floats(Vec<f32>),
}

/// The arrays `names` of an archive, in this order.
///
/// # Errors
/// [`Error::Data`] if the file is missing or no archive, lacks an array, or has one that is damaged, too large, or of other
/// elements than numbers. Memory is taken as elements arrive.
///
/// ```
/// use striate_data::{Array, ArrayDataset, Dataset, npz};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("digits.npz");
/// # let npy = |shape: &str, data: &[u8]| {
/// #     let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n");
/// #     [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
/// # };
/// # let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
/// # for (name, content) in [("x.npy", npy("(2, 1, 2)", &[0, 51, 255, 102])), ("y.npy", npy("(2,)", &[1, 0]))] {
/// #     zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
/// #     std::io::Write::write_all(&mut zip, &content).unwrap();
/// # }
/// # zip.finish().unwrap();
/// let [x, y] = &npz::read(&path, &["x", "y"])?[..] else { unreachable!() };
/// let data = ArrayDataset::new(vec![x.samples(255.0)?], vec![Array::one_hot(&y.labels()?, 2)?])?;
/// assert_eq!(data.len(), 2);
/// # Ok::<(), striate_tensor::Error>(())
/// ```
pub fn read(path: impl AsRef<Path>, names: &[&str]) -> Result<Vec<NpzArray>> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Error::data(path.display().to_string(), "the file must exist", "no such file", "check the path")
        }
        _ => Error::io(path, "reading", error),
    })?;
    read_from(BufReader::new(file), names, &path.display().to_string())
}

fn read_from(reader: impl Read + Seek, names: &[&str], file: &str) -> Result<Vec<NpzArray>> {
    let damaged = |what: &str, error: &dyn std::fmt::Display| {
        Error::data(file, what, error.to_string(), "it may be truncated or damaged")
    };
    let mut archive = ZipArchive::new(reader).map_err(|error| damaged("the file must be a zip archive", &error))?;
    let read = |name: &&str| {
        let member = archive.by_name(&format!("{name}.npy"));
        let member = member.map_err(|error| damaged(&format!("there must be an array {name}"), &error))?;
        let most = member.compressed_size().saturating_mul(DEFLATE_RATIO);
        array(member, most, format!("{file}: {name}"))
    };
    names.iter().map(read).collect()
}

/// Reads an array of at most `most` bytes.
fn array(mut reader: impl Read, most: u64, name: String) -> Result<NpzArray> {
    let header = Header::read(&mut reader, &name)?;
    let shape = Shape::new(&header.shape).ok().filter(|shape| shape.elements() <= MAX_ELEMENTS).ok_or_else(|| {
        let received = format!("sizes {:?}", header.shape);
        Error::data(&name, "an array may have at most 2³⁰ elements and 6 axes", received, "")
    })?;
    let kind = header.kind().filter(|&kind| kind != Kind::Float(2)).ok_or_else(|| {
        let rule = "the elements must be bool, int8 to int64, uint8 to uint64, float32 or float64";
        Error::data(&name, rule, header.description.clone(), "")
    })?;
    let bytes = (shape.elements() as u64).saturating_mul(kind.size() as u64);
    if bytes > most {
        let rule = format!("the header {shape} asks for {bytes} bytes");
        return Err(Error::data(&name, rule, format!("a member that holds at most {most}"), "it may be damaged"));
    }
    let mut data = Vec::new();
    let damaged = |received: String| Error::data(&name, "all elements must be there", received, "it may be truncated");
    reader.take(bytes).read_to_end(&mut data).map_err(|error| damaged(error.to_string()))?;
    if data.len() as u64 != bytes {
        return Err(damaged(format!("{} of {bytes} bytes", data.len())));
    }
    let numbers = numbers(&header.row_major(data, kind.size()), kind, header.is_big_endian());
    Ok(NpzArray { name, shape, numbers })
}

fn numbers(data: &[u8], kind: Kind, is_big_endian: bool) -> Numbers {
    macro_rules! each {
        ($from:ty, $convert:expr) => {{
            let (whole, _) = data.as_chunks::<{ size_of::<$from>() }>();
            let from = if is_big_endian { <$from>::from_be_bytes } else { <$from>::from_le_bytes };
            whole.iter().map(|&bytes| from(bytes)).map($convert).collect()
        }};
    }
    match kind {
        Kind::Bool => Numbers::Bytes(data.iter().map(|&byte| u8::from(byte != 0)).collect()),
        Kind::Unsigned(1) => Numbers::Bytes(data.to_vec()),
        Kind::Unsigned(2) => Numbers::Integers(each!(u16, i64::from)),
        Kind::Unsigned(4) => Numbers::Integers(each!(u32, i64::from)),
        Kind::Unsigned(_) => Numbers::Integers(each!(u64, |v| i64::try_from(v).unwrap_or(i64::MAX))),
        Kind::Signed(1) => Numbers::Integers(each!(i8, i64::from)),
        Kind::Signed(2) => Numbers::Integers(each!(i16, i64::from)),
        Kind::Signed(4) => Numbers::Integers(each!(i32, i64::from)),
        Kind::Signed(_) => Numbers::Integers(each!(i64, |v| v)),
        Kind::Float(8) => Numbers::Floats(each!(f64, |v| v as f32)),
        Kind::Float(_) => Numbers::Floats(each!(f32, |v| v)),
    }
}

impl NpzArray {
    /// The samples, the first axis counting them, served as `value / divisor`.
    ///
    /// # Errors
    /// As [`Array::bytes`].
    pub fn samples(&self, divisor: f32) -> Result<Array> {
        let divided = |values: Vec<f32>| Array::floats(values.into_iter().map(|v| v / divisor).collect(), self.shape);
        match &self.numbers {
            Numbers::Bytes(bytes) => Array::bytes(bytes.clone(), self.shape, divisor),
            Numbers::Integers(integers) => divided(integers.iter().map(|&v| v as f32).collect()),
            Numbers::Floats(floats) => divided(floats.clone()),
        }
    }

    /// Class indices: whole numbers, of shape (samples) or (samples, 1).
    ///
    /// # Errors
    /// [`Error::Shape`] for another shape; [`Error::DType`] for floats.
    pub fn labels(&self) -> Result<Vec<i64>> {
        if !matches!(self.shape.as_slice(), [_] | [_, 1]) {
            let rule = "labels must be of shape (samples,) or (samples, 1)";
            return Err(Error::shape(&self.name, rule, self.shape.to_string(), ""));
        }
        match &self.numbers {
            Numbers::Bytes(bytes) => Ok(bytes.iter().map(|&b| i64::from(b)).collect()),
            Numbers::Integers(integers) => Ok(integers.clone()),
            Numbers::Floats(_) => Err(Error::dtype(&self.name, "labels must be whole numbers", "floats", "")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Write};
    use zip::write::SimpleFileOptions;

    fn npy(kind: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{kind}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
    }

    fn archive(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in members {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn one(content: Vec<u8>) -> Result<NpzArray> {
        Ok(read_from(Cursor::new(archive(&[("a.npy", content)])), &["a"], "f.npz")?.remove(0))
    }

    #[test]
    fn every_type_of_number_and_either_order_is_read() {
        let floats = [1.5f64, -2.0, 0.25, 8.0, 9.0, 10.0].map(f64::to_le_bytes).concat();
        let array = one(npy("<f8", "True", "(2, 3)", &floats)).unwrap();
        assert_eq!(array.numbers, Numbers::Floats(vec![1.5, 0.25, 9.0, -2.0, 8.0, 10.0]));
        assert_eq!(array.shape, Shape::from([2, 3]));
        let shorts = [-3i16, 700].map(i16::to_be_bytes).concat();
        let array = one(npy(">i2", "False", "(2,)", &shorts)).unwrap();
        assert_eq!((array.labels().unwrap(), array.numbers), (vec![-3, 700], Numbers::Integers(vec![-3, 700])));
        let array = one(npy("|b1", "False", "(2, 1)", &[1, 0])).unwrap();
        assert_eq!(array.labels().unwrap(), [1, 0]);
        assert_eq!(array.samples(2.0).unwrap().sample_shape(), Shape::from([1]));
        let deep: Vec<u8> = (0..24).collect();
        let Numbers::Bytes(bytes) = one(npy("|u1", "True", "(2, 3, 4)", &deep)).unwrap().numbers else { panic!() };
        for (i, &byte) in bytes.iter().enumerate() {
            let (a, b, c) = (i / 12, i / 4 % 3, i % 4);
            assert_eq!(usize::from(byte), a + 2 * b + 6 * c);
        }
    }

    #[test]
    fn defects_are_named() {
        for (content, word) in [
            (npy("|u1", "False", "(5,)", &[1, 2]), "all elements"),
            (npy("<f4", "False", "(99999999,)", &[0; 4]), "asks for"),
            (npy("<f4", "False", "(99999999, 99999999)", &[0; 4]), "2³⁰"),
            (npy("<U3", "False", "(1,)", &[0; 12]), "must be bool"),
            (b"nothing".to_vec(), "npy format"),
        ] {
            let text = one(content).unwrap_err().to_string();
            assert!(text.starts_with("f.npz: a: ") && text.contains(word), "{text}");
        }
        let good = archive(&[("a.npy", npy("|u1", "False", "(1,)", &[1]))]);
        let error = |bytes: &[u8], name: &str| read_from(Cursor::new(bytes), &[name], "f.npz").unwrap_err().to_string();
        assert!(error(&good, "b").contains("an array b"));
        assert!(error(&good[..good.len() / 2], "a").contains("zip archive"));
        assert!(read("/no/such.npz", &[]).unwrap_err().to_string().contains("no such file"));
        let floats = one(npy("<f4", "False", "(1,)", &[0; 4])).unwrap();
        assert!(matches!(floats.labels(), Err(Error::DType(_))));
        let deep = one(npy("|u1", "False", "(1, 2)", &[0; 2])).unwrap();
        assert!(matches!(deep.labels(), Err(Error::Shape(_))));
    }
}
