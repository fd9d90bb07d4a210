//! `striate dream`: DeepDream on a picture.

use super::explain::{ModelArguments, write};
use crate::output::Output;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use striate::Result;
use striate::data::image_file::{Colour, Picture, read};
use striate::data::{Filter, Fit, PixelValues, resize};
use striate::viz::{Dream, check_ending, dream, dream_layers, image_of, image_of_tensor, tensor_of};

/// `striate dream`.
#[derive(Debug, Args)]
pub struct DreamArguments {
    /// The picture.
    image: PathBuf,
    /// The file to write, PNG.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// A network with published weights: vgg16, mobilenet.
    #[arg(long, value_name = "NAME", default_value = "vgg16")]
    model: String,
    /// The folder with weights/ [default: $STRIATE_DATA, the cache folder, datasets/].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Layers whose response is raised, with commas between them [default: block4_conv3,block5_conv1 of vgg16; of others the
    /// convolutions at half and three quarters of the depth].
    #[arg(long, value_name = "LAYERS", value_delimiter = ',')]
    layers: Vec<String>,
    /// The longer side that the picture is brought to.
    #[arg(long, value_name = "N", default_value_t = 320, value_parser = clap::value_parser!(u64).range(64..=2048))]
    size: u64,
    /// Sizes at which the picture is worked on.
    #[arg(long, value_name = "N", default_value_t = 4)]
    octaves: usize,
    /// From size to size.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.4)]
    scale: f32,
    /// Steps at each size.
    #[arg(long, value_name = "N", default_value_t = 12)]
    steps: usize,
    /// What a step changes a pixel by, as a part of the range.
    #[arg(long, value_name = "PART", default_value_t = 0.012)]
    step: f32,
}

/// Runs the command.
pub fn run(arguments: &DreamArguments, output: &Output) -> Result<ExitCode> {
    check_ending(&arguments.out, &["png"])?;
    let model = ModelArguments { model: arguments.model.clone(), data: arguments.data.clone() };
    let subject = model.open(false)?;
    let values = subject.values();
    let picture = brought_to(&read(&arguments.image, Colour::Rgb)?, arguments.size as usize)?;
    let input = tensor_of(&image_of(&picture)?, values, subject.model.device())?;
    let layers = if arguments.layers.is_empty() { dream_layers(&subject.model)? } else { arguments.layers.clone() };
    let options = Dream {
        octaves: arguments.octaves,
        scale: arguments.scale,
        steps: arguments.steps,
        step: arguments.step,
        ..Dream::new(layers)
    };
    let dreamt = dream(&subject.model, &input, &range(values), &options)?;
    write(&arguments.out, &image_of_tensor(&dreamt, values)?, output)?;
    Ok(ExitCode::SUCCESS)
}

/// The picture with its longer side at so many pixels.
pub fn brought_to(picture: &Picture, size: usize) -> Result<Picture> {
    let part = size as f64 / picture.height().max(picture.width()) as f64;
    let side = |side: usize| ((side as f64 * part).round() as usize).max(1);
    let filter = if part < 1.0 { Filter::Area } else { Filter::Bicubic };
    resize(picture, (side(picture.height()), side(picture.width())), filter, Fit::Stretch)
}

/// The values of black and white in each channel.
pub fn range(values: PixelValues) -> Vec<(f32, f32)> {
    let mut ends = [0.0, 0.0, 0.0, 255.0, 255.0, 255.0];
    values.apply(&mut ends);
    (0..3).map(|channel| (ends[channel], ends[channel + 3])).collect()
}
