//! What goes to standard output: text for people, or one JSON object a line.

use serde_json::Value;
use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Standard output in one of two forms.
#[derive(Debug)]
pub struct Output {
    json: bool,
}

impl Output {
    /// Text, or JSON lines.
    pub fn new(json: bool) -> Self {
        Output { json }
    }

    /// A line for people only.
    pub fn text(&self, text: impl std::fmt::Display) {
        if !self.json {
            write_line(&text.to_string());
        }
    }

    /// An object for programs only.
    pub fn object(&self, value: &Value) {
        if self.json {
            write_line(&value.to_string());
        }
    }
}

/// Whether something could not be written.
static FAILED: AtomicBool = AtomicBool::new(false);

/// Whether something that should have gone to standard output did not: the program then fails, when its work is done.
pub fn has_failed() -> bool {
    FAILED.load(Ordering::Relaxed)
}

/// Output that cannot be written ends the output, not the program: a run's files are still written. A closed pipe is no failure: whoever
/// reads has seen enough.
fn write_line(line: &str) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = writeln!(out, "{line}").and_then(|()| out.flush())
        && error.kind() != ErrorKind::BrokenPipe
        && !FAILED.swap(true, Ordering::Relaxed)
    {
        eprintln!("error: standard output: writing failed: {error} (hint: is the disk full?)");
    }
}
