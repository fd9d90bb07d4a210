//! A pretrained network for anybody's folder of pictures, with any number of classes.

use super::folder_parts::FolderParts;
use super::{Hooks, Outcome, Settings, Test, take_over};
use std::path::Path;
use striate::data::augment::{Augmentation, Augmented};
use striate::data::{Photograph, Subset};
use striate::prelude::*;
use striate::train::{EpochRecord, features};
use striate::zoo::{Advice, Architecture, FeaturePooling, Pretrained, Strategy, ZooOptions, separation};

/// Pixels along a side, unless the network takes none so small.
const SIDE: usize = 160;
const BATCH: usize = 20;
/// Pictures of each class that the separation is measured on.
const MEASURED: usize = 50;
/// Epochs without a better validation loss after which training ends.
const PATIENCE: usize = 5;

/// A pretrained network, each of whose maps is averaged, and how its pictures are read.
pub struct Base {
    pub architecture: Architecture,
    pub model: Model,
    pub photograph: Photograph,
}

impl Base {
    /// The network that was asked for, or the first whose weights are on this machine.
    pub fn open(asked: Option<Architecture>, data: &Path, seed: u64) -> Result<Base> {
        let open = |architecture: Architecture| {
            let side = SIDE.max(architecture.least_size());
            let options =
                ZooOptions { pooling: Some(FeaturePooling::Average), ..ZooOptions::features([side, side, 3]) };
            Pretrained::open(architecture, &options, &striate::build_options(seed)?, Some(data))
        };
        let pretrained = match asked {
            Some(architecture) => open(architecture)?,
            None => {
                let mut opened = Architecture::ALL.into_iter().map(open);
                match opened.find(|opened| !matches!(opened, Err(Error::Data(_)))) {
                    Some(pretrained) => pretrained?,
                    // None is here: the error says how to get the one that is best known.
                    None => open(Architecture::Vgg16)?,
                }
            }
        };
        let Pretrained { architecture, model, preparation, file } = pretrained;
        let shape = preparation.input_shape();
        let photograph = Photograph { values: architecture.pixel_values(), ..Photograph::new(shape[0], shape[1]) };
        eprintln!("base: {} with the weights of {}", architecture.name(), file.display());
        Ok(Base { architecture, model, photograph })
    }

    /// What the lecture's table says of these pictures.
    pub fn advice(&self, parts: &FolderParts, progress: Progress) -> Result<Advice> {
        let (samples, labels) = parts.few_of_each(MEASURED);
        let few = features(&self.model, &Subset::new(&parts.train, &samples)?, BATCH, progress)?;
        let all: Vec<usize> = (0..samples.len()).collect();
        let values = few.inputs()[0].gather(&all, self.model.device())?;
        let separation = separation(&values.to_vec::<f32>()?, values.shape().channels(), &labels)?;
        Ok(Advice { least_per_class: parts.least_per_class(), separation })
    }
}

fn with_head(network: Sequential, classes: usize) -> Sequential {
    network
        .add(Dense::new(256).activation(Relu).named("head"))
        .add(Dropout::new(0.5))
        .add(Dense::new(classes).activation(Softmax).named("classes"))
}

