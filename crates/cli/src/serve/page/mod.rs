//! The pages' files, embedded.

use super::http::{Refusal, Request, Response};

/// Path, type, content.
type File = (&'static str, &'static str, &'static str);

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const ICON: File = ("/icon.svg", "image/svg+xml", include_str!("icon.svg"));

/// The page of a model.
pub const EXPLORER: &[File] = &[
    ("/", HTML, include_str!("explorer.html")),
    ("/common.css", CSS, include_str!("common.css")),
    ("/explorer.css", CSS, include_str!("explorer.css")),
    ("/explorer.js", SCRIPT, include_str!("explorer.js")),
    ("/pad.js", SCRIPT, include_str!("pad.js")),
    ("/maps.js", SCRIPT, include_str!("maps.js")),
    ("/inspector.js", SCRIPT, include_str!("inspector.js")),
    ("/depth.js", SCRIPT, include_str!("depth.js")),
    ("/colours.js", SCRIPT, include_str!("colours.js")),
    ICON,
];

/// The page of a training run.
pub const LIVE: &[File] = &[
    ("/", HTML, include_str!("live.html")),
    ("/common.css", CSS, include_str!("common.css")),
    ("/live.css", CSS, include_str!("live.css")),
    ("/live.js", SCRIPT, include_str!("live.js")),
    ICON,
];

/// One of the files.
///
/// # Errors
/// 404 for another path, 405 for another method.
pub fn file(request: &Request, files: &[File]) -> Result<Response, Refusal> {
    let Some((_, content_type, content)) = files.iter().find(|(path, ..)| *path == request.path) else {
        return Err(Refusal::new(404, "there is no such page"));
    };
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return Err(Refusal::new(405, "this can only be read"));
    }
    Ok(Response::ok(content_type, content.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_asked_of_another_host() {
        for (path, _, content) in EXPLORER.iter().chain(LIVE) {
            let own = content.replace("http://www.w3.org/2000/svg", "");
            for sign in ["http:", "https:", "//cdn", "@import", "eval(", "innerHTML"] {
                assert!(!own.contains(sign), "{path} has {sign}");
            }
        }
    }
}
