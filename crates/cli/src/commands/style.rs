//! `striate style`: a picture in the style of another.

use super::dream::{brought_to, range};
use super::explain::{ModelArguments, write};
use crate::output::Output;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use striate::Result;
use striate::data::image_file::{Colour, read};
use striate::viz::{Style, check_ending, image_of, image_of_tensor, tensor_of, transfer_style};

/// `striate style`.
#[derive(Debug, Args)]
pub struct StyleArguments {
    /// The picture to paint.
    content: PathBuf,
    /// The picture whose style is taken.
    style: PathBuf,
    /// The file to write, PNG.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The folder with weights/ [default: $STRIATE_DATA, the cache folder, datasets/].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The longer side that both pictures are brought to.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(64..=1024))]
    size: u64,
    /// Steps.
    #[arg(long, value_name = "N", default_value_t = 200)]
    steps: usize,
    /// How much the style counts against the content.
    #[arg(long, value_name = "WEIGHT", default_value_t = Style::default().style_weight)]
    style_weight: f32,
    /// How much smoothness counts.
    #[arg(long, value_name = "WEIGHT", default_value_t = Style::default().variation)]
    variation: f32,
}

/// Runs the command.
pub fn run(arguments: &StyleArguments, output: &Output) -> Result<ExitCode> {
    check_ending(&arguments.out, &["png"])?;
    let model = ModelArguments { model: "vgg16".into(), data: arguments.data.clone() };
    let subject = model.open(false)?;
    let values = subject.values();
    let input = |path: &PathBuf| {
        let picture = brought_to(&read(path, Colour::Rgb)?, arguments.size as usize)?;
        tensor_of(&image_of(&picture)?, values, subject.model.device())
    };
    let (content, style) = (input(&arguments.content)?, input(&arguments.style)?);
    let options = Style {
        steps: arguments.steps,
        style_weight: arguments.style_weight,
        variation: arguments.variation,
        ..Style::default()
    };
    let painted = transfer_style(&subject.model, &content, &style, &range(values), &options, |step, loss| {
        if step % 20 == 0 || step + 1 == options.steps {
            output.text(format!("step {step}: content {:.4}, style {:.4}", loss.content, loss.style));
            output.object(&json!({ "step": step, "content": loss.content, "style": loss.style }));
        }
    })?;
    write(&arguments.out, &image_of_tensor(&painted, values)?, output)?;
    Ok(ExitCode::SUCCESS)
}
