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
    // The edges of the kernels, and the arena's own tests.
    memcheck(&test_program(root, &["--test", "edges"], "edges")?, &[])?;
    memcheck(&test_program(root, &["--lib"], "striate_cpu")?, &["arena::"])?;
    println!("memcheck: no error");
    Ok(())
}

/// Builds a test program of the CPU back end.
fn test_program(root: &Path, which: &[&str], name: &str) -> Result<String, String> {
    let mut arguments = vec!["test", "-p", "striate-cpu"];
    arguments.extend(which);
    arguments.extend(["--no-run", "--message-format", "json", "--quiet"]);
    let messages = cargo_output(root, &arguments)?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == *name && message["profile"]["test"] == true)
        .find_map(|message| message["executable"].as_str().map(str::to_string))
        .ok_or_else(|| format!("cargo named no test program {name}"))
}

fn memcheck(program: &str, filter: &[&str]) -> Result<(), String> {
    let status = Command::new("valgrind")
        .args(["--error-exitcode=9", "--quiet", "--max-stackframe=4000000", program, "--test-threads=1"])
        .args(filter)
        // Each step of a property is some hundred times slower here.
        .env("PROPTEST_CASES", "16")
        .status()
        .map_err(|error| format!("valgrind: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("memcheck: {program}: {status}")) }
}
