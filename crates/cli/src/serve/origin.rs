//! Whose pages may talk to the server: its own.
//!
//! A page from elsewhere whose name was made to point at this machine (DNS rebinding) sends that name as host; a page from elsewhere
//! that asks this server sends its own origin. Both are refused.

use super::http::{Refusal, Request};
use std::net::IpAddr;

/// Refuses a request that does not come from this server's own pages, or from no page at all.
///
/// `name` is the host that the user told the server to bind to.
pub fn check(request: &Request, name: &str) -> Result<(), Refusal> {
    let refuse = |text: &str| Err(Refusal::new(403, text));
    let Some(host) = &request.host else { return refuse("a request must name its host") };
    let bare = without_port(host);
    let is_address = bare.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    // Nobody can make an address, or this machine's own names, point elsewhere.
    if !(is_address || bare.eq_ignore_ascii_case("localhost") || bare.eq_ignore_ascii_case(name)) {
        return refuse("this server answers under its address or as localhost, not under that host");
    }
    if request.origin.as_ref().is_some_and(|origin| *origin != format!("http://{host}")) {
        return refuse("pages from elsewhere may not use this server");
    }
    match request.fetch_site.as_deref() {
        None | Some("same-origin" | "none") => Ok(()),
        // Following a link to the page itself is no danger.
        Some(_) if request.path == "/" && request.method == "GET" => Ok(()),
        Some(_) => refuse("pages from elsewhere may not use this server"),
    }
}

fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_servers_own_pages_get_through() {
        let request = |path: &str, host: &str, origin: Option<&str>, site: Option<&str>| Request {
            path: path.into(),
            host: Some(host.into()),
            origin: origin.map(Into::into),
            fetch_site: site.map(Into::into),
            ..Request::default()
        };
        let passes = |host: &str, origin: Option<&str>, site: Option<&str>| {
            check(&request("/api/model", host, origin, site), "box").is_ok()
        };
        for host in
            ["127.0.0.1:80", "127.0.0.1", "localhost:9", "LOCALHOST", "[::1]:9", "[::1]", "192.168.0.7:1", "box:3"]
        {
            assert!(passes(host, None, None), "{host}");
            let own = format!("http://{host}");
            assert!(passes(host, Some(&own), Some("same-origin")), "{host}");
        }
        for host in ["evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.evil.example", ""] {
            assert!(!passes(host, None, None), "{host}");
        }
        assert!(!passes("127.0.0.1:80", Some("http://evil.example"), None));
        assert!(!passes("127.0.0.1:80", Some("http://127.0.0.1:81"), None));
        assert!(!passes("127.0.0.1:80", Some("null"), None));
        assert!(!passes("127.0.0.1:80", None, Some("cross-site")));
        assert!(check(&Request { host: None, ..Request::default() }, "").is_err());
        let link = Request { method: "GET".into(), ..request("/", "localhost:9", None, Some("cross-site")) };
        assert!(check(&link, "").is_ok());
    }
}
