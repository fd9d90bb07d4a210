//! `striate summary`: the table of a model's layers.

use crate::arguments::SummaryArguments;
use crate::output::Output;
use crate::recipes;
use serde_json::{Value, json};
use std::process::ExitCode;
use striate::prelude::*;

/// Runs the command.
pub fn run(arguments: &SummaryArguments, output: &Output) -> Result<ExitCode> {
    let model = match arguments.model.as_str() {
        "mnist" => recipes::mnist::network().build()?,
        "mnist-best" => recipes::mnist_best::network().build()?,
        "cats-dogs" => recipes::cats_dogs::network().build()?,
        "cats-dogs-augmented" => recipes::cats_dogs::network_with_dropout().build()?,
        "cats-dogs-best" => recipes::cats_dogs_best::network(0)?,
        path => load(path)?,
    };
    let summary = model.summary();
    output.text(&summary);
    let layers: Vec<Value> = summary
        .rows
        .iter()
        .map(|row| {
            json!({
                "name": row.name,
                "class": row.class,
                "output_shape": row.output_shape,
                "neurons": row.neurons,
                "parameters": row.parameters,
                "inputs": row.inputs,
            })
        })
        .collect();
    output.object(&json!({
        "model": summary.model,
        "layers": layers,
        "parameters": summary.total,
        "trainable": summary.trainable,
        "multiply_adds": model.graph().total_multiply_adds(),
    }));
    Ok(ExitCode::SUCCESS)
}
