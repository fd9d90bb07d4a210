//! `striate augment`: what random changes make of a picture, on one sheet.

use crate::output::Output;
use clap::{ArgAction, Args, ValueEnum};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use striate::data::augment::{
    Augmentation, FillMode, PictureChange, RandAugment, RandomErasing, Shift, TrivialAugment, Variant, Zoom,
};
use striate::data::image_file::{Colour, MAX_PIXELS, Picture, read};
use striate::data::{Filter, Fit, resize};
use striate::tensor::Key;
use striate::viz::{Cell, Sheet, check_ending, image_of, write_png};
use striate::{Error, Result};

/// The lecture's shear of 0.2 meant radians; Keras has taken degrees since.
const SHEAR: &str = "11.46";

/// `striate augment`. The ranges are named as in Keras's ImageDataGenerator; the defaults are the lecture's.
#[derive(Debug, Args)]
pub struct AugmentArguments {
    /// A picture: JPEG, PNG, BMP, GIF or WebP.
    pub image: PathBuf,
    /// The sheet to write, a PNG file: the picture as it is, and variants of it with their parameters below.
    #[arg(long, value_name = "FILE", required = true)]
    pub preview: PathBuf,
    /// Variants on the sheet.
    #[arg(long, value_name = "N", default_value_t = 11, value_parser = clap::value_parser!(u64).range(1..=200))]
    pub count: u64,
    /// The source of all randomness: the same seed gives the same sheet to the byte.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// The size, HEIGHTxWIDTH, that the picture is brought to first, as for a network.
    #[arg(long, value_name = "SIZE", default_value = "150x150", value_parser = size)]
    pub size: (usize, usize),
    /// Turn by up to so many degrees to either side.
    #[arg(long, value_name = "DEGREES", default_value_t = 40.0)]
    pub rotation_range: f64,
    /// Shift sideways: a part of the width if below 1, else pixels; an integer for whole pixels; A,B,… to choose from.
    #[arg(long, value_name = "SHIFT", default_value = "0.2", value_parser = shift)]
    pub width_shift_range: Shift,
    /// Shift up and down, in the same way.
    #[arg(long, value_name = "SHIFT", default_value = "0.2", value_parser = shift)]
    pub height_shift_range: Shift,
    /// Shear by up to so many degrees to either side [default: the lecture's 0.2 radians].
    #[arg(long, value_name = "DEGREES", default_value = SHEAR, hide_default_value = true)]
    pub shear_range: f64,
    /// Zoom: Z for factors from 1 - Z to 1 + Z, or LOWEST,HIGHEST; below 1 enlarges.
    #[arg(long, value_name = "ZOOM", default_value = "0.2", value_parser = zoom)]
    pub zoom_range: Zoom,
    /// Add up to so many steps of brightness (of 255) or take them away.
    #[arg(long, value_name = "STEPS", default_value_t = 0.0)]
    pub channel_shift_range: f64,
    /// Multiply the brightness by a factor from LOWEST,HIGHEST.
    #[arg(long, value_name = "RANGE", value_parser = pair)]
    pub brightness_range: Option<(f64, f64)>,
    /// Mirror every second variant, left to right.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub horizontal_flip: bool,
    /// Mirror every second variant, top to bottom.
    #[arg(long)]
    pub vertical_flip: bool,
    /// What lies beyond the picture's border.
    #[arg(long, value_name = "MODE", default_value = "nearest")]
    pub fill_mode: Fill,
    /// The brightness beyond the border for fill mode constant, 0..255.
    #[arg(long, value_name = "VALUE", default_value_t = 0.0)]
    pub cval: f32,
    /// Changes that come before.
    #[arg(long, value_name = "POLICY", default_value = "none")]
    pub policy: Policy,
    /// Wipe out a rectangle of so large a part of the variants, 0..=1.
    #[arg(long, value_name = "PART", default_value_t = 0.0)]
    pub erasing: f64,
}

/// The fill modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Fill {
    /// The border's own pixels, on and on.
    Nearest,
    /// One value.
    Constant,
    /// The picture mirrored at its edge.
    Reflect,
    /// The picture from its other side.
    Wrap,
}

/// Lists of changes to draw from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Policy {
    /// None.
    None,
    /// TrivialAugment: one change of any strength.
    Trivial,
    /// RandAugment: two changes of strength 9 of 30.
    Rand,
}

