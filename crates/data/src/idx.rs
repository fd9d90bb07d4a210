//! The IDX format, in which MNIST is kept: sizes, then bytes (<http://yann.lecun.com/exdb/mnist/>).
//!
//! A file is two zero bytes, the element type (0x08: unsigned byte), the number of axes, each axis's size as a big-endian
//! 32-bit number, and the elements, row-major. It may be compressed with gzip; that is seen from its first bytes.

use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;
use striate_tensor::{Error, MAX_RANK, Result, Shape};

/// The most elements a file may hold: 2³⁰, twenty times MNIST.
pub const MAX_ELEMENTS: usize = 1 << 30;

/// Deflate never expands data by more than this.
const DEFLATE_RATIO: u64 = 1032;
/// Elements read at a time.
const CHUNK: usize = 1 << 20;
const UNSIGNED_BYTE: u8 = 0x08;

/// The content of an IDX file of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idx {
    /// Where it came from, for messages.
    pub name: String,
    /// The sizes of the axes.
    pub shape: Shape,
    /// The elements, row-major.
    pub data: Vec<u8>,
}

impl Idx {
    /// The size of the leading axis: the number of images or labels.
    pub fn samples(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }

    /// What comes before the elements in a file.
    pub fn header(&self) -> Vec<u8> {
        let mut header = vec![0, 0, UNSIGNED_BYTE, self.shape.rank() as u8];
        for &size in self.shape.iter() {
            header.extend((size as u32).to_be_bytes());
        }
        header
    }

    /// Refuses labels that are not as many as these images.
    ///
    /// # Errors
    /// [`Error::Data`] naming both files and their counts.
    pub fn check_labels(&self, labels: &Idx) -> Result<()> {
        if self.samples() == labels.samples() && labels.shape.rank() == 1 {
            return Ok(());
        }
        Err(Error::data(
            &labels.name,
            format!("there must be one label for each image of {}", self.name),
            format!("labels {} for images {}", labels.shape, self.shape),
            "take both files from the same set",
        ))
    }
}

/// Reads an IDX file of bytes, plain or compressed with gzip.
///
/// # Errors
/// [`Error::Data`] if the file is missing, empty, truncated or corrupt, has trailing bytes, another magic number, another
/// element type, or more than [`MAX_ELEMENTS`]; [`Error::Io`] if the system refuses. Memory is taken as elements arrive, never
/// on the header's word alone.
pub fn read(path: impl AsRef<Path>) -> Result<Idx> {
    let path = path.as_ref();
    let name = path.display().to_string();
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Error::data(&name, "the file must exist", "no such file", "check the folder's name"),
        _ => Error::io(path, "reading", error),
    };
    let metadata = path.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(Error::data(&name, "an IDX file must be a regular file", "a folder or a device", ""));
    }
    let mut file = File::open(path).map_err(failed)?;
    let mut start = Vec::new();
    file.by_ref().take(2).read_to_end(&mut start).map_err(failed)?;
    file.rewind().map_err(failed)?;
    decode(BufReader::with_capacity(1 << 16, file), metadata.len(), start == [0x1f, 0x8b], &name)
}

/// Reads IDX content from memory, plain or compressed with gzip; `name` is for messages.
///
/// # Errors
/// As [`read`].
pub fn parse(bytes: &[u8], name: &str) -> Result<Idx> {
    decode(bytes, bytes.len() as u64, bytes.starts_with(&[0x1f, 0x8b]), name)
}

fn decode(reader: impl Read, length: u64, gzip: bool, name: &str) -> Result<Idx> {
    if gzip {
        content(MultiGzDecoder::new(reader), length.saturating_mul(DEFLATE_RATIO), name)
    } else {
        content(reader, length, name)
    }
}

