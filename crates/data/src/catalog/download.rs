//! An entry's files brought to this machine: verified, and renamed into place only when whole.

use super::cats_dogs;
use super::entry::{CatalogFile, Entry, Kind};
use super::fetch::{self, Expected};
use super::verify::{State, state_of};
use crate::locate::cache_folder;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fs::{self, File};
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use striate_tensor::{Error, Result};

/// The most bytes of a file whose size nobody publishes.
const MOST_UNKNOWN: u64 = 1 << 30;

/// Where to and from where.
#[derive(Debug, Clone, Default)]
pub struct DownloadOptions {
    /// The folder that gets a subfolder of the entry's; the user's cache folder if there is none, in which everything looks.
    pub to: Option<PathBuf>,
    /// A folder, a file or an `http(s)` address to take instead of the catalogue's addresses. An address is a folder's if it ends
    /// with `/` or the entry has several files.
    pub from: Option<String>,
    /// Whether a bar, or lines where it is no terminal, go to standard error.
    pub progress: bool,
}

/// Where a file came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// It was there, and whole as far as can be told.
    Here,
    /// This address.
    Address(String),
    /// This file, or the archive that it was taken from.
    File(PathBuf),
}

/// A file, or a folder of photographs, that is now there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downloaded {
    /// Where it lies.
    pub path: PathBuf,
    /// Where it came from.
    pub origin: Origin,
    /// Whether a checksum proves that it is whole; false if nobody publishes one.
    pub proven: bool,
}

/// Brings an entry's files to `to`, those that are there and whole excepted.
///
/// A file comes under a name that ends in `.part`, from where an earlier call stopped if the server allows it; it is checked
/// against the catalogue's size and checksum and then renamed. Never more bytes are taken than the catalogue says. Proxies are
/// used as `HTTPS_PROXY` and its like say.
///
/// # Errors
/// [`Error::Data`] naming every address tried and what was wrong with it, and how to bring the file by hand;
/// [`Error::Argument`] for a `from` that does not fit; [`Error::Io`] if a file cannot be written.
///
/// ```
/// use striate_data::catalog::{DownloadOptions, download, entry};
/// # let folder = tempfile::tempdir().unwrap();
/// let mirror = concat!(env!("CARGO_MANIFEST_DIR"), "/../../datasets");
/// let options = DownloadOptions { from: Some(mirror.into()), to: Some(folder.path().into()), progress: false };
/// let files = download(entry("mnist")?, &options)?;
/// assert!(files.len() == 4 && files[0].proven && files[0].path.starts_with(folder.path().join("mnist")));
/// # Ok::<(), striate_tensor::Error>(())
/// ```
pub fn download(entry: &Entry, options: &DownloadOptions) -> Result<Vec<Downloaded>> {
    let root = options.to.clone().or_else(cache_folder).ok_or_else(|| {
        let hint = "give a folder with --to, or set XDG_CACHE_HOME";
        Error::argument(&entry.name, "downloads need a folder", "no home folder", hint)
    })?;
    let folder = root.join(&entry.folder);
    let is_address = |from: &&str| from.starts_with("http://") || from.starts_with("https://");
    match options.from.as_deref() {
        None => from_addresses(entry, &folder, None, options.progress),
        Some(address) if is_address(&address) => from_addresses(entry, &folder, Some(address), options.progress),
        Some(path) => from_disk(entry, &folder, Path::new(path)),
    }
}

fn from_addresses(entry: &Entry, folder: &Path, from: Option<&str>, progress: bool) -> Result<Vec<Downloaded>> {
    if let Some(here) = alternative_here(entry, folder)? {
        return Ok(vec![here]);
    }
    let wanted = entry.wanted();
    let nowhere = from.is_none() && wanted.iter().all(|file| file.addresses.is_empty());
    if nowhere || wanted.is_empty() {
        let hint = format!("then run striate data download {} --from FILE", entry.name);
        let received = format!("none: {}; see {}", entry.by_hand, entry.page);
        return Err(Error::data(&entry.name, "there must be an address that programs may fetch", received, hint));
    }
    let agent = fetch::agent();
    let bring = |file: &CatalogFile| {
        let addresses = match from {
            None => file.addresses.clone(),
            Some(base) if base.ends_with('/') => vec![format!("{base}{}", file.name)],
            Some(base) if wanted.len() > 1 => vec![format!("{base}/{}", file.name)],
            Some(address) => vec![address.to_string()],
        };
        bring(entry, file, folder, &agent, &addresses, progress)
    };
    wanted.iter().map(bring).collect()
}

