//! A file's bytes, in memory or on disk, of which parts are read when they are asked for.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Mutex, PoisonError};

/// All bytes of a file.
#[derive(Debug)]
pub(crate) struct Content {
    place: Place,
    len: usize,
}

#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    Disk(Mutex<fs::File>),
}

impl Content {
    /// Bytes in memory.
    pub(crate) fn in_memory(bytes: Vec<u8>) -> Self {
        Content { len: bytes.len(), place: Place::Memory(bytes) }
    }

    /// An open file of `len` bytes.
    pub(crate) fn on_disk(file: fs::File, len: usize) -> Self {
        Content { place: Place::Disk(Mutex::new(file)), len }
    }

    /// How many bytes there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether so many bytes from an offset on are inside.
    pub(crate) fn holds(&self, offset: u64, bytes: u64) -> bool {
        (self.len as u64).checked_sub(offset).is_some_and(|left| left >= bytes)
    }

    /// Fills `buffer` with the bytes from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` if there are not so many; what the system reports.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        if !self.holds(offset, buffer.len() as u64) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match &self.place {
            Place::Memory(bytes) => buffer.copy_from_slice(&bytes[offset as usize..][..buffer.len()]),
            Place::Disk(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(offset))?;
                file.read_exact(buffer)?;
            }
        }
        Ok(())
    }

    /// As many bytes from `offset` on as there are, at most `len`.
    ///
    /// # Errors
    /// What the system reports.
    pub(crate) fn read_up_to(&self, offset: usize, len: usize) -> io::Result<Vec<u8>> {
        let offset = offset.min(self.len);
        let mut bytes = vec![0; len.min(self.len - offset)];
        self.read_at(offset as u64, &mut bytes)?;
        Ok(bytes)
    }

    /// All bytes, in memory.
    ///
    /// # Errors
    /// What the system reports.
    pub(crate) fn into_bytes(self) -> io::Result<Vec<u8>> {
        match self.place {
            Place::Memory(bytes) => Ok(bytes),
            Place::Disk(_) => self.read_up_to(0, self.len),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_same_in_memory_and_on_disk() {
        let path = std::env::temp_dir().join(format!("striate-content-{}", std::process::id()));
        fs::write(&path, b"0123456789").unwrap();
        let disk = Content::on_disk(fs::File::open(&path).unwrap(), 10);
        for content in [disk, Content::in_memory(b"0123456789".to_vec())] {
            let mut part = [0; 3];
            content.read_at(7, &mut part).unwrap();
            assert_eq!(&part, b"789");
            assert_eq!(content.read_at(8, &mut part).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
            assert_eq!(content.read_at(u64::MAX, &mut part).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
            assert_eq!(content.read_up_to(8, 100).unwrap(), b"89");
            assert_eq!(content.read_up_to(11, 100).unwrap(), b"");
            assert_eq!(content.into_bytes().unwrap(), b"0123456789");
        }
        fs::remove_file(path).unwrap();
    }
}
