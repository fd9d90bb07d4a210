//! A training run into Keras's files and out of them.

use crate::loss::Loss;
use crate::training::{Compile, Training};
use serde_json::{Value, json};
use std::path::Path;
use striate_formats::{ModelFile, SavedOptimizer, SavedTraining, WeightsFile, save_training};
use striate_nn::Model;
use striate_optim::{OptimizerState, Schedule, from_config};
use striate_tensor::{Error, Result};

/// The metrics that Keras has under the same names.
const METRICS: [&str; 7] =
    ["accuracy", "auc", "f1_score", "precision", "recall", "sparse_categorical_accuracy", "top_k_categorical_accuracy"];

impl Training<'_> {
    /// What Keras's files keep of a training: the optimizer with its state, loss, metrics.
    pub fn saved(&self) -> SavedTraining {
        let engine = &self.optimizer;
        let optimizer = engine.optimizer();
        let state = engine.export_state();
        let prefix = format!("{}/", optimizer.name());
        let slot =
            |(name, value): (String, _)| (name.strip_prefix(&prefix).map_or(name.clone(), str::to_string), value);
        let mut config = optimizer.config();
        let is_constant = matches!(optimizer.settings().learning_rate, Schedule::Constant(_));
        if is_constant && engine.learning_rate_factor() != 1.0 {
            config["learning_rate"] = json!(engine.learning_rate());
        }
        let losses: Vec<Value> = self.losses.iter().map(|loss| loss.config()).collect();
        let metrics = self.metrics.iter().map(|metric| metric.name()).filter(|name| METRICS.contains(name));
        SavedTraining {
            optimizer: SavedOptimizer {
                class_name: optimizer.class_name().to_string(),
                config,
                iterations: state.iterations,
                learning_rate: is_constant.then(|| engine.learning_rate()),
                slots: state.slots.into_iter().map(slot).collect(),
            },
            loss: if let [loss] = &losses[..] { loss.clone() } else { json!(losses) },
            metrics: json!(metrics.collect::<Vec<_>>()),
        }
    }

    /// Writes the model with its training as a Keras file, `.keras` or `.h5`: `keras.models.load_model` reads it, compiles the model and
    /// goes on with the next step, as [`Training::take_over`] does here.
    ///
    /// # Errors
    /// As [`save_training`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        save_training(&ModelFile::of(self.model.clone()), &self.saved(), path)
    }

    /// Takes over the optimizer's state of a file of Keras or of this program, which must be of the same class. Learning rate and
    /// the other settings stay those given here.
    ///
    /// # Errors
    /// [`Error::Data`] if the file has no state that fits the model; [`Error::Model`] for an optimizer of another class.
    pub fn take_over(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let file = WeightsFile::read(path)?;
        let Some(saved) = file.saved_training(self.model)? else { return Err(no_training(file.name())) };
        self.take_over_saved(file.name(), saved)
    }

    fn take_over_saved(&mut self, file: &str, saved: SavedTraining) -> Result<()> {
        let SavedOptimizer { class_name, iterations, slots, .. } = saved.optimizer;
        let optimizer = self.optimizer.optimizer();
        if class_name != optimizer.class_name() {
            return Err(Error::model(
                file,
                format!("the file's optimizer must be {}", optimizer.class_name()),
                class_name,
                "compile the model with the file's optimizer, or start with a fresh one",
            ));
        }
        let name = optimizer.name();
        let slots = slots.into_iter().map(|(slot, value)| (format!("{name}/{slot}"), value)).collect();
        let learning_rate_factor = self.optimizer.learning_rate_factor();
        self.optimizer.import_state(OptimizerState { iterations, learning_rate_factor, slots })
    }
}

fn no_training(file: &str) -> Error {
    Error::data(
        file,
        "the file must hold a training by SGD, RMSprop, Adam or AdamW",
        "none",
        "save a compiled model in Keras, or use Training::save",
    )
}

