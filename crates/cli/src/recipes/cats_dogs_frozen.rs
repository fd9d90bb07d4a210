//! The lecture's total transfer with augmentation: VGG16's convolutions stay as they are, and a classifier on them is trained on
//! photographs that are never twice the same.

use super::vgg16::{self, BATCH};
use super::{Hooks, Outcome, Settings, Test, cats_dogs, take_over};
use striate::data::augment::Augmented;
use striate::prelude::*;
use striate::train::features;

/// 30 epochs of RMSprop, 100 steps each. The base runs forward only; for the photographs of validation and test, which do not change,
/// it does so once.
pub fn run(settings: &Settings, mut hooks: Hooks<'_>) -> Result<Outcome> {
    let (base, photograph) = (vgg16::base(settings)?, vgg16::photograph(settings));
    let mut model = vgg16::whole(&base, None, settings.seed)?;
    model.set_trainable("vgg16", false)?;
    settings.load_weights(&mut model)?;
    (hooks.on_model)(&model);
    let train = Augmented::new(vgg16::photographs(settings, "train", &photograph)?, cats_dogs::augmentation())?;
    let photographs = vgg16::photographs(settings, "validation", &photograph)?;
    let class_names = photographs.class_names().to_vec();
    let computed = |data: &dyn Dataset| features(&base, data, BATCH, settings.progress);
    let validation = computed(&photographs)?;
    let preparation = Preparation::Photograph(photograph.clone());
    hooks.pin_through(&photographs, &validation, &preparation)?;
    let mut head = vgg16::head_of(&model, &base, None)?;
    let mut training = head.compile(RmsProp::new(2e-5), BinaryCrossentropy, [Accuracy])?;
    let history = training.fit(
        &train,
        Fit {
            epochs: settings.epochs.unwrap_or(30),
            steps_per_epoch: settings.steps_per_epoch.or(Some(100)),
            batch_size: settings.batch_size.unwrap_or(BATCH),
            frozen_base: Some(&base),
            validation: Some(&validation),
            prefetch: 2,
            ..settings.fit(hooks.callbacks)
        },
    )?;
    let photographs = vgg16::photographs(settings, "test", &photograph)?;
    let test = Test::of(&mut training, &computed(&photographs)?, 100, Progress::Silent)?.from(&photographs);
    take_over(&mut model, &head)?;
    Ok(Outcome { model, class_names, preprocessing: preparation.to_string(), history, test, kept: None })
}
