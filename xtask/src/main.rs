//! What contributors run: `cargo xtask check`, `test`, `smoke`, `download`.
#![forbid(unsafe_code)]

mod bench_peers;
mod check;
mod download;
mod floors;
mod memcheck;
mod run;
mod smoke;
mod test_page;

use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Tasks of the striate workspace.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check the rules of the house: who depends on whom, dependency budgets, READMEs, unsafe code, documentation examples.
    Check,
    /// Run every test of the workspace, documentation examples included.
    Test,
    /// Train MNIST for one epoch with the release program and check what it says and writes.
    Smoke,
    /// Drive the pages that the program serves in headless Chromium; skips with a word where there is none.
    TestPage {
        /// Strokes of the memory test.
        #[arg(long, default_value_t = 1000)]
        strokes: usize,
    },
    /// Run the kernels' edge tests under valgrind's memcheck; skips with a word where valgrind is not installed.
    Memcheck,
    /// Measure `striate bench` against other programs, in turn, and print a table with ratios.
    BenchPeers {
        /// Workloads [default: all].
        workloads: Vec<String>,
        /// Rounds of all contenders; the median of the rounds counts.
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// Repetitions a round.
        #[arg(long, default_value_t = 5)]
        repeat: usize,
        /// Threads of every contender.
        #[arg(long, default_value_t = 2)]
        threads: usize,
        /// The folder of photographs for the workload augment, which is left out without it.
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// A virtual environment that has the peers [default: target/peers, made if it is absent].
        #[arg(long)]
        venv: Option<PathBuf>,
    },
    /// Download a data set or weights, verified, into datasets/ or another folder: what `striate data list` shows.
    Download {
        /// The data set, or the weights.
        name: String,
        /// A folder, a file or an address to take instead of the official one; for cats-dogs the archive, which everybody has to
        /// fetch alone: without it this says where.
        #[arg(long, value_name = "FOLDER|FILE|URL")]
        from: Option<String>,
        /// The folder that gets it, in a subfolder.
        #[arg(long)]
        to: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let result = match Cli::parse().task {
        Task::Check => check::run(root),
        Task::Test => run::cargo(root, &["test", "--workspace", "--quiet"]),
        Task::Smoke => smoke::run(root),
        Task::TestPage { strokes } => test_page::run(root, strokes),
        Task::Memcheck => memcheck::run(root),
        Task::BenchPeers { workloads, rounds, repeat, threads, data, venv } => {
            bench_peers::run(root, &bench_peers::Options { workloads, rounds, repeat, threads, data, venv })
        }
        Task::Download { name, from, to } => download::run(&name, from, &to.unwrap_or_else(|| root.join("datasets"))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
