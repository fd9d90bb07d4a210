//! The entries of the catalogue, and where their files lie.

use super::checksum::Checksum;
use crate::locate::{locate, places_here};
use std::path::{Path, PathBuf};
use striate_tensor::{Error, Result};
use toml_span::de_helpers::TableHelper;
use toml_span::{DeserError, Deserialize, Value};

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Files of which all are needed, in a folder of their own.
    Dataset,
    /// Files of which any one will do, in the folder `weights`.
    Weights,
}

/// A data set or a network's weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is called on the command line.
    pub name: String,
    /// A data set or weights.
    pub kind: Kind,
    /// What it is, in a line.
    pub title: String,
    /// Under what terms it may be used, and by whom it is.
    pub licence: String,
    /// Where people read about it.
    pub page: String,
    /// How people get it where no program may; empty if a program may.
    pub by_hand: String,
    /// The folder, inside one for data, that its files lie in.
    pub folder: String,
    /// Its files; none if the folder itself is what is made.
    pub files: Vec<CatalogFile>,
}

/// A file of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogFile {
    /// Its name on disk.
    pub name: String,
    /// Where it can be fetched, best first.
    pub addresses: Vec<String>,
    /// Its size in bytes if it is known; more is never downloaded.
    pub size: Option<u64>,
    /// What proves that it is whole, if that is known.
    pub checksum: Option<Checksum>,
}

impl Entry {
    /// The file of these weights, or the folder of this data set.
    ///
    /// A data set is looked for as [`locate`] does. Weights are looked for in the subfolder `weights` of `data` and in `data`
    /// itself, if it is given, and then in the subfolder `weights` of `$STRIATE_DATA`, the user's cache folder and `datasets/`;
    /// in each place any of the entry's files will do, the first one first.
    ///
    /// # Errors
    /// [`Error::Data`] naming the places and the command that fetches it if there is none.
    pub fn find(&self, data: Option<&Path>) -> Result<PathBuf> {
        match self.kind {
            Kind::Dataset => locate(data, &self.folder),
            Kind::Weights => self.find_in(data, &places_here()),
        }
    }

    fn find_in(&self, data: Option<&Path>, places: &[PathBuf]) -> Result<PathBuf> {
        let explicit = data.into_iter().flat_map(|data| [data.join(&self.folder), data.to_path_buf()]);
        let folders: Vec<PathBuf> = explicit.chain(places.iter().map(|place| place.join(&self.folder))).collect();
        let candidates = folders.iter().flat_map(|folder| self.files.iter().map(move |file| folder.join(&file.name)));
        candidates.into_iter().find(|path| path.is_file()).ok_or_else(|| {
            let names: Vec<&str> = self.files.iter().map(|file| file.name.as_str()).collect();
            // The folders above the program and the current one may be the same.
            let mut tried: Vec<String> = Vec::new();
            for folder in folders.iter().map(|folder| folder.display().to_string()) {
                if !tried.contains(&folder) {
                    tried.push(folder);
                }
            }
            Error::data(
                &self.name,
                format!("{} must lie in one of: {}", names.join(" or "), tried.join(", ")),
                "none",
                format!("run striate data download {}", self.name),
            )
        })
    }

    /// The size of what is downloaded, in bytes, if it is known.
    pub fn download_size(&self) -> Option<u64> {
        self.wanted().iter().map(|file| file.size).sum()
    }

    /// The files that a download brings.
    pub(super) fn wanted(&self) -> &[CatalogFile] {
        match self.kind {
            Kind::Dataset => &self.files,
            Kind::Weights => &self.files[..self.files.len().min(1)],
        }
    }
}

/// All entries.
#[derive(Debug)]
pub(super) struct Catalog {
    pub(super) entries: Vec<Entry>,
}

impl Catalog {
    pub(super) fn parse(text: &str) -> Result<Catalog, String> {
        let mut value = toml_span::parse(text).map_err(|error| error.to_string())?;
        Catalog::deserialize(&mut value).map_err(|error| error.to_string())
    }
}

impl<'de> Deserialize<'de> for Catalog {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        let mut table = TableHelper::new(value)?;
        let entries = table.required("entry")?;
        table.finalize(None)?;
        Ok(Catalog { entries })
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        let span = value.span;
        let mut table = TableHelper::new(value)?;
        let name: String = table.required("name")?;
        let kind = match table.required::<String>("kind")?.as_str() {
            "dataset" => Kind::Dataset,
            "weights" => Kind::Weights,
            other => return Err(custom(format!("kind `{other}` is neither dataset nor weights"), span)),
        };
        let default_folder = if kind == Kind::Weights { "weights" } else { &name };
        let entry = Entry {
            folder: table.optional("folder").unwrap_or_else(|| default_folder.to_string()),
            title: table.required("title")?,
            licence: table.required("licence")?,
            page: table.required("page")?,
            by_hand: table.optional("by_hand").unwrap_or_default(),
            files: table.optional("file").unwrap_or_default(),
            kind,
            name,
        };
        table.finalize(None)?;
        Ok(entry)
    }
}

