//! What contributors run: `cargo xtask check`, `test`, `smoke`, `download`.
#![forbid(unsafe_code)]

mod check;
mod download;
mod floors;
mod run;
mod smoke;

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
    /// Download a data set, verified, into datasets/ or another folder: mnist.
    Download {
        /// The data set.
        name: String,
        /// The folder that gets a subfolder of that name.
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
        Task::Download { name, to } => download::run(&name, &to.unwrap_or_else(|| root.join("datasets"))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
