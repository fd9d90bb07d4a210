//! The state of an unfinished run as one file: weights, optimizer, callbacks, history.

use crate::average::Average;
use crate::callback::{Callback, CallbackState};
use crate::history::{EpochRecord, History};
use crate::loss_scale::LossScale;
use crate::training::Training;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::path::Path;
use striate_formats::{TensorFile, write_tensors};
use striate_optim::OptimizerState;
use striate_tensor::{Error, Result, Tensor};

/// The metadata key of everything that is no tensor.
const STATE: &str = "training_state";
const WEIGHTS: &str = "weights/";
const OPTIMIZER: &str = "optimizer/";
/// Followed by the callback's number and a slash.
const CALLBACKS: &str = "callbacks/";

/// The averages of the weights.
const AVERAGE: &str = "average/";

/// What decides the bits of a run besides model, optimizer and data: a run can only go on under the same.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Setting {
    pub(crate) seed: u64,
    pub(crate) batch_size: usize,
    pub(crate) steps: usize,
    pub(crate) samples: usize,
    /// [`striate_data::Dataset::fingerprint`].
    pub(crate) data: u64,
    pub(crate) shuffle: bool,
    pub(crate) ema_momentum: Option<f64>,
    pub(crate) class_weight: Option<Vec<f32>>,
}

impl Setting {
    /// All that must be the same, and how an error names it.
    fn to_json(&self, training: &Training<'_>) -> [(&'static str, Value); 12] {
        let frozen = training.model.weights().enumerate().filter(|(i, _)| !training.model.is_trainable(*i));
        let frozen: Vec<&str> = frozen.map(|(_, (spec, _))| spec.path.as_str()).collect();
        [
            ("seed", json!(self.seed)),
            ("batch_size", json!(self.batch_size)),
            ("steps_per_epoch", json!(self.steps)),
            ("samples", json!(self.samples)),
            ("data", json!(self.data)),
            ("shuffle", json!(self.shuffle)),
            ("ema_momentum", json!(self.ema_momentum)),
            ("class_weight", json!(self.class_weight)),
            ("model", training.model.graph().to_json()),
            ("frozen", json!(frozen)),
            ("loss", json!(format!("{:?}", training.losses))),
            ("optimizer", training.optimizer.optimizer().config()),
        ]
    }
}

/// What a run goes on from.
#[derive(Debug, Default)]
pub(crate) struct Resumed {
    pub(crate) history: History,
    /// A callback had ended training.
    pub(crate) is_stopped: bool,
    pub(crate) callbacks: Vec<CallbackState>,
    pub(crate) average: Option<Average>,
}

/// How far a run has come, besides weights and optimizer.
pub(crate) struct Progress<'a, 'c> {
    pub(crate) history: &'a History,
    pub(crate) callbacks: &'a [Box<dyn Callback + 'c>],
    pub(crate) average: Option<&'a Average>,
}

/// Writes the state after an epoch.
pub(crate) fn write(
    path: &Path,
    setting: &Setting,
    training: &Training<'_>,
    progress: Progress<'_, '_>,
    is_stopped: bool,
) -> Result<()> {
    let Progress { history, callbacks, average } = progress;
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
                "data_wait_share": record.data_wait_share,
            })
        })
        .collect();
    let optimizer = training.optimizer.export_state();
    let callbacks: Vec<CallbackState> = callbacks.iter().map(|callback| callback.state()).collect();
    let setting = setting.to_json(training).map(|(key, value)| (key.to_string(), value));
    let state = json!({
        "setting": Map::from_iter(setting),
        "iterations": optimizer.iterations,
        "learning_rate_factor": optimizer.learning_rate_factor,
        "is_stopped": is_stopped,
        "loss_scale": training.scale.map(|scale| json!({"factor": scale.factor(), "good_steps": scale.good_steps()})),
        "average_steps": average.map(Average::steps),
        "history": epochs,
        "callbacks": callbacks.iter().map(|callback| &callback.values).collect::<Vec<_>>(),
    });
    let weights = training.model.weights().map(|(spec, value)| (format!("{WEIGHTS}{}", spec.path), value));
    let slots = optimizer.slots.iter().map(|(name, value)| (format!("{OPTIMIZER}{name}"), value));
    let kept = callbacks.iter().enumerate().flat_map(|(i, callback)| {
        callback.tensors.iter().map(move |(name, value)| (format!("{CALLBACKS}{i}/{name}"), value))
    });
    let averages = average.into_iter().flat_map(|average| {
        let specs = training.model.weights().map(|(spec, _)| format!("{AVERAGE}{}", spec.path));
        specs.zip(average.values())
    });
    let tensors = weights.chain(slots).chain(kept).chain(averages);
    write_tensors(path, tensors, HashMap::from([(STATE.to_string(), state.to_string())]))
}

