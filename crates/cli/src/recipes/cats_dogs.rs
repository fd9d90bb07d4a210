//! The lecture's cats and dogs: a small network from scratch on 2000 photographs, plain or against overfitting.

use super::{Hooks, Outcome, Settings, Test};
use striate::data::augment::{Augmentation, Augmented};
use striate::data::{ClassMode, FolderOptions, ImageFolder, Standardize};
use striate::prelude::*;

/// Pixels along a side.
const SIDE: usize = 150;
const BATCH: usize = 20;

/// Four convolutions with pooling, and two dense layers: 3,453,121 parameters.
pub fn network() -> Sequential {
    convolutions().add(Dense::new(512).activation(Relu)).add(Dense::new(1).activation(Sigmoid))
}

/// The same with half of the features dropped before the dense layers.
pub fn network_with_dropout() -> Sequential {
    convolutions().add(Dropout::new(0.5)).add(Dense::new(512).activation(Relu)).add(Dense::new(1).activation(Sigmoid))
}

fn convolutions() -> Sequential {
    Sequential::new([SIDE, SIDE, 3])
        .add(Conv2D::new(32, 3).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(64, 3).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(128, 3).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(128, 3).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Flatten)
}

/// What the lecture changes at random. Its shear of 0.2 was radians in the Keras of its day; today's Keras, and this
/// library, take degrees.
pub fn augmentation() -> Augmentation {
    Augmentation {
        rotation_range: 40.0,
        width_shift_range: 0.2.into(),
        height_shift_range: 0.2.into(),
        shear_range: 0.2f64.to_degrees(),
        zoom_range: 0.2.into(),
        horizontal_flip: true,
        ..Augmentation::default()
    }
}

/// 30 epochs on the photographs as they are.
pub fn run(settings: &Settings, hooks: Hooks<'_>) -> Result<Outcome> {
    let train = photographs(settings, "train")?;
    fit(network(), &train, 30, settings, hooks)
}

/// 100 epochs on photographs that are never twice the same.
pub fn run_augmented(settings: &Settings, hooks: Hooks<'_>) -> Result<Outcome> {
    let train = Augmented::new(photographs(settings, "train")?, augmentation())?;
    fit(network_with_dropout(), &train, 100, settings, hooks)
}

/// The pictures of `train`, `validation` or `test` as the lecture reads them: 150×150 by nearest neighbour, values 0..1.
fn photographs(settings: &Settings, part: &str) -> Result<ImageFolder> {
    settings.photographs(
        part,
        FolderOptions {
            target_size: (SIDE, SIDE),
            class_mode: ClassMode::Binary,
            standardize: Standardize { rescale: 1.0 / 255.0, ..Standardize::default() },
            ..FolderOptions::default()
        },
    )
}

/// 100 steps of 20 photographs an epoch and 50 steps of validation, then the one look at the test photographs.
fn fit(
    network: Sequential,
    train: &dyn Dataset,
    epochs: usize,
    settings: &Settings,
    mut hooks: Hooks<'_>,
) -> Result<Outcome> {
    let preparation: Preparation = format!("photograph {SIDE}x{SIDE} nearest rescale=1/255").parse()?;
    let validation = photographs(settings, "validation")?;
    let mut model = network.build_seeded(settings.seed)?;
    settings.load_weights(&mut model)?;
    (hooks.on_model)(&model);
    hooks.pin(&validation, &preparation)?;
    let batch_size = settings.batch_size.unwrap_or(BATCH);
    let mut training = model.compile(RmsProp::new(1e-4), BinaryCrossentropy, [Accuracy])?;
    let history = training.fit(
        train,
        Fit {
            epochs: settings.epochs.unwrap_or(epochs),
            steps_per_epoch: settings.steps_per_epoch.or(Some(100)),
            validation: Some(&validation),
            validation_steps: Some(50),
            batch_size,
            prefetch: 2,
            ..settings.fit(hooks.callbacks)
        },
    )?;
    let test = Test::of(&mut training, &photographs(settings, "test")?, batch_size, Progress::Silent)?;
    let class_names = validation.class_names().to_vec();
    Ok(Outcome { model, class_names, preprocessing: preparation.to_string(), history, test, kept: None })
}
