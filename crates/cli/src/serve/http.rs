//! HTTP/1.1 on one connection: a request's bytes in, a response's bytes out, within limits of size and time.

use super::limits::{BODY_TIME, HEAD_TIME, IDLE, MAX_BODY, MAX_HEAD, MAX_HEADERS, WRITE_TIME};
use serde_json::json;
use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What a client asks.
#[derive(Debug, Default)]
pub struct Request {
    /// `GET` or another.
    pub method: String,
    /// The path, without what follows a question mark.
    pub path: String,
    /// Names and values after the question mark. No escapes: nothing here needs one.
    pub query: Vec<(String, String)>,
    /// The header `Host`.
    pub host: Option<String>,
    /// The header `Origin`.
    pub origin: Option<String>,
    /// The header `Sec-Fetch-Site`.
    pub fetch_site: Option<String>,
    /// The header `Content-Type`.
    pub content_type: String,
    /// Whether the connection stays open after it.
    pub keeps_alive: bool,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// The value of that name in the query.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The number of that name in the query.
    ///
    /// # Errors
    /// 400 if it is missing or no number.
    pub fn number(&self, name: &str) -> Result<usize, Refusal> {
        let text = self.value(name).unwrap_or_default();
        text.parse().map_err(|_| Refusal::new(400, format!("`{name}` must be a whole number; received `{text}`")))
    }
}

/// A request that is not answered as its sender wished.
#[derive(Debug)]
pub struct Refusal {
    /// The status: 4xx or 5xx.
    pub status: u16,
    /// The reason, for people.
    pub text: String,
}

impl Refusal {
    /// A refusal with a reason.
    pub fn new(status: u16, text: impl Into<String>) -> Self {
        Refusal { status, text: text.into() }
    }
}

impl From<striate::Error> for Refusal {
    fn from(error: striate::Error) -> Self {
        Refusal::new(422, error.to_string())
    }
}

/// What a client gets.
#[derive(Debug)]
pub struct Response {
    status: u16,
    content_type: &'static str,
    body: Cow<'static, [u8]>,
}

impl Response {
    /// 200 with a body of that type.
    pub fn ok(content_type: &'static str, body: impl Into<Cow<'static, [u8]>>) -> Self {
        Response { status: 200, content_type, body: body.into() }
    }

    /// 200 with JSON.
    pub fn json(value: &serde_json::Value) -> Self {
        Response::ok("application/json", value.to_string().into_bytes())
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        let body = json!({ "error": refusal.text }).to_string().into_bytes();
        Response { status: refusal.status, content_type: "application/json", body: body.into() }
    }
}

/// What every response says: nothing may come from elsewhere, and nothing is kept.
const HEADERS: &str = "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
    X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCross-Origin-Opener-Policy: same-origin\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\nCache-Control: no-store\r\n";

/// A connection and the bytes that came in but were not used yet.
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// Why no request came.
#[derive(Debug)]
pub enum End {
    /// The client went away, or said nothing for too long.
    Quiet,
    /// What it sent is answered with this, and the connection is closed.
    Refused(Refusal),
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        End::Quiet
    }
}

