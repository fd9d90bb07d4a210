//! The lecture's photographs of cats and dogs, taken out of the archive that everybody has to fetch alone.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use striate_tensor::{Error, Result};
use zip::ZipArchive;

/// What of either class goes where, by number.
const PARTS: [(&str, Range<u32>); 3] = [("train", 0..1000), ("validation", 1000..1500), ("test", 1500..2000)];

/// The largest photograph has under 1 MB, the inner archive 570 MB, and all that is taken under 100 MB.
const MOST_BYTES: u64 = 16 << 20;
const MOST_INNER_BYTES: u64 = 2 << 30;
const MOST_BYTES_IN_ALL: u64 = 1 << 30;
/// More damaged photographs than this mean that the archive is.
const MOST_BAD: usize = 40;

/// Cat or dog, and which.
type Photograph = (&'static str, u32);

/// Makes `folder` with train, validation and test out of an archive; gives what was made, in words.
pub(super) fn make(archive: &Path, folder: &Path) -> Result<String> {
    if folder.exists() {
        let hint = "move it away first";
        return Err(Error::data(
            folder.display().to_string(),
            "the folder is made anew",
            "one that is there already",
            hint,
        ));
    }
    let parent = folder.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(|error| Error::io(parent, "making the folder", error))?;
    // Everything is made aside and renamed when it is whole.
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let aside = parent.join(format!(".{name}.{}.tmp", std::process::id()));
    let made = extract(archive, &aside)
        .map_err(|reason| {
            let rule = "the archive must hold the labelled photographs, whole";
            Error::data(archive.display().to_string(), rule, reason, "get it again; striate data list says where")
        })
        .and_then(|text| {
            fs::rename(&aside, folder).map_err(|error| Error::io(folder, "making", error))?;
            Ok(text)
        });
    if made.is_err() {
        let _ = fs::remove_dir_all(&aside);
    }
    made
}

/// The photographs that the split has, and those that `folder` has.
pub(super) fn count(folder: &Path) -> (usize, usize) {
    let (mut wanted, mut there) = (0, 0);
    for (part, numbers) in PARTS {
        for class in ["cat", "dog"] {
            let inner = folder.join(part).join(format!("{class}s"));
            wanted += numbers.len();
            there += numbers.clone().filter(|number| inner.join(format!("{class}.{number}.jpg")).is_file()).count();
        }
    }
    (wanted, there)
}

fn extract(archive: &Path, to: &Path) -> Result<String, String> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", archive.display());
    let mut outer = open(archive)?;
    fs::create_dir_all(to).map_err(|error| format!("{}: {error}", to.display()))?;
    let inner = outer.file_names().filter_map(|name| Some(name.ok()?.into_owned())).find(|name| is_train_zip(name));
    let Some(inner) = inner else {
        return photographs(&mut outer, to).map_err(|error| named(&error));
    };
    // Kaggle's archive of archives. A zip is read from its end, so the inner one must lie in a file.
    let path = to.join("train.zip");
    let mut entry = outer.by_name(&inner).map_err(|error| named(&error))?;
    let mut file = File::create_new(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    copy(&mut entry, &mut file, MOST_INNER_BYTES)
        .map_err(|error| format!("{}: {inner}: {error}", archive.display()))?;
    drop((entry, file));
    let text =
        photographs(&mut open(&path)?, to).map_err(|error| format!("{}: {inner}: {error}", archive.display()))?;
    fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text)
}

fn is_train_zip(name: &str) -> bool {
    name.rsplit('/').next() == Some("train.zip")
}

fn open(path: &Path) -> Result<ZipArchive<File>, String> {
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    ZipArchive::new(file).map_err(|error| format!("{}: no zip archive: {error}", path.display()))
}

