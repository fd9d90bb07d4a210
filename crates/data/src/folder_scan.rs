//! What files a folder of pictures has, and which of them are bad.

use crate::image_file::inspect;
use std::fs;
use std::path::{Path, PathBuf};
use striate_tensor::{Error, Result};

/// The endings that count as pictures, without regard to case.
const ENDINGS: [&str; 6] = ["png", "jpg", "jpeg", "bmp", "gif", "webp"];
/// Folders within folders deeper than this are not looked into.
const MAX_DEPTH: usize = 16;
/// So many bad files are named in an error's text.
const NAMED: usize = 20;

/// A file that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFile {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// What macOS puts into archives beside the files.
const NOT_FOLDERS: [&str; 1] = ["__MACOSX"];

/// The entries of a folder, sorted by name: (files, folders). Hidden ones are left out.
fn entries(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let failed = |error| Error::io(folder, "reading", error);
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let (path, kind) = (entry.path(), entry.file_type().map_err(failed)?);
        // A linked file is as good as any; a linked folder could lead round in a circle.
        if kind.is_dir() {
            if !NOT_FOLDERS.iter().any(|name| entry.file_name() == *name) {
                folders.push(path);
            }
        } else if kind.is_file() || path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    folders.sort();
    Ok((files, folders))
}

/// The names of the folders in a folder, sorted.
pub(crate) fn class_names(folder: &Path) -> Result<Vec<String>> {
    if !folder.is_dir() {
        let (received, hint) = match folder.exists() {
            true => ("a file, not a folder", "give the folder that holds one folder for each class"),
            false => ("no such folder", "check the path"),
        };
        return Err(Error::data(folder.display().to_string(), "the folder of pictures must exist", received, hint));
    }
    let (_, folders) = entries(folder)?;
    let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(folders.iter().filter_map(name).collect())
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

/// How many pictures lie in the folder itself.
pub(crate) fn loose_pictures(folder: &Path) -> Result<usize> {
    Ok(entries(folder)?.0.iter().filter(|path| is_picture(path)).count())
}

/// The picture files in a folder and those within it: a folder's own files first, each group sorted by name.
pub(crate) fn picture_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![(folder.to_path_buf(), 0)];
    while let Some((folder, depth)) = open.pop() {
        let (files, folders) = entries(&folder)?;
        found.extend(files.into_iter().filter(|path| is_picture(path)));
        if depth < MAX_DEPTH {
            open.extend(folders.into_iter().rev().map(|folder| (folder, depth + 1)));
        }
    }
    Ok(found)
}

/// Those of the files that cannot be pictures, by their headers and ends.
pub(crate) fn bad_files(files: &[PathBuf]) -> Vec<BadFile> {
    let check = |path: &PathBuf| {
        let reason = match inspect(path).err()? {
            Error::Data(violation) => format!("{}; received {}", violation.rule, violation.received),
            Error::Io { source, .. } => format!("it cannot be read: {source}"),
            other => other.to_string(),
        };
        Some(BadFile { path: path.clone(), reason })
    };
    files.iter().filter_map(check).collect()
}

/// The error that names the bad files.
pub(crate) fn refuse(folder: &Path, bad: &[BadFile], all: usize) -> Error {
    let mut lines: Vec<String> =
        bad.iter().take(NAMED).map(|file| format!("{}: {}", file.path.display(), file.reason)).collect();
    if bad.len() > NAMED {
        lines.push(format!("and {} more", bad.len() - NAMED));
    }
    Error::data(
        folder.display().to_string(),
        "every picture must be readable",
        format!("{} bad of {all} files:\n  {}\n", bad.len(), lines.join("\n  ")),
        "mend or remove them, or set skip_bad",
    )
}
