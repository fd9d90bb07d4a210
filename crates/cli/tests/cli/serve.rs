//! `striate serve` and `train --live` over the loopback, without a browser; `cargo xtask test-page` drives one.

use crate::process::{RUN, fail, striate, training};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// The program while it serves; it ends with this.
struct Serving {
    child: Child,
    /// `127.0.0.1:PORT`.
    address: String,
}

impl Serving {
    /// Starts a command whose first line tells a page's address.
    fn start(mut command: Command) -> Serving {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let first: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
        let url = first["url"].as_str().unwrap();
        let address = url.strip_prefix("http://").unwrap().trim_end_matches('/').to_string();
        Serving { child, address }
    }

    fn model() -> Serving {
        let mut command = striate(["serve", "--port", "0", "--threads", "1", "--json"]);
        command.arg(RUN.model());
        Serving::start(command)
    }

    /// Sends bytes on a connection of their own; gives the status, the head and the body.
    fn exchange(&self, bytes: &[u8]) -> (u16, String, Vec<u8>) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        // A server that has heard enough may close before all is sent.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| {
            panic!(
                "no head in {:?} for {:?}",
                String::from_utf8_lossy(&answer),
                String::from_utf8_lossy(&bytes[..bytes.len().min(80)])
            )
        });
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        (head[9..12].parse().unwrap(), head, answer[end + 4..].to_vec())
    }

    fn get(&self, path: &str) -> (u16, String, Vec<u8>) {
        self.exchange(format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).as_bytes())
    }

    fn post(&self, path: &str, kind: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            body.len()
        );
        self.exchange(&[head.as_bytes(), body].concat())
    }

    fn json(&self, path: &str) -> Value {
        let (status, head, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {head}\n{}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }

    /// Sends a bar as a drawing; gives the answer's JSON head and how many bytes of maps follow.
    fn draw(&self, want: &str) -> (Value, usize) {
        let bar: Vec<u8> =
            (0..900).map(|i| if (13..17).contains(&(i % 30)) && i > 90 && i < 800 { 0 } else { 255 }).collect();
        let (status, head, body) =
            self.post(&format!("/api/input?width=30&height=30&want={want}"), "application/octet-stream", &bar);
        assert_eq!(status, 200, "{head}");
        let length = u32::from_le_bytes(body[..4].try_into().unwrap()) as usize;
        (serde_json::from_slice(&body[4..4 + length]).unwrap(), body.len() - 4 - length)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_drawing_gives_classes_and_maps_and_every_cell_can_be_done_by_hand() {
    let serving = Serving::model();
    let model = serving.json("/api/model");
    let layers = model["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 9);
    assert_eq!((&model["takes"], &model["parameters"]), (&"digit".into(), &93_322.into()));
    let (head, maps) = serving.draw("1:0:32,2:30:99,8:0:1");
    assert_eq!(maps, 32 * 26 * 26 + 2 * 13 * 13 + 10);
    let top = head["top"].as_array().unwrap();
    let total: f64 = top.iter().map(|class| class[2].as_f64().unwrap()).sum();
    assert!(top.len() == 10 && (total - 1.0).abs() < 1e-5, "{head}");
    let id = &head["id"];
    let mut kinds = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let at = |axis: usize| layer["layout"][axis].as_u64().unwrap() / 2;
        let (y, x, channel) = (at(0), at(1), at(2));
        let cell = serving.json(&format!("/api/cell?id={id}&layer={index}&y={y}&x={x}&channel={channel}"));
        let by_hand = ["after", "input", "value"].iter().find_map(|key| cell[*key].as_f64()).unwrap();
        let value = cell["value"].as_f64().unwrap();
        assert!((by_hand - value).abs() < 1e-4 * (1.0 + value.abs()), "{cell}");
        kinds.push(cell["kind"].as_str().unwrap().to_string());
        if cell["kind"] == "convolution" {
            let parts = cell["parts"].as_array().unwrap();
            let sum: f64 = parts.iter().map(|part| part["sum"].as_f64().unwrap()).sum();
            let sum = sum + cell["rest"].as_f64().unwrap();
            let before = sum + cell["bias"].as_f64().unwrap();
            assert!((sum - cell["sum"].as_f64().unwrap()).abs() < 1e-9, "{cell}");
            assert!((before - cell["before"].as_f64().unwrap()).abs() < 1e-9, "{cell}");
        }
    }
    let expected =
        ["input", "convolution", "maximum", "convolution", "maximum", "convolution", "copy", "dense", "dense"];
    assert_eq!(kinds, expected);
}

#[test]
fn what_is_wrong_gets_an_error_and_the_server_goes_on() {
    let serving = Serving::model();
    let id = serving.draw("").0["id"].clone();
    let error = |(status, head, body): (u16, String, Vec<u8>)| {
        assert!(status == 200 || head.contains("application/json"), "{head}");
        let text = String::from_utf8_lossy(&body).into_owned();
        assert!(status == 200 || serde_json::from_str::<Value>(&text).unwrap()["error"].is_string(), "{text}");
        status
    };
    let post = |path: &str, kind: &str, body: &[u8]| error(serving.post(path, kind, body));
    assert_eq!(post("/api/input", "image/png", b"no picture"), 422);
    assert_eq!(post("/api/input", "image/jpeg", &[0xFF, 0xD8, 0xFF, 0xE0, 0, 16]), 422);
    assert_eq!(post("/api/input", "text/plain", b"7"), 415);
    assert_eq!(post("/api/input?width=9&height=9", "application/octet-stream", b"7"), 422);
    assert_eq!(post("/api/input?width=99999&height=99999", "application/octet-stream", b"7"), 413);
    assert_eq!(post("/api/input?width=3&height=3&want=99:0:1", "application/octet-stream", &[255; 9]), 400);
    assert_eq!(post("/api/input?width=3&height=3", "application/octet-stream", &[255; 9]), 422);
    let get = |path: &str| error(serving.get(path));
    assert_eq!(get(&format!("/api/cell?id={id}&layer=1&y=26&x=0&channel=0")), 404);
    assert_eq!(get(&format!("/api/cell?id={id}&layer=99&y=0&x=0&channel=0")), 404);
    assert_eq!(get(&format!("/api/cell?id={id}&layer=1&y=-1&x=0&channel=0")), 400);
    assert_eq!(get("/api/cell?id=12345&layer=1&y=0&x=0&channel=0"), 410);
    assert_eq!(get("/../../etc/passwd"), 404);
    let raw = |text: String| error(serving.exchange(text.as_bytes()));
    let own = &serving.address;
    assert_eq!(raw("GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n".into()), 403);
    assert_eq!(raw("GET / HTTP/1.0\r\n\r\n".into()), 403);
    assert_eq!(
        raw(format!(
            "GET /api/model HTTP/1.1\r\nHost: {own}\r\nOrigin: http://evil.example\r\nConnection: close\r\n\r\n"
        )),
        403
    );
    assert_eq!(raw(format!("POST /api/input HTTP/1.1\r\nHost: {own}\r\nContent-Length: 999999999\r\n\r\n")), 413);
    assert_eq!(raw(format!("GET / HTTP/1.1\r\nHost: {own}\r\nHost: {own}\r\nConnection: close\r\n\r\n")), 400);
    // What is no request at all, or too long for one, is refused without a page.
    let refused = |text: String| serving.exchange(text.as_bytes()).0;
    assert_eq!(refused(format!("GET / HTTP/1.1\r\nHost: {own}\r\nX: {}\r\n\r\n", "x".repeat(40_000))), 431);
    assert_eq!(refused(format!("GET / HTTP/1.1\r\nHost: {own}\r\n{}\r\n", "A: b\r\n".repeat(65))), 431);
    for nonsense in ["\r\n\r\nnonsense\r\n\r\n", "\x16\x03\x01\r\n\r\n", "GET / HTTP/1.1\r\nno header\r\n\r\n"] {
        assert_eq!(refused(nonsense.into()), 400);
    }
    let lengths = |value: &str| refused(format!("POST /api/input HTTP/1.1\r\nHost: {own}\r\n{value}\r\n\r\n"));
    assert_eq!(lengths("Content-Length: 1\r\nContent-Length: 2"), 400);
    assert_eq!(lengths("Content-Length: +1"), 400);
    assert_eq!(lengths("Content-Length: 99999999999999999999999"), 400);
    let (status, head, page) = serving.get("/");
    assert_eq!(status, 200);
    assert!(head.contains("default-src 'none'") && head.contains("nosniff"), "{head}");
    assert!(String::from_utf8(page).unwrap().contains("<!doctype html>"));
}

#[test]
fn a_body_without_a_length_counts_as_well() {
    let serving = Serving::model();
    let chunks = |body: &[u8]| {
        let head = format!(
            "POST /api/input?width=30&height=30 HTTP/1.1\r\nHost: {}\r\nContent-Type: application/octet-stream\r\n\
             Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
            serving.address
        );
        let mut bytes = head.into_bytes();
        for chunk in body.chunks(1 << 16) {
            bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        serving.exchange(&bytes).0
    };
    let mut drawing = [255; 900];
    drawing[400..480].fill(0);
    assert_eq!(chunks(&drawing), 200);
    assert_eq!(chunks(&vec![0; (16 << 20) + 1]), 413);
}

#[test]
fn only_so_many_connections_are_served_at_once() {
    let serving = Serving::model();
    let idle: Vec<TcpStream> = (0..32).map(|_| TcpStream::connect(&serving.address).unwrap()).collect();
    // Until all of those were accepted.
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(serving.get("/").0, 503);
    drop(idle);
    let served = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        serving.get("/").0 == 200
    });
    assert!(served, "closed connections keep their places");
}

#[test]
fn a_run_is_shown_while_it_goes_on_and_the_program_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut serving = Serving::start(training(folder.path(), &["--live", "--threads", "2", "--json"]));
    let mut phases = Vec::new();
    let mut last = Value::Null;
    while serving.child.try_wait().unwrap().is_none() {
        let Ok(stream) = TcpStream::connect(&serving.address) else { break };
        drop(stream);
        let run = serving.json("/api/run");
        let phase = run["phase"].as_str().unwrap().to_string();
        if phases.last() != Some(&phase) {
            phases.push(phase.clone());
        }
        last = run;
        if phase == "done" {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(phases.last().map(String::as_str), Some("done"), "{phases:?}");
    assert!(phases.iter().any(|phase| phase == "training"), "{phases:?}");
    assert_eq!((last["epochs"].as_u64(), last["history"].as_array().map(Vec::len)), (Some(2), Some(2)), "{last}");
    assert!(last["points"].as_array().is_some_and(|points| points.len() >= 2), "{last}");
    assert!(last["report"]["test_accuracy"].as_f64() > Some(0.5), "{last}");
    assert!(serving.child.wait().unwrap().success());
    // Looking on changes nothing.
    assert_eq!(last["report"]["weights_sha256"], RUN.report()["weights_sha256"]);
}

#[test]
fn a_port_that_is_taken_and_a_model_that_is_missing_are_errors() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut command = striate(["serve", "--port", &port]);
    command.arg(RUN.model());
    fail(command, 1, &["--port", "address must be free"]);
    let folder = tempfile::tempdir().unwrap();
    let mut command = striate(["serve"]);
    command.current_dir(folder.path());
    fail(command, 1, &["striate train mnist"]);
}
