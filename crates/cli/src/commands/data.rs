//! `striate data`: data sets and weight files by name.

use crate::output::Output;
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use striate::Result;
use striate::data::catalog::{DownloadOptions, Entry, Kind, Origin, State, download, entries, entry, verify};

/// `striate data`.
#[derive(Debug, Args)]
pub struct DataArguments {
    /// What to do.
    #[command(subcommand)]
    pub command: DataCommand,
}

/// What can be done with data.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Show what can be had, its size, its terms, and where it lies on this machine.
    List,
    /// Fetch a data set or a weight file, checked, from where an earlier try stopped; or make it out of what is here already.
    Download {
        /// What to fetch: a name that list shows.
        name: String,
        /// The folder that gets it, in a subfolder [default: the cache folder, where everything looks].
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
        /// A folder, a file or an address to take instead of the official address.
        #[arg(long, value_name = "FOLDER|FILE|URL")]
        from: Option<String>,
    },
    /// Check what is on this machine against the catalogue's sizes and checksums.
    Verify {
        /// What to check [default: all that is here].
        name: Option<String>,
        /// The folder with the data [default: $STRIATE_DATA, the cache folder, datasets/].
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
}

/// Runs the command.
pub fn run(arguments: &DataArguments, output: &Output) -> Result<ExitCode> {
    match &arguments.command {
        DataCommand::List => list(output),
        DataCommand::Download { name, to, from } => {
            let options = DownloadOptions { to: to.clone(), from: from.clone(), progress: true };
            fetch(entry(name)?, &options, output)
        }
        DataCommand::Verify { name, data } => check(name.as_deref(), data.clone(), output),
    }
}

fn list(output: &Output) -> Result<ExitCode> {
    for entry in entries()? {
        let size = entry.download_size().filter(|&size| size > 0);
        let shown = size.map_or_else(|| "?".into(), |size| format!("{:.1} MB", size as f64 / 1e6));
        let found = entry.find(None).ok().map(|path| path.display().to_string());
        output.text(format!("{:<18} {shown:>9}  {}", entry.name, entry.title));
        output.text(format!("{:<28}  {}", "", entry.licence));
        if let Some(found) = &found {
            output.text(format!("{:<28}  here: {found}", ""));
        } else if !entry.by_hand.is_empty() {
            output.text(format!("{:<28}  by hand: {}: {}", "", entry.page, entry.by_hand));
        }
        output.object(&json!({
            "name": entry.name,
            "kind": if entry.kind == Kind::Dataset { "dataset" } else { "weights" },
            "title": entry.title,
            "licence": entry.licence,
            "page": entry.page,
            "bytes": size,
            "path": found,
        }));
    }
    Ok(ExitCode::SUCCESS)
}

fn fetch(entry: &Entry, options: &DownloadOptions, output: &Output) -> Result<ExitCode> {
    for file in download(entry, options)? {
        let path = file.path.display().to_string();
        let origin = match &file.origin {
            Origin::Here => "here already".to_string(),
            Origin::Address(address) => format!("from {address}"),
            Origin::File(from) => format!("from {}", from.display()),
        };
        let doubt = if file.proven { "" } else { " (no checksum is known for it)" };
        output.text(format!("{path}: {origin}{doubt}"));
        output.object(&json!({ "name": entry.name, "path": path, "origin": origin, "proven": file.proven }));
    }
    Ok(ExitCode::SUCCESS)
}

fn check(name: Option<&str>, data: Option<PathBuf>, output: &Output) -> Result<ExitCode> {
    let data = data.as_deref();
    let chosen: Vec<&Entry> = match name {
        Some(name) => vec![entry(name)?],
        None => entries()?.iter().filter(|entry| entry.find(data).is_ok()).collect(),
    };
    let mut code = ExitCode::SUCCESS;
    for entry in chosen {
        for file in verify(entry, data)? {
            let (state, text) = match &file.state {
                State::Whole => ("whole", "whole".to_string()),
                State::Unproven => ("unproven", "there; no checksum is known for it".to_string()),
                State::Wrong(reason) => ("wrong", format!("wrong: {reason}")),
                State::Missing => ("missing", "missing".to_string()),
            };
            if matches!(file.state, State::Wrong(_) | State::Missing) {
                code = ExitCode::FAILURE;
            }
            let path = file.path.display().to_string();
            output.text(format!("{}: {path}: {text}", entry.name));
            output.object(&json!({ "name": entry.name, "path": path, "state": state, "text": text }));
        }
    }
    Ok(code)
}