/// Takes over the state of a run; gives what else it goes on from.
pub(crate) fn restore(path: &Path, setting: &Setting, training: &mut Training<'_>) -> Result<Resumed> {
    let file = TensorFile::read(path)?;
    let refuse = |rule: &str, received: String| {
        Error::data(file.name(), rule, received, "start afresh without resuming, or give the flags of the first run")
    };
    let text = file.metadata(STATE).ok_or_else(|| refuse("the file must hold a run's state", "none".into()))?;
    let state: Value = serde_json::from_str(text).map_err(|e| refuse("the state must be JSON", e.to_string()))?;
    for (key, ours) in setting.to_json(training) {
        let theirs = &state["setting"][key];
        if ours != *theirs {
            let received = match key {
                "model" => "another model".to_string(),
                "data" => "other samples of the same number, or the same ones read in another way".to_string(),
                _ => format!("{ours} instead of {theirs}"),
            };
            return Err(refuse(&format!("a run goes on with the {key} it began with"), received));
        }
    }
    let history = history(&state["history"]).ok_or_else(|| refuse("the history must be complete", "a gap".into()))?;
    let lacks = |key: &str| refuse(&format!("the state must hold `{key}`"), "nothing".into());
    let iterations = state["iterations"].as_u64().ok_or_else(|| lacks("iterations"))?;
    let factor = state["learning_rate_factor"].as_f64().ok_or_else(|| lacks("learning_rate_factor"))? as f32;
    // A run that was begun without scaling may go on with it.
    let scale = state["loss_scale"].as_object().map(|scale| {
        let factor = scale.get("factor").and_then(Value::as_f64).ok_or_else(|| lacks("loss_scale"))? as f32;
        let good = scale.get("good_steps").and_then(Value::as_u64).ok_or_else(|| lacks("loss_scale"))? as u32;
        LossScale::restored(factor, good)
    });
    let is_stopped = state["is_stopped"].as_bool().ok_or_else(|| lacks("is_stopped"))?;
    let callbacks = state["callbacks"].as_array().ok_or_else(|| lacks("callbacks"))?;
    let device = training.model.device().clone();
    let paths: Vec<String> = training.model.weights().map(|(spec, _)| spec.path.clone()).collect();
    let read = |group: &str| -> Result<Vec<Tensor>> {
        paths.iter().map(|path| file.tensor(&format!("{group}{path}"), &device)).collect()
    };
    let weights = read(WEIGHTS)?;
    let average = match setting.ema_momentum {
        Some(momentum) => {
            let steps = state["average_steps"].as_u64().ok_or_else(|| lacks("average_steps"))?;
            Some(Average::restored(momentum, steps, read(AVERAGE)?)?)
        }
        None => None,
    };
    let under = |prefix: &str| -> Result<Vec<(String, Tensor)>> {
        let names = file.names().filter_map(|name| Some((name.strip_prefix(prefix)?.to_string(), name)));
        names.map(|(rest, name)| Ok((rest, file.tensor(name, &device)?))).collect()
    };
    let callbacks = callbacks.iter().enumerate().map(|(i, values)| {
        let values = values.as_object().cloned().ok_or_else(|| lacks("callbacks"))?;
        Ok(CallbackState { values, tensors: under(&format!("{CALLBACKS}{i}/"))? })
    });
    let callbacks = callbacks.collect::<Result<_>>()?;
    let slots = under(OPTIMIZER)?;
    training.optimizer.import_state(OptimizerState { iterations, learning_rate_factor: factor, slots })?;
    if let (Some(own), Some(scale)) = (&mut training.scale, scale.transpose()?) {
        *own = scale;
    }
    for (path, weight) in paths.iter().zip(&weights) {
        training.model.set_weight(path, weight)?;
    }
    Ok(Resumed { history, is_stopped, callbacks, average })
}

/// Hands each callback the state it had.
pub(crate) fn restore_callbacks(callbacks: &mut [Box<dyn Callback + '_>], states: &[CallbackState]) -> Result<()> {
    if let Some(lost) = states.iter().skip(callbacks.len()).position(|state| !state.is_empty()) {
        return Err(Error::data(
            "checkpoint",
            "a run goes on with the callbacks it began with",
            format!("{} callbacks; number {} is missing", callbacks.len(), callbacks.len() + lost + 1),
            "give fit the same callbacks in the same order",
        ));
    }
    let pairs = callbacks.iter_mut().zip(states).filter(|(_, state)| !state.is_empty());
    pairs.into_iter().try_for_each(|(callback, state)| callback.restore(state))
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
            data_wait_share: entry["data_wait_share"].as_f64()?,
        })
    };
    Some(History { epochs: value.as_array()?.iter().map(record).collect::<Option<_>>()? })
}
