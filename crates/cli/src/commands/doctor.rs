//! `striate doctor`: what the program found on this machine.

use crate::output::Output;
use serde_json::json;
use std::process::ExitCode;
use striate::Result;
use striate::data::locate;

/// The data sets that recipes use.
const DATA_SETS: [&str; 1] = ["mnist"];

/// Runs the command.
pub fn run(output: &Output) -> Result<ExitCode> {
    let device = striate::device()?;
    let info = device.info();
    let found: Vec<(&str, Option<String>)> = DATA_SETS
        .iter()
        .map(|&name| (name, locate(None, name).ok().map(|folder| folder.display().to_string())))
        .collect();
    output.text(format!("striate    {} ({})", env!("CARGO_PKG_VERSION"), build_kind()));
    output.text(format!("device     {} — {}", info.name, info.hardware));
    output.text(format!("kernels    {} (STRIATE_ISA chooses another)", info.isa));
    output.text(format!("threads    {} (--threads chooses another number)", info.threads));
    output.text("cuda       not in this build");
    for (name, folder) in &found {
        output.text(format!("data       {name}: {}", folder.as_deref().unwrap_or("not found")));
    }
    let data: serde_json::Map<String, serde_json::Value> =
        found.into_iter().map(|(name, folder)| (name.to_string(), json!(folder))).collect();
    output.object(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "build": build_kind(),
        "device": info.name,
        "hardware": info.hardware,
        "isa": info.isa,
        "threads": info.threads,
        "cuda": null,
        "data": data,
    }));
    Ok(ExitCode::SUCCESS)
}

fn build_kind() -> &'static str {
    if cfg!(debug_assertions) { "debug build: slow" } else { "release build" }
}
