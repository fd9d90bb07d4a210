//! The history as a table on disk while a run goes on.

use super::{Callback, CallbackState, Flow, Moment};
use serde_json::{Map, json};
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use striate_tensor::{Error, Result, replace_file};

/// Keeps a CSV file with a line for every epoch: Keras's `CSVLogger`.
///
/// The file is replaced as a whole after each epoch, so that no reader and no crash sees half a line; a run that is resumed
/// goes on in the same table without a gap or a line twice.
///
/// Source: <https://keras.io/api/callbacks/csv_logger/>.
///
/// ```
/// use striate_train::callback::CsvLog;
/// let log = CsvLog::new("history.csv").append(true);
/// # let _: Box<dyn striate_train::Callback> = Box::new(log);
/// ```
#[derive(Debug, Clone)]
pub struct CsvLog {
    path: PathBuf,
    appends: bool,
    /// What the file held before this run; empty unless it appends.
    earlier: String,
}

impl CsvLog {
    /// A table of this run alone.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        CsvLog { path: path.into(), appends: false, earlier: String::new() }
    }

    /// Keeps the lines that the file holds already and adds below them. Default false.
    pub fn append(mut self, appends: bool) -> Self {
        self.appends = appends;
        self
    }
}

impl Callback for CsvLog {
    fn on_train_begin(&mut self, _moment: &mut Moment<'_>) -> Result<()> {
        self.earlier.clear();
        if self.appends {
            match fs::read_to_string(&self.path) {
                Ok(text) => self.earlier = text,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io(&self.path, "reading", error)),
            }
            // A last line that another program was cut off in.
            self.earlier.truncate(self.earlier.rfind('\n').map_or(0, |end| end + 1));
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, moment: &mut Moment<'_>) -> Result<Flow> {
        let table = moment.history.to_csv();
        if self.earlier.is_empty() {
            replace_file(&self.path, table.as_bytes())?;
            return Ok(Flow::Continue);
        }
        let (header, lines) = table.split_once('\n').unwrap_or((&table, ""));
        let found = self.earlier.lines().next().unwrap_or_default();
        if found != header {
            return Err(Error::data(
                self.path.display().to_string(),
                format!("lines can be added to a table with the columns {header}"),
                found,
                "choose another file, or do not append",
            ));
        }
        replace_file(&self.path, [&self.earlier, lines].concat().as_bytes())?;
        Ok(Flow::Continue)
    }

    fn state(&self) -> CallbackState {
        let earlier = ("earlier_bytes".to_string(), json!(self.earlier.len()));
        CallbackState { values: Map::from_iter([earlier]), tensors: Vec::new() }
    }

    fn restore(&mut self, state: &CallbackState) -> Result<()> {
        // What follows are lines of this run, which its history holds too.
        let length = state.count("earlier_bytes")?;
        if self.earlier.is_char_boundary(length) {
            self.earlier.truncate(length);
        }
        Ok(())
    }
}
