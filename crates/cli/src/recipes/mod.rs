//! The recipes: each file reads like the lecture's listing and uses only the facade.

pub mod cats_dogs;
pub mod cats_dogs_best;
pub mod cats_dogs_features;
pub mod cats_dogs_finetune;
pub mod cats_dogs_frozen;
mod digit_pictures;
pub mod folder_parts;
mod mirror;
pub mod mnist;
pub mod mnist_best;
pub mod transfer;
pub mod vgg16;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use striate::data::{Dataset, FolderOptions, ImageFolder, PixelValues, Preparation, locate};
use striate::nn::Model;
use striate::train::{Callback, Evaluation, Fit, History, Progress, Training};
use striate::viz::Answers;
use striate::viz::report::{Diary, Pins};
use striate::zoo::Architecture;
use striate::{Error, Result};

/// The data set's folder of the recipes for cats and dogs.
const CATS_AND_DOGS: &str = "cats_and_dogs_small";
/// So many bytes of decoded training photographs are kept: an eighth of the 2000 at 150×150. Decoding the others anew costs an
/// epoch a few hundredths of its work; keeping all would bring a run beyond 500 MB.
const CACHE_BYTES: usize = 16 << 20;

/// What the command line says about a run.
#[derive(Debug, Default)]
pub struct Settings {
    /// The folder with the data.
    pub data: Option<PathBuf>,
    /// Passes over the data.
    pub epochs: Option<usize>,
    /// Samples a step.
    pub batch_size: Option<usize>,
    /// Steps an epoch.
    pub steps_per_epoch: Option<usize>,
    /// The source of all randomness.
    pub seed: u64,
    /// Weights to start from.
    pub weights: Option<PathBuf>,
    /// Where the run's state is kept between epochs.
    pub checkpoint: PathBuf,
    /// Go on from there.
    pub resume: bool,
    /// Leave bad files out.
    pub skip_bad: bool,
    /// Divide pixels by 255 as the lecture does, where the pretrained network wants something else.
    pub as_lecture: bool,
    /// Pixels along a photograph's sides, where a recipe leaves them open.
    pub side: Option<usize>,
    /// Let the learning rate fall along a cosine.
    pub cosine: bool,
    /// The share of itself that the weights' average keeps at each step.
    pub ema: Option<f64>,
    /// Answer with the mean over a photograph and its mirror image.
    pub mirrored: bool,
    /// The pretrained network of `transfer`.
    pub base: Option<Architecture>,
    /// How progress is shown.
    pub progress: Progress,
}

impl Settings {
    /// What every recipe hands to `fit` alike; each sets the rest itself.
    fn fit<'a>(&self, callbacks: Vec<Box<dyn Callback + 'a>>) -> Fit<'a> {
        Fit {
            seed: self.seed,
            steps_per_epoch: self.steps_per_epoch,
            checkpoint: Some(self.checkpoint.clone()),
            resume: self.resume,
            progress: self.progress,
            callbacks,
            ..Fit::default()
        }
    }

    /// Gives the model the weights it is to start from, if there are some.
    fn load_weights(&self, model: &mut Model) -> Result<()> {
        self.weights.as_ref().map_or(Ok(()), |weights| striate::formats::load_weights(model, weights).map(|_| ()))
    }

    /// The photographs of one part: `train`, `validation` or `test`.
    fn photographs(&self, part: &str, options: FolderOptions) -> Result<ImageFolder> {
        let folder = locate(self.data.as_deref(), CATS_AND_DOGS)?.join(part);
        if !folder.is_dir() {
            return Err(Error::data(
                folder.display().to_string(),
                "the data must have the folders train, validation and test, with a folder for each class in each",
                "no such folder",
                "check --data; striate data download cats-dogs --from ARCHIVE makes them",
            ));
        }
        // The other parts are read once an epoch at most.
        let cache_bytes = if part == "train" { CACHE_BYTES } else { 0 };
        self.pictures(&folder, FolderOptions { cache_bytes, ..options })
    }

    /// The pictures of a folder. What is left out because of `skip_bad` is told.
    fn pictures(&self, folder: &Path, options: FolderOptions) -> Result<ImageFolder> {
        let pictures = ImageFolder::open(folder, FolderOptions { skip_bad: self.skip_bad, ..options }).map_err(
            |error| match error {
                Error::Data(violation) if violation.hint.contains("skip_bad") => Error::data(
                    violation.subject,
                    violation.rule,
                    violation.received,
                    "mend or remove them, or give --skip-bad",
                ),
                other => other,
            },
        )?;
        for file in pictures.skipped() {
            eprintln!("note: left out {}: {}", file.path.display(), file.reason);
        }
        Ok(pictures)
    }
}

