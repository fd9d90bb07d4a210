//! The kernels' edges under valgrind's memcheck: no read or write past a buffer, no decision on memory that was never written.

use crate::run::cargo_output;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Runs it, for every instruction set that valgrind knows and the machine has.
pub fn run(root: &Path) -> Result<(), String> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: valgrind is not installed");
        return Ok(());
    }
    let messages = cargo_output(
        root,
        &["test", "-p", "striate-cpu", "--test", "edges", "--no-run", "--message-format", "json", "--quiet"],
    )?;
    let program = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "edges")
        .find_map(|message| message["executable"].as_str().map(str::to_string))
        .ok_or("cargo named no test program")?;
    let status = Command::new("valgrind")
        .args(["--error-exitcode=9", "--quiet", "--max-stackframe=4000000", &program, "--test-threads=1"])
        .status()
        .map_err(|error| format!("valgrind: {error}"))?;
    if status.success() {
        println!("memcheck: no error");
        return Ok(());
    }
    Err(format!("memcheck: {status}"))
}
