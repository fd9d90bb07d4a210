//! What contributors run: `cargo xtask check`, `test`, `smoke`, `test-gpu`, `check-kernels`, `download`.
#![forbid(unsafe_code)]

mod bench_peers;
mod check;
mod check_kernels;
mod download;
mod floors;
mod memcheck;
mod run;
mod smoke;
mod test_gpu;
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
    /// Run the kernels' edge tests and the memory arena's under valgrind's memcheck; skips with a word where valgrind is not installed.
    Memcheck,
    /// Run the CUDA back end's tests on the GPU of this machine. Without one it ends with code 2 and says why.
    TestGpu {
        /// Run them on an emulated device instead: threads as fibers on the CPU. Needs g++.
        #[arg(long)]
        emulate: bool,
        /// Run them under compute-sanitizer, which comes with NVIDIA's toolkit. Emulated: in more orders of threads, and memory that was freed
        /// is watched too.
        #[arg(long)]
        sanitize: bool,
        /// Fail with code 1 rather than 2 where there is no GPU.
        #[arg(long, conflicts_with = "emulate")]
        require_gpu: bool,
        /// Emulated: one order of threads instead of 0, 1 and 7.
        #[arg(long, requires = "emulate")]
        order: Option<u32>,
    },
    /// Compile every kernel with NVIDIA's own compiler for every architecture, and hold registers, spills and shared memory to the committed table.
    /// Needs no GPU. Without the compiler it ends with code 2.
    CheckKernels {
        /// Write the table instead of checking it.
        #[arg(long)]
        update: bool,
        /// Get the compiler first, with pip, into target/nvrtc.
        #[arg(long)]
        install: bool,
    },
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
        /// Also Burn and Candle, for mnist_train and catsdogs_train: builds them first, which takes minutes and the network.
        #[arg(long)]
        rust: bool,
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
        Task::TestGpu { emulate, sanitize, require_gpu, order } => {
            return test_gpu::run(root, &test_gpu::Options { emulate, sanitize, require_gpu, order });
        }
        Task::CheckKernels { update, install } => return check_kernels::run(root, update, install),
        Task::BenchPeers { workloads, rounds, repeat, threads, data, venv, rust } => {
            bench_peers::run(root, &bench_peers::Options { workloads, rounds, repeat, threads, data, venv, rust })
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
