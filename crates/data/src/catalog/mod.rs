//! Data sets and weight files that have a name: where they come from, what they must be, where they lie on this machine.
//!
//! The list is `datasets/catalog.toml`, which is part of the program. [`download`](fn@download) fetches an entry, [`verify`] checks what is
//! there, [`Entry::find`] gives the path that others then read.

mod cats_dogs;
mod checksum;
mod download;
mod entry;
mod fetch;
mod verify;

pub use checksum::Checksum;
pub use download::{DownloadOptions, Downloaded, Origin, download};
pub use entry::{CatalogFile, Entry, Kind};
pub use verify::{State, Verified, verify};

use entry::Catalog;
use std::sync::LazyLock;
use striate_tensor::{Error, Result};

/// The list as it was when the program was built.
const TEXT: &str = include_str!("../../../../datasets/catalog.toml");

static CATALOG: LazyLock<Result<Catalog, String>> = LazyLock::new(|| Catalog::parse(TEXT));

/// All entries, data sets first.
///
/// # Errors
/// [`Error::Data`] if the list that was built in breaks its format, which a test rules out.
pub fn entries() -> Result<&'static [Entry]> {
    match &*CATALOG {
        Ok(catalog) => Ok(&catalog.entries),
        Err(reason) => {
            Err(Error::data("datasets/catalog.toml", "the catalogue must be well formed", reason.clone(), ""))
        }
    }
}

/// The entry of this name.
///
/// # Errors
/// [`Error::Argument`] listing the names if there is none.
///
/// ```
/// let entry = striate_data::catalog::entry("vgg16-notop")?;
/// assert_eq!(entry.files[0].size, Some(58_889_256));
/// # Ok::<(), striate_tensor::Error>(())
/// ```
pub fn entry(name: &str) -> Result<&'static Entry> {
    let entries = entries()?;
    entries.iter().find(|entry| entry.name == name || entry.folder == name && entry.kind == Kind::Dataset).ok_or_else(
        || {
            let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
            Error::argument(
                name,
                format!("the name must be one of {}", names.join(", ")),
                format!("`{name}`"),
                "striate data list shows what each is",
            )
        },
    )
}