/// Takes the split's photographs out of an archive. What is written is named by class and number only.
fn photographs<R: Read + Seek>(archive: &mut ZipArchive<R>, to: &Path) -> Result<String, String> {
    let mut found: HashMap<Photograph, usize> = HashMap::new();
    for index in 0..archive.len() {
        let Some(name) = archive.name_for_index(index) else { continue };
        let name = name.map_err(|error| error.to_string())?;
        let name = name.as_ref();
        if Path::new(name).components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
            return Err(format!("the entry `{}` would leave the folder", name.escape_debug()));
        }
        let Some(photograph) = photograph(name) else { continue };
        if found.insert(photograph, index).is_some() {
            return Err(format!("{} is there twice", name.escape_debug()));
        }
    }
    let (mut written, mut total, mut bad) = (0, 0, Vec::new());
    for (part, numbers) in PARTS {
        for class in ["cat", "dog"] {
            let folder = to.join(part).join(format!("{class}s"));
            fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
            for number in numbers.clone() {
                let name = format!("{class}.{number}.jpg");
                let index = *found
                    .get(&(class, number))
                    .ok_or_else(|| format!("it has no {name}; is it the archive with the labelled photographs?"))?;
                match write(archive, index, &folder.join(&name), &mut total) {
                    Ok(()) => written += 1,
                    Err(reason) => bad.push(format!("{name}: {reason}")),
                }
                if total > MOST_BYTES_IN_ALL {
                    return Err(format!("more than {MOST_BYTES_IN_ALL} bytes of photographs"));
                }
                if bad.len() > MOST_BAD {
                    return Err(format!("it is damaged:\n  {}", bad.join("\n  ")));
                }
            }
        }
    }
    bad.iter().for_each(|file| eprintln!("note: left out {file}"));
    Ok(format!("{written} photographs"))
}

/// The photograph of an entry of one of the two archives: `train/cat.0.jpg`, or `PetImages/Cat/0.jpg`.
fn photograph(name: &str) -> Option<Photograph> {
    let path = PathBuf::from(name);
    let stem = path.file_name()?.to_str()?.strip_suffix(".jpg")?;
    let (class, number) = match stem.split_once('.') {
        Some(parts) => parts,
        None => (path.parent()?.file_name()?.to_str()?, stem),
    };
    let class = ["cat", "dog"].into_iter().find(|known| known.eq_ignore_ascii_case(class))?;
    // Only the usual way to write a number: neither +7 nor 007.
    let value = number.parse::<u32>().ok()?;
    (value.to_string() == number).then_some((class, value))
}

/// Writes one entry if it begins as a JPEG does.
fn write<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    index: usize,
    path: &Path,
    total: &mut u64,
) -> Result<(), String> {
    let mut bytes = Vec::new();
    let mut entry = archive.by_index(index).map_err(|error| error.to_string())?;
    *total += copy(&mut entry, &mut bytes, MOST_BYTES)?;
    if !bytes.starts_with(&[0xFF, 0xD8, 0xFF]) {
        return Err(format!("no JPEG: {} bytes", bytes.len()));
    }
    File::create_new(path).and_then(|mut file| file.write_all(&bytes)).map_err(|error| error.to_string())
}

