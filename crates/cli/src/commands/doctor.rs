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
    let cuda = cuda();
    for line in &cuda.lines {
        output.text(format!("cuda       {line}"));
    }
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
        "cuda": cuda.report,
        "data": data,
    }));
    Ok(ExitCode::SUCCESS)
}

/// What of CUDA there is, in words and for programs.
struct Cuda {
    lines: Vec<String>,
    report: serde_json::Value,
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Cuda {
    Cuda { lines: vec!["not in this build (cargo build --features cuda)".into()], report: serde_json::Value::Null }
}

#[cfg(feature = "cuda")]
fn cuda() -> Cuda {
    let libraries = striate::cuda::libraries();
    let mut lines: Vec<String> = libraries
        .iter()
        .map(|library| {
            let state = match (library.found, library.missing.is_empty()) {
                (false, _) if !library.required => "missing, which is no hindrance".to_string(),
                (false, _) => "missing".to_string(),
                (true, true) => "found".to_string(),
                (true, false) => format!("found, but too old: without {}", library.missing.join(", ")),
            };
            format!("lib{}.so, {}: {state}", library.name, library.purpose)
        })
        .collect();
    let devices = striate::cuda::probe();
    lines.push(match &devices {
        Ok(1) => "1 device: --device cuda:0".to_string(),
        Ok(count) => format!("{count} devices: --device cuda:0 to cuda:{}", count - 1),
        Err(missing) => format!("no device: {missing}"),
    });
    let found: serde_json::Map<String, serde_json::Value> = libraries
        .iter()
        .map(|library| (library.name.to_string(), json!(library.found && library.missing.is_empty())))
        .collect();
    let report = json!({
        "libraries": found,
        "devices": devices.as_ref().ok(),
        "missing": devices.as_ref().err().map(ToString::to_string),
    });
    Cuda { lines, report }
}

fn build_kind() -> &'static str {
    if cfg!(debug_assertions) { "debug build: slow" } else { "release build" }
}
