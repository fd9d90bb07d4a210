//! `striate predict`: what pictures show.

use crate::arguments::PredictArguments;
use crate::output::Output;
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;
use striate::data::digit;
use striate::formats::{ModelFile, load};
use striate::prelude::*;

/// Runs the command. A picture that cannot be read does not keep the others from their answers.
pub fn run(arguments: &PredictArguments, output: &Output) -> Result<ExitCode> {
    let file = load(&arguments.model, &Registry::default(), &device()?)?;
    // Keras's files do not say how a picture becomes an input; one of MNIST's size becomes it MNIST's way.
    let is_digit = match (file.preprocessing.as_str(), &file.model.graph().input_shapes()[..]) {
        ("digit", _) => true,
        ("", [shape]) => shape.as_slice() == [28, 28, 1],
        _ => false,
    };
    if !is_digit {
        return Err(Error::model(
            arguments.model.display().to_string(),
            "the file must say how a picture becomes an input",
            format!("preprocessing `{}`", file.preprocessing),
            "use a model that striate train wrote, or one for pictures of 28x28x1",
        ));
    }
    let mut code = ExitCode::SUCCESS;
    for image in &arguments.images {
        match classes(&file, image) {
            Ok(mut ranked) => {
                ranked.truncate(arguments.top);
                show(image, &ranked, output);
            }
            Err(error) => {
                eprintln!("error: {error}");
                output.object(&json!({ "image": image.display().to_string(), "error": error.to_string() }));
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

/// Class names with probabilities, the most probable first.
fn classes(file: &ModelFile, image: &Path) -> Result<Vec<(String, f32)>> {
    let input = digit::prepare(image)?.to_tensor(file.model.device())?;
    let outputs = file.model.predict_on(&[input])?;
    let probabilities = outputs[0].to_vec::<f32>()?;
    let name = |i: usize| file.class_names.get(i).cloned().unwrap_or_else(|| format!("class {i}"));
    let mut ranked: Vec<(String, f32)> = probabilities.iter().enumerate().map(|(i, &p)| (name(i), p)).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(ranked)
}

fn show(image: &Path, ranked: &[(String, f32)], output: &Output) {
    let line: Vec<String> = ranked.iter().map(|(name, p)| format!("{name} {:.1} %", 100.0 * p)).collect();
    output.text(format!("{}: {}", image.display(), line.join("  ")));
    let top: Vec<Value> = ranked.iter().map(|(name, p)| json!({ "class": name, "probability": p })).collect();
    output.object(&json!({
        "image": image.display().to_string(),
        "class": ranked.first().map(|(name, _)| name),
        "probability": ranked.first().map(|(_, p)| p),
        "top": top,
    }));
}