/// A classifier on the base's features; where the advice is so, the base's last layers or all of it are trained after that.
pub fn run(settings: &Settings, mut hooks: Hooks<'_>) -> Result<Outcome> {
    let folder = settings.data.as_deref().ok_or_else(|| {
        Error::argument(
            "train transfer",
            "the pictures must be named",
            "no --data",
            "give --data DIR, with a folder for each class",
        )
    })?;
    let base = Base::open(settings.base, folder, settings.seed)?;
    let parts = FolderParts::open(settings, folder, &base.photograph)?;
    let advice = base.advice(&parts, Progress::Silent)?;
    let strategy = advice.strategy();
    eprintln!("{advice}\n{strategy}");

    let class_names = parts.train.class_names().to_vec();
    let shape = base.model.graph().input_shapes()[0];
    let mut model =
        with_head(Sequential::new(shape).add(base.model.clone()), class_names.len()).build_seeded(settings.seed)?;
    let name = base.model.name().to_string();
    model.set_trainable(&name, false)?;
    settings.load_weights(&mut model)?;
    (hooks.on_model)(&model);

    let computed = |data: &dyn Dataset| features(&base.model, data, BATCH, settings.progress);
    let (train, validation) = (computed(&parts.train)?, computed(&parts.validation)?);
    let features_shape = base.model.graph().output_shapes()[0];
    let mut head = with_head(Sequential::new(features_shape), class_names.len()).build()?;
    take_over(&mut head, &model)?;
    let mut training = head.compile(Adam::new(1e-3), CategoricalCrossentropy, [Accuracy])?;
    let patient = || Box::new(EarlyStopping::new().patience(PATIENCE).restore_best_weights(true));
    let (epochs, batch_size) = (settings.epochs.unwrap_or(30), settings.batch_size.unwrap_or(BATCH));
    let preparation = Preparation::Photograph(base.photograph.clone());
    if strategy == Strategy::TotalTransfer {
        hooks.pin_through(&parts.validation, &validation, &preparation)?;
        let mut fit = settings.fit(hooks.callbacks);
        fit.callbacks.push(patient());
        let history = training.fit(&train, Fit { epochs, batch_size, validation: Some(&validation), ..fit })?;
        let test = Test::of(&mut training, &computed(&parts.test)?, 100, Progress::Silent)?.from(&parts.test);
        take_over(&mut model, &head)?;
        let kept = best_epoch(&history);
        return Ok(Outcome { model, class_names, preprocessing: preparation.to_string(), history, test, kept });
    }
    // The classifier first: what it has not learnt yet would spoil the layers below.
    let fit = Fit { seed: settings.seed, progress: settings.progress, callbacks: vec![patient()], ..Fit::default() };
    training.fit(&train, Fit { epochs: 30, batch_size, validation: Some(&validation), ..fit })?;
    take_over(&mut model, &head)?;
    drop((train, validation));
    let rate = if strategy == Strategy::FineTuning {
        let last = format!("{name}/{}", base.architecture.last_frozen_layer());
        let paths = model.layer_paths();
        for path in paths.iter().skip_while(|path| **path != last).skip(1).filter(|path| path.starts_with(&name)) {
            model.set_trainable(path, true)?;
        }
        1e-5
    } else {
        model.set_all_trainable(true);
        1e-4
    };
    let augmentation = Augmentation {
        rotation_range: 15.0,
        width_shift_range: 0.1.into(),
        height_shift_range: 0.1.into(),
        zoom_range: 0.1.into(),
        horizontal_flip: true,
        ..Augmentation::default()
    };
    let train = Augmented::new(parts.train.clone(), augmentation)?;
    hooks.pin(&parts.validation, &preparation)?;
    let mut training = model.compile(Adam::new(rate), CategoricalCrossentropy, [Accuracy])?;
    let mut fit = settings.fit(hooks.callbacks);
    fit.callbacks.push(patient());
    let epochs = settings.epochs.unwrap_or(10);
    let validation: Option<&dyn Dataset> = Some(&parts.validation);
    let history = training.fit(&train, Fit { epochs, batch_size, validation, prefetch: 2, ..fit })?;
    let test = Test::of(&mut training, &parts.test, BATCH, settings.progress)?;
    let kept = best_epoch(&history);
    Ok(Outcome { model, class_names, preprocessing: preparation.to_string(), history, test, kept })
}

/// The epoch whose weights early stopping gives back.
fn best_epoch(history: &History) -> Option<usize> {
    let loss = |epoch: &EpochRecord| epoch.get("val_loss").filter(|loss| !loss.is_nan());
    let judged = history.epochs.iter().filter_map(|epoch| Some((epoch.epoch, loss(epoch)?)));
    judged.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(epoch, _)| epoch)
}
