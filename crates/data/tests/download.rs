//! Downloads against a small server on this machine that answers as it is told: whole, cut, wrong, elsewhere.

use md5::{Digest, Md5};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use striate_data::catalog::{CatalogFile, Checksum, DownloadOptions, Entry, Kind, Origin, download};

/// A request's headers in lower case, and what answers it.
type Answer = Box<dyn FnMut(&[String], &mut TcpStream) + Send>;

/// A server that answers each connection with the next of `answers`; gives its address and the requests that came.
fn server(answers: Vec<Answer>) -> (String, Receiver<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/files/", listener.local_addr().unwrap());
    let (send, requests) = channel();
    thread::spawn(move || {
        for (mut answer, stream) in answers.into_iter().zip(listener.incoming()) {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let request: Vec<String> =
                lines.map(|line| line.unwrap_or_default().to_lowercase()).take_while(|line| !line.is_empty()).collect();
            answer(&request, &mut stream);
            let _ = send.send(request);
        }
    });
    (address, requests)
}

fn say(head: &str, body: &[u8]) -> Answer {
    let bytes = [format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n").as_bytes(), body].concat();
    Box::new(move |_, stream| drop(stream.write_all(&bytes)))
}

fn content() -> Vec<u8> {
    (0..200_000u32).map(|i| (i.wrapping_mul(i) / 7) as u8).collect()
}

fn md5(bytes: &[u8]) -> Checksum {
    Checksum::Md5(Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Weights of one file at `base`.
fn entry(base: &str, size: Option<u64>, checksum: Option<Checksum>) -> Entry {
    Entry {
        name: "net".into(),
        kind: Kind::Weights,
        title: "a net".into(),
        licence: "none".into(),
        page: "http://example.org".into(),
        by_hand: String::new(),
        folder: "weights".into(),
        files: vec![CatalogFile { name: "net.h5".into(), addresses: vec![format!("{base}net.h5")], size, checksum }],
    }
}

fn to(folder: &tempfile::TempDir) -> DownloadOptions {
    DownloadOptions { to: Some(folder.path().into()), ..DownloadOptions::default() }
}

fn names(folder: &tempfile::TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path().join("weights")).into_iter().flatten();
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_whole_file_comes_once() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = content();
    let (base, requests) = server(vec![say(&format!("200 OK\r\nContent-Length: {}", bytes.len()), &bytes)]);
    let entry = entry(&base, Some(bytes.len() as u64), Some(md5(&bytes)));
    let [file] = &download(&entry, &to(&folder)).unwrap()[..] else { panic!() };
    assert!(file.proven && file.origin == Origin::Address(format!("{base}net.h5")));
    assert_eq!(fs::read(&file.path).unwrap(), bytes);
    assert_eq!(names(&folder), ["net.h5"]);
    let [again] = &download(&entry, &to(&folder)).unwrap()[..] else { panic!() };
    assert_eq!(again.origin, Origin::Here);
    assert!(requests.recv().unwrap()[0].starts_with("get /files/net.h5"));
    assert!(requests.try_recv().is_err(), "nothing is asked for twice");
}

#[test]
fn a_cut_transfer_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = content();
    let whole = format!("200 OK\r\nETag: \"v1\"\r\nContent-Length: {}", bytes.len());
    let rest = |from: usize| {
        let (size, last) = (bytes.len(), bytes.len() - 1);
        say(
            &format!(
                "206 Partial Content\r\nContent-Range: bytes {from}-{last}/{size}\r\nContent-Length: {}",
                size - from
            ),
            &bytes[from..],
        )
    };
    // Cut within one call, and again; then the server fails; then another call takes the rest.
    let cut = |head: &str, body: &[u8]| say(head, body);
    let middle = format!(
        "206 Partial Content\r\nContent-Range: bytes 50000-{0}/{1}\r\nContent-Length: {2}",
        bytes.len() - 1,
        bytes.len(),
        bytes.len() - 50_000
    );
    let (base, requests) = server(vec![
        cut(&whole, &bytes[..50_000]),
        cut(&middle, &bytes[50_000..120_000]),
        say("503 Service Unavailable\r\nContent-Length: 0", b""),
        rest(120_000),
    ]);
    let entry = entry(&base, Some(bytes.len() as u64), Some(md5(&bytes)));
    let text = download(&entry, &to(&folder)).unwrap_err().to_string();
    assert!(text.contains("503") && text.contains("--from FILE") && text.contains(&base), "{text}");
    assert_eq!(names(&folder), ["net.h5.part", "net.h5.part.version"]);
    download(&entry, &to(&folder)).unwrap();
    assert_eq!(fs::read(folder.path().join("weights/net.h5")).unwrap(), bytes);
    assert_eq!(names(&folder), ["net.h5"]);
    let asked: Vec<Vec<String>> = requests.iter().take(4).collect();
    assert!(!asked[0].iter().any(|line| line.starts_with("range")));
    for (request, from) in [(&asked[1], 50_000), (&asked[2], 120_000), (&asked[3], 120_000)] {
        assert!(request.contains(&format!("range: bytes={from}-")), "{request:?}");
        assert!(request.contains(&"if-range: \"v1\"".to_string()), "{request:?}");
    }
}

#[test]
fn a_server_without_ranges_or_with_another_version_sends_all_again() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = content();
    let head = format!("200 OK\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Length: {}", bytes.len());
    let (base, requests) = server(vec![say(&head, &[1; 1000]), say(&head, &bytes)]);
    download(&entry(&base, Some(bytes.len() as u64), Some(md5(&bytes))), &to(&folder)).unwrap();
    assert_eq!(fs::read(folder.path().join("weights/net.h5")).unwrap(), bytes);
    requests.recv().unwrap();
    assert!(requests.recv().unwrap().contains(&"range: bytes=1000-".to_string()));
    // A range that does not follow, and one that the server does not have.
    for odd in [
        "206 Partial Content\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5",
        "416 Range Not Satisfiable\r\nContent-Length: 5",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (base, _requests) = server(vec![say(&head, &bytes[..9]), say(odd, b"-----"), say(&head, &bytes)]);
        download(&entry(&base, None, Some(md5(&bytes))), &to(&folder)).unwrap();
        assert_eq!(fs::read(folder.path().join("weights/net.h5")).unwrap(), bytes);
    }
}

