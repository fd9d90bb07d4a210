//! The rules of the house, checked.

use crate::floors::{BUDGETS, FLOORS, KNOW_A_BACKEND, MAY_BE_UNSAFE, OUTSIDE};
use crate::run::cargo_output;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Checks everything and reports all that is wrong at once.
pub fn run(root: &Path) -> Result<(), String> {
    let metadata: Value =
        serde_json::from_str(&cargo_output(root, &["metadata", "--format-version", "1", "--no-deps"])?)
            .map_err(|error| error.to_string())?;
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let mut wrong = Vec::new();
    for package in &packages {
        arrows(package, &mut wrong);
        files(package, &mut wrong);
    }
    for (name, most) in BUDGETS {
        let tree = cargo_output(root, &["tree", "-p", name, "-e", "normal", "--prefix", "none", "--no-dedupe"])?;
        let crates: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
        println!("{name}: {} crates (at most {most})", crates.len());
        if crates.len() > *most {
            wrong.push(format!("{name} compiles {} crates, more than its budget of {most}", crates.len()));
        }
    }
    if wrong.is_empty() {
        println!("{} crates keep the rules of the house", packages.len());
        return Ok(());
    }
    Err(format!("{} rules are broken:\n  {}", wrong.len(), wrong.join("\n  ")))
}

fn floor(name: &str) -> Option<u32> {
    FLOORS.iter().find(|(known, _)| *known == name).map(|(_, floor)| *floor)
}

/// Dependencies inside the workspace point down.
fn arrows(package: &Value, wrong: &mut Vec<String>) {
    let name = package["name"].as_str().unwrap_or_default();
    if OUTSIDE.contains(&name) {
        return;
    }
    let Some(own) = floor(name) else {
        wrong.push(format!("{name} has no floor: add it to xtask/src/floors.rs and docs/architecture.md"));
        return;
    };
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let target = dependency["name"].as_str().unwrap_or_default();
        let is_dev = dependency["kind"].as_str() == Some("dev");
        if OUTSIDE.contains(&target) {
            if !is_dev {
                wrong.push(format!("{name} → {target}: only tests may use it"));
            }
        } else if let Some(below) = floor(target) {
            if below >= own && !is_dev {
                wrong.push(format!("{name} (floor {own}) → {target} (floor {below}) points up"));
            }
            if below == 2 && !is_dev && !KNOW_A_BACKEND.contains(&name) {
                wrong.push(format!("{name} → {target}: only the facade knows a back end"));
            }
        }
    }
}

/// Every crate can be lived with: a README, no unsafe code outside the kernels, no example that nobody compiles.
fn files(package: &Value, wrong: &mut Vec<String>) {
    let name = package["name"].as_str().unwrap_or_default();
    let manifest = PathBuf::from(package["manifest_path"].as_str().unwrap_or_default());
    let Some(folder) = manifest.parent() else { return };
    let is_library = !matches!(name, "xtask" | "striate-benches");
    let readme = fs::read_to_string(folder.join("README.md")).unwrap_or_default();
    if is_library && readme.lines().count() < 10 {
        wrong.push(format!("{name}: README.md must say what the crate is and how it is used"));
    }
    let mut sources = Vec::new();
    rust_files(&folder.join("src"), &mut sources);
    for path in &sources {
        let text = fs::read_to_string(path).unwrap_or_default();
        for fence in ["ignore", "no_run", "rust,ignore", "rust,no_run"] {
            let mark = format!("```{fence}");
            if text.lines().any(|line| line.trim_start().starts_with("//") && line.trim_end().ends_with(&mark)) {
                wrong.push(format!("{}: an example that is not run", path.display()));
            }
        }
    }
    if !MAY_BE_UNSAFE.contains(&name) {
        let root = ["lib.rs", "main.rs"].map(|file| fs::read_to_string(folder.join("src").join(file)));
        if root.iter().flatten().any(|text| !text.contains("#![forbid(unsafe_code)]")) {
            wrong.push(format!("{name}: must say #![forbid(unsafe_code)]"));
        }
    }
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}