impl Connection {
    /// Takes over a stream.
    ///
    /// # Errors
    /// Those of the system.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_TIME))?;
        Ok(Connection { stream, unread: Vec::new() })
    }

    /// Waits for a request and reads it.
    ///
    /// # Errors
    /// [`End`].
    pub fn read(&mut self) -> Result<Request, End> {
        if self.unread.is_empty() {
            self.more(Instant::now() + IDLE)?;
        }
        let deadline = Instant::now() + HEAD_TIME;
        let (mut request, length, expects, used) = loop {
            if let Some(head) = parse(&self.unread).map_err(End::Refused)? {
                break head;
            }
            if self.unread.len() >= MAX_HEAD {
                return Err(End::Refused(Refusal::new(431, format!("the head may have at most {MAX_HEAD} bytes"))));
            }
            self.more(deadline)?;
        };
        self.unread.drain(..used);
        if length > MAX_BODY {
            return Err(End::Refused(Refusal::new(413, format!("the body may have at most {MAX_BODY} bytes"))));
        }
        if expects && length > self.unread.len() {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let deadline = Instant::now() + BODY_TIME;
        while self.unread.len() < length {
            self.more(deadline)?;
        }
        let rest = self.unread.split_off(length);
        request.body = std::mem::replace(&mut self.unread, rest);
        Ok(request)
    }

    /// Waits for bytes until the deadline.
    fn more(&mut self, deadline: Instant) -> Result<(), End> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left < Duration::from_millis(1) {
            return Err(End::Quiet);
        }
        self.stream.set_read_timeout(Some(left))?;
        let mut chunk = [0; 16 << 10];
        match self.stream.read(&mut chunk)? {
            0 => Err(End::Quiet),
            count => {
                self.unread.extend_from_slice(&chunk[..count]);
                Ok(())
            }
        }
    }

    /// Writes a response; with `is_head` all but its body.
    ///
    /// # Errors
    /// Those of the system.
    pub fn write(&mut self, response: &Response, keeps_alive: bool, is_head: bool) -> io::Result<()> {
        let Response { status, content_type, body } = response;
        let connection = if keeps_alive { "keep-alive" } else { "close" };
        let mut bytes = format!(
            "HTTP/1.1 {status} {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: {connection}\r\n{HEADERS}\r\n",
            reason(*status),
            body.len()
        )
        .into_bytes();
        if !is_head {
            bytes.extend_from_slice(body);
        }
        self.stream.write_all(&bytes)
    }

    /// Closes a connection whose client may still be sending: closing at once would take the answer back from it.
    pub fn close(mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
        let deadline = Instant::now() + Duration::from_secs(1);
        while self.unread.len() < MAX_HEAD && self.more(deadline).is_ok() {
            self.unread.clear();
        }
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        410 => "Gone",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

/// The request's head if it is there as a whole, the body's length, whether the client waits for a word before it sends the body,
/// and how many bytes the head has.
fn parse(bytes: &[u8]) -> Result<Option<(Request, usize, bool, usize)>, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let used = match head.parse(bytes) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Refusal::new(431, format!("at most {MAX_HEADERS} headers are read")));
        }
        Err(error) => return Err(Refusal::new(400, format!("this is no HTTP request: {error}"))),
    };
    let target = head.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut request = Request {
        method: head.method.unwrap_or_default().to_string(),
        path: path.to_string(),
        query: pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(a, b)| (a.into(), b.into()))
            .collect(),
        keeps_alive: head.version == Some(1),
        ..Request::default()
    };
    let (mut length, mut expects) = (None, false);
    for header in head.headers.iter() {
        let text = std::str::from_utf8(header.value).map_err(|_| Refusal::new(400, "headers must be text"))?.trim();
        let once = |slot: &mut Option<String>| match slot.replace(text.to_string()) {
            None => Ok(()),
            Some(_) => Err(Refusal::new(400, format!("`{}` may come once", header.name))),
        };
        match header.name.to_ascii_lowercase().as_str() {
            "host" => once(&mut request.host)?,
            "origin" => once(&mut request.origin)?,
            "sec-fetch-site" => once(&mut request.fetch_site)?,
            "content-length" => once(&mut length)?,
            "content-type" => request.content_type = text.to_ascii_lowercase(),
            "transfer-encoding" => {
                return Err(Refusal::new(501, "give the body's length instead of a transfer encoding"));
            }
            "expect" => expects = text.eq_ignore_ascii_case("100-continue"),
            "connection" if text.eq_ignore_ascii_case("close") => request.keeps_alive = false,
            _ => {}
        }
    }
    let digits = length.unwrap_or_else(|| "0".into());
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::new(400, "the content length must be a number"));
    }
    // A number that is too long for a word is too long for the body as well.
    Ok(Some((request, digits.parse().unwrap_or(usize::MAX), expects, used)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_as_a_whole_or_not_at_all() {
        let text =
            b"POST /api/input?width=3&height=4&flag HTTP/1.1\r\nHost: localhost:1\r\nContent-Length: 12\r\n\r\nbody";
        for end in 0..text.len() - 5 {
            assert!(parse(&text[..end]).unwrap().is_none(), "{end}");
        }
        let (request, length, expects, used) = parse(text).unwrap().unwrap();
        assert_eq!(
            (request.method.as_str(), request.path.as_str(), length, used),
            ("POST", "/api/input", 12, text.len() - 4)
        );
        assert_eq!((request.number("width").unwrap(), request.value("flag"), expects), (3, Some(""), false));
        assert!(request.keeps_alive && request.number("depth").is_err());
        assert_eq!(request.host.as_deref(), Some("localhost:1"));
    }

    #[test]
    fn doubtful_heads_are_refused() {
        let status = |headers: &str| match parse(format!("GET / HTTP/1.1\r\n{headers}\r\n").as_bytes()) {
            Ok(Some((_, length, ..))) if length <= MAX_BODY => 200,
            Ok(_) => 413,
            Err(refusal) => refusal.status,
        };
        assert_eq!(status("Host: a\r\n"), 200);
        assert_eq!(status("Host: a\r\nHost: b\r\n"), 400);
        assert_eq!(status("Content-Length: 1\r\nContent-Length: 2\r\n"), 400);
        assert_eq!(status("Content-Length: +1\r\n"), 400);
        assert_eq!(status("Content-Length: 99999999999999999999999\r\n"), 413);
        assert_eq!(status("Transfer-Encoding: chunked\r\n"), 501);
        assert_eq!(status("no header\r\n"), 400);
        assert_eq!(status(&"A: b\r\n".repeat(MAX_HEADERS + 1)), 431);
        assert!(parse(b"\x16\x03\x01").is_err());
    }
}
