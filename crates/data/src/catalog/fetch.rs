//! One file over HTTP into a part file, from where an earlier try stopped.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::Agent;
use ureq::http::{HeaderMap, Response, StatusCode};

/// A transfer that was cut is taken up again this often.
const TRIES: usize = 5;
/// How long a server may take to be reached and to answer, and how long it may fall silent.
const PATIENCE: Duration = Duration::from_secs(30);
/// Redirections that are followed.
const REDIRECTS: u32 = 10;

/// What is known of a file before it comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    /// Its size, if it must be exactly this.
    pub size: Option<u64>,
    /// More bytes than this are never taken.
    pub most: u64,
}

/// Why nothing came.
enum Failure {
    /// Another try may bring the rest.
    Cut(String),
    /// Another try would end the same way.
    Final(String),
}

/// A client for all requests. Proxies come from `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`.
pub(super) fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(REDIRECTS)
        .user_agent(concat!("striate/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .timeout_per_read(Some(PATIENCE))
        .build()
        .into()
}

/// Brings a file to `part`. What is there already of the same version is kept; `progress` is told the bytes there and in all.
/// After an error the part stays if another call could go on from it.
pub(super) fn fetch(
    agent: &Agent,
    address: &str,
    part: &Path,
    expected: Expected,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<(), String> {
    let mut reason = String::new();
    for _ in 0..TRIES {
        match attempt(agent, address, part, expected, progress) {
            Ok(()) => {
                let _ = fs::remove_file(note_path(part));
                return Ok(());
            }
            Err(Failure::Cut(why)) => reason = why,
            Err(Failure::Final(why)) => return Err(why),
        }
    }
    Err(format!("{reason}, {TRIES} times"))
}

fn attempt(
    agent: &Agent,
    address: &str,
    part: &Path,
    expected: Expected,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<(), Failure> {
    let disk = |error: io::Error| Failure::Final(format!("{}: {error}", part.display()));
    let mut file = OpenOptions::new().create(true).append(true).open(part).map_err(disk)?;
    if file.try_lock().is_err() {
        return Err(Failure::Final(format!("{} is being written by another download", part.display())));
    }
    let version = version_of_part(part, address);
    let start = if version.is_some() { file.metadata().map_err(disk)?.len() } else { 0 };
    let mut request = agent.get(address).header("Accept-Encoding", "identity");
    if let (Some(version), true) = (&version, start > 0) {
        request = request.header("Range", format!("bytes={start}-")).header("If-Range", version);
    }
    let response = request.call().map_err(|error| Failure::Final(error.to_string()))?;
    let start = match response.status() {
        StatusCode::OK => 0,
        StatusCode::PARTIAL_CONTENT if start > 0 && range_start(response.headers()) == Some(start) => start,
        StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if start > 0 => {
            file.set_len(0).map_err(disk)?;
            return Err(Failure::Cut(format!("the server's part does not follow on the {start} bytes that are here")));
        }
        status => return Err(Failure::Final(format!("the server answers {status}"))),
    };
    if start == 0 {
        file.set_len(0).map_err(disk)?;
        write_version(part, address, response.headers()).map_err(disk)?;
    }
    let result = receive(response, start, &mut file, expected, progress).map_err(|failure| match failure {
        Refused::Network(why) => Failure::Cut(why),
        Refused::Disk(error) => disk(error),
        Refused::Size(why) => {
            forget(part);
            Failure::Final(why)
        }
    });
    file.sync_all().map_err(disk)?;
    result
}

enum Refused {
    Network(String),
    Disk(io::Error),
    Size(String),
}

/// Writes the body behind the `start` bytes that are there.
fn receive(
    response: Response<ureq::Body>,
    start: u64,
    file: &mut File,
    expected: Expected,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<(), Refused> {
    let announced = response.body().content_length().map(|rest| start.saturating_add(rest));
    if let Some(announced) = announced {
        check_size(announced, "announces", expected)?;
    }
    let total = announced.or(expected.size);
    let mut body = response.into_body().into_reader();
    let (mut there, mut buffer) = (start, vec![0; 1 << 16]);
    progress(there, total);
    loop {
        let n = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Refused::Network(format!("cut after {there} bytes: {error}"))),
        };
        if there + n as u64 > expected.most {
            return Err(Refused::Size(format!(
                "the server sends more than the {} bytes of the catalogue",
                expected.most
            )));
        }
        file.write_all(&buffer[..n]).map_err(Refused::Disk)?;
        there += n as u64;
        progress(there, total);
    }
    match total {
        Some(total) if there < total => Err(Refused::Network(format!("cut after {there} of {total} bytes"))),
        _ => check_size(there, "sends", expected),
    }
}

fn check_size(size: u64, verb: &str, expected: Expected) -> Result<(), Refused> {
    let wrong = |rule: String| Err(Refused::Size(format!("the server {verb} {size} bytes; the catalogue has {rule}")));
    match expected.size {
        Some(wanted) if wanted != size => wrong(wanted.to_string()),
        _ if size > expected.most => wrong(format!("at most {}", expected.most)),
        _ => Ok(()),
    }
}

/// Where a part of a body starts: `Content-Range: bytes START-END/TOTAL`.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get("Content-Range")?.to_str().ok()?;
    range.trim().strip_prefix("bytes")?.trim_start().split_once('-')?.0.parse().ok()
}

/// Beside a part file lies a note of which version of which address it is.
fn note_path(part: &Path) -> PathBuf {
    let mut name = part.as_os_str().to_owned();
    name.push(".version");
    PathBuf::from(name)
}

/// Whether another call could add to a part.
pub(super) fn can_go_on(part: &Path, size: Option<u64>) -> bool {
    let there = fs::metadata(part).map_or(0, |metadata| metadata.len());
    there > 0 && size.is_none_or(|size| there < size) && note_path(part).exists()
}

/// Takes a part and its note away.
pub(super) fn forget(part: &Path) {
    let _ = fs::remove_file(part);
    let _ = fs::remove_file(note_path(part));
}

/// What the server called the version that the part is of; nothing if that is unknown or the part is of another address.
fn version_of_part(part: &Path, address: &str) -> Option<String> {
    let note = fs::read_to_string(note_path(part)).ok()?;
    let (of, version) = note.split_once('\n')?;
    (of == address && !version.is_empty()).then(|| version.to_string())
}

fn write_version(part: &Path, address: &str, headers: &HeaderMap) -> io::Result<()> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).filter(|text| !text.contains('\n'));
    // A weak tag does not promise the same bytes.
    let tag = text("ETag").filter(|tag| !tag.starts_with("W/"));
    fs::write(note_path(part), format!("{address}\n{}", tag.or_else(|| text("Last-Modified")).unwrap_or_default()))
}
