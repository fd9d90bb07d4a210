//! A run as one page: what it writes while it goes on, and the page that is made of that.
//!
//! A run leaves its notes in the folder [`NOTES`] of its own: what it began with ([`begin`]), a page of a diary for some of its epochs
//! ([`Diary`]), and what came out ([`end`]). [`write_report`] makes `report.html` of them, of `history.csv`, `answers.csv` and `run.json`, and
//! needs nothing else: a run that was killed has a report of what there is.

mod diary;
mod embed;
mod ending;
mod page;
mod pins;
mod read;
mod tiles;

pub use diary::Diary;
pub(crate) use ending::sample_image;
pub use ending::{Ending, end};
pub use pins::Pins;

use page::page;
use serde_json::{Value, json};
use std::path::Path;
use striate_nn::{Costs, Model};
use striate_tensor::{Error, Result, replace_file};

/// The folder of a run that holds what its report is made of.
pub const NOTES: &str = "report";
/// The file in a run's folder that holds the report.
pub const REPORT: &str = "report.html";
/// In [`NOTES`].
const BEGIN: &str = "begin.json";
/// In [`NOTES`].
const PINS: &str = "pins.json";
/// In [`NOTES`].
const END: &str = "end.json";

/// Writes down what a run begins with: its recipe, the command that repeats it, the version of the program, and the model.
///
/// # Errors
/// [`Error::Io`].
pub fn begin(run: &Path, recipe: &str, command: &str, version: &str, model: &Model) -> Result<()> {
    let costs = Costs::of(model);
    let layers: Vec<Value> = costs
        .layers
        .iter()
        .map(|layer| {
            json!({
                "path": layer.path,
                "class": layer.class,
                "shape": layer.output_shape,
                "arithmetic": layer.arithmetic,
                "parameters": layer.parameters,
                "multiply_adds": layer.multiply_adds,
                "activation_bytes": layer.activation_bytes,
                "receptive_field": layer.receptive_field,
            })
        })
        .collect();
    let summary = model.summary();
    let notes = json!({
        "recipe": recipe,
        "command": command,
        "version": version,
        "model": model.name(),
        "parameters": summary.total,
        "trainable": summary.trainable,
        "multiply_adds": costs.multiply_adds,
        "weight_bytes": costs.weight_bytes,
        "layers": layers,
    });
    let folder = run.join(NOTES);
    std::fs::create_dir_all(&folder).map_err(|error| Error::io(&folder, "making", error))?;
    write(&folder.join(BEGIN), &notes)
}

/// Makes the page of a run's folder, of a run that is over or was stopped. It holds everything it shows: nothing is fetched.
///
/// # Errors
/// [`Error::Data`] for a folder without the notes of a run, or with notes that are none.
pub fn report(run: &Path) -> Result<String> {
    read::Notes::read(run).and_then(|notes| page(&notes))
}

/// Writes [`report()`] to `report.html` in the run's folder, all of it or nothing.
///
/// # Errors
/// As [`report()`]; [`Error::Io`].
pub fn write_report(run: &Path) -> Result<()> {
    replace_file(run.join(REPORT), report(run)?.as_bytes())
}

fn write(path: &Path, notes: &Value) -> Result<()> {
    replace_file(path, notes.to_string().as_bytes())
}
