//! `striate summary`: the table of a model's layers.

use crate::arguments::SummaryArguments;
use crate::output::Output;
use crate::recipes;
use serde_json::{Value, json};
use std::process::ExitCode;
use striate::formats::{ModelOptions, load_with};
use striate::nn::{Costs, LayerCosts};
use striate::prelude::*;
use striate::zoo::{Architecture, ZooOptions};

/// Runs the command.
pub fn run(arguments: &SummaryArguments, output: &Output) -> Result<ExitCode> {
    let mut model = match arguments.model.as_str() {
        "mnist" => recipes::mnist::network().build()?,
        "mnist-best" => recipes::mnist_best::network().build()?,
        "cats-dogs" => recipes::cats_dogs::network().build()?,
        "cats-dogs-augmented" => recipes::cats_dogs::network_with_dropout().build()?,
        "cats-dogs-best" => recipes::cats_dogs_best::network(0)?,
        "cats-dogs-features" => recipes::vgg16::untrained(recipes::cats_dogs_features::DROPOUT)?,
        "cats-dogs-frozen" => recipes::vgg16::untrained(None)?,
        name => match Architecture::or_file(name)? {
            Some(architecture) => of_zoo(architecture, arguments)?,
            None => of_file(name, arguments)?,
        },
    };
    arguments.freeze.iter().try_for_each(|pattern| model.set_trainable(pattern, false))?;
    let summary = model.summary();
    output.text(&summary);
    let costs = arguments.costs.then(|| Costs::of(&model));
    if let Some(costs) = &costs {
        output.text(format!("\n{costs}"));
        for (numbers, optimizer) in [(1, "RMSprop or momentum"), (2, "Adam")] {
            let peak = costs.training_peak_bytes(arguments.batch_size, numbers) as f64 / 1e6;
            output.text(format!(
                "training in batches of {} with {optimizer}: about {peak:.0} MB of tensors",
                arguments.batch_size
            ));
        }
    }
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
    let mut report = json!({
        "model": summary.model,
        "layers": layers,
        "parameters": summary.total,
        "trainable": summary.trainable,
        "multiply_adds": model.graph().total_multiply_adds(),
    });
    if let Some(costs) = &costs {
        report["costs"] = costs.layers.iter().map(cost).collect();
        report["batch_size"] = arguments.batch_size.into();
        report["training_peak_bytes"] = costs.training_peak_bytes(arguments.batch_size, 1).into();
    }
    output.object(&report);
    Ok(ExitCode::SUCCESS)
}

fn of_file(path: &str, arguments: &SummaryArguments) -> Result<Model> {
    let input_shape = arguments.input.as_ref().map(|shape| shape.0.clone());
    let options = ModelOptions { input_shape, ..ModelOptions::default() };
    Ok(load_with(path, &Registry::default(), &device()?, &options)?.model)
}

fn of_zoo(architecture: Architecture, arguments: &SummaryArguments) -> Result<Model> {
    let input_shape = match &arguments.input {
        None => None,
        Some(shape) => Some(<[usize; 3]>::try_from(shape.0.as_slice()).map_err(|_| {
            Error::argument(
                "--input",
                "the shape must be HEIGHTxWIDTHxCHANNELS",
                format!("{:?}", shape.0),
                "as 150x150x3",
            )
        })?),
    };
    let options = ZooOptions { include_top: !arguments.no_top, input_shape, ..ZooOptions::default() };
    architecture.model(&options, &striate::build_options(0)?)
}

fn cost(layer: &LayerCosts) -> Value {
    json!({
        "path": layer.path,
        "class": layer.class,
        "output_shape": layer.output_shape,
        "arithmetic": layer.arithmetic,
        "parameters": layer.parameters,
        "multiply_adds": layer.multiply_adds,
        "activation_bytes": layer.activation_bytes,
        "gradient_bytes": layer.gradient_bytes,
        "receptive_field": layer.receptive_field,
        "stride": layer.stride,
        "warnings": layer.warnings,
    })
}
