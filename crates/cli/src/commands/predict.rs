//! `striate predict`: what pictures show.

use crate::arguments::PredictArguments;
use crate::output::Output;
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;
use striate::data::{PixelValues, Preparation};
use striate::formats::{ModelFile, ModelOptions, load_with};
use striate::prelude::*;
use striate::zoo::{Architecture, Pretrained, ZooOptions, class_of};

/// Runs the command. A picture that cannot be read does not keep the others from their answers.
pub fn run(arguments: &PredictArguments, output: &Output) -> Result<ExitCode> {
    let classifier = Classifier::open(arguments)?;
    let mut code = ExitCode::SUCCESS;
    for image in &arguments.images {
        match classifier.classes(image) {
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

/// A model that names what pictures show.
struct Classifier {
    model: Model,
    class_names: Vec<String>,
    preparation: Preparation,
}

impl Classifier {
    /// The model of a file, or a network of the zoo with its published weights.
    fn open(arguments: &PredictArguments) -> Result<Classifier> {
        let PredictArguments { model: name, data, pixels, input, .. } = arguments;
        let input_shape = input.as_ref().map(|shape| shape.0.clone());
        let mut classifier = match Architecture::or_file(name)? {
            Some(architecture) => Classifier::of_zoo(architecture, data.as_deref())?,
            None => Classifier::of_file(name, *pixels, input_shape)?,
        };
        if let (Preparation::Photograph(photograph), Some(pixels)) = (&mut classifier.preparation, pixels) {
            photograph.values = *pixels;
        }
        Ok(classifier)
    }

    fn of_zoo(architecture: Architecture, data: Option<&Path>) -> Result<Classifier> {
        let build = striate::build_options(0)?;
        let Pretrained { model, preparation, .. } =
            Pretrained::open(architecture, &ZooOptions::default(), &build, data)?;
        let classes = model.graph().output_shapes()[0].elements();
        let name =
            |class: usize| class_of(class).map_or_else(|| format!("class {class}"), |(_, name)| name.to_string());
        // TensorFlow's releases have a class for the background before ImageNet's 1000.
        let class_names = match classes {
            1001 => std::iter::once("background".to_string()).chain((0..1000).map(name)).collect(),
            _ => (0..classes).map(name).collect(),
        };
        Ok(Classifier { model, class_names, preparation })
    }

    fn of_file(path: &str, pixels: Option<PixelValues>, input_shape: Option<Vec<usize>>) -> Result<Classifier> {
        let options = ModelOptions { input_shape, ..ModelOptions::default() };
        let file = load_with(path, &Registry::default(), &device()?, &options)?;
        let ModelFile { model, class_names, preprocessing, .. } = file;
        let preparation = preparation(path, &preprocessing, &model, pixels)?;
        Ok(Classifier { model, class_names, preparation })
    }

    /// Class names with probabilities, the most probable first.
    fn classes(&self, image: &Path) -> Result<Vec<(String, f32)>> {
        let input = self.preparation.apply(image, self.model.device())?;
        let outputs = self.model.predict_on(&[input])?;
        let mut probabilities = outputs[0].to_vec::<f32>()?;
        // One unit says how probable the second of two classes is.
        if let [second] = probabilities[..] {
            probabilities = vec![1.0 - second, second];
        }
        let name = |i: usize| self.class_names.get(i).cloned().unwrap_or_else(|| format!("class {i}"));
        let mut ranked: Vec<(String, f32)> = probabilities.iter().enumerate().map(|(i, &p)| (name(i), p)).collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        Ok(ranked)
    }
}

/// How a picture becomes the input of a model file: as the file says, else guessed, which is said; `pixels` are what the user wants.
pub(super) fn preparation(
    path: &str,
    preprocessing: &str,
    model: &Model,
    pixels: Option<PixelValues>,
) -> Result<Preparation> {
    let mut preparation = match preprocessing {
        "" => {
            let inputs = model.graph().input_shapes();
            let [input] = inputs[..] else {
                let received = format!("{} inputs", inputs.len());
                return Err(Error::model(path, "the model must take one picture", received, ""));
            };
            let guess = Preparation::guess(&input).map_err(|error| error.at(path))?;
            if pixels.is_none() && guess != Preparation::Digit {
                eprintln!(
                    "note: {path} does not say what values pixels have; taken as 0 to 1. --pixels caffe, symmetric or rescale=1 says otherwise"
                );
            }
            guess
        }
        text => text.parse().map_err(|error: Error| error.at(path))?,
    };
    if let (Preparation::Photograph(photograph), Some(pixels)) = (&mut preparation, pixels) {
        photograph.values = pixels;
    }
    Ok(preparation)
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
