//! Zip archives: `.keras` and `.npz`. Members are only ever read into memory, so that no name can lead anywhere.

use crate::limits::Budget;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{Cursor, Read, Write};
use striate_tensor::{Error, Result};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

/// Members of an archive.
const MAX_MEMBERS: usize = 1 << 16;

/// Whether bytes start as a zip archive does.
pub(crate) fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

/// All members of an archive by name.
///
/// # Errors
/// [`Error::Data`] if it is damaged, or its members unpacked would be much larger than itself.
pub(crate) fn unpack(name: &str, bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>> {
    let damaged = |error: &dyn fmt::Display| {
        Error::data(name, "the file must be a whole zip archive", error.to_string(), "it may be truncated or damaged")
    };
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged(&error))?;
    if archive.len() > MAX_MEMBERS {
        let rule = format!("an archive must have at most {MAX_MEMBERS} members");
        return Err(Error::data(name, rule, archive.len().to_string(), ""));
    }
    let mut budget = Budget::of_file(name, bytes.len());
    let mut members = BTreeMap::new();
    for index in 0..archive.len() {
        let mut member = archive.by_index(index).map_err(|error| damaged(&error))?;
        if !member.is_file() {
            continue;
        }
        let path = member.name().map_err(|error| damaged(&error))?.into_owned();
        let size = budget.take(&path, member.size())?;
        let mut content = Vec::new();
        // The size is what the archive says: one byte more shows that it lies.
        member.by_ref().take(size as u64 + 1).read_to_end(&mut content).map_err(|error| damaged(&error))?;
        if content.len() != size {
            let rule = format!("`{path}` must have the {size} bytes that the archive says");
            return Err(Error::data(name, rule, content.len().to_string(), "the file is damaged"));
        }
        members.insert(path, content);
    }
    Ok(members)
}

/// An archive of members as they are, in the given order and of one fixed time: the same members give the same bytes.
///
/// # Errors
/// [`Error::Data`] if they do not fit the format.
pub(crate) fn pack(members: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let failed = |error: &dyn fmt::Display| Error::data("zip", "members must fit the format", error.to_string(), "");
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in members {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(DateTime::default())
            .unix_permissions(0o644)
            .large_file(content.len() > u32::MAX as usize);
        writer.start_file(*name, options).map_err(|error| failed(&error))?;
        writer.write_all(content).map_err(|error| failed(&error))?;
    }
    Ok(writer.finish().map_err(|error| failed(&error))?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_back() {
        let packed = pack(&[("b.json", b"{}"), ("a/c", &[1, 2, 3])]).unwrap();
        assert!(is_zip(&packed));
        assert_eq!(packed, pack(&[("b.json", b"{}"), ("a/c", &[1, 2, 3])]).unwrap());
        let members = unpack("f", &packed).unwrap();
        assert_eq!(members["b.json"], b"{}");
        assert_eq!(members["a/c"], [1, 2, 3]);
    }

    #[test]
    fn a_bomb_is_refused() {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        writer.start_file("zeros", options).unwrap();
        writer.write_all(&vec![0; 1 << 20]).unwrap();
        let packed = writer.finish().unwrap().into_inner();
        assert!(packed.len() < 1 << 16);
        let error = unpack("f", &packed).unwrap_err().to_string();
        assert!(error.contains("16 times its size"), "{error}");
    }

    #[test]
    fn damaged_bytes_do_not_panic() {
        let packed = pack(&[("b.json", b"{\"a\": 1}"), ("a/c", &[1; 50])]).unwrap();
        for cut in 0..packed.len() {
            assert!(unpack("f", &packed[..cut]).is_err());
        }
        for at in 0..packed.len() {
            for mask in [0xff, 1, 0x80] {
                let mut bytes = packed.clone();
                bytes[at] ^= mask;
                let _ = unpack("f", &bytes);
            }
        }
    }
}