/// A model joined with the training that its file keeps: optimizer with settings and state, loss and metrics by Keras's names.
///
/// # Errors
/// [`Error::Data`] if the file keeps no training that fits the model; [`Error::Model`] for an optimizer or a setting that is not offered,
/// or a loss that is unknown here.
pub fn continue_training<'m>(model: &'m mut Model, file: &WeightsFile) -> Result<Training<'m>> {
    let Some(saved) = file.saved_training(model)? else { return Err(no_training(file.name())) };
    let optimizer = from_config(&saved.optimizer.class_name, &saved.optimizer.config)?;
    let losses = match &saved.loss {
        Value::Array(list) => list.iter().map(loss_from_config).collect::<Result<Vec<_>>>()?,
        one => vec![loss_from_config(one)?],
    };
    let mut training = model.compile(optimizer, losses, ())?;
    training.take_over_saved(file.name(), saved)?;
    Ok(training)
}

/// The loss of Keras's words: a name, or a class with its config.
///
/// # Errors
/// [`Error::Model`] for an unknown one or an option that is not offered.
pub fn loss_from_config(value: &Value) -> Result<Box<dyn Loss>> {
    use crate::loss::{
        BinaryCrossentropy, CategoricalCrossentropy, MeanAbsoluteError, MeanSquaredError, SparseCategoricalCrossentropy,
    };
    let refuse = || {
        let rule = "the loss must be categorical, sparse categorical or binary cross-entropy, mean squared or mean absolute error";
        Error::model("loss", rule, value.to_string(), "compile the model here with a loss of your own")
    };
    let name = value.as_str().or_else(|| value["class_name"].as_str()).ok_or_else(refuse)?;
    let options = &value["config"];
    let smoothing = options["label_smoothing"].as_f64().unwrap_or(0.0) as f32;
    let is_logits = options["from_logits"] == true;
    Ok(match name {
        "categorical_crossentropy" | "CategoricalCrossentropy" => match (is_logits, smoothing) {
            (false, 0.0) => Box::new(CategoricalCrossentropy),
            (false, amount) => Box::new(CategoricalCrossentropy.label_smoothing(amount)),
            (true, amount) => Box::new(CategoricalCrossentropy.from_logits().label_smoothing(amount)),
        },
        "sparse_categorical_crossentropy" | "SparseCategoricalCrossentropy" => {
            if !options["ignore_class"].is_null() {
                let received = options["ignore_class"].to_string();
                let hint = "give such samples the weight 0";
                return Err(Error::model(name, "`ignore_class` must be none", received, hint));
            }
            match is_logits {
                false => Box::new(SparseCategoricalCrossentropy),
                true => Box::new(SparseCategoricalCrossentropy.from_logits()),
            }
        }
        "binary_crossentropy" | "BinaryCrossentropy" => match (is_logits, smoothing) {
            (false, 0.0) => Box::new(BinaryCrossentropy),
            (false, amount) => Box::new(BinaryCrossentropy.label_smoothing(amount)),
            (true, amount) => Box::new(BinaryCrossentropy.from_logits().label_smoothing(amount)),
        },
        "mse" | "MSE" | "mean_squared_error" | "MeanSquaredError" => Box::new(MeanSquaredError),
        "mae" | "MAE" | "mean_absolute_error" | "MeanAbsoluteError" => Box::new(MeanAbsoluteError),
        _ => return Err(refuse()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::{BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy};

    #[test]
    fn losses_come_back() {
        let with: [Box<dyn Loss>; 6] = [
            Box::new(CategoricalCrossentropy),
            Box::new(CategoricalCrossentropy.label_smoothing(0.125)),
            Box::new(BinaryCrossentropy.from_logits()),
            Box::new(SparseCategoricalCrossentropy),
            Box::new(SparseCategoricalCrossentropy.from_logits()),
            Box::new(crate::loss::MeanAbsoluteError),
        ];
        for loss in with {
            assert_eq!(format!("{:?}", loss_from_config(&loss.config()).unwrap()), format!("{loss:?}"));
        }
        let error = loss_from_config(&json!("hinge")).unwrap_err().to_string();
        assert!(error.contains("hinge"), "{error}");
        let mut ignoring = SparseCategoricalCrossentropy.from_logits().config();
        ignoring["config"]["ignore_class"] = json!(255);
        let error = loss_from_config(&ignoring).unwrap_err().to_string();
        assert!(error.contains("`ignore_class`") && error.contains("255"), "{error}");
    }
}
