//! `striate explain`: pictures of what a network does.

mod activations;
mod filters;
mod heat_map;

use crate::output::Output;
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use striate::Result;
use striate::prelude::device;
use striate::viz::{RgbImage, Subject, write_png};

/// `striate explain`.
#[derive(Debug, Args)]
pub struct ExplainArguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// What each layer makes of a picture: one channel as a matrix, and all channels in a grid.
    Activations(activations::ActivationsArguments),
    /// The pictures that filters respond to, or a first layer's kernels.
    Filters(filters::FiltersArguments),
    /// Where in a picture a class is seen: class activation maps of a layer.
    Gradcam(heat_map::CamArguments),
    /// Which pixels a class's score depends on, by its gradient.
    Saliency(heat_map::SaliencyArguments),
    /// What the model loses when a patch of the picture is covered.
    Occlusion(heat_map::OcclusionArguments),
}

/// What all of these take.
#[derive(Debug, Args)]
pub struct ModelArguments {
    /// A model file, or a network with published weights: vgg16, mobilenet.
    pub model: String,
    /// The folder with weights/ [default: $STRIATE_DATA, the cache folder, datasets/].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

impl ModelArguments {
    /// The model, of a published network with its classifier or without, if both are there.
    pub fn open(&self, include_top: bool) -> Result<Subject> {
        Subject::open(&self.model, include_top, self.data.as_deref(), &device()?)
    }
}

/// Runs the command.
pub fn run(arguments: &ExplainArguments, output: &Output) -> Result<ExitCode> {
    match &arguments.what {
        What::Activations(arguments) => activations::run(arguments, output),
        What::Filters(arguments) => filters::run(arguments, output),
        What::Gradcam(arguments) => heat_map::run_cam(arguments, output),
        What::Saliency(arguments) => heat_map::run_saliency(arguments, output),
        What::Occlusion(arguments) => heat_map::run_occlusion(arguments, output),
    }
}

/// Writes a picture, making its folder, and says so.
pub fn write(path: &Path, image: &RgbImage, output: &Output) -> Result<()> {
    make_folder_of(path)?;
    write_png(path, image)?;
    wrote(path, output);
    Ok(())
}

/// Makes the folder that a file shall lie in.
pub fn make_folder_of(path: &Path) -> Result<()> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => std::fs::create_dir_all(folder).map_err(|error| striate::Error::io(folder, "making", error)),
        None => Ok(()),
    }
}

/// Says that a file is there.
pub fn wrote(path: &Path, output: &Output) {
    let path = path.display().to_string();
    output.text(format!("wrote {path}"));
    output.object(&json!({ "event": "picture", "path": path }));
}
