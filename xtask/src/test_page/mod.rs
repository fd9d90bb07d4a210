//! The pages that the program serves, driven in a real browser.

mod explorer;
mod live;
mod strokes;
mod webdriver;

use crate::run::cargo_command;
use crate::smoke;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use webdriver::{Browser, find};

/// Runs everything; skips with a word where there is no browser.
pub fn run(root: &Path, strokes: usize) -> Result<(), String> {
    let (Some(chromedriver), Some(_)) = (find("chromedriver"), find("chromium").or_else(|| find("google-chrome")))
    else {
        println!(
            "SKIPPED: chromium and chromedriver are not installed (Debian: apt-get install chromium chromium-driver)"
        );
        return Ok(());
    };
    let model = root.join("target").join("smoke").join("model.keras");
    if !model.exists() {
        smoke::run(root)?;
    }
    let folder = root.join("target").join("test-page");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let browser = Browser::start(&chromedriver, &folder.join("profile"))?;
    {
        let mut server = Program::start(root, &["serve", &model.display().to_string(), "--port", "0", "--json"])?;
        let url = server.line()?["url"].as_str().unwrap_or_default().to_string();
        explorer::run(&browser, &url, &folder)?;
        strokes::run(&browser, &url, server.child.id(), strokes)?;
    }
    live::run(&browser, root, &folder)?;
    println!("screenshots are in {}", folder.display());
    Ok(())
}

/// The release program while it runs; it ends with this.
struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    fn start(root: &Path, arguments: &[&str]) -> Result<Program, String> {
        // On Unix cargo becomes the program, so that this child is the program itself.
        let mut command = cargo_command(root, &[&["run", "--release", "--quiet", "--"], arguments].concat());
        let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
        let output = child.stdout.take().ok_or("the program has no output")?;
        Ok(Program { child, lines: BufReader::new(output).lines() })
    }

    /// The next line that it prints, which is JSON.
    fn line(&mut self) -> Result<Value, String> {
        let line = self.lines.next().ok_or("the program ended too early")?.map_err(|error| error.to_string())?;
        serde_json::from_str(&line).map_err(|error| format!("{error} in {line}"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An error unless it holds.
fn check(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// Two numbers that were computed in different orders.
fn near(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-4 * (1.0 + a.abs()),
        _ => false,
    }
}
