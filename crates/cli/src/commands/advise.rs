//! `striate advise`: how much of a pretrained network to train for a folder of pictures.

use crate::output::Output;
use crate::recipes::folder_parts::FolderParts;
use crate::recipes::transfer::Base;
use crate::recipes::{self};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use striate::prelude::*;
use striate::zoo::Architecture;

/// `striate advise`.
#[derive(Debug, Args)]
pub struct AdviseArguments {
    /// The folder of pictures, with a folder for each class, or with such folders in train.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// The pretrained network: vgg16, mobilenet, resnet50, ... [default: the first whose weights are here].
    #[arg(long, value_name = "NETWORK")]
    pub base: Option<String>,
    /// Leave files out that are no readable pictures, with a note, instead of refusing the folder.
    #[arg(long)]
    pub skip_bad: bool,
}

/// Runs the command.
pub fn run(arguments: &AdviseArguments, output: &Output) -> Result<ExitCode> {
    let asked = arguments.base.as_deref().map(Architecture::from_name).transpose()?;
    let settings = recipes::Settings {
        data: Some(arguments.data.clone()),
        skip_bad: arguments.skip_bad,
        base: asked,
        ..recipes::Settings::default()
    };
    let base = Base::open(asked, &arguments.data, 0)?;
    let parts = FolderParts::open(&settings, &arguments.data, &base.photograph)?;
    let advice = base.advice(&parts, Progress::Auto)?;
    output.text(format!("{advice}\n\nadvice: {}", advice.strategy()));
    output.text(
        "\n              similar pictures    different pictures\n\
         small data    total transfer      fine-tuning\n\
         large data    fine-tuning         whole network",
    );
    output.object(&json!({
        "base": base.architecture.name(),
        "classes": parts.train.class_names(),
        "training_pictures": parts.train.len(),
        "least_per_class": advice.least_per_class,
        "separation": advice.separation,
        "is_large": advice.is_large(),
        "is_similar": advice.is_similar(),
        "advice": advice.strategy().to_string(),
    }));
    Ok(ExitCode::SUCCESS)
}
