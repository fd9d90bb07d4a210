//! The lecture's photographs of cats and dogs, taken out of the archive that everybody has to fetch alone.

use std::collections::{HashMap, VecDeque};
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
/// Folders within a given folder that are looked into: cats_and_dogs_small/train/cats.
const MOST_DEEP: usize = 3;
/// More damaged photographs than this mean that the archive is.
const MOST_BAD: usize = 40;

/// Cat or dog, and which.
type Photograph = (&'static str, u32);

/// Makes `folder` with train, validation and test out of an archive, or a folder that holds one or what was in it; gives what was
/// made, in words.
pub(super) fn make(from: &Path, folder: &Path) -> Result<String> {
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
    let made = source(from)
        .and_then(|source| {
            let (path, extracted) = match &source {
                Source::Archive(archive) => (archive.as_path(), extract(archive, &aside)),
                Source::Photographs(found) => (from, copied(found, &aside)),
            };
            extracted.map_err(|reason| {
                let rule = "the archive must hold the labelled photographs, whole";
                Error::data(path.display().to_string(), rule, reason, "get it again; striate data list says where")
            })
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

/// What the photographs are taken from.
enum Source {
    Archive(PathBuf),
    Photographs(HashMap<Photograph, PathBuf>),
}

/// What a path is or holds: photographs that were taken out of an archive already, or an archive.
fn source(from: &Path) -> Result<Source> {
    if !from.is_dir() {
        return Ok(Source::Archive(from.to_path_buf()));
    }
    let (mut found, mut archives) = (HashMap::new(), Vec::new());
    let mut open = VecDeque::from([(from.to_path_buf(), 0)]);
    while let Some((folder, depth)) = open.pop_front() {
        let failed = |error| Error::io(&folder, "reading", error);
        let entries = fs::read_dir(&folder).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                // Below are train/cats of cats_and_dogs_small and PetImages/Cat of the archive, and nothing deeper.
                if depth < MOST_DEEP && !path.is_symlink() {
                    open.push_back((path, depth + 1));
                }
            } else if let Some(photograph) = path.to_str().and_then(photograph) {
                found.entry(photograph).or_insert(path);
            } else if depth == 0 && path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("zip")) {
                archives.push(path);
            }
        }
    }
    if !found.is_empty() {
        return Ok(Source::Photographs(found));
    }
    // Of Kaggle's files the whole or the labelled half.
    let is_named = |path: &&PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        name == "train.zip" || (name.contains("cats") && name.contains("dogs"))
    };
    if let Some(archive) = archives.iter().find(is_named).or(archives.first().filter(|_| archives.len() == 1)) {
        return Ok(Source::Archive(archive.clone()));
    }
    Err(Error::data(
        from.display().to_string(),
        "the folder must hold the archive (dogs-vs-cats.zip, train.zip or kagglecatsanddogs_5340.zip), the photographs from it \
         (train/cat.0.jpg or PetImages/Cat/0.jpg), or cats_and_dogs_small",
        "a folder without",
        "striate data list says where the archive is",
    ))
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
    split(to, |(class, number)| {
        let absent = || format!("it has no {class}.{number}.jpg; is it the archive with the labelled photographs?");
        let index = *found.get(&(class, number)).ok_or_else(absent)?;
        Ok(entry(archive, index))
    })
}

/// Copies the split's photographs from where they were taken out of an archive.
fn copied(found: &HashMap<Photograph, PathBuf>, to: &Path) -> Result<String, String> {
    split(to, |photograph| {
        let Some(path) = found.get(&photograph) else { return Ok(Err("missing".into())) };
        let mut bytes = Vec::new();
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) => return Ok(Err(error.to_string())),
        };
        Ok(copy(&mut file, &mut bytes, MOST_BYTES).map(|_| bytes))
    })
}

/// Writes the split's photographs. `fetch` gives one, or why it is left out; its own error ends it all.
fn split(
    to: &Path,
    mut fetch: impl FnMut(Photograph) -> Result<Result<Vec<u8>, String>, String>,
) -> Result<String, String> {
    let (mut written, mut total, mut bad) = (0, 0, Vec::new());
    for (part, numbers) in PARTS {
        for class in ["cat", "dog"] {
            let folder = to.join(part).join(format!("{class}s"));
            fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
            for number in numbers.clone() {
                let name = format!("{class}.{number}.jpg");
                let fetched = fetch((class, number))?;
                match fetched.and_then(|bytes| write(&bytes, &folder.join(&name))) {
                    Ok(bytes) => {
                        written += 1;
                        total += bytes;
                    }
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

/// The bytes of one entry.
fn entry<R: Read + Seek>(archive: &mut ZipArchive<R>, index: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut entry = archive.by_index(index).map_err(|error| error.to_string())?;
    copy(&mut entry, &mut bytes, MOST_BYTES)?;
    Ok(bytes)
}

/// Writes a photograph if it begins as a JPEG does; gives its size.
fn write(bytes: &[u8], path: &Path) -> Result<u64, String> {
    if !bytes.starts_with(&[0xFF, 0xD8, 0xFF]) {
        return Err(format!("no JPEG: {} bytes", bytes.len()));
    }
    File::create_new(path).and_then(|mut file| file.write_all(bytes)).map_err(|error| error.to_string())?;
    Ok(bytes.len() as u64)
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
    fn a_folder_may_hold_the_archive_or_what_was_in_it() {
        let root = tempfile::tempdir().unwrap();
        let whole = |data: &Path| assert_eq!(count(data), (4000, 4000), "{}", data.display());
        // The archive among other files.
        let with_archive = root.path().join("downloads");
        fs::create_dir(&with_archive).unwrap();
        fs::write(with_archive.join("dogs-vs-cats.zip"), archive(kaggle())).unwrap();
        fs::write(with_archive.join("another.zip"), b"no archive").unwrap();
        let small = root.path().join(FOLDER);
        make(&with_archive, &small).unwrap();
        whole(&small);
        // The split itself, and the folder that it lies in.
        for (from, to) in [(small.clone(), "again"), (root.path().join("again"), "twice")] {
            make(&from, &root.path().join(to)).unwrap();
            whole(&root.path().join(to));
        }
        // Extracted photographs, one of which is missing.
        let extracted = root.path().join("extracted");
        fs::create_dir_all(extracted.join("train")).unwrap();
        for (name, bytes) in kaggle().into_iter().filter(|(name, _)| name != "train/cat.666.jpg") {
            fs::write(extracted.join(name), bytes).unwrap();
        }
        make(&extracted, &root.path().join("made")).unwrap();
        assert_eq!(count(&root.path().join("made")), (4000, 3999));
        let empty = root.path().join("empty");
        fs::create_dir(&empty).unwrap();
        let text = make(&empty, &root.path().join("none")).unwrap_err().to_string();
        assert!(text.contains("dogs-vs-cats.zip") && text.contains("PetImages/Cat/0.jpg"), "{text}");
        fs::write(empty.join("cat.1.jpg"), jpeg("cat", 1)).unwrap();
        let text = make(&empty, &root.path().join("none")).unwrap_err().to_string();
        assert!(text.contains("cat.0.jpg: missing"), "{text}");
        assert!(!root.path().join("none").exists());
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
