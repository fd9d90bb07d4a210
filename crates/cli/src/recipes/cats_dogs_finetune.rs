//! The lecture's fine-tuning: from the network of `cats-dogs-frozen`, VGG16's last block is trained too, slowly.

use super::mirror::evaluate_mirrored;
use super::vgg16::{self, BATCH};
use super::{Hooks, Outcome, Settings, Test, cats_dogs};
use std::path::Path;
use striate::data::augment::Augmented;
use striate::formats::ModelFile;
use striate::optim::Schedule;
use striate::prelude::*;

/// Where the network of `cats-dogs-frozen` lies unless `--weights` says something else.
const HEAD: &str = "runs/cats-dogs-frozen/model.keras";

/// The learning rate.
const RATE: f64 = 1e-5;

/// The first layer that is trained.
const FIRST: &str = "vgg16/block5_conv1";

/// 10 epochs of RMSprop at a rate of 1e-5, 100 steps each, with everything from `block5_conv1` on thawed.
pub fn run(settings: &Settings, mut hooks: Hooks<'_>) -> Result<Outcome> {
    let head = settings.weights.as_deref().unwrap_or(Path::new(HEAD));
    if !head.is_file() {
        return Err(Error::data(
            head.display().to_string(),
            "fine-tuning starts from a classifier that was trained on the frozen base",
            "no such file",
            "run striate train cats-dogs-frozen first, or name its model with --weights",
        ));
    }
    let ModelFile { mut model, preprocessing, .. } = striate::formats::load(head, &Registry::default(), &device()?)?;
    let photograph = match preprocessing.parse() {
        Ok(Preparation::Photograph(photograph)) => photograph,
        // A file of Keras does not say.
        _ => vgg16::photograph(settings),
    };
    thaw_from(&mut model, FIRST)?;
    (hooks.on_model)(&model);
    let train = Augmented::new(vgg16::photographs(settings, "train", &photograph)?, cats_dogs::augmentation())?;
    let validation = vgg16::photographs(settings, "validation", &photograph)?;
    let class_names = validation.class_names().to_vec();
    let preparation = Preparation::Photograph(photograph.clone());
    hooks.pin(&validation, &preparation)?;
    let (epochs, steps) = (settings.epochs.unwrap_or(10), settings.steps_per_epoch.unwrap_or(100));
    let rate = match settings.cosine {
        true => Schedule::CosineDecay {
            initial: RATE,
            decay_steps: (epochs * steps).max(1) as u64,
            alpha: 0.0,
            warmup: None,
        },
        false => Schedule::Constant(RATE),
    };
    let mut training = model.compile(RmsProp::new(rate), BinaryCrossentropy, [Accuracy])?;
    let history = training.fit(
        &train,
        Fit {
            epochs,
            ema_momentum: settings.ema,
            batch_size: settings.batch_size.unwrap_or(BATCH),
            validation: Some(&validation),
            prefetch: 2,
            ..Fit { steps_per_epoch: Some(steps), ..settings.fit(hooks.callbacks) }
        },
    )?;
    let test = vgg16::photographs(settings, "test", &photograph)?;
    let test = if settings.mirrored {
        let mirrored = evaluate_mirrored(training.model(), &validation, BATCH)?;
        eprintln!("validation with mirror images: {}", mirrored.evaluation);
        evaluate_mirrored(training.model(), &test, BATCH)?
    } else {
        Test::of(&mut training, &test, BATCH, settings.progress)?
    };
    Ok(Outcome { model, class_names, preprocessing: preparation.to_string(), history, test, kept: None })
}

/// Freezes the layers of the base before the one with this path.
fn thaw_from(model: &mut Model, first: &str) -> Result<()> {
    model.set_trainable("vgg16", false)?;
    model.set_trainable_from(first, true)
}
