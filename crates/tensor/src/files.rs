//! Writing files so that a crash never leaves half of one.

use crate::error::{Error, Result};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Links that are followed to where a file lies.
const MOST_LINKS: usize = 40;

/// Writes a file under a temporary name beside `path`, then renames it: a reader sees the old content or the new, never a part.
///
/// A link stays, and what it points to is written; a file that is there keeps its permissions. What is neither file nor folder, such as
/// `/dev/stdout` or a pipe, is written to as it is.
///
/// # Errors
/// [`Error::Io`] naming `path`; the old file is then as it was.
pub fn replace_file(path: impl AsRef<Path>, content: &[u8]) -> Result<()> {
    let path = path.as_ref();
    replace(path, content).map_err(|error| Error::io(path, "writing", error))
}

fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let path = &behind_links(path)?;
    let there = match std::fs::metadata(path) {
        Ok(there) => Some(there),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if there.as_ref().is_some_and(|there| !there.is_file() && !there.is_dir()) {
        return std::fs::OpenOptions::new().write(true).open(path)?.write_all(content);
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = Path::new(&name);
    let write = || {
        let mut file = std::fs::File::create(temporary)?;
        if let Some(there) = there.filter(|there| there.is_file()) {
            file.set_permissions(there.permissions())?;
        }
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(temporary, path)
    };
    write().inspect_err(|_| _ = std::fs::remove_file(temporary))
}

/// Where a file lies that links lead to; it need not be there.
fn behind_links(path: &Path) -> std::io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        match std::fs::symlink_metadata(&path) {
            Ok(there) if there.is_symlink() => {
                let target = std::fs::read_link(&path)?;
                // The system knows where this one leads; a name in a folder of open files does not say it.
                if std::fs::metadata(&path).is_ok_and(|behind| !behind.is_file() && !behind.is_dir()) {
                    return Ok(path);
                }
                path = path.parent().unwrap_or(Path::new("")).join(target);
            }
            _ => return Ok(path),
        }
    }
    Err(std::io::Error::other("too many links"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn links_and_permissions_stay_and_devices_are_written_to() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = std::env::temp_dir().join(format!("striate-files-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (file, link, second) = (folder.join("file"), folder.join("link"), folder.join("second"));
        std::fs::write(&file, "old").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        symlink("file", &link).unwrap();
        symlink(&link, &second).unwrap();
        replace_file(&second, b"new").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(std::fs::symlink_metadata(&second).unwrap().is_symlink());
        // A link to nothing makes what it points to; a link to itself is an error.
        symlink("missing", folder.join("dangling")).unwrap();
        replace_file(folder.join("dangling"), b"made").unwrap();
        assert_eq!(std::fs::read(folder.join("missing")).unwrap(), b"made");
        symlink("circle", folder.join("circle")).unwrap();
        assert!(matches!(replace_file(folder.join("circle"), b"x"), Err(Error::Io { .. })));
        assert!(matches!(replace_file(&folder, b"x"), Err(Error::Io { .. })));
        let null = folder.join("null");
        symlink("/dev/null", &null).unwrap();
        replace_file(&null, b"x").unwrap();
        assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