/// Any whole file of weights will do.
fn alternative_here(entry: &Entry, folder: &Path) -> Result<Option<Downloaded>> {
    if entry.kind == Kind::Weights {
        for file in &entry.files {
            if let Some(here) = here(file, folder)? {
                return Ok(Some(here));
            }
        }
    }
    Ok(None)
}

fn here(file: &CatalogFile, folder: &Path) -> Result<Option<Downloaded>> {
    let path = folder.join(&file.name);
    Ok(match state_of(file, &path)? {
        State::Whole => Some(Downloaded { path, origin: Origin::Here, proven: true }),
        State::Unproven => Some(Downloaded { path, origin: Origin::Here, proven: false }),
        State::Wrong(_) | State::Missing => None,
    })
}

/// One file from the first address that has it whole.
fn bring(
    entry: &Entry,
    file: &CatalogFile,
    folder: &Path,
    agent: &ureq::Agent,
    addresses: &[String],
    progress: bool,
) -> Result<Downloaded> {
    if let Some(here) = here(file, folder)? {
        return Ok(here);
    }
    fs::create_dir_all(folder).map_err(|error| Error::io(folder, "making the folder", error))?;
    let part = folder.join(format!("{}.part", file.name));
    let mut tried = Vec::new();
    for address in addresses {
        let display = Display::new(progress, &file.name, address);
        let fetched =
            fetch::fetch(agent, address, &part, expected(file), &mut |there, total| display.show(there, total));
        display.finish();
        let state = match fetched {
            Ok(()) => state_of(file, &part)?,
            Err(reason) => State::Wrong(reason),
        };
        match state {
            State::Whole | State::Unproven => {
                let path = folder.join(&file.name);
                fs::rename(&part, &path).map_err(|error| Error::io(&path, "writing", error))?;
                return Ok(Downloaded {
                    path,
                    origin: Origin::Address(address.clone()),
                    proven: state == State::Whole,
                });
            }
            State::Wrong(reason) => tried.push(format!("{address}: {reason}")),
            State::Missing => tried.push(format!("{address}: the part that came was taken away")),
        }
        // A whole file with another content is of no use for another try.
        if !fetch::can_go_on(&part, file.size) {
            fetch::forget(&part);
        }
    }
    let first = addresses.first().map_or(entry.page.as_str(), String::as_str);
    let hint = format!("fetch {first} by hand, then run striate data download {} --from FILE", entry.name);
    Err(Error::data(&file.name, "an address must be reached and have the file whole", tried.join("; "), hint))
}

fn expected(file: &CatalogFile) -> Expected {
    let exact = !file.checksum.as_ref().is_some_and(|checksum| checksum.is_of_content());
    Expected { size: file.size.filter(|_| exact), most: file.size.unwrap_or(MOST_UNKNOWN) }
}

fn from_disk(entry: &Entry, folder: &Path, from: &Path) -> Result<Vec<Downloaded>> {
    if !from.exists() {
        let rule = "--from must be a folder, a file, or an address that starts with http:// or https://";
        return Err(Error::argument(from.display().to_string(), rule, "no such file", "check the path"));
    }
    if entry.files.is_empty() {
        cats_dogs::make(from, folder)?;
        return Ok(vec![Downloaded {
            path: folder.to_path_buf(),
            origin: Origin::File(from.to_path_buf()),
            proven: false,
        }]);
    }
    if let Some(here) = alternative_here(entry, folder)? {
        return Ok(vec![here]);
    }
    match entry.kind {
        Kind::Weights => {
            let (file, path) = weights_at(entry, from)?;
            Ok(vec![copy(file, &path, folder)?])
        }
        Kind::Dataset => entry
            .files
            .iter()
            .map(|file| match here(file, folder)? {
                Some(here) => Ok(here),
                None => copy(file, &inside(entry, file, from).ok_or_else(|| absent(entry, from))?, folder),
            })
            .collect(),
    }
}

