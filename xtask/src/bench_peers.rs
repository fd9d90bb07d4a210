//! Our workloads and other programs' in turn, and a table of ratios.

use crate::run::cargo;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Workload, and whether ONNX Runtime can do it.
const WORKLOADS: [(&str, bool); 12] = [
    ("mnist_train", false),
    ("mnist_infer_1000", true),
    ("mnist_latency_1", true),
    ("catsdogs_train", false),
    ("vgg16_features_150", true),
    ("vgg16_top_224_1", true),
    ("vgg16_top_224_16", true),
    ("vgg16_frozen_train", false),
    ("vgg16_finetune", false),
    ("vgg16_full_train", false),
    ("filter_pattern", false),
    ("filter_grid", false),
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
    /// The virtual environment with the peers.
    pub venv: Option<PathBuf>,
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
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let program = target.join("release").join("striate");
    let unknown: Vec<&String> =
        options.workloads.iter().filter(|name| !WORKLOADS.iter().any(|(known, _)| known == name)).collect();
    if !unknown.is_empty() {
        return Err(format!("no workload of that name: {unknown:?}"));
    }
    println!("| workload | striate | best peer | ratio | memory MB, ours / theirs | others |");
    println!("|---|---|---|---|---|---|");
    for (workload, with_runtime) in WORKLOADS {
        if !options.workloads.is_empty() && !options.workloads.iter().any(|name| name == workload) {
            continue;
        }
        let mut contenders = vec!["striate", "torch", "torch-nhwc"];
        if with_runtime {
            contenders.push("onnxruntime");
        }
        let mut figures: Vec<Figures> =
            contenders.into_iter().map(|name| Figures { name, medians: Vec::new(), memory: 0.0 }).collect();
        let mut unit = String::new();
        for _ in 0..options.rounds {
            for figure in &mut figures {
                let line = if figure.name == "striate" {
                    ours(&program, workload, options)?
                } else {
                    theirs(root, &python, figure.name, workload, options)?
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
            ["install", "--quiet", "torch", "onnx", "onnxruntime", "onnxscript", "numpy"].map(String::from).to_vec(),
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
    last_line(Command::new(program).args(["bench", workload, "--json", "--repeat", &repeat, "--threads", &threads]))
}

fn theirs(root: &Path, python: &Path, peer: &str, workload: &str, options: &Options) -> Result<Value, String> {
    let (repeat, threads) = (options.repeat.to_string(), options.threads.to_string());
    let script = root.join("benches").join("peers").join("peers.py");
    let mut command = Command::new(python);
    command.arg(script).args([peer, workload, &threads, &repeat]).envs(KEEP_MEMORY);
    // Some systems slow the peers' own libraries down with this.
    command.env_remove("OPENBLAS_CORETYPE");
    last_line(&mut command)
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
