//! `striate explain gradcam`, `saliency` and `occlusion`.

use super::{ModelArguments, write};
use crate::output::Output;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use striate::data::image_file::{Picture, read};
use striate::data::{Filter, Fit, PixelValues, resize};
use striate::tensor::Tensor;
use striate::viz::heat::{
    CamMethod, GradientMethod, Occlusion, ScoreCam, cam, default_cam_layer, deletion_insertion, gradient_map,
    heat_image, occlusion_map, overlay, randomisation, score_cam, top_class,
};
use striate::viz::{Cell, Plane, RgbImage, Sheet, Subject, check_ending, image_of};
use striate::{Error, Result};

/// What all heat maps take.
#[derive(Debug, Args)]
pub struct HeatMapArguments {
    #[command(flatten)]
    model: ModelArguments,
    /// Pictures.
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// The class to look for, by number or name [default: the most probable of each picture].
    #[arg(long, value_name = "CLASS")]
    class: Option<String>,
    /// The picture to write: the photograph, the map, and the one on the other. A folder for several pictures.
    #[arg(long, value_name = "FILE|DIR")]
    out: PathBuf,
    /// Leave out the randomisation test and the deletion and insertion scores.
    #[arg(long)]
    no_checks: bool,
}

impl HeatMapArguments {
    /// The file for a single picture's map; none if maps go into a folder.
    fn file(&self) -> Option<&Path> {
        (self.images.len() == 1 && self.out.extension().is_some()).then_some(&self.out)
    }

    /// The model, once it is clear that the map can be written.
    fn open(&self) -> Result<Subject> {
        self.file().map_or(Ok(()), |file| check_ending(file, &["png"]))?;
        self.model.open(true)
    }
}

