//! `striate explain activations`.

use super::{ModelArguments, write};
use crate::output::Output;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use striate::Result;
use striate::data::image_file::read;
use striate::viz::{activations, channel_image, choose_layers, grid_image};

/// `striate explain activations`.
#[derive(Debug, Args)]
pub struct ActivationsArguments {
    #[command(flatten)]
    model: ModelArguments,
    /// The picture.
    image: PathBuf,
    /// Layers: first:N, last:N, or names with commas between them, * and ? allowed; inner ones as vgg16/block1_conv1.
    #[arg(long, value_name = "LAYERS", default_value = "first:8")]
    layers: String,
    /// The channel that is shown as a matrix; a layer with fewer shows its last.
    #[arg(long, value_name = "K", default_value_t = 4)]
    channel: usize,
    /// The folder for the pictures, two for each layer.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Runs the command.
pub fn run(arguments: &ActivationsArguments, output: &Output) -> Result<ExitCode> {
    let subject = arguments.model.open(false)?;
    let layers = choose_layers(&subject.model, &arguments.layers)?;
    let input = subject.input(&read(&arguments.image, subject.colour())?)?;
    for (i, activation) in activations(&subject.model, &input, &layers)?.iter().enumerate() {
        let name = format!("{:02}_{}", i + 1, activation.layer.path.replace('/', "-"));
        if activation.is_map() {
            let channel = arguments.channel.min(activation.channels().saturating_sub(1));
            let path = arguments.out.join(format!("{name}_channel_{channel}.png"));
            write(&path, &channel_image(activation, channel)?, output)?;
        }
        write(&arguments.out.join(format!("{name}.png")), &grid_image(activation)?, output)?;
    }
    Ok(ExitCode::SUCCESS)
}
