//! A request and a response as the pages know them, and how hyper's become and come of them.

use super::limits::{BODY_TIME, LINGER, MAX_BODY};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::StatusCode;
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use serde_json::json;
use std::borrow::Cow;
use tokio::time::timeout;

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
    /// The body.
    pub body: Bytes,
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

/// What hyper read, within limits of size and time.
///
/// # Errors
/// 400, 408 or 413.
pub async fn receive(request: hyper::Request<Incoming>) -> Result<Request, Refusal> {
    let (head, body) = request.into_parts();
    let text = |name: HeaderName| match head.headers.get_all(&name).iter().collect::<Vec<_>>()[..] {
        [] => Ok(None),
        [value] => {
            value.to_str().map(|text| Some(text.trim().to_string())).map_err(|_| format!("`{name}` must be text"))
        }
        _ => Err(format!("`{name}` may come once")),
    };
    let text = |name| text(name).map_err(|reason| Refusal::new(400, reason));
    let pairs = head.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let mut request = Request {
        method: head.method.as_str().to_string(),
        path: head.uri.path().to_string(),
        query: pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        host: text(header::HOST)?,
        origin: text(header::ORIGIN)?,
        fetch_site: text(HeaderName::from_static("sec-fetch-site"))?,
        content_type: text(header::CONTENT_TYPE)?.unwrap_or_default().to_ascii_lowercase(),
        body: Bytes::new(),
    };
    let too_large = || Refusal::new(413, format!("the body may have at most {MAX_BODY} bytes"));
    if body.size_hint().lower() > MAX_BODY as u64 {
        if text(header::EXPECT)?.is_none() {
            linger(body).await;
        }
        return Err(too_large());
    }
    let mut body = Limited::new(body, MAX_BODY);
    let collected = timeout(BODY_TIME, (&mut body).collect()).await;
    request.body = match collected {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large()),
        Ok(Err(error)) => return Err(Refusal::new(400, format!("the body did not come: {error}"))),
        Err(_) => return Err(Refusal::new(408, "the body took too long")),
    };
    Ok(request)
}

/// Listens for a moment to a client that is still sending: closing at once would take the answer back from it.
async fn linger(mut body: Incoming) {
    let rest = async { while body.frame().await.is_some_and(|frame| frame.is_ok()) {} };
    let _ = timeout(LINGER, rest).await;
}

/// What every response says: nothing may come from elsewhere, and nothing is kept.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

impl Response {
    /// The response as hyper sends it.
    pub fn into_hyper(self) -> hyper::Response<Full<Bytes>> {
        let body = match self.body {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        };
        let mut response = hyper::Response::new(Full::new(body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        for (name, value) in HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