/// Copies all of an entry, but no more than `most` bytes, whatever its header says.
fn copy(from: &mut impl Read, to: &mut impl Write, most: u64) -> Result<u64, String> {
    let copied = std::io::copy(&mut from.take(most + 1), to).map_err(|error| error.to_string())?;
    if copied > most { Err(format!("more than {most} bytes")) } else { Ok(copied) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    const FOLDER: &str = "cats_and_dogs_small";

    fn archive(entries: impl IntoIterator<Item = (String, Vec<u8>)>) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in entries {
            writer.start_file(name, SimpleFileOptions::default()).unwrap();
            writer.write_all(&bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    /// As much of a JPEG as is looked at, and what tells photographs apart.
    fn jpeg(class: &str, number: u32) -> Vec<u8> {
        [&[0xFF, 0xD8, 0xFF][..], format!("{class} {number}").as_bytes()].concat()
    }

    fn all(name: impl Fn(&str, u32) -> String) -> Vec<(String, Vec<u8>)> {
        let of = |class: &'static str| (0..2005).map(move |number| (class, number));
        of("cat").chain(of("dog")).map(|(class, number)| (name(class, number), jpeg(class, number))).collect()
    }

    fn kaggle() -> Vec<(String, Vec<u8>)> {
        all(|class, number| format!("train/{class}.{number}.jpg"))
    }

    fn made(bytes: &[u8]) -> (tempfile::TempDir, Result<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive.zip");
        fs::write(&path, bytes).unwrap();
        let result = make(&path, &folder.path().join("data").join(FOLDER));
        (folder, result)
    }

    fn entries_in(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn both_archives_and_the_archive_of_archives_give_the_split() {
        let microsoft = all(|class, n| format!("PetImages/{}{}/{n}.jpg", class[..1].to_uppercase(), &class[1..]));
        let nested = vec![("train.zip".into(), archive(kaggle())), ("test1.zip".into(), vec![1, 2, 3])];
        for entries in [kaggle(), microsoft, nested] {
            let (folder, result) = made(&archive(entries));
            result.unwrap();
            let data = folder.path().join("data");
            assert_eq!(count(&data.join(FOLDER)), (4000, 4000));
            assert_eq!(entries_in(&data), 1, "nothing is left beside it");
            let data = data.join(FOLDER);
            assert_eq!(entries_in(&data), 3);
            for (part, photographs) in [("train", 1000), ("validation", 500), ("test", 500)] {
                assert_eq!(entries_in(&data.join(part)), 2);
                for class in ["cats", "dogs"] {
                    assert_eq!(entries_in(&data.join(part).join(class)), photographs);
                }
            }
            for (path, class, number) in [
                ("train/cats/cat.0.jpg", "cat", 0),
                ("train/dogs/dog.999.jpg", "dog", 999),
                ("validation/cats/cat.1000.jpg", "cat", 1000),
                ("test/cats/cat.1700.jpg", "cat", 1700),
                ("test/dogs/dog.1999.jpg", "dog", 1999),
            ] {
                assert_eq!(fs::read(data.join(path)).unwrap(), jpeg(class, number), "{path}");
            }
        }
    }

    #[test]
    fn hostile_and_damaged_archives_leave_nothing() {
        let with = |name: &str| {
            let mut entries = kaggle();
            entries.push((name.to_string(), jpeg("cat", 0)));
            archive(entries)
        };
        let mut missing = kaggle();
        missing.retain(|(name, _)| name != "train/dog.1999.jpg");
        let empty = kaggle().into_iter().map(|(name, _)| (name, Vec::new())).collect::<Vec<_>>();
        let whole = archive(kaggle());
        for (bytes, word) in [
            (with("../../evil.jpg"), "would leave the folder"),
            (with("/tmp/cat.3.jpg"), "would leave the folder"),
            (with("train/../../cat.3.jpg"), "would leave the folder"),
            (with("again/cat.0.jpg"), "is there twice"),
            (archive(missing), "has no dog.1999.jpg"),
            (archive(empty), "it is damaged"),
            (archive([("train.zip".to_string(), vec![7; 100])]), "no zip archive"),
            (whole[..whole.len() / 2].to_vec(), "no zip archive"),
            (b"nothing of the kind".to_vec(), "no zip archive"),
        ] {
            let (folder, result) = made(&bytes);
            let text = result.unwrap_err().to_string();
            assert!(text.contains(word), "{text}");
            assert_eq!(entries_in(&folder.path().join("data")), 0, "{word}");
            assert_eq!(entries_in(folder.path()), 2, "{word}");
        }
    }

    #[test]
    fn single_damaged_photographs_are_left_out() {
        let mut entries = kaggle();
        entries.iter_mut().find(|(name, _)| name == "train/cat.666.jpg").unwrap().1.clear();
        let (folder, result) = made(&archive(entries));
        result.unwrap();
        let cats = folder.path().join("data").join(FOLDER).join("train/cats");
        assert_eq!(entries_in(&cats), 999);
        assert!(!cats.join("cat.666.jpg").exists());
    }

    #[test]
    fn only_plain_names_are_photographs() {
        assert_eq!(photograph("train/cat.7.jpg"), Some(("cat", 7)));
        assert_eq!(photograph("dog.12499.jpg"), Some(("dog", 12499)));
        assert_eq!(photograph("PetImages/Dog/0.jpg"), Some(("dog", 0)));
        for name in
            ["cat.07.jpg", "cat.+7.jpg", "cat.7.png", "cow.7.jpg", "cat.7.1.jpg", "7.jpg", "cat.jpg", "cats/", ""]
        {
            assert_eq!(photograph(name), None, "{name}");
        }
        let mut out = Vec::new();
        assert!(copy(&mut std::io::repeat(0), &mut out, 1000).unwrap_err().contains("more than 1000 bytes"));
    }

    #[test]
    fn what_is_there_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let text = make(&folder.path().join("a.zip"), folder.path()).unwrap_err().to_string();
        assert!(text.contains("is there already"), "{text}");
    }
}
