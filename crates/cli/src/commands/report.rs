//! `striate report`: the page of a run, from what it wrote.

use super::explain::wrote;
use crate::output::Output;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use striate::Result;
use striate::tensor::replace_file;
use striate::viz::report::{REPORT, report};

/// `striate report`.
#[derive(Debug, Args)]
pub struct ReportArguments {
    /// The folder of a run, which may still go on or have been stopped.
    run: PathBuf,
    /// The file to write [default: RUN/report.html].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Runs the command.
pub fn run(arguments: &ReportArguments, output: &Output) -> Result<ExitCode> {
    let page = report(&arguments.run)?;
    let path = arguments.out.clone().unwrap_or_else(|| arguments.run.join(REPORT));
    super::explain::make_folder_of(&path)?;
    replace_file(&path, page.as_bytes())?;
    wrote(&path, output);
    Ok(ExitCode::SUCCESS)
}
