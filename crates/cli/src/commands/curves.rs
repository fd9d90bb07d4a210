//! `striate curves`: the curves of runs, from what they wrote.

use super::explain::{make_folder_of, wrote};
use crate::output::Output;
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use striate::prelude::History;
use striate::viz::{Curves, Theme, check_ending};
use striate::{Error, Result};

/// `striate curves`.
#[derive(Debug, Args)]
pub struct CurvesArguments {
    /// Folders of runs, or their history.csv; one to seven.
    #[arg(required = true, num_args = 1..=7)]
    runs: Vec<PathBuf>,
    /// The file to write, .svg or .png.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Show moving averages that keep this share of themselves at each epoch; the lecture takes 0.8.
    #[arg(long, value_name = "FACTOR", default_value_t = 0.0)]
    smooth: f64,
    /// A line above the curves.
    #[arg(long, value_name = "TEXT", default_value = "")]
    title: String,
    /// Light on dark.
    #[arg(long)]
    dark: bool,
}

/// Runs the command.
pub fn run(arguments: &CurvesArguments, output: &Output) -> Result<ExitCode> {
    if !(0.0..1.0).contains(&arguments.smooth) {
        let received = arguments.smooth.to_string();
        return Err(Error::argument("--smooth", "must be at least 0 and below 1", received, "the lecture takes 0.8"));
    }
    check_ending(&arguments.out, &Curves::ENDINGS)?;
    let histories = arguments
        .runs
        .iter()
        .map(|run| Ok((name_of(run), history(run)?.smoothed(arguments.smooth))))
        .collect::<Result<Vec<_>>>()?;
    let curves = Curves::compare(histories.iter().map(|(name, history)| (name.as_str(), history)))
        .title(&arguments.title)
        .theme(if arguments.dark { Theme::Dark } else { Theme::Light });
    make_folder_of(&arguments.out)?;
    curves.write(&arguments.out)?;
    wrote(&arguments.out, output);
    Ok(ExitCode::SUCCESS)
}

fn history(run: &Path) -> Result<History> {
    History::read_csv(if run.is_dir() { run.join("history.csv") } else { run.to_path_buf() })
}

/// The folder's name.
fn name_of(run: &Path) -> String {
    let folder = if run.is_dir() { Some(run) } else { run.parent() };
    let name = folder.and_then(Path::file_name).or_else(|| run.file_stem());
    name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
