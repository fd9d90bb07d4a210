//! What came out of a run: answers to test data, and where the network looks.

use super::embed::address;
use super::pins::Pins;
use super::{END, NOTES, write};
use crate::answers::{Answer, Answers};
use crate::heat::{CamMethod, cam, default_cam_layer, deletion_insertion, overlay, randomisation, top_class};
use crate::picture::image_of_input;
use crate::subject::Subject;
use image::RgbImage;
use image::imageops::{FilterType, resize, thumbnail};
use serde_json::{Value, json};
use std::path::Path;
use striate_data::{BatchContext, Dataset};
use striate_tensor::{Error, Key, Result, Tensor};
use striate_train::Evaluation;

/// Test pictures that are shown, and wrong ones.
const SHOWN: usize = 12;
/// A shown picture's side in pixels, at most.
const SIDE: u32 = 112;
/// The same of a picture under a heat map, at least and at most.
const HEAT_SIDES: (u32, u32) = (140, 224);
/// Models of more multiply-adds than this have one of their maps checked, and not in the way that takes many passes.
const LIGHT: u64 = 1_000_000_000;

/// What came out of a run.
#[derive(Clone, Copy)]
pub struct Ending<'a> {
    /// The trained model.
    pub subject: &'a Subject,
    /// The pictures that the diary is about.
    pub pins: Option<&'a Pins>,
    /// The test data as the model takes it.
    pub pictures: &'a dyn Dataset,
    /// What the model said of it.
    pub answers: &'a Answers,
    /// Loss and metrics.
    pub test: &'a Evaluation,
}

/// Writes down what came out: the last of a run's notes. Also `answers.csv`, into the run's folder.
///
/// # Errors
/// [`Error::Io`]; those of the data set and of heat maps.
pub fn end(run: &Path, ending: &Ending<'_>) -> Result<()> {
    let Ending { subject, pins, pictures, answers, test } = *ending;
    answers.write_csv_of(pictures, run.join("answers.csv"))?;
    let shown = |answers: Vec<Answer>| -> Result<Vec<Value>> {
        answers.into_iter().map(|answer| picture(subject, pictures, answer)).collect()
    };
    let classes: Vec<String> = (0..answers.classes()).map(|class| subject.class_name(class)).collect();
    let notes = json!({
        "class_names": classes,
        "test": test.values,
        "samples": test.samples,
        "shown": shown(answers.spread(SHOWN))?,
        "worst": shown(answers.worst(SHOWN))?,
        "heat": pins.map(|pins| heat(subject, pins)).transpose()?,
    });
    write(&run.join(NOTES).join(END), &notes)
}

/// The picture of a sample of a data set, as an image of at most `side` pixels a side.
pub(crate) fn sample_image(subject: &Subject, data: &dyn Dataset, sample: usize, side: u32) -> Result<RgbImage> {
    let context = BatchContext::new(Key::new(0).fold_str("shown"), subject.model.device());
    let missing = || Error::data("pictures", "the data must have an input", "none", "");
    let input = data.batch(&[sample], &context)?.inputs.into_iter().next().ok_or_else(missing)?;
    let image = image_of_input(&input, subject.values())?;
    let longest = image.width().max(image.height());
    if longest <= side {
        return Ok(image);
    }
    let scaled = |length: u32| (u64::from(length) * u64::from(side) / u64::from(longest)).max(1) as u32;
    Ok(thumbnail(&image, scaled(image.width()), scaled(image.height())))
}

fn picture(subject: &Subject, pictures: &dyn Dataset, answer: Answer) -> Result<Value> {
    let image = sample_image(subject, pictures, answer.sample, SIDE)?;
    Ok(json!({
        "sample": answer.sample,
        "name": pictures.sample_name(answer.sample),
        "actual": subject.class_name(answer.actual),
        "predicted": subject.class_name(answer.predicted),
        "probability": answer.probability,
        "actual_probability": answer.actual_probability,
        "is_right": answer.is_right(),
        "image": address(&image)?,
        "width": image.width(),
    }))
}

/// Where the model sees the class that it names, for each pinned picture, with the map's checks.
fn heat(subject: &Subject, pins: &Pins) -> Result<Value> {
    let Ok(layer) = default_cam_layer(&subject.model) else { return Ok(Value::Null) };
    let is_light = subject.model.graph().total_multiply_adds() <= LIGHT;
    let explain = |subject: &Subject, input: &Tensor, class: usize| {
        cam(&subject.model, input, class, &layer.path, CamMethod::GradCam)
    };
    let one = |i: usize| -> Result<Value> {
        let input = pins.pictures.rows(i..i + 1)?;
        let (class, probability) = top_class(subject, &input)?;
        let map = explain(subject, &input, class)?;
        let image = image_of_input(&input, pins.values)?;
        let longest = image.width().max(image.height());
        let part = f64::from(longest.clamp(HEAT_SIDES.0, HEAT_SIDES.1)) / f64::from(longest);
        let side = |side: u32| ((f64::from(side) * part).round() as u32).max(1);
        let image = resize(&image, side(image.width()), side(image.height()), FilterType::Triangle);
        let mut value = json!({
            "class": subject.class_name(class),
            "actual": subject.class_name(pins.classes[i]),
            "is_right": class == pins.classes[i],
            "probability": probability,
            "image": address(&overlay(&image, &map)?)?,
        });
        if is_light || i == 0 {
            let seeds = if is_light { 3 } else { 1 };
            let random = randomisation(subject, &map, seeds, |other| explain(other, &input, class))?;
            value["randomisation"] = json!({ "passes": random.passes(), "similarity": random.similarity() });
        }
        if is_light {
            let scores = deletion_insertion(subject, &input, class, &map)?;
            value["deletion_insertion"] = json!({
                "passes": scores.passes(),
                "deletion": scores.deletion,
                "insertion": scores.insertion,
                "random_deletion": scores.random_deletion,
                "random_insertion": scores.random_insertion,
            });
        }
        Ok(value)
    };
    let maps = (0..pins.len()).map(one).collect::<Result<Vec<_>>>()?;
    Ok(json!({ "layer": layer.path, "method": "Grad-CAM", "maps": maps }))
}
