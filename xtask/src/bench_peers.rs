//! Our workloads and other programs' in turn, and a table of ratios.

mod convolutions;

use crate::run::cargo;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Who trains.
const TRAINING: &[&str] = &["torch", "torch-nhwc"];
/// Who trains, and is built only when it is asked for: Rust programs.
const RUST: &[&str] = &["burn", "candle"];
/// What they train.
const RUST_TRAINS: &[&str] = &["mnist_train", "catsdogs_train"];
/// Who computes forward passes.
const FORWARD: &[&str] = &["torch", "torch-nhwc", "onnxruntime"];
/// The workloads that need a folder of photographs: brought to their size by the nearest pixel, and smoothed.
const AUGMENT: [&str; 2] = ["augment", "augment_smooth"];

/// The workload of single convolutions, with a table of its own.
const CONVOLUTIONS: &str = "conv_micro";

/// Workload, and who can do it.
const WORKLOADS: [(&str, &[&str]); 14] = [
    ("mnist_train", TRAINING),
    ("mnist_infer_1000", FORWARD),
    ("mnist_latency_1", FORWARD),
    ("catsdogs_train", TRAINING),
    ("vgg16_features_150", FORWARD),
    ("vgg16_top_224_1", FORWARD),
    ("vgg16_top_224_16", FORWARD),
    ("vgg16_frozen_train", TRAINING),
    ("vgg16_finetune", TRAINING),
    ("vgg16_full_train", TRAINING),
    ("filter_pattern", TRAINING),
    ("filter_grid", TRAINING),
    (AUGMENT[0], &["keras"]),
    (AUGMENT[1], &["torchvision", "albumentations"]),
];

/// What pip installs.
const PEERS: [&str; 11] = [
    "torch",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "numpy",
    "keras",
    "scipy",
    "pillow",
    "torchvision",
    "albumentations",
    "opencv-python-headless",
];

/// glibc keeps freed memory: fair to the peers, whose time would else go into page faults.
const KEEP_MEMORY: [(&str, &str); 3] = [
    ("MALLOC_MMAP_THRESHOLD_", "8589934592"),
    ("MALLOC_TRIM_THRESHOLD_", "17179869184"),
    ("MALLOC_TOP_PAD_", "268435456"),
];

/// What the command line says.
pub struct Options {
    /// Workloads; empty for all.
    pub workloads: Vec<String>,
    /// Rounds of all contenders.
    pub rounds: usize,
    /// Repetitions a round.
    pub repeat: usize,
    /// Threads of every contender.
    pub threads: usize,
    /// The photographs of the workload augment.
    pub data: Option<PathBuf>,
    /// The virtual environment with the peers.
    pub venv: Option<PathBuf>,
    /// Burn and Candle too.
    pub rust: bool,
}

/// One contender's figures over the rounds.
struct Figures {
    name: &'static str,
    medians: Vec<f64>,
    memory: f64,
}

/// Runs it.
pub fn run(root: &Path, options: &Options) -> Result<(), String> {
    let venv = options.venv.clone().unwrap_or_else(|| root.join("target").join("peers"));
    let python = venv.join("bin").join("python");
    if !python.exists() {
        install(&venv)?;
    }
    cargo(root, &["build", "--release", "--quiet"])?;
    let program = target(root).join("release").join("striate");
    let unknown: Vec<&String> = options.workloads.iter().filter(|name| !is_known(name)).collect();
    if !unknown.is_empty() {
        return Err(format!("no workload of that name: {unknown:?}"));
    }
    let wanted = |workload: &str| options.workloads.is_empty() || options.workloads.iter().any(|name| name == workload);
    if WORKLOADS.iter().any(|(workload, _)| wanted(workload)) {
        workloads(root, &python, &program, options, &wanted)?;
    }
    if wanted(CONVOLUTIONS) {
        convolutions::compare(root, &python, &program, options)?;
    }
    Ok(())
}

fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// Builds Burn's and Candle's program, which is no part of this workspace, in its own folder, whose settings count then.
fn build_rust_peers(root: &Path) -> Result<PathBuf, String> {
    let target = target(root).join("rust-peers");
    eprintln!("building Burn and Candle into {} (minutes, once)", target.display());
    let folder = root.join("benches").join("peers").join("rust");
    cargo(&folder, &["build", "--release", "--locked", "--quiet", "--target-dir", &target.display().to_string()])?;
    Ok(target.join("release").join("rust-peers"))
}

fn is_known(name: &str) -> bool {
    name == CONVOLUTIONS || WORKLOADS.iter().any(|(known, _)| *known == name)
}

