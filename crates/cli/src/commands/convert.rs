//! `striate convert`: a model file in another format.

use crate::arguments::ConvertArguments;
use crate::output::Output;
use serde_json::json;
use std::process::ExitCode;
use striate::formats::{ModelOptions, WeightsFile, check_model_ending, save, save_training, weights_sha256};
use striate::prelude::*;

/// Runs the command.
pub fn run(arguments: &ConvertArguments, output: &Output) -> Result<ExitCode> {
    check_model_ending(&arguments.output)?;
    let options = ModelOptions {
        input_shape: arguments.input_shape.as_ref().map(|shape| shape.0.clone()),
        theano_kernels: arguments.theano.then_some(true),
    };
    let weights = WeightsFile::read(&arguments.input)?;
    let mut file = weights.model(&Registry::default(), &device()?, &options)?;
    arguments.freeze.iter().try_for_each(|pattern| file.model.set_trainable(pattern, false))?;
    arguments.thaw.iter().try_for_each(|pattern| file.model.set_trainable(pattern, true))?;
    let keeps_training = matches!(arguments.output.extension().and_then(|e| e.to_str()), Some("keras" | "h5" | "hdf5"))
        && !arguments.output.to_string_lossy().ends_with(".weights.h5");
    let is_changed = !arguments.freeze.is_empty() || !arguments.thaw.is_empty();
    let training = if keeps_training && !is_changed {
        weights.saved_training(&file.model).unwrap_or_else(|error| {
            eprintln!("note: without its training: {error}");
            None
        })
    } else {
        None
    };
    match &training {
        Some(training) => save_training(&file, training, &arguments.output)?,
        None => save(&file, &arguments.output)?,
    }
    let (from, to) = (arguments.input.display(), arguments.output.display());
    output.text(format!(
        "{from} → {to}: {} layers, {} parameters",
        file.model.graph().layer_names().count(),
        file.model.parameter_count()
    ));
    output.object(&json!({
        "input": from.to_string(),
        "output": to.to_string(),
        "parameters": file.model.parameter_count(),
        "training": training.map(|training| json!({
            "optimizer": training.optimizer.class_name,
            "iterations": training.optimizer.iterations,
        })),
        "weights_sha256": weights_sha256(&file.model)?,
    }));
    Ok(ExitCode::SUCCESS)
}