impl<'de> Deserialize<'de> for CatalogFile {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        let span = value.span;
        let mut table = TableHelper::new(value)?;
        let name: String = table.required("name")?;
        let mut checksums = Vec::new();
        checksums.extend(table.optional("md5").map(Checksum::Md5));
        checksums.extend(table.optional("sha256").map(Checksum::Sha256));
        checksums.extend(table.optional("content_md5").map(Checksum::ContentMd5));
        if checksums.len() > 1 {
            return Err(custom(format!("{name} has more than one checksum"), span));
        }
        let file = CatalogFile {
            name,
            addresses: table.optional("addresses").unwrap_or_default(),
            size: table.optional("size"),
            checksum: checksums.pop(),
        };
        table.finalize(None)?;
        Ok(file)
    }
}

fn custom(text: String, span: toml_span::Span) -> DeserError {
    DeserError::from(toml_span::Error { kind: toml_span::ErrorKind::Custom(text.into()), span, line_info: None })
}

#[cfg(test)]
mod tests {
    use super::super::{entries, entry};
    use super::*;
    use std::collections::HashSet;
    use std::fs;

    #[test]
    fn the_catalogue_is_well_formed() {
        let entries = entries().unwrap();
        let names: HashSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names.len(), entries.len(), "names are unique");
        for entry in entries {
            assert!(!entry.by_hand.is_empty() || entry.wanted().iter().all(|file| !file.addresses.is_empty()));
            assert!(entry.page.starts_with("http") && !entry.licence.is_empty(), "{}", entry.name);
            for file in &entry.files {
                assert!(!file.name.contains('/'), "{}", file.name);
                assert!(file.checksum.as_ref().is_none_or(Checksum::is_well_formed), "{}", file.name);
                for address in &file.addresses {
                    assert!(address.starts_with("http") && address.ends_with(&file.name), "{address}");
                }
                assert!(!file.addresses.is_empty() || file.checksum.is_some(), "{}: nothing tells it", file.name);
            }
        }
        assert_eq!(entry("cats_and_dogs_small").unwrap().name, "cats-dogs");
        let text = entry("vgg17").unwrap_err().to_string();
        assert!(text.contains("vgg16-notop") && text.contains("`vgg17`"), "{text}");
    }

    #[test]
    fn what_breaks_the_format_is_told() {
        for (text, word) in [
            ("[[entry]]\nname = 1", "string"),
            ("[[entry]]\nname = \"a\"\nkind = \"b\"", "neither dataset nor weights"),
            ("nothing", "equals"),
            (
                "[[entry]]\nname = \"a\"\nkind = \"weights\"\ntitle = \"\"\nlicence = \"\"\npage = \"\"\nother = 1",
                "other",
            ),
        ] {
            let error = Catalog::parse(text).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn weights_are_found_under_any_of_their_names_in_order() {
        let root = tempfile::tempdir().unwrap();
        let [data, first, second] = ["data", "first", "second"].map(|name| root.path().join(name));
        let places = [first.clone(), second.clone()];
        let entry = entry("vgg16-notop").unwrap();
        let text = entry.find_in(Some(&data), &places).unwrap_err().to_string();
        assert!(text.contains("striate data download vgg16-notop"), "{text}");
        assert!(text.contains("vgg16_imagenet_notop.safetensors") && text.contains("first/weights"), "{text}");
        let twice = entry.find_in(None, &[first.clone(), second.clone(), first.clone()]).unwrap_err().to_string();
        assert_eq!(twice.matches("first/weights").count(), 1, "{twice}");
        let [official, other] = [&entry.files[0].name, &entry.files[1].name];
        let put = |folder: &Path, name: &str| {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join(name), b"").unwrap();
            folder.join(name)
        };
        let in_second = put(&second.join("weights"), official);
        assert_eq!(entry.find_in(Some(&data), &places).unwrap(), in_second);
        let in_first = put(&first.join("weights"), other);
        assert_eq!(entry.find_in(None, &places).unwrap(), in_first);
        let beside = put(&data, other);
        assert_eq!(entry.find_in(Some(&data), &places).unwrap(), beside);
        let inside = put(&data.join("weights"), official);
        assert_eq!(entry.find_in(Some(&data), &places).unwrap(), inside);
    }
}