/// Gives a network the weights that another has under the same paths.
fn take_over(model: &mut Model, from: &Model) -> Result<()> {
    for (spec, value) in from.weights() {
        if model.weight(&spec.path).is_some() {
            model.set_weight(&spec.path, value)?;
        }
    }
    Ok(())
}

/// What a run gives.
pub struct Outcome {
    /// The trained model.
    pub model: Model,
    /// The classes' names.
    pub class_names: Vec<String>,
    /// How a picture becomes an input.
    pub preprocessing: String,
    /// What happened in each epoch.
    pub history: History,
    /// What it does on the test data.
    pub test: Test,
    /// The epoch whose weights it has; none for the last.
    pub kept: Option<usize>,
}

/// The one look at the test data.
pub struct Test {
    /// Loss and metrics.
    pub evaluation: Evaluation,
    /// Every answer.
    pub answers: Answers,
    /// The test data as the whole model takes it.
    pub pictures: Arc<dyn Dataset>,
}

impl Test {
    /// Loss, metrics and answers of what was trained on the test data.
    ///
    /// # Errors
    /// As [`Training::evaluate_with`].
    pub fn of(training: &mut Training<'_>, data: &dyn Dataset, batch_size: usize, progress: Progress) -> Result<Test> {
        let mut answers = Answers::default();
        let evaluation = training.evaluate_watched(data, batch_size, None, progress, |batch, output| {
            batch.targets.first().map_or(Ok(()), |target| answers.add(output, target))
        })?;
        Ok(Test { evaluation, answers, pictures: data.share() })
    }

    /// The same with the pictures that `data` was computed from.
    pub fn from(self, pictures: &dyn Dataset) -> Test {
        Test { pictures: pictures.share(), ..self }
    }
}

/// How the command looks on.
pub struct Hooks<'a> {
    /// Called with the model before training.
    pub on_model: &'a mut dyn FnMut(&Model),
    /// Looks on while the model trains.
    pub callbacks: Vec<Box<dyn Callback + 'a>>,
    /// The folder of the run.
    pub folder: &'a Path,
    /// Takes the pictures that the run's diary is about.
    pub pins: &'a mut Option<Pins>,
}

impl Hooks<'_> {
    /// Keeps a diary of a few of these pictures, which the model that is trained takes.
    ///
    /// # Errors
    /// As [`Pins::choose`].
    pub fn pin(&mut self, pictures: &dyn Dataset, preparation: &Preparation) -> Result<()> {
        self.pin_through(pictures, pictures, preparation)
    }

    /// The same where a head is trained: `features` is what the base makes of the pictures.
    ///
    /// # Errors
    /// As [`Pins::choose`].
    pub fn pin_through(
        &mut self,
        pictures: &dyn Dataset,
        features: &dyn Dataset,
        preparation: &Preparation,
    ) -> Result<()> {
        let values = match preparation {
            Preparation::Digit => PixelValues::Rescale(255f32.recip()),
            Preparation::Photograph(photograph) => photograph.values,
        };
        let pins = Pins::choose(pictures, features, values, &striate::device()?)?;
        self.callbacks.push(Box::new(Diary::new(self.folder, pins.clone())));
        *self.pins = Some(pins);
        Ok(())
    }
}
