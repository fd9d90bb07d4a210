//! Writing files so that a crash never leaves half of one.

use crate::error::{Error, Result};
use std::io::Write;
use std::path::Path;

/// Writes a file under a temporary name beside `path`, then renames it: a reader sees the old content or the new, never a part.
///
/// # Errors
/// [`Error::Io`] naming `path`; the old file is then as it was.
pub fn replace_file(path: impl AsRef<Path>, content: &[u8]) -> Result<()> {
    let path = path.as_ref();
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = Path::new(&name);
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(temporary, path)
    };
    write().map_err(|error| {
        let _ = std::fs::remove_file(temporary);
        Error::io(path, "writing", error)
    })
}