/// Which of the entry's files `from` is or holds.
fn weights_at<'a>(entry: &'a Entry, from: &Path) -> Result<(&'a CatalogFile, PathBuf)> {
    if from.is_dir() {
        let found = entry.files.iter().find_map(|file| Some((file, inside(entry, file, from)?)));
        return found.ok_or_else(|| absent(entry, from));
    }
    // A file by its name, or under another name by its content.
    if let Some(file) = entry.files.iter().find(|file| from.ends_with(&file.name)) {
        return Ok((file, from.to_path_buf()));
    }
    for file in &entry.files {
        if state_of(file, from)? == State::Whole {
            return Ok((file, from.to_path_buf()));
        }
    }
    Err(absent(entry, from))
}

fn inside(entry: &Entry, file: &CatalogFile, folder: &Path) -> Option<PathBuf> {
    [folder.join(&file.name), folder.join(&entry.folder).join(&file.name)].into_iter().find(|path| path.is_file())
}

fn absent(entry: &Entry, from: &Path) -> Error {
    let all = if entry.kind == Kind::Weights { " or " } else { " and " };
    let names: Vec<&str> = entry.files.iter().map(|file| file.name.as_str()).collect();
    let rule = format!("{} needs {}", entry.name, names.join(all));
    let received = if from.is_dir() { "a folder without it" } else { "another file" };
    Error::data(from.display().to_string(), rule, received, "")
}

/// A file of this machine, verified on the way.
fn copy(file: &CatalogFile, from: &Path, folder: &Path) -> Result<Downloaded> {
    fs::create_dir_all(folder).map_err(|error| Error::io(folder, "making the folder", error))?;
    let path = folder.join(&file.name);
    let temporary = folder.join(format!(".{}.{}.tmp", file.name, std::process::id()));
    let copied = copy_aside(file, from, &temporary).and_then(|proven| {
        fs::rename(&temporary, &path).map_err(|error| Error::io(&path, "writing", error))?;
        Ok(proven)
    });
    if copied.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    Ok(Downloaded { path, origin: Origin::File(from.to_path_buf()), proven: copied? })
}

fn copy_aside(file: &CatalogFile, from: &Path, temporary: &Path) -> Result<bool> {
    let wrong = |reason: String| {
        Error::data(from.display().to_string(), format!("it must be {}, whole", file.name), reason, "get it again")
    };
    let most = expected(file).most;
    let source = File::open(from).map_err(|error| Error::io(from, "reading", error))?;
    let mut target = File::create(temporary).map_err(|error| Error::io(temporary, "writing", error))?;
    let copied = std::io::copy(&mut source.take(most.saturating_add(1)), &mut target)
        .map_err(|error| Error::io(temporary, "writing", error))?;
    if copied > most {
        return Err(wrong(format!("more than {most} bytes")));
    }
    target.sync_all().map_err(|error| Error::io(temporary, "writing", error))?;
    match state_of(file, temporary)? {
        State::Whole => Ok(true),
        State::Unproven => Ok(false),
        State::Wrong(reason) => Err(wrong(reason)),
        State::Missing => Err(wrong("the copy was taken away".into())),
    }
}

/// A bar on a terminal, a line elsewhere.
struct Display {
    bar: ProgressBar,
}

impl Display {
    fn new(progress: bool, name: &str, address: &str) -> Display {
        if !progress {
            return Display { bar: ProgressBar::hidden() };
        }
        eprintln!("fetching {address}");
        if !std::io::stderr().is_terminal() {
            return Display { bar: ProgressBar::hidden() };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
        let template = "{msg} {bar:24.cyan/white.dim} {bytes}/{total_bytes} {bytes_per_sec} {eta:>4}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.set_message(name.to_string());
        Display { bar }
    }

    fn show(&self, there: u64, total: Option<u64>) {
        if let Some(total) = total {
            self.bar.set_length(total);
        }
        self.bar.set_position(there);
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
