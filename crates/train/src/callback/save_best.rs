//! Keeps the best epoch's model on disk.

use super::monitor::{Mode, Monitor, monitor_builders};
use super::{Callback, CallbackState, Flow, Moment};
use serde_json::{Map, json};
use std::path::PathBuf;
use striate_formats::{ModelFile, save};
use striate_tensor::Result;

/// Writes the model after every epoch whose monitored value is the best so far: Keras's `ModelCheckpoint` with `save_best_only`.
///
/// Source: <https://keras.io/api/callbacks/model_checkpoint/>.
///
/// ```
/// use striate_train::callback::SaveBest;
/// let save = SaveBest::new("best.safetensors").monitor("val_accuracy");
/// # let _: Box<dyn striate_train::Callback> = Box::new(save);
/// ```
#[derive(Debug, Clone)]
pub struct SaveBest {
    path: PathBuf,
    monitor: Monitor,
    class_names: Vec<String>,
    preprocessing: String,
    best: Option<f64>,
}

impl SaveBest {
    /// Writes to `path`, watching `val_loss`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        SaveBest {
            path: path.into(),
            monitor: Monitor::new("SaveBest", 0.0),
            class_names: Vec::new(),
            preprocessing: String::new(),
            best: None,
        }
    }

    monitor_builders!();

    /// What else the file says: see [`ModelFile`]. Default nothing.
    pub fn describe(mut self, class_names: Vec<String>, preprocessing: impl Into<String>) -> Self {
        (self.class_names, self.preprocessing) = (class_names, preprocessing.into());
        self
    }
}

impl Callback for SaveBest {
    fn on_train_begin(&mut self, _moment: &mut Moment<'_>) -> Result<()> {
        self.best = None;
        Ok(())
    }

    fn on_epoch_end(&mut self, moment: &mut Moment<'_>) -> Result<Flow> {
        let value = self.monitor.value(moment.history)?;
        if self.monitor.is_better(value, self.best) {
            let file = ModelFile {
                class_names: self.class_names.clone(),
                preprocessing: self.preprocessing.clone(),
                ..ModelFile::of(moment.model.clone())
            };
            save(&file, &self.path)?;
            self.best = Some(value);
        }
        Ok(Flow::Continue)
    }

    fn state(&self) -> CallbackState {
        CallbackState { values: Map::from_iter([("best".to_string(), json!(self.best))]), tensors: Vec::new() }
    }

    fn restore(&mut self, state: &CallbackState) -> Result<()> {
        self.best = state.number("best")?;
        Ok(())
    }
}