/// Reads the content; there cannot be more than `most` bytes of it.
fn content(mut reader: impl Read, most: u64, name: &str) -> Result<Idx> {
    let download = "download the file again";
    let damaged = |error: io::Error| Error::data(name, "the file must be readable", error.to_string(), download);
    let truncated = |rule: String, got: usize| Error::data(name, rule, format!("{got} bytes"), download);

    let mut header = Vec::new();
    reader.by_ref().take(4).read_to_end(&mut header).map_err(damaged)?;
    let &[zero_1, zero_2, kind, rank] = &header[..] else {
        return Err(truncated("an IDX file starts with 4 bytes of magic number".into(), header.len()));
    };
    if (zero_1, zero_2) != (0, 0) {
        return Err(Error::data(
            name,
            "the magic number of an IDX file starts with two zero bytes",
            format!("{header:02x?}"),
            "is this an IDX file?",
        ));
    }
    if kind != UNSIGNED_BYTE {
        return Err(Error::data(
            name,
            "the element type must be 0x08, unsigned byte",
            format!("type 0x{kind:02x}"),
            "convert the file to bytes",
        ));
    }
    let rank = usize::from(rank);
    if rank == 0 || rank > MAX_RANK {
        return Err(Error::data(
            name,
            format!("an IDX file must have 1 to {MAX_RANK} axes"),
            format!("{rank} axes"),
            download,
        ));
    }
    let mut sizes = Vec::new();
    reader.by_ref().take(4 * rank as u64).read_to_end(&mut sizes).map_err(damaged)?;
    if sizes.len() < 4 * rank {
        return Err(truncated(format!("{rank} axes need {} bytes of header", 4 + 4 * rank), 4 + sizes.len()));
    }
    let sizes: Vec<usize> =
        sizes.chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize).collect();
    let shape = Shape::new(&sizes).ok().filter(|shape| shape.elements() <= MAX_ELEMENTS).ok_or_else(|| {
        Error::data(name, "a file may hold at most 2³⁰ elements", format!("sizes {sizes:?}"), download)
    })?;
    let expected = shape.elements();
    if (header.len() + 4 * rank + expected) as u64 > most {
        return Err(Error::data(
            name,
            format!("the header {shape} asks for {expected} elements"),
            format!("a file that holds at most {most} bytes"),
            download,
        ));
    }

    let mut data: Vec<u8> = Vec::new();
    while data.len() < expected {
        let step = CHUNK.min(expected - data.len());
        // Doubling by hand, because a failed `reserve` would end the process.
        if data.capacity() < data.len() + step {
            let room = data.len().max(step).min(expected - data.len());
            data.try_reserve_exact(room)
                .map_err(|_| Error::OutOfMemory { device: "host".into(), bytes: data.len() + room })?;
        }
        let got = reader.by_ref().take(step as u64).read_to_end(&mut data).map_err(damaged)?;
        if got < step {
            return Err(truncated(format!("the header {shape} asks for {expected} elements"), data.len()));
        }
    }
    let mut rest = [0];
    if reader.read(&mut rest).map_err(damaged)? > 0 {
        return Err(Error::data(
            name,
            format!("the file must end after the {expected} elements of {shape}"),
            "trailing bytes",
            download,
        ));
    }
    Ok(Idx { name: name.into(), shape, data })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn file(shape: &[usize], data: &[u8]) -> Vec<u8> {
        let idx = Idx { name: String::new(), shape: Shape::new(shape).unwrap(), data: data.to_vec() };
        [idx.header(), idx.data].concat()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn plain_and_compressed_files_read_alike() {
        let bytes = file(&[2, 1, 3], &[1, 2, 3, 4, 5, 6]);
        for bytes in [bytes.clone(), gzip(&bytes)] {
            let idx = parse(&bytes, "x").unwrap();
            assert_eq!((idx.shape, &idx.data[..]), (Shape::from([2, 1, 3]), &[1, 2, 3, 4, 5, 6][..]));
        }
        assert_eq!(parse(&file(&[0, 28, 28], &[]), "x").unwrap().samples(), 0);
    }

    #[test]
    fn each_defect_has_its_message() {
        let good = file(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        let with = |i: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[i] = value;
            bytes
        };
        let longer = [&good[..], &[7]].concat();
        let cases: Vec<(&str, Vec<u8>, &str)> = vec![
            ("empty", vec![], "received 0 bytes"),
            ("magic cut", good[..3].to_vec(), "received 3 bytes"),
            ("magic", with(0, 1), "magic number"),
            ("type", with(2, 0x0d), "type 0x0d"),
            ("no axes", with(3, 0), "0 axes"),
            ("many axes", with(3, 9), "9 axes"),
            ("header cut", good[..9].to_vec(), "received 9 bytes"),
            ("truncated", good[..good.len() - 1].to_vec(), "asks for 6 elements"),
            ("trailing", longer.clone(), "trailing bytes"),
            ("absurd", file(&[0xffff_ffff, 0xffff], &[]), "2³⁰"),
            ("large", file(&[1 << 29], &[]), "asks for 536870912 elements"),
            ("gzip, truncated inside", gzip(&good[..good.len() - 1]), "received 5 bytes"),
            ("gzip, trailing inside", gzip(&longer), "trailing bytes"),
            ("gzip, large", gzip(&file(&[1 << 29], &[])), "asks for 536870912 elements"),
            ("gzip, cut", gzip(&good)[..20].to_vec(), "download the file again"),
            ("gzip, garbage after", [gzip(&good), vec![1, 2, 3]].concat(), "download the file again"),
        ];
        for (what, bytes, word) in cases {
            let error = parse(&bytes, "digits.idx").unwrap_err();
            assert!(matches!(error, Error::Data(_)), "{what}: {error:?}");
            let text = error.to_string();
            assert!(text.starts_with("digits.idx: ") && text.contains(word), "{what}: {text}");
        }
    }

    #[test]
    fn a_bomb_is_not_unpacked_beyond_its_header() {
        let bomb = gzip(&[file(&[4], &[1, 2, 3, 4]), vec![0; 50 << 20]].concat());
        assert!(parse(&bomb, "bomb").unwrap_err().to_string().contains("trailing bytes"));
    }

    #[test]
    fn missing_files_and_folders_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let text = read(folder.path().join("none.gz")).unwrap_err().to_string();
        assert!(text.contains("none.gz") && text.contains("no such file"), "{text}");
        assert!(read(folder.path()).unwrap_err().to_string().contains("regular file"));
    }

    #[test]
    fn labels_must_be_as_many_as_images() {
        let images = parse(&file(&[2, 1, 1], &[0, 0]), "images").unwrap();
        images.check_labels(&parse(&file(&[2], &[0, 0]), "labels").unwrap()).unwrap();
        let text = images.check_labels(&parse(&file(&[1], &[0]), "labels").unwrap()).unwrap_err().to_string();
        assert!(text.contains("labels (1,) for images (2, 1, 1)"), "{text}");
    }
}
