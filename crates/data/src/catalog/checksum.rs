//! What proves that a file is whole.

use flate2::read::MultiGzDecoder;
use md5::Md5;
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use striate_tensor::{Error, Result};

/// The most that a compressed file may hold: a bomb must not keep us busy.
const MOST_CONTENT: u64 = 4 << 30;

/// A checksum, as hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checksum {
    /// The md5 of the file.
    Md5(String),
    /// The SHA-256 of the file.
    Sha256(String),
    /// The md5 of what the gzip file holds: another compression of the same content is as good.
    ContentMd5(String),
}

impl Checksum {
    /// Whether a file has this checksum.
    ///
    /// # Errors
    /// [`Error::Data`] saying which one it has instead; [`Error::Io`] if it cannot be read.
    pub fn check(&self, path: &Path) -> Result<()> {
        let file = File::open(path).map_err(|error| Error::io(path, "reading", error))?;
        let wrong = |rule: String, received: String| {
            Error::data(path.display().to_string(), rule, received, "it is damaged or another file; fetch it again")
        };
        let received = match self {
            Checksum::Md5(_) => digest::<Md5>(file, u64::MAX),
            Checksum::Sha256(_) => digest::<Sha256>(file, u64::MAX),
            Checksum::ContentMd5(_) => digest::<Md5>(MultiGzDecoder::new(file), MOST_CONTENT),
        };
        let received = received.map_err(|error| wrong(format!("{self}"), error.to_string()))?;
        if received == self.digits() { Ok(()) } else { Err(wrong(format!("{self}"), received)) }
    }

    /// Whether another compression of the same content is as good, so that sizes prove nothing.
    pub(super) fn is_of_content(&self) -> bool {
        matches!(self, Checksum::ContentMd5(_))
    }

    fn digits(&self) -> &str {
        match self {
            Checksum::Md5(digits) | Checksum::Sha256(digits) | Checksum::ContentMd5(digits) => digits,
        }
    }

    #[cfg(test)]
    pub(super) fn is_well_formed(&self) -> bool {
        let length = if matches!(self, Checksum::Sha256(_)) { 64 } else { 32 };
        self.digits().len() == length && self.digits().bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Checksum::Md5(_) => "md5",
            Checksum::Sha256(_) => "sha256",
            Checksum::ContentMd5(_) => "md5 of the content",
        };
        write!(f, "{kind} {}", self.digits())
    }
}

fn digest<D: Digest>(reader: impl Read, most: u64) -> std::io::Result<String> {
    let (mut reader, mut hash) = (reader.take(most), D::new());
    let mut buffer = vec![0; 1 << 16];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => hash.update(&buffer[..n]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    #[test]
    fn each_kind_tells_right_from_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, packed) = (folder.path().join("plain"), folder.path().join("packed"));
        std::fs::write(&plain, b"abc").unwrap();
        let md5 = "900150983cd24fb0d6963f7d28e17f72".to_string();
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_string();
        Checksum::Md5(md5.clone()).check(&plain).unwrap();
        Checksum::Sha256(sha256).check(&plain).unwrap();
        for level in [0, 9] {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
            encoder.write_all(b"abc").unwrap();
            let mut bytes = encoder.finish().unwrap();
            std::fs::write(&packed, &bytes).unwrap();
            Checksum::ContentMd5(md5.clone()).check(&packed).unwrap();
            bytes.pop();
            std::fs::write(&packed, &bytes).unwrap();
            assert!(Checksum::ContentMd5(md5.clone()).check(&packed).is_err(), "cut short");
        }
        let error = Checksum::Md5("0".repeat(32)).check(&plain).unwrap_err().to_string();
        assert!(error.contains(&md5) && error.contains("md5 000"), "{error}");
    }
}
