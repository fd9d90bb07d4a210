//! Running other programs.

use std::path::Path;
use std::process::{Command, Stdio};

/// The cargo that runs this task.
fn program() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())
}

/// Cargo with these arguments, not started yet.
pub fn cargo_command(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).current_dir(root);
    command
}

/// Runs cargo, its output shown.
pub fn cargo(root: &Path, arguments: &[&str]) -> Result<(), String> {
    eprintln!("cargo {}", arguments.join(" "));
    let status = Command::new(program())
        .args(arguments)
        .current_dir(root)
        .status()
        .map_err(|error| format!("cargo could not be started: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("cargo {} failed", arguments.join(" "))) }
}

/// Runs cargo and gives its standard output.
pub fn cargo_output(root: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program())
        .args(arguments)
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo could not be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo {} failed", arguments.join(" ")));
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}
