//! What goes to standard output: text for people, or one JSON object a line.

use serde_json::Value;
use std::io::Write;

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

/// A closed pipe ends the output, not the program: a run's files are still written.
fn write_line(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
