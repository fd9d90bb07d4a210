//! Downloads of data sets: verified, and renamed into place only when whole.

use crate::cats_dogs;
use flate2::read::GzDecoder;
use md5::{Digest, Md5};
use std::fs;
use std::io::{Read, Write};
use std::path::Path;

/// File, and the md5 of its decompressed content.
const MNIST: [(&str, &str); 4] = [
    ("train-images-idx3-ubyte.gz", "6bbc9ace898e44ae57da46a324031adb"),
    ("train-labels-idx1-ubyte.gz", "a25bea736e30d166cdddb491f175f624"),
    ("t10k-images-idx3-ubyte.gz", "2646ac647ad5339dbf082846283269ea"),
    ("t10k-labels-idx1-ubyte.gz", "27ae3e4e09519cfbb04c329615203637"),
];

/// The authors' address, then a mirror of the same files, because the first one often refuses.
const MNIST_ADDRESSES: [&str; 2] =
    ["http://yann.lecun.com/exdb/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"];

/// The largest file is under 10 MB.
const MOST_BYTES: u64 = 32 << 20;

/// Downloads what is missing or damaged, or makes it out of an archive.
pub fn run(name: &str, from: Option<&Path>, folder: &Path) -> Result<(), String> {
    match (name, from) {
        ("mnist", None) => mnist(&folder.join(name)),
        ("mnist", Some(_)) => Err("mnist is downloaded; leave --from out".into()),
        ("cats-dogs" | cats_dogs::FOLDER, from) => cats_dogs::run(from, &folder.join(cats_dogs::FOLDER)),
        _ => Err(format!("no data set of that name: `{name}` (known: mnist, cats-dogs)")),
    }
}

fn mnist(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for (file, md5) in MNIST {
        let path = folder.join(file);
        if fs::read(&path).is_ok_and(|bytes| is_whole(&bytes, md5)) {
            println!("{file}: here already");
            continue;
        }
        let bytes = fetch(file, md5)?;
        let temporary = folder.join(format!("{file}.{}.tmp", std::process::id()));
        let write = || -> std::io::Result<()> {
            let mut out = fs::File::create(&temporary)?;
            out.write_all(&bytes)?;
            out.sync_all()?;
            fs::rename(&temporary, &path)
        };
        write().map_err(|error| format!("{}: {error}", path.display()))?;
        println!("{file}: {} bytes", bytes.len());
    }
    Ok(())
}

/// The file from the first address that has it whole.
fn fetch(file: &str, md5: &str) -> Result<Vec<u8>, String> {
    let mut tried = Vec::new();
    for address in MNIST_ADDRESSES {
        let url = format!("{address}{file}");
        eprintln!("fetching {url}");
        let answer = ureq::get(&url)
            .call()
            .and_then(|response| response.into_body().into_with_config().limit(MOST_BYTES).read_to_vec());
        match answer {
            Ok(bytes) if is_whole(&bytes, md5) => return Ok(bytes),
            Ok(bytes) => tried.push(format!("{url}: {} bytes with another content", bytes.len())),
            Err(error) => tried.push(format!("{url}: {error}")),
        }
    }
    Err(format!("{file} could not be had:\n  {}", tried.join("\n  ")))
}

fn is_whole(compressed: &[u8], md5: &str) -> bool {
    let mut content = Vec::new();
    let decoded = GzDecoder::new(compressed).take(MOST_BYTES * 2).read_to_end(&mut content);
    decoded.is_ok() && Md5::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect::<String>() == md5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_in_the_repository_are_whole() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../datasets/mnist");
        for (file, md5) in MNIST {
            let mut bytes = fs::read(folder.join(file)).unwrap();
            assert!(is_whole(&bytes, md5), "{file}");
            let middle = bytes.len() / 2;
            bytes.truncate(middle);
            assert!(!is_whole(&bytes, md5), "half of {file}");
        }
    }
}
