//! The state of an unfinished run as one file: weights, optimizer, history.

use crate::history::{EpochRecord, History};
use crate::training::Training;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;
use striate_formats::{TensorFile, write_tensors};
use striate_optim::OptimizerState;
use striate_tensor::{Error, Result, Tensor};

/// The metadata key of everything that is no tensor.
const STATE: &str = "training_state";
const WEIGHTS: &str = "weights/";
const OPTIMIZER: &str = "optimizer/";

/// What decides the bits of a run besides model, optimizer and data: a run can only go on under the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) seed: u64,
    pub(crate) batch_size: usize,
    pub(crate) steps: usize,
    pub(crate) shuffle: bool,
}

impl Setting {
    fn to_json(&self, training: &Training<'_>) -> Value {
        json!({
            "seed": self.seed,
            "batch_size": self.batch_size,
            "steps_per_epoch": self.steps,
            "shuffle": self.shuffle,
            "model": training.model.graph().to_json(),
            "optimizer": training.optimizer.optimizer().config(),
        })
    }
}

/// Writes the state after an epoch.
pub(crate) fn write(path: &Path, setting: &Setting, training: &Training<'_>, history: &History) -> Result<()> {
    let epochs: Vec<Value> = history
        .epochs
        .iter()
        .map(|record| {
            let values: Vec<Value> = record.values.iter().map(|(name, value)| json!([name, value])).collect();
            json!({
                "epoch": record.epoch,
                "values": values,
                "seconds": record.seconds,
                "images_per_second": record.images_per_second,
            })
        })
        .collect();
    let optimizer = training.optimizer.export_state();
    let state = json!({
        "setting": setting.to_json(training),
        "iterations": optimizer.iterations,
        "learning_rate_factor": optimizer.learning_rate_factor,
        "history": epochs,
    });
    let weights = training.model.weights().map(|(spec, value)| (format!("{WEIGHTS}{}", spec.path), value));
    let slots = optimizer.slots.iter().map(|(name, value)| (format!("{OPTIMIZER}{name}"), value));
    write_tensors(path, weights.chain(slots), HashMap::from([(STATE.to_string(), state.to_string())]))
}

/// Takes over the state of a run; gives its history.
pub(crate) fn restore(path: &Path, setting: &Setting, training: &mut Training<'_>) -> Result<History> {
    let file = TensorFile::read(path)?;
    let refuse = |rule: &str, received: String| {
        Error::data(file.name(), rule, received, "start afresh without resuming, or give the flags of the first run")
    };
    let text = file.metadata(STATE).ok_or_else(|| refuse("the file must hold a run's state", "none".into()))?;
    let state: Value = serde_json::from_str(text).map_err(|e| refuse("the state must be JSON", e.to_string()))?;
    let (ours, theirs) = (setting.to_json(training), &state["setting"]);
    for key in ["seed", "batch_size", "steps_per_epoch", "shuffle", "model", "optimizer"] {
        if ours[key] != theirs[key] {
            let received = match key {
                "model" => "another model".to_string(),
                _ => format!("{} instead of {}", ours[key], theirs[key]),
            };
            return Err(refuse(&format!("a run goes on with the {key} it began with"), received));
        }
    }
    let history = history(&state["history"]).ok_or_else(|| refuse("the history must be complete", "a gap".into()))?;
    let number = |key: &str| {
        state[key].as_f64().ok_or_else(|| refuse(&format!("the state must hold `{key}`"), "nothing".into()))
    };
    let (iterations, factor) = (number("iterations")? as u64, number("learning_rate_factor")? as f32);
    let device = training.model.device().clone();
    let paths: Vec<String> = training.model.weights().map(|(spec, _)| spec.path.clone()).collect();
    let weights: Vec<Tensor> =
        paths.iter().map(|path| file.tensor(&format!("{WEIGHTS}{path}"), &device)).collect::<Result<_>>()?;
    let slots: Vec<(String, Tensor)> = file
        .names()
        .filter_map(|name| Some((name.strip_prefix(OPTIMIZER)?.to_string(), name)))
        .map(|(slot, name)| Ok((slot, file.tensor(name, &device)?)))
        .collect::<Result<_>>()?;
    for (path, weight) in paths.iter().zip(&weights) {
        training.model.set_weight(path, weight)?;
    }
    training.optimizer.import_state(OptimizerState { iterations, learning_rate_factor: factor, slots })?;
    Ok(history)
}

fn history(value: &Value) -> Option<History> {
    let record = |entry: &Value| {
        let values = entry["values"].as_array()?.iter();
        Some(EpochRecord {
            epoch: entry["epoch"].as_u64()? as usize,
            // JSON has no NaN: it was written as null.
            values: values
                .map(|pair| Some((pair[0].as_str()?.to_string(), pair[1].as_f64().unwrap_or(f64::NAN))))
                .collect::<Option<_>>()?,
            seconds: entry["seconds"].as_f64()?,
            images_per_second: entry["images_per_second"].as_f64()?,
        })
    };
    Some(History { epochs: value.as_array()?.iter().map(record).collect::<Option<_>>()? })
}
