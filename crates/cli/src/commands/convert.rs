//! `striate convert`: a model file in another format.

use crate::arguments::ConvertArguments;
use crate::output::Output;
use serde_json::json;
use std::process::ExitCode;
use striate::formats::{ModelOptions, load_with, save, weights_sha256};
use striate::prelude::*;

/// Runs the command.
pub fn run(arguments: &ConvertArguments, output: &Output) -> Result<ExitCode> {
    let options = ModelOptions {
        input_shape: arguments.input_shape.as_ref().map(|shape| shape.0.clone()),
        theano_kernels: arguments.theano.then_some(true),
    };
    let mut file = load_with(&arguments.input, &Registry::default(), &device()?, &options)?;
    arguments.freeze.iter().try_for_each(|pattern| file.model.set_trainable(pattern, false))?;
    arguments.thaw.iter().try_for_each(|pattern| file.model.set_trainable(pattern, true))?;
    save(&file, &arguments.output)?;
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
        "weights_sha256": weights_sha256(&file.model)?,
    }));
    Ok(ExitCode::SUCCESS)
}