/// Runs the command.
pub fn run(arguments: &AugmentArguments, output: &Output) -> Result<ExitCode> {
    check_ending(&arguments.preview, &["png"])?;
    let (height, width) = arguments.size;
    let pixels = (arguments.count + 1) * (height * width) as u64;
    if pixels > MAX_PIXELS {
        return Err(Error::argument(
            "--count",
            format!("the sheet's pictures may have at most {MAX_PIXELS} pixels"),
            pixels.to_string(),
            "show fewer, or smaller ones",
        ));
    }
    let augmentation = augmentation(arguments);
    augmentation.check()?;
    let erasing = RandomErasing { probability: arguments.erasing, ..RandomErasing::default() };
    erasing.check()?;
    let policy: Option<Arc<dyn PictureChange>> = match arguments.policy {
        Policy::None => None,
        Policy::Trivial => Some(Arc::new(TrivialAugment::default())),
        Policy::Rand => Some(Arc::new(RandAugment::default())),
    };
    let picture = read(&arguments.image, Colour::Rgb)?;
    let picture = resize(&picture, arguments.size, Filter::Bilinear, Fit::Stretch)?;

    let mut cells = vec![Cell::new(image_of(&picture)?, "").line("as it is")];
    for number in 1..=arguments.count {
        let key = Key::new(arguments.seed).fold(number);
        let source = match &policy {
            Some(policy) => policy.apply(&picture, key)?,
            None => picture.clone(),
        };
        let variant = augmentation.draw(key, height, width);
        let mut values = variant.apply(&source);
        let before = values.clone();
        erasing.apply(&mut values, &source.shape(), key);
        // A conversion to u8 saturates.
        let bytes = values.iter().map(|value| (value + 0.5) as u8).collect();
        let mut lines = lines(&variant);
        lines.extend((arguments.policy != Policy::None && source != picture).then(|| "policy's change".to_string()));
        lines.extend((values != before).then(|| "rectangle erased".to_string()));
        output.text(format!("{number}: {variant}"));
        output.object(&object(number, &variant));
        let image = image_of(&Picture::new(bytes, height, width, Colour::Rgb)?)?;
        cells.push(Cell { image, heading: String::new(), lines });
    }
    write_png(&arguments.preview, &Sheet::new(cells).image()?)?;
    let path = arguments.preview.display().to_string();
    output.text(format!("wrote {path}"));
    output.object(&json!({ "event": "sheet", "path": path, "seed": arguments.seed }));
    Ok(ExitCode::SUCCESS)
}

fn augmentation(arguments: &AugmentArguments) -> Augmentation {
    Augmentation {
        rotation_range: arguments.rotation_range,
        width_shift_range: arguments.width_shift_range.clone(),
        height_shift_range: arguments.height_shift_range.clone(),
        shear_range: arguments.shear_range,
        zoom_range: arguments.zoom_range,
        channel_shift_range: arguments.channel_shift_range,
        brightness_range: arguments.brightness_range,
        horizontal_flip: arguments.horizontal_flip,
        vertical_flip: arguments.vertical_flip,
        fill_mode: match arguments.fill_mode {
            Fill::Nearest => FillMode::Nearest,
            Fill::Constant => FillMode::Constant,
            Fill::Reflect => FillMode::Reflect,
            Fill::Wrap => FillMode::Wrap,
        },
        cval: arguments.cval,
    }
}

/// A variant in short lines, one for each parameter that does something.
fn lines(variant: &Variant) -> Vec<String> {
    let mut lines = Vec::new();
    let mut put = |there: bool, text: String| lines.extend(there.then_some(text));
    put(variant.theta != 0.0, format!("turn {:+.1}°", variant.theta));
    let moved = variant.row_shift != 0.0 || variant.column_shift != 0.0;
    put(moved, format!("shift x {:+.1} y {:+.1}", variant.column_shift, variant.row_shift));
    put(variant.shear != 0.0, format!("shear {:+.1}°", variant.shear));
    let zoomed = variant.row_zoom != 1.0 || variant.column_zoom != 1.0;
    put(zoomed, format!("zoom x {:.2} y {:.2}", variant.column_zoom, variant.row_zoom));
    put(variant.flip_horizontal, "mirrored left-right".into());
    put(variant.flip_vertical, "mirrored up-down".into());
    put(variant.channel_shift.is_some(), format!("values {:+.1}", variant.channel_shift.unwrap_or(0.0)));
    put(variant.brightness.is_some(), format!("brightness ×{:.2}", variant.brightness.unwrap_or(1.0)));
    lines
}

fn object(number: u64, variant: &Variant) -> serde_json::Value {
    json!({
        "event": "variant",
        "number": number,
        "theta": variant.theta,
        "row_shift": variant.row_shift,
        "column_shift": variant.column_shift,
        "shear": variant.shear,
        "row_zoom": variant.row_zoom,
        "column_zoom": variant.column_zoom,
        "flip_horizontal": variant.flip_horizontal,
        "flip_vertical": variant.flip_vertical,
        "channel_shift": variant.channel_shift,
        "brightness": variant.brightness,
    })
}

fn number(text: &str) -> std::result::Result<f64, String> {
    text.trim().parse::<f64>().map_err(|error| error.to_string())
}

fn pair(text: &str) -> std::result::Result<(f64, f64), String> {
    let (low, high) = text.split_once(',').ok_or("two numbers with a comma between them are needed")?;
    Ok((number(low)?, number(high)?))
}

fn zoom(text: &str) -> std::result::Result<Zoom, String> {
    if text.contains(',') { pair(text).map(Zoom::from) } else { number(text).map(Zoom::from) }
}

fn shift(text: &str) -> std::result::Result<Shift, String> {
    if text.contains(',') {
        return text.split(',').map(number).collect::<std::result::Result<_, _>>().map(Shift::Choices);
    }
    match text.parse::<u32>() {
        Ok(pixels) => Ok(Shift::Pixels(pixels)),
        Err(_) => number(text).map(Shift::Uniform),
    }
}

fn size(text: &str) -> std::result::Result<(usize, usize), String> {
    let (height, width) = text.split_once('x').ok_or("two numbers with an x between them are needed")?;
    let side = |text: &str| match text.parse::<usize>() {
        Ok(side @ 8..=2048) => Ok(side),
        Ok(_) => Err("sides must be in 8..=2048".to_string()),
        Err(error) => Err(error.to_string()),
    };
    Ok((side(height)?, side(width)?))
}
