//! The lecture's total transfer without augmentation: VGG16's features are computed once, and a classifier is trained on them.

use super::vgg16::{self, BATCH};
use super::{Hooks, Outcome, Settings, Test, take_over};
use striate::prelude::*;
use striate::train::features;

/// Of the lecture's classifier.
pub const DROPOUT: Option<f32> = Some(0.5);

/// 30 epochs of RMSprop on the features, then the one look at those of the test photographs.
pub fn run(settings: &Settings, mut hooks: Hooks<'_>) -> Result<Outcome> {
    let (base, photograph) = (vgg16::base(settings)?, vgg16::photograph(settings));
    let mut model = vgg16::whole(&base, DROPOUT, settings.seed)?;
    model.set_trainable("vgg16", false)?;
    settings.load_weights(&mut model)?;
    (hooks.on_model)(&model);
    let photographs = vgg16::photographs(settings, "validation", &photograph)?;
    let class_names = photographs.class_names().to_vec();
    let computed = |data: &dyn Dataset| features(&base, data, BATCH, settings.progress);
    let train = computed(&vgg16::photographs(settings, "train", &photograph)?)?;
    let validation = computed(&photographs)?;
    let preparation = Preparation::Photograph(photograph.clone());
    hooks.pin_through(&photographs, &validation, &preparation)?;
    let mut head = vgg16::head_of(&model, &base, DROPOUT)?;
    let mut training = head.compile(RmsProp::new(2e-5), BinaryCrossentropy, [Accuracy])?;
    let history = training.fit(
        &train,
        Fit {
            epochs: settings.epochs.unwrap_or(30),
            batch_size: settings.batch_size.unwrap_or(BATCH),
            validation: Some(&validation),
            ..settings.fit(hooks.callbacks)
        },
    )?;
    let photographs = vgg16::photographs(settings, "test", &photograph)?;
    let test = Test::of(&mut training, &computed(&photographs)?, 100, Progress::Silent)?.from(&photographs);
    take_over(&mut model, &head)?;
    Ok(Outcome { model, class_names, preprocessing: preparation.to_string(), history, test, kept: None })
}
