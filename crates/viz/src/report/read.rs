//! The notes of a run, from its folder.

use super::diary::{page_path, pages};
use super::{BEGIN, END, NOTES, PINS};
use crate::answers::Answers;
use serde_json::Value;
use std::path::Path;
use striate_tensor::{Error, Result};
use striate_train::History;

/// A file of notes is not read beyond this size.
const MOST_BYTES: u64 = 64 << 20;

/// All that a report is made of.
pub(super) struct Notes {
    pub(super) begin: Value,
    /// Null before the run had its data.
    pub(super) pins: Value,
    /// Pages of the diary in order.
    pub(super) pages: Vec<Value>,
    /// Null while the run is not over.
    pub(super) end: Value,
    /// What run.json holds; null while the run is not over.
    pub(super) run: Value,
    pub(super) history: History,
    pub(super) answers: Option<Answers>,
}

impl Notes {
    pub(super) fn read(run: &Path) -> Result<Notes> {
        let folder = run.join(NOTES);
        let begin = json_file(&folder.join(BEGIN))?;
        if begin.is_null() {
            return Err(Error::data(
                run.display().to_string(),
                format!("a run's folder must hold what it began with, {NOTES}/{BEGIN}"),
                "no such file",
                "name the folder that `striate train --out` wrote to",
            ));
        }
        let end = json_file(&folder.join(END))?;
        let history = run.join("history.csv");
        let answers = run.join("answers.csv");
        let classes = end["class_names"].as_array().map_or(0, Vec::len);
        Ok(Notes {
            pins: json_file(&folder.join(PINS))?,
            pages: pages(&folder)?
                .into_iter()
                .map(|epoch| json_file(&page_path(&folder, epoch)))
                .collect::<Result<_>>()?,
            // A run that goes on in the folder of an older one has the older one's file until it ends.
            run: if end.is_null() { Value::Null } else { json_file(&run.join("run.json"))? },
            history: if history.exists() { History::read_csv(&history)? } else { History::default() },
            answers: if classes > 0 && answers.exists() { Some(Answers::read_csv(&answers, classes)?) } else { None },
            begin,
            end,
        })
    }
}

/// Null if there is no such file.
fn json_file(path: &Path) -> Result<Value> {
    let refuse = |received: String| {
        let rule = "notes of a run must be JSON as `striate train` wrote it";
        Error::data(path.display().to_string(), rule, received, "")
    };
    let size = match std::fs::metadata(path) {
        Ok(file) => file.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Value::Null),
        Err(error) => return Err(Error::io(path, "reading", error)),
    };
    if size > MOST_BYTES {
        return Err(refuse(format!("{size} bytes")));
    }
    let text = std::fs::read(path).map_err(|error| Error::io(path, "reading", error))?;
    serde_json::from_slice(&text).map_err(|error| refuse(error.to_string()))
}
