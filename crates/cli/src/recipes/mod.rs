//! The recipes: each file reads like the lecture's listing and uses only the facade.

pub mod mnist;

use std::path::PathBuf;
use striate::nn::Model;
use striate::train::{Callback, Evaluation, History, Progress};

/// What the command line says about a run.
#[derive(Debug)]
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
    /// How progress is shown.
    pub progress: Progress,
}

/// What a run gives.
pub struct Outcome {
    /// The trained model.
    pub model: Model,
    /// The classes' names.
    pub class_names: Vec<String>,
    /// How a picture becomes an input.
    pub preprocessing: &'static str,
    /// What happened in each epoch.
    pub history: History,
    /// Loss and metrics on the test data.
    pub test: Evaluation,
}

/// How the command looks on.
pub struct Hooks<'a> {
    /// Called with the model before training.
    pub on_model: &'a mut dyn FnMut(&Model),
    /// Looks on while the model trains.
    pub callbacks: Vec<Box<dyn Callback + 'a>>,
}
