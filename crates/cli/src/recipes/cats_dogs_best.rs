//! A network of our own for cats and dogs, from scratch on the same 2000 photographs: residual blocks with batch normalization,
//! photographs changed strongly, averaged weights, and the mean of a photograph's prediction and its mirror image's.

use super::mirror::evaluate_mirrored;
use super::{Hooks, Outcome, Settings};
use striate::data::augment::{Augmentation, Augmented, ColourJitter, EraseFill, RandomErasing, RandomResizedCrop};
use striate::data::{ClassMode, Filter, FolderOptions, ImageFolder};
use striate::optim::Schedule;
use striate::prelude::*;

/// Pixels along a side.
const SIDE: usize = 112;
/// The same of the pictures that training crops from.
const SOURCE_SIDE: usize = 160;
const EPOCHS: usize = 120;
const BATCH: usize = 32;
const PEAK_RATE: f64 = 0.002;

fn conv(filters: usize, size: usize) -> Conv2D {
    Conv2D::new(filters, size).padding(Same).use_bias(false).kernel_initializer(Initializer::HeNormal)
}

fn normalization() -> BatchNormalization {
    // A short memory: an epoch has but 63 steps.
    BatchNormalization::new().momentum(0.95)
}

/// A convolution of stride 2, four residual blocks with pooling between them, and the average of the last one's maps.
pub fn network(seed: u64) -> Result<Model> {
    let input = Symbol::input([SIDE, SIDE, 3])?;
    // About zero, with a deviation of about one.
    let x = Rescaling::new(1.0 / 64.0).offset(-1.875).call(&input)?;
    let x = normalization().call(&conv(32, 5).strides(2).call(&x)?)?;
    let mut x = ActivationLayer::new(Relu).call(&x)?;
    x = block(&x, 32, &x)?;
    for filters in [64, 128, 256] {
        let pooled = MaxPooling2D::new(2).call(&x)?;
        let shortcut = normalization().call(&conv(filters, 1).call(&pooled)?)?;
        x = block(&pooled, filters, &shortcut)?;
    }
    let x = Dropout::new(0.3).call(&GlobalAveragePooling2D::new().call(&x)?)?;
    let output = Dense::new(1).activation(Sigmoid).call(&x)?;
    Model::from_symbols("cats_dogs_best", &[input], &[output], &striate::build_options(seed)?)
}

/// Two convolutions, added to `shortcut`. The second normalization's scale starts at 0, so that the block starts as its shortcut.
fn block(x: &Symbol, filters: usize, shortcut: &Symbol) -> Result<Symbol> {
    let y = normalization().call(&conv(filters, 3).call(x)?)?;
    let y = conv(filters, 3).call(&ActivationLayer::new(Relu).call(&y)?)?;
    let y = normalization().gamma_initializer(Initializer::Zeros).call(&y)?;
    ActivationLayer::new(Relu).call(&Add.call([shortcut, &y])?)
}

/// AdamW with one cycle of the learning rate, then the one look at the test photographs.
pub fn run(settings: &Settings, mut hooks: Hooks<'_>) -> Result<Outcome> {
    let train = Augmented::new(
        photographs(settings, "train", SOURCE_SIDE)?,
        Augmentation { rotation_range: 10.0, horizontal_flip: true, ..Augmentation::default() },
    )?
    .first(RandomResizedCrop { area: (0.35, 1.0), ..RandomResizedCrop::new(SIDE, SIDE) })?
    .first(ColourJitter { brightness: 0.3, contrast: 0.3, saturation: 0.3, hue: 0.0 })?
    .erasing(RandomErasing {
        probability: 0.25,
        area: (0.02, 0.25),
        fill: EraseFill::Value(120.0),
        ..RandomErasing::default()
    })?;
    let validation = photographs(settings, "validation", SIDE)?;
    let (epochs, batch_size) = (settings.epochs.unwrap_or(EPOCHS), settings.batch_size.unwrap_or(BATCH));
    let steps = settings.steps_per_epoch.unwrap_or(train.len().div_ceil(batch_size));
    let mut model = network(settings.seed)?;
    settings.load_weights(&mut model)?;
    (hooks.on_model)(&model);
    let preparation: Preparation = format!("photograph {SIDE}x{SIDE} bilinear").parse()?;
    hooks.pin(&validation, &preparation)?;
    let rate = Schedule::one_cycle(PEAK_RATE, (epochs * steps) as u64, 0.1);
    let loss = BinaryCrossentropy.label_smoothing(0.1);
    let mut training = model.compile(AdamW::new(rate).weight_decay(0.05), loss, [Accuracy])?;
    let history = training.fit(
        &train,
        Fit {
            epochs,
            batch_size,
            validation: Some(&validation),
            ema_momentum: Some(0.998),
            prefetch: 4,
            ..settings.fit(hooks.callbacks)
        },
    )?;
    let test = evaluate_mirrored(training.model(), &photographs(settings, "test", SIDE)?, batch_size)?;
    let class_names = validation.class_names().to_vec();
    Ok(Outcome { model, class_names, preprocessing: preparation.to_string(), history, test, kept: None })
}

/// The pictures of `train`, `validation` or `test`; the network itself brings their values 0..255 about zero.
fn photographs(settings: &Settings, part: &str, side: usize) -> Result<ImageFolder> {
    settings.photographs(
        part,
        FolderOptions {
            target_size: (side, side),
            filter: Filter::Bilinear,
            class_mode: ClassMode::Binary,
            ..FolderOptions::default()
        },
    )
}
