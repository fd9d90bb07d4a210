//! The CUDA back end's tests, on a GPU or on the emulated device.

use crate::run::{cargo_command, cargo_output};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What was asked for.
pub struct Options {
    pub emulate: bool,
    pub sanitize: bool,
    pub require_gpu: bool,
    pub order: Option<u32>,
}

/// Runs it: 0 if all is well, 1 if a test failed, 2 if there is nothing to run the tests on.
pub fn run(root: &Path, options: &Options) -> ExitCode {
    let result = if options.emulate { emulated(root, options) } else { on_gpu(root, options) };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

const TESTS: [&str; 5] = ["test", "-p", "striate-cuda", "--quiet", "--tests"];

fn on_gpu(root: &Path, options: &Options) -> Result<ExitCode, String> {
    let status = cargo_command(root, &["run", "--quiet", "-p", "striate-cuda", "--example", "probe"])
        .status()
        .map_err(|error| format!("cargo could not be started: {error}"))?;
    match status.code() {
        Some(0) => {}
        Some(2) => {
            println!(
                "no test was run. Two ways on: a machine with an NVIDIA GPU, or --emulate, which shows that results are right but \
                 nothing about speed"
            );
            return Ok(ExitCode::from(if options.require_gpu { 1 } else { 2 }));
        }
        _ => return Err("the probe failed".into()),
    }
    let mut command = cargo_command(root, &TESTS);
    command.env("STRIATE_REQUIRE_CUDA", "1");
    if options.sanitize {
        if Command::new("compute-sanitizer").arg("--version").output().is_err() {
            println!("compute-sanitizer is not installed; it comes with NVIDIA's CUDA toolkit");
            return Ok(ExitCode::from(2));
        }
        // Cargo runs each test program through it; one thread, as the sanitizer is slow and counts memory. Exact allocations let it
        // see the end of each tensor.
        command.env("STRIATE_CUDA_POOL", "off");
        command.env(
            format!("CARGO_TARGET_{}_RUNNER", host(root)?.to_uppercase().replace(['-', '.'], "_")),
            "compute-sanitizer --error-exitcode 9 --leak-check full",
        );
    }
    tests(command)
}

/// The triple that cargo builds for.
fn host(root: &Path) -> Result<String, String> {
    let text = cargo_output(root, &["version", "--verbose"])?;
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_string).ok_or_else(|| "cargo named no host".into())
}

fn tests(mut command: Command) -> Result<ExitCode, String> {
    let status = command.status().map_err(|error| format!("cargo could not be started: {error}"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn emulated(root: &Path, options: &Options) -> Result<ExitCode, String> {
    let compiler = std::env::var("CUEMU_CXX").unwrap_or_else(|_| "g++".into());
    if Command::new(&compiler).arg("--version").output().is_err() {
        println!("no test was run: the emulator compiles kernels with {compiler}, which is not installed");
        return Ok(ExitCode::from(2));
    }
    let (folder, alone) = links(root)?;
    println!("EMULATED on the CPU: this shows that results are right, and nothing about speed");
    // Each order of threads hides other mistakes; lazily done work shows a missing wait, memory of exact sizes a write beside a tensor. Once
    // there are no cuBLAS and cuDNN, and once every training records its steps.
    let mut runs = match options.order {
        Some(order) => vec![(order, false, false, true, false)],
        None => vec![(0, false, false, true, false), (1, false, true, false, false), (7, true, false, true, true)],
    };
    if options.sanitize {
        // No cache of memory: what is freed is freed.
        runs.iter_mut().for_each(|run| run.2 = false);
        if options.order.is_none() {
            runs.extend([(13, true, false, false, true), (42, false, false, true, true)]);
        }
    }
    for (order, lazy, pooled, with_libraries, graphs) in runs {
        println!(
            "threads in order {order}{}{}{}{}{}",
            if lazy { ", work done lazily" } else { "" },
            if pooled { ", memory pooled" } else { ", memory of exact sizes" },
            if with_libraries { "" } else { ", without cuBLAS and cuDNN" },
            if graphs { ", steps replayed" } else { "" },
            if options.sanitize { ", freed memory watched" } else { "" }
        );
        let mut command = cargo_command(root, &TESTS);
        command
            .env("LD_LIBRARY_PATH", if with_libraries { &folder } else { &alone })
            .env("STRIATE_REQUIRE_CUDA", "1")
            .env("STRIATE_CUDA_CACHE", folder.join("cubins"))
            .env("STRIATE_CUDA_POOL", if pooled { "on" } else { "off" })
            .env("STRIATE_CUDA_GRAPHS", if graphs { "on" } else { "off" })
            .env("CUEMU_CACHE", folder.join("compiled"))
            .env("CUEMU_STRICT", if options.sanitize { "1" } else { "0" })
            .env("CUEMU_ORDER", order.to_string())
            .env("CUEMU_LAZY", if lazy { "1" } else { "0" });
        if tests(command)? != ExitCode::SUCCESS {
            return Err(format!("the tests failed with threads in order {order}"));
        }
    }
    // The devices that a machine may have: none.
    println!("no device");
    let status = cargo_command(root, &["run", "--quiet", "-p", "striate-cuda", "--example", "probe"])
        .env("LD_LIBRARY_PATH", &folder)
        .env("CUEMU_DEVICES", "0")
        .status()
        .map_err(|error| format!("cargo could not be started: {error}"))?;
    if status.code() != Some(2) {
        return Err("a driver without a device must be told apart".into());
    }
    println!("EMULATED: all green; nothing was run on a GPU");
    Ok(ExitCode::SUCCESS)
}

/// Builds the emulator; gives a folder in which it has the names of NVIDIA's libraries, and one in which cuBLAS and cuDNN are missing.
fn links(root: &Path) -> Result<(PathBuf, PathBuf), String> {
    let messages = cargo_output(
        root,
        &["build", "-p", "striate-cuda-emu", "--quiet", "--message-format", "json-render-diagnostics"],
    )?;
    let library = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "striate_cuda_emu")
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .find(|file| file.extension().is_some_and(|extension| extension == "so"))
        .ok_or("cargo named no library; the emulator runs on Linux")?;
    let made = |folder: &str, names: &[&str]| -> Result<PathBuf, String> {
        let folder = library.parent().unwrap_or(root).join(folder);
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        // One file under several names: loaded under each of them it is one library, with one device's state.
        for (i, name) in names.iter().enumerate() {
            let link = folder.join(name);
            let _ = std::fs::remove_file(&link);
            let made = match i {
                0 => std::fs::copy(&library, &link).map(|_| ()),
                _ => std::fs::hard_link(folder.join(names[0]), &link),
            };
            made.map_err(|error| format!("{}: {error}", link.display()))?;
        }
        Ok(folder)
    };
    Ok((
        made("cuda-emulated", &["libcuda.so", "libnvrtc.so", "libcublas.so", "libcudnn.so"])?,
        made("cuda-emulated-alone", &["libcuda.so", "libnvrtc.so"])?,
    ))
}
