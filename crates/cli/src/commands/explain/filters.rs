//! `striate explain filters`.

use super::{ModelArguments, write};
use crate::output::Output;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use striate::data::PixelValues;
use striate::viz::check_ending;
use striate::viz::filters::{Ascent, Filters, filter_grid, kernel_sheet};
use striate::{Error, Result};

/// `striate explain filters`.
#[derive(Debug, Args)]
pub struct FiltersArguments {
    #[command(flatten)]
    model: ModelArguments,
    /// The layer, as block3_conv1 or vgg16/block3_conv1.
    #[arg(long, value_name = "LAYER")]
    layer: String,
    /// One filter, counted from 0.
    #[arg(long, value_name = "K", conflicts_with = "grid")]
    filter: Option<usize>,
    /// The first filters in a grid of ROWSxCOLUMNS [default without --filter: 8x8].
    #[arg(long, value_name = "ROWSxCOLUMNS", value_parser = grid)]
    grid: Option<(usize, usize)>,
    /// The pictures' side in pixels [default: 150 for one filter, 64 in a grid; a model with dense layers keeps its own].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(8..=1024))]
    size: Option<u64>,
    /// Steps of the ascent [default: 40; 120 with --clear or --decorrelated].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10000))]
    steps: Option<u64>,
    /// The noise to start from.
    #[arg(long, value_name = "N", default_value_t = 7)]
    seed: u64,
    /// Clearer pictures than the lecture's: more steps, shifted at random, smoothed, in true colours.
    #[arg(long)]
    clear: bool,
    /// Smooth pictures in natural colours: let waves and colours climb that go apart in photographs, instead of pixels.
    #[arg(long, conflicts_with_all = ["clear", "blur", "variation"])]
    decorrelated: bool,
    /// Shift the picture by up to so many pixels before each step.
    #[arg(long, value_name = "PIXELS")]
    jitter: Option<usize>,
    /// Blur it with this deviation, in pixels, after every fourth step.
    #[arg(long, value_name = "PIXELS")]
    blur: Option<f32>,
    /// How much of each step lessens the differences between neighbours, 0 to 1.
    #[arg(long, value_name = "PART")]
    variation: Option<f32>,
    /// Filters that climb together as one batch.
    #[arg(long, value_name = "N", default_value_t = 1)]
    batch: usize,
    /// The kernels as they are instead; for the first convolution.
    #[arg(long, conflicts_with_all = ["filter", "grid", "clear", "decorrelated"])]
    raw: bool,
    /// The file to write, PNG.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Runs the command.
pub fn run(arguments: &FiltersArguments, output: &Output) -> Result<ExitCode> {
    check_ending(&arguments.out, &["png"])?;
    let subject = arguments.model.open(false)?;
    if arguments.raw {
        let is_bgr = subject.values() == PixelValues::Caffe;
        write(&arguments.out, &kernel_sheet(&subject.model, &arguments.layer, is_bgr)?, output)?;
        return Ok(ExitCode::SUCCESS);
    }
    let base = match (arguments.decorrelated, arguments.clear) {
        (true, _) => Ascent::decorrelated(),
        (_, true) => Ascent::clear(),
        _ => Ascent::default(),
    };
    let ascent = Ascent {
        steps: arguments.steps.map_or(base.steps, |steps| steps as usize),
        seed: arguments.seed,
        jitter: arguments.jitter.unwrap_or(base.jitter),
        blur: arguments.blur.unwrap_or(base.blur),
        variation: arguments.variation.unwrap_or(base.variation),
        batch: arguments.batch,
        ..base
    };
    if !(0.0..=20.0).contains(&ascent.blur) || !(0.0..=1.0).contains(&ascent.variation) || ascent.jitter > 1024 {
        let received = format!("{}, {}, {}", ascent.blur, ascent.variation, ascent.jitter);
        let rule = "blur must be in 0..=20, variation in 0..=1, jitter in 0..=1024";
        return Err(Error::argument("filters", rule, received, ""));
    }
    let side = arguments.size.map_or(if arguments.filter.is_some() { 150 } else { 64 }, |size| size as usize);
    let wanted = Filters::new(&subject.model, &arguments.layer, Some((side, side)), subject.values());
    let filters = match (wanted, arguments.size) {
        // Dense layers fix the picture's size.
        (Err(Error::Shape(_)), None) => Filters::new(&subject.model, &arguments.layer, None, subject.values())?,
        (wanted, _) => wanted?,
    };
    let (rows, columns) = match arguments.filter {
        Some(_) => (1, 1),
        None => arguments.grid.unwrap_or((8, 8)),
    };
    let chosen: Vec<usize> = match arguments.filter {
        Some(filter) => vec![filter],
        None => (0..(rows * columns).min(filters.count())).collect(),
    };
    let images = filters.images(&chosen, &ascent)?;
    write(&arguments.out, &filter_grid(&images, columns, 5)?, output)?;
    Ok(ExitCode::SUCCESS)
}

fn grid(text: &str) -> std::result::Result<(usize, usize), String> {
    let (rows, columns) = text.split_once('x').ok_or("two numbers with an x between them are needed")?;
    let side = |text: &str| match text.parse::<usize>() {
        Ok(side @ 1..=32) => Ok(side),
        Ok(_) => Err("a grid has 1 to 32 rows and columns".to_string()),
        Err(error) => Err(error.to_string()),
    };
    Ok((side(rows)?, side(columns)?))
}