/// The table of the larger workloads.
fn workloads(
    root: &Path,
    python: &Path,
    program: &Path,
    options: &Options,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<(), String> {
    let rust = options.rust && RUST_TRAINS.iter().any(|workload| wanted(workload));
    let rust = if rust { Some(build_rust_peers(root)?) } else { None };
    println!("| workload | striate | best peer | ratio | memory MB, ours / theirs | others |");
    println!("|---|---|---|---|---|---|");
    for (workload, peers) in WORKLOADS {
        if !wanted(workload) {
            continue;
        }
        if AUGMENT.contains(&workload) && options.data.is_none() {
            eprintln!("{workload} is left out: it needs --data");
            continue;
        }
        let in_rust = if rust.is_some() && RUST_TRAINS.contains(&workload) { RUST } else { &[] };
        let contenders = ["striate"].iter().chain(peers).chain(in_rust);
        let mut figures: Vec<Figures> =
            contenders.map(|&name| Figures { name, medians: Vec::new(), memory: 0.0 }).collect();
        let mut unit = String::new();
        for _ in 0..options.rounds {
            for figure in &mut figures {
                let line = match &rust {
                    _ if figure.name == "striate" => ours(program, workload, options)?,
                    Some(rust) if RUST.contains(&figure.name) => by_rust(rust, figure.name, workload, options)?,
                    _ => theirs(root, python, figure.name, workload, options)?,
                };
                figure.medians.push(line["median"].as_f64().ok_or("a line without median")?);
                figure.memory = figure.memory.max(line["peak_rss_bytes"].as_f64().unwrap_or(0.0) / 1e6);
                unit = line["unit"].as_str().unwrap_or_default().to_string();
            }
        }
        println!("{}", row(workload, &unit, &mut figures));
    }
    Ok(())
}

fn install(venv: &Path) -> Result<(), String> {
    eprintln!("installing the peers into {} (gigabytes, once)", venv.display());
    let steps = [
        ("python3".to_string(), vec!["-m".to_string(), "venv".into(), venv.display().to_string()]),
        (
            venv.join("bin").join("pip").display().to_string(),
            ["install", "--quiet"].iter().chain(&PEERS).map(|word| word.to_string()).collect(),
        ),
    ];
    for (program, arguments) in steps {
        let status = Command::new(&program).args(&arguments).status().map_err(|e| format!("{program}: {e}"))?;
        if !status.success() {
            return Err(format!("{program} {} failed", arguments.join(" ")));
        }
    }
    Ok(())
}

fn last_line(command: &mut Command) -> Result<Value, String> {
    let output = command.stderr(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().ok_or_else(|| format!("{command:?} printed nothing"))?;
    serde_json::from_str(line).map_err(|error| format!("{command:?}: {error}"))
}

fn ours(program: &Path, workload: &str, options: &Options) -> Result<Value, String> {
    let (repeat, threads) = (options.repeat.to_string(), options.threads.to_string());
    let mut command = Command::new(program);
    command.args(["bench", workload, "--json", "--repeat", &repeat, "--threads", &threads]);
    if let Some(data) = options.data.as_ref().filter(|_| AUGMENT.contains(&workload)) {
        command.arg("--data").arg(data);
    }
    last_line(&mut command)
}

fn theirs(root: &Path, python: &Path, peer: &str, workload: &str, options: &Options) -> Result<Value, String> {
    let (repeat, threads) = (options.repeat.to_string(), options.threads.to_string());
    let scripts = root.join("benches").join("peers");
    let mut command = Command::new(python);
    match &options.data {
        Some(data) if AUGMENT.contains(&workload) => {
            command.arg(scripts.join("augment.py")).arg(peer).arg(data).args([&threads, &repeat])
        }
        _ => command.arg(scripts.join("peers.py")).args([peer, workload, &threads, &repeat]),
    };
    last_line(fair(&mut command))
}

fn by_rust(program: &Path, peer: &str, workload: &str, options: &Options) -> Result<Value, String> {
    let (repeat, threads) = (options.repeat.to_string(), options.threads.to_string());
    let mut command = Command::new(program);
    last_line(fair(command.args([peer, workload, &threads, &repeat])))
}

/// The environment in which a peer is at its best.
fn fair(command: &mut Command) -> &mut Command {
    // Some systems slow the peers' own libraries down with this.
    command.envs(KEEP_MEMORY).env_remove("OPENBLAS_CORETYPE")
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
}

fn row(workload: &str, unit: &str, figures: &mut [Figures]) -> String {
    let lower_is_better = unit != "images/s";
    let values: Vec<(&'static str, f64, f64)> =
        figures.iter_mut().map(|figure| (figure.name, median(&mut figure.medians), figure.memory)).collect();
    let (_, own, own_memory) = values[0];
    let better = |a: f64, b: f64| if lower_is_better { b.total_cmp(&a) } else { a.total_cmp(&b) };
    let best = values[1..].iter().max_by(|a, b| better(a.1, b.1)).copied().unwrap_or(("none", f64::NAN, 0.0));
    let ratio = if lower_is_better { best.1 / own } else { own / best.1 };
    let digits = if own < 1.0 {
        4
    } else if own < 100.0 {
        2
    } else {
        0
    };
    let others: Vec<String> = values[1..]
        .iter()
        .filter(|(name, ..)| *name != best.0)
        .map(|(name, value, _)| format!("{name} {value:.digits$}"))
        .collect();
    format!(
        "| {workload} | {own:.digits$} {unit} | {} {:.digits$} | **{ratio:.2}** | {own_memory:.0} / {:.0} | {} |",
        best.0,
        best.1,
        best.2,
        others.join(", ")
    )
}
