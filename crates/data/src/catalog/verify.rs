//! Whether what lies on this machine is what it should be.

use super::cats_dogs;
use super::entry::{CatalogFile, Entry, Kind};
use std::path::{Path, PathBuf};
use striate_tensor::{Error, Result};

/// What was found out about a file, or about a folder of photographs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It has the checksum that it should have.
    Whole,
    /// It is there, and nobody publishes a checksum; its size is right where that is known.
    Unproven,
    /// It is damaged, or another file: what is wrong.
    Wrong(String),
    /// It is not there.
    Missing,
}

/// A file and its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Where it lies, or should lie.
    pub path: PathBuf,
    /// What was found out.
    pub state: State,
}

/// Checks what is there of an entry: all files of a data set; of weights, the file that is found first.
///
/// # Errors
/// [`Error::Data`] if nothing of it is there; [`Error::Io`] if a file cannot be read.
pub fn verify(entry: &Entry, data: Option<&Path>) -> Result<Vec<Verified>> {
    let found = entry.find(data)?;
    match entry.kind {
        Kind::Weights => {
            let file = entry.files.iter().find(|file| found.ends_with(&file.name));
            let state = file.map_or(Ok(State::Unproven), |file| state_of(file, &found))?;
            Ok(vec![Verified { path: found, state }])
        }
        Kind::Dataset if entry.files.is_empty() => {
            let state = match cats_dogs::count(&found) {
                // A few damaged photographs are left out when the folder is made.
                (wanted, there) if there + 40 >= wanted => State::Unproven,
                (wanted, there) => State::Wrong(format!("{there} of {wanted} photographs")),
            };
            Ok(vec![Verified { path: found, state }])
        }
        Kind::Dataset => entry
            .files
            .iter()
            .map(|file| {
                let path = found.join(&file.name);
                state_of(file, &path).map(|state| Verified { path, state })
            })
            .collect(),
    }
}

/// The state of a file on disk.
pub(super) fn state_of(file: &CatalogFile, path: &Path) -> Result<State> {
    let size = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        Ok(_) => return Ok(State::Wrong("no file".into())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(State::Missing),
        Err(error) => return Err(Error::io(path, "reading", error)),
    };
    let size_counts = !file.checksum.as_ref().is_some_and(|checksum| checksum.is_of_content());
    if let Some(wanted) = file.size.filter(|&wanted| size_counts && wanted != size) {
        return Ok(State::Wrong(format!("{size} bytes instead of {wanted}")));
    }
    match file.checksum.as_ref().map(|checksum| checksum.check(path)) {
        None => Ok(State::Unproven),
        Some(Ok(())) => Ok(State::Whole),
        Some(Err(Error::Data(violation))) => {
            Ok(State::Wrong(format!("{}, not {}", violation.received, violation.rule)))
        }
        Some(Err(error)) => Err(error),
    }
}
