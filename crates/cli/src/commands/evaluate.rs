//! `striate evaluate`: a model on test data.

use crate::arguments::EvaluateArguments;
use crate::output::Output;
use serde_json::json;
use std::process::ExitCode;
use striate::prelude::*;

/// Runs the command.
pub fn run(arguments: &EvaluateArguments, output: &Output) -> Result<ExitCode> {
    let mut model = load(&arguments.model)?;
    let mnist = match &arguments.data {
        Some(folder) => Mnist::load_from(folder)?,
        None => Mnist::load()?,
    };
    let mut training = model.compile(RmsProp::default(), CategoricalCrossentropy, [Accuracy])?;
    let test = training.evaluate(&mnist.test)?;
    output.text(&test);
    output.object(&json!({
        "model": arguments.model.display().to_string(),
        "samples": test.samples,
        "test_loss": test.get("loss"),
        "test_accuracy": test.get("accuracy"),
        "images_per_second": test.samples as f64 / test.seconds.max(1e-9),
    }));
    Ok(ExitCode::SUCCESS)
}
