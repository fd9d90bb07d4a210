//! Every kernel through NVIDIA's own compiler, which needs no GPU.

use crate::run::cargo_command;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The compiler's package: small enough to fetch for a check, and it knows every architecture that is checked.
const PACKAGE: &str = "nvidia-cuda-nvrtc==13.5.37";

/// Runs it: 0 if kernels keep to the table, 1 if not, 2 if there is no compiler.
pub fn run(root: &Path, update: bool, install: bool) -> ExitCode {
    check(root, update, install).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

fn check(root: &Path, update: bool, install: bool) -> Result<ExitCode, String> {
    let installed = root.join("target").join("nvrtc");
    if install && folder(&installed).is_none() {
        let status = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"])
            .arg(&installed)
            .arg(PACKAGE)
            .status()
            .map_err(|error| format!("python3 could not be started: {error}"))?;
        if !status.success() {
            println!("pip could not install {PACKAGE}");
            return Ok(ExitCode::from(2));
        }
    }
    let library = std::env::var_os("NVRTC_LIB").map(PathBuf::from).or_else(|| folder(&installed));
    let table = root.join("crates/cuda/kernels.tsv").display().to_string();
    let mut arguments = vec!["run", "--quiet", "-p", "striate-cuda", "--example", "check_kernels", "--", &table];
    if update {
        arguments.push("--update");
    }
    let mut command = cargo_command(root, &arguments);
    if let Some(library) = library {
        command.env("LD_LIBRARY_PATH", library);
    }
    let status = command.status().map_err(|error| format!("cargo could not be started: {error}"))?;
    if status.code() == Some(2) {
        println!(
            "no kernel was checked: NVRTC is not here. `cargo xtask check-kernels --install` gets it with pip ({PACKAGE}), or NVRTC_LIB names the \
             folder that holds libnvrtc.so"
        );
    }
    Ok(status.code().map_or(ExitCode::FAILURE, |code| ExitCode::from(code as u8)))
}

/// The folder of the library below where pip put its package.
fn folder(installed: &Path) -> Option<PathBuf> {
    let mut open = vec![installed.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).ok()?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if entry.file_name().to_string_lossy().starts_with("libnvrtc.so") {
                return Some(folder);
            }
        }
    }
    None
}
