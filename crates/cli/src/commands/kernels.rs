//! `striate kernels`: what small kernels make of a picture.

use super::explain::{make_folder_of, write, wrote};
use crate::output::Output;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use striate::Result;
use striate::data::image_file::{Colour, read};
use striate::data::{Filter, Fit, resize};
use striate::prelude::device;
use striate::viz::kernels::{KERNELS, UPRIGHT_EDGES, gallery, lecture_a, pooling_sheet, relu_sheet, sliding_frames};
use striate::viz::{image_of, write_gif};

/// `striate kernels`.
#[derive(Debug, Args)]
pub struct KernelsArguments {
    /// A picture: JPEG, PNG, BMP, GIF or WebP.
    image: PathBuf,
    /// The folder for the pictures.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The longer side that the picture is brought to, if it is larger.
    #[arg(long, value_name = "N", default_value_t = 360, value_parser = clap::value_parser!(u64).range(16..=4096))]
    size: u64,
    /// The side of the pooling's windows.
    #[arg(long, value_name = "R", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=64))]
    pool: u64,
}

/// Runs the command.
pub fn run(arguments: &KernelsArguments, output: &Output) -> Result<ExitCode> {
    let device = device()?;
    let picture = read(&arguments.image, Colour::Rgb)?;
    let part = arguments.size as f64 / picture.height().max(picture.width()) as f64;
    let picture = match part < 1.0 {
        true => {
            let side = |side: usize| ((side as f64 * part).round() as usize).max(1);
            resize(&picture, (side(picture.height()), side(picture.width())), Filter::Area, Fit::Stretch)?
        }
        false => picture,
    };
    let image = image_of(&picture)?;
    let path = |name: &str| arguments.out.join(name);
    write(&path("kernels.png"), &gallery(&image, &device)?, output)?;
    write(&path("relu.png"), &relu_sheet(&image, &device)?, output)?;
    write(&path("pooling.png"), &pooling_sheet(&image, arguments.pool as usize, &device)?, output)?;
    for kernel in &KERNELS {
        let name = format!("{}.png", kernel.name.replace(' ', "-"));
        write(&path(&name), &kernel.apply(&image, &device)?, output)?;
    }
    let animation = path("sliding.gif");
    make_folder_of(&animation)?;
    write_gif(&animation, &sliding_frames(&lecture_a(), &UPRIGHT_EDGES)?)?;
    wrote(&animation, output);
    Ok(ExitCode::SUCCESS)
}