#[test]
fn what_is_not_the_file_leaves_nothing() {
    let bytes = content();
    let size = bytes.len() as u64;
    let mut other = bytes.clone();
    other[100] ^= 1;
    let endless: Answer = Box::new(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        while stream.write_all(&[0; 4096]).is_ok() {}
    });
    for (answer, size, word) in [
        (say(&format!("200 OK\r\nContent-Length: {size}"), &other), Some(size), "md5"),
        (say("200 OK\r\nContent-Length: 999999999", b""), Some(size), "announces 999999999 bytes"),
        (say("200 OK\r\nContent-Length: 7", b"1234567"), Some(size), "announces 7 bytes"),
        (endless, Some(size), "more than the 200000 bytes"),
        (say("200 OK\r\nContent-Length: 99999999999", b""), None, "at most 1073741824"),
        (say("404 Not Found\r\nContent-Length: 3", b"no!"), Some(size), "404 Not Found"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (base, _requests) = server(vec![answer]);
        let text = download(&entry(&base, size, Some(md5(&bytes))), &to(&folder)).unwrap_err().to_string();
        assert!(text.contains(word) && text.contains(&base), "{text}");
        assert!(names(&folder).is_empty(), "{word}: {:?}", names(&folder));
    }
}

#[test]
fn redirections_and_further_addresses_are_followed() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = content();
    let head = format!("200 OK\r\nContent-Length: {}", bytes.len());
    let (there, _requests) = server(vec![say(&head, &bytes)]);
    let (here, _requests_here) =
        server(vec![say(&format!("302 Found\r\nLocation: {there}moved\r\nContent-Length: 0"), b"")]);
    let mut entry = entry(&here, Some(bytes.len() as u64), Some(md5(&bytes)));
    // Nobody listens on the first address.
    entry.files[0].addresses.insert(0, format!("{}net.h5", closed()));
    download(&entry, &to(&folder)).unwrap();
    assert_eq!(fs::read(folder.path().join("weights/net.h5")).unwrap(), bytes);
    let (around, _requests_around) =
        server((0..12).map(|_| say("302 Found\r\nLocation: net.h5\r\nContent-Length: 0", b"")).collect());
    let folder = tempfile::tempdir().unwrap();
    let text = download(&self::entry(&around, None, None), &to(&folder)).unwrap_err().to_string();
    assert!(text.contains("redirect"), "{text}");
}

/// An address on which nobody listens.
fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/", listener.local_addr().unwrap())
}

#[test]
fn without_network_the_error_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let base = closed();
    let text = download(&entry(&base, Some(1), None), &to(&folder)).unwrap_err().to_string();
    assert!(text.contains(&format!("fetch {base}net.h5 by hand")), "{text}");
    assert!(text.contains("striate data download net --from FILE"), "{text}");
    assert!(names(&folder).is_empty());
}

#[test]
fn mirrors_of_every_kind_do() {
    let bytes = content();
    let entry = || entry(&closed(), Some(bytes.len() as u64), Some(md5(&bytes)));
    let mirror = tempfile::tempdir().unwrap();
    let path = mirror.path().join("net.h5");
    fs::write(&path, &bytes).unwrap();
    let under_another_name = mirror.path().join("downloaded (1).h5");
    fs::write(&under_another_name, &bytes).unwrap();
    let fetched = |from: String| {
        let folder = tempfile::tempdir().unwrap();
        let files = download(&entry(), &DownloadOptions { from: Some(from), ..to(&folder) })?;
        assert_eq!(fs::read(&files[0].path).unwrap(), bytes);
        assert_eq!(names(&folder), ["net.h5"]);
        Ok::<_, striate_tensor::Error>(files[0].clone())
    };
    for from in [&path, &under_another_name, &mirror.path().to_path_buf()] {
        assert!(fetched(from.display().to_string()).unwrap().proven);
    }
    let head = format!("200 OK\r\nContent-Length: {}", bytes.len());
    let (base, requests) = server(vec![say(&head, &bytes), say(&head, &bytes)]);
    fetched(base.clone()).unwrap();
    fetched(format!("{base}another-name")).unwrap();
    assert!(requests.recv().unwrap()[0].starts_with("get /files/net.h5 "));
    assert!(requests.recv().unwrap()[0].starts_with("get /files/another-name "));
    for (write, word) in
        [(b"short".to_vec(), "5 bytes instead of 200000"), (vec![0; 300_000], "more than 200000 bytes")]
    {
        fs::write(&path, write).unwrap();
        let text = fetched(path.display().to_string()).unwrap_err().to_string();
        assert!(text.contains(word), "{text}");
    }
    let text = fetched(mirror.path().join("none").display().to_string()).unwrap_err().to_string();
    assert!(text.contains("--from must be"), "{text}");
}

#[test]
fn what_may_not_be_fetched_says_how_people_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let photographs = striate_data::catalog::entry("cats-dogs").unwrap();
    let text = download(photographs, &to(&folder)).unwrap_err().to_string();
    assert!(text.contains("kaggle.com/c/dogs-vs-cats") && text.contains("--from FILE"), "{text}");
}