/// `striate explain gradcam`.
#[derive(Debug, Args)]
pub struct CamArguments {
    #[command(flatten)]
    common: HeatMapArguments,
    /// How the map is made.
    #[arg(long, value_name = "METHOD", default_value = "grad-cam")]
    method: CamName,
    /// The layer, as block5_conv3 or vgg16/block5_conv3 [default: the last one with places].
    #[arg(long, value_name = "LAYER")]
    layer: Option<String>,
    /// Channels that score-cam tries, the strongest first.
    #[arg(long, value_name = "N", default_value_t = 128)]
    channels: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CamName {
    /// Channels weighed by their mean gradient.
    GradCam,
    /// The same with each place's gradient weighed.
    #[value(name = "grad-cam++")]
    GradCamPlusPlus,
    /// Gradient times response, place by place.
    HiresCam,
    /// Channels weighed by what the model says of the picture seen through them.
    ScoreCam,
    /// Positive gradient times response, place by place.
    LayerCam,
}

/// `striate explain saliency`.
#[derive(Debug, Args)]
pub struct SaliencyArguments {
    #[command(flatten)]
    common: HeatMapArguments,
    /// How the map is made.
    #[arg(long, value_name = "METHOD", default_value = "smoothgrad")]
    method: SaliencyName,
    /// Pictures with noise, or points on the way from black.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=1000))]
    samples: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SaliencyName {
    /// The size of the gradient.
    Saliency,
    /// The same, averaged over pictures with noise.
    Smoothgrad,
    /// Pixel times gradient, averaged on the way from black.
    IntegratedGradients,
}

/// `striate explain occlusion`.
#[derive(Debug, Args)]
pub struct OcclusionArguments {
    #[command(flatten)]
    common: HeatMapArguments,
    /// The patch's side in pixels of the input [default: a fifth of the picture].
    #[arg(long, value_name = "PIXELS")]
    patch: Option<usize>,
    /// From patch to patch [default: half a patch].
    #[arg(long, value_name = "PIXELS")]
    stride: Option<usize>,
}

/// Runs `gradcam`.
pub fn run_cam(arguments: &CamArguments, output: &Output) -> Result<ExitCode> {
    let subject = arguments.common.open()?;
    let layer = match &arguments.layer {
        Some(layer) => layer.clone(),
        None => default_cam_layer(&subject.model)?.path,
    };
    let name = arguments.method.to_possible_value().map_or_else(String::new, |value| value.get_name().to_string());
    let method = match arguments.method {
        CamName::GradCam => Some(CamMethod::GradCam),
        CamName::GradCamPlusPlus => Some(CamMethod::GradCamPlusPlus),
        CamName::HiresCam => Some(CamMethod::HiResCam),
        CamName::LayerCam => Some(CamMethod::LayerCam),
        CamName::ScoreCam => None,
    };
    let options = ScoreCam { channels: arguments.channels, ..ScoreCam::default() };
    let explain = |subject: &Subject, input: &Tensor, class: usize| match method {
        Some(method) => cam(&subject.model, input, class, &layer, method),
        None => score_cam(subject, input, class, &layer, options),
    };
    show_all(&arguments.common, &subject, &format!("{name} of {layer}"), explain, output)
}

/// Runs `saliency`.
pub fn run_saliency(arguments: &SaliencyArguments, output: &Output) -> Result<ExitCode> {
    let subject = arguments.common.open()?;
    let samples = arguments.samples as usize;
    let (name, method) = match arguments.method {
        SaliencyName::Saliency => ("saliency", GradientMethod::Saliency),
        SaliencyName::Smoothgrad => ("smoothgrad", GradientMethod::SmoothGrad { samples, noise: 0.15, seed: 0 }),
        SaliencyName::IntegratedGradients => {
            ("integrated gradients", GradientMethod::IntegratedGradients { steps: samples, black: black(&subject) })
        }
    };
    let explain = |subject: &Subject, input: &Tensor, class: usize| gradient_map(&subject.model, input, class, method);
    show_all(&arguments.common, &subject, name, explain, output)
}

/// Runs `occlusion`.
pub fn run_occlusion(arguments: &OcclusionArguments, output: &Output) -> Result<ExitCode> {
    let subject = arguments.common.open()?;
    let shape = subject.input_shape();
    let mut options = Occlusion::of(shape[0], shape[1], grey(&subject));
    options.patch = arguments.patch.unwrap_or(options.patch);
    options.stride = arguments.stride.or(arguments.patch.map(|patch| (patch / 2).max(1))).unwrap_or(options.stride);
    let explain = |subject: &Subject, input: &Tensor, class: usize| occlusion_map(subject, input, class, options);
    show_all(&arguments.common, &subject, &format!("occlusion by {0} × {0}", options.patch), explain, output)
}

/// Middle grey in the input's units; near enough for channels less their mean.
fn grey(subject: &Subject) -> f32 {
    match subject.values() {
        PixelValues::Rescale(factor) => 127.5 * factor,
        _ => 0.0,
    }
}

/// Black in the input's units; the mean colour, which carries nothing, for channels less their mean.
fn black(subject: &Subject) -> f32 {
    if subject.values() == PixelValues::Symmetric { -1.0 } else { 0.0 }
}

/// Maps each picture, checks the map, writes it, and says what came out.
fn show_all(
    common: &HeatMapArguments,
    subject: &Subject,
    method: &str,
    explain: impl Fn(&Subject, &Tensor, usize) -> Result<Plane>,
    output: &Output,
) -> Result<ExitCode> {
    let class = common.class.as_deref().map(|class| subject.class_by_name(class)).transpose()?;
    let mut code = ExitCode::SUCCESS;
    for image in &common.images {
        match show(common, subject, method, class, image, &explain, output) {
            Ok(()) => {}
            // A picture that cannot be read does not keep the others from their maps.
            Err(error) if common.images.len() > 1 => {
                eprintln!("error: {error}");
                output.object(&json!({ "image": image.display().to_string(), "error": error.to_string() }));
                code = ExitCode::FAILURE;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(code)
}

fn show(
    common: &HeatMapArguments,
    subject: &Subject,
    method: &str,
    class: Option<usize>,
    image: &Path,
    explain: &impl Fn(&Subject, &Tensor, usize) -> Result<Plane>,
    output: &Output,
) -> Result<()> {
    let picture = read(image, subject.colour())?;
    let input = subject.input(&picture)?;
    let (top, _) = top_class(subject, &input)?;
    let class = class.unwrap_or(top);
    let probability = subject.probabilities(&input)?[0].get(class).copied().unwrap_or(0.0);
    let map = explain(subject, &input, class)?;
    let name = subject.class_name(class);
    let (row, column) = map.peak();
    let place = ((column as f64 + 0.5) / map.width() as f64, (row as f64 + 0.5) / map.height() as f64);
    output.text(format!(
        "{}: {name} {:.1} %, {method}, hottest at {:.0} % across and {:.0} % down",
        image.display(),
        100.0 * probability,
        100.0 * place.0,
        100.0 * place.1
    ));
    let mut report = json!({
        "image": image.display().to_string(),
        "class": class,
        "name": name,
        "probability": probability,
        "method": method,
        "hottest": [place.0, place.1],
    });
    if !common.no_checks {
        let random = randomisation(subject, &map, 3, |other| explain(other, &input, class))?;
        let deletion = deletion_insertion(subject, &input, class, &map)?;
        let word = |passes: bool| if passes { "pass" } else { "fail" };
        output.text(format!(
            "  randomisation test: {} (rank correlation with the maps of random weights {:.2}, must be below {})",
            word(random.passes()),
            random.similarity(),
            striate::viz::heat::RANDOM_SIMILARITY
        ));
        output.text(format!(
            "  deletion and insertion: {} (deletion {:.3}, random {:.3}; insertion {:.3}, random {:.3})",
            word(deletion.passes()),
            deletion.deletion,
            deletion.random_deletion,
            deletion.insertion,
            deletion.random_insertion
        ));
        report["randomisation"] = json!({ "passes": random.passes(), "similarities": random.similarities });
        report["deletion_insertion"] = json!({
            "passes": deletion.passes(),
            "deletion": deletion.deletion,
            "insertion": deletion.insertion,
            "random_deletion": deletion.random_deletion,
            "random_insertion": deletion.random_insertion,
        });
    }
    let sheet = sheet(&picture, &map, method, &format!("{name}, {:.1} %", 100.0 * probability))?;
    let path = match common.file() {
        Some(file) => file.to_path_buf(),
        None => common.out.join(file_name(image)?),
    };
    write(&path, &sheet, output)?;
    report["path"] = json!(path.display().to_string());
    output.object(&report);
    Ok(())
}

/// The picture, the map, and the one on the other.
fn sheet(picture: &Picture, map: &Plane, method: &str, class: &str) -> Result<RgbImage> {
    /// Sides in pixels between which the picture is shown.
    const SIDES: (f64, f64) = (220.0, 420.0);
    let longest = picture.height().max(picture.width()) as f64;
    let part = longest.clamp(SIDES.0, SIDES.1) / longest;
    let side = |side: usize| ((side as f64 * part).round() as usize).max(1);
    let filter = if part < 1.0 { Filter::Area } else { Filter::Bilinear };
    let shown = resize(picture, (side(picture.height()), side(picture.width())), filter, Fit::Stretch)?;
    let image = image_of(&shown)?;
    let cells = vec![
        Cell::new(image.clone(), class),
        Cell::new(heat_image(map, image.width(), image.height())?, method),
        Cell::new(overlay(&image, map)?, "on the picture"),
    ];
    Sheet::new(cells).columns(3).image()
}

fn file_name(image: &Path) -> Result<String> {
    let stem = image.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let missing = || Error::argument("image", "must be a file's name", image.display().to_string(), "");
    stem.map(|stem| format!("{stem}.png")).ok_or_else(missing)
}
