//! Data sets and weights into `datasets/`: the same code as `striate data download`.

use std::path::Path;
use striate_data::catalog::{DownloadOptions, Origin, download, entry};

/// Downloads what is missing or damaged, or makes it out of an archive or a mirror.
pub fn run(name: &str, from: Option<String>, folder: &Path) -> Result<(), String> {
    let options = DownloadOptions { to: Some(folder.to_path_buf()), from, progress: true };
    let files = entry(name).and_then(|entry| download(entry, &options)).map_err(|error| error.to_string())?;
    for file in files {
        let path = file.path.display();
        match file.origin {
            Origin::Here => println!("{path}: here already"),
            Origin::Address(address) => println!("{path}: from {address}"),
            Origin::File(from) => println!("{path}: from {}", from.display()),
        }
    }
    Ok(())
}
