//! `striate evaluate`: a model on test data.

use super::explain::{make_folder_of, write, wrote};
use super::predict::preparation;
use crate::arguments::EvaluateArguments;
use crate::output::Output;
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;
use striate::data::{ClassMode, FolderOptions, ImageFolder, Preparation, locate};
use striate::formats::ModelFile;
use striate::prelude::*;
use striate::viz::{Answers, MOST_CLASSES, Subject, confusion_image, mistakes_sheet};

/// The data set that photographs are taken from unless another is named.
const PHOTOGRAPHS: &str = "cats_and_dogs_small";
/// Mistakes that are shown.
const WORST: usize = 24;

/// Runs the command.
pub fn run(arguments: &EvaluateArguments, output: &Output) -> Result<ExitCode> {
    let name = arguments.model.display().to_string();
    let ModelFile { mut model, class_names, preprocessing, .. } =
        striate::formats::load(&arguments.model, &Registry::default(), &device()?)?;
    let (inputs, outputs) = (model.graph().input_shapes(), model.graph().output_shapes());
    let ([_], [result]) = (&inputs[..], &outputs[..]) else {
        let received = format!("{} inputs, {} outputs", inputs.len(), outputs.len());
        return Err(Error::model(name, "the model must have one input and one output", received, ""));
    };
    let preparation = preparation(&name, &preprocessing, &model, arguments.pixels)?;
    let is_binary = result.elements() == 1;
    let mnist;
    let pictures;
    let mut from = None;
    let data: &dyn Dataset = match &preparation {
        Preparation::Digit => {
            mnist = match &arguments.data {
                Some(folder) => Mnist::load_from(folder)?,
                None => Mnist::load()?,
            };
            &mnist.test
        }
        Preparation::Photograph(photograph) => {
            let folder = match &arguments.data {
                Some(folder) => locate(Some(folder), PHOTOGRAPHS)?,
                None => locate(None, PHOTOGRAPHS)?,
            };
            let test = folder.join("test");
            let folder = if test.is_dir() { test } else { folder };
            let mode = if is_binary { ClassMode::Binary } else { ClassMode::Categorical };
            let options = FolderOptions { classes: class_names, ..photograph.folder_options(mode) };
            pictures = ImageFolder::open(&folder, options)?;
            // Found rather than named: which pictures they were belongs to the answer.
            output.text(format!("{} pictures of {}", pictures.len(), folder.display()));
            from = Some(folder);
            &pictures
        }
    };
    let mut training = match is_binary {
        true => model.compile(RmsProp::default(), BinaryCrossentropy, [Accuracy])?,
        false => model.compile(RmsProp::default(), CategoricalCrossentropy, [Accuracy])?,
    };
    // As the recipes do, whose figures result.
    let batch_size = if preparation == Preparation::Digit { 100 } else { 20 };
    let mut answers = Answers::default();
    let test = training.evaluate_watched(data, batch_size, None, Progress::Auto, |batch, output| {
        match (&arguments.out, batch.targets.first()) {
            (Some(_), Some(target)) => answers.add(output, target),
            _ => Ok(()),
        }
    })?;
    output.text(&test);
    output.object(&json!({
        "model": name,
        "data": from.map(|folder| folder.display().to_string()),
        "samples": test.samples,
        "test_loss": test.get("loss"),
        "test_accuracy": test.get("accuracy"),
        "images_per_second": test.samples as f64 / test.seconds.max(1e-9),
    }));
    if let Some(folder) = &arguments.out {
        let subject = Subject { model, preparation, class_names: data.class_names().to_vec() };
        draw(folder, &name, &subject, data, &answers, output)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the pictures of the answers, and the answers themselves.
fn draw(
    folder: &Path,
    name: &str,
    subject: &Subject,
    data: &dyn Dataset,
    answers: &Answers,
    output: &Output,
) -> Result<()> {
    let path = |name: &str| folder.join(name);
    // The folder tells more than `model.keras`.
    let parts: Vec<&str> = name.rsplit(['/', '\\']).take(2).collect();
    let short = parts.into_iter().rev().collect::<Vec<_>>().join("/");
    let title = format!("{short}: {:.2} % right", 100.0 * answers.accuracy());
    make_folder_of(&path("answers.csv"))?;
    answers.write_csv_of(data, path("answers.csv"))?;
    wrote(&path("answers.csv"), output);
    if answers.classes() <= MOST_CLASSES {
        write(&path("confusion.png"), &confusion_image(&answers.confusion()?, &subject.class_names, &title)?, output)?;
    } else {
        output.text(format!("no confusion.png: {} classes would not be readable", answers.classes()));
    }
    let reliability = answers.reliability()?.title(title);
    for name in ["reliability.svg", "reliability.png"] {
        reliability.write(path(name))?;
        wrote(&path(name), output);
    }
    match mistakes_sheet(subject, data, answers, WORST)? {
        Some(sheet) => write(&path("worst.png"), &sheet, output),
        None => {
            output.text("no worst.png: there are no mistakes");
            Ok(())
        }
    }
}
