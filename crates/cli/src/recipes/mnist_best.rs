//! A network of our own on MNIST: batch normalization, digits changed at random, averaged weights; five minutes on two cores.

use super::digit_pictures::DigitPictures;
use super::{Hooks, Outcome, Settings, Test};
use striate::data::augment::{Augmentation, Augmented, FillMode};
use striate::optim::Schedule;
use striate::prelude::*;

/// So many of the 60,000 training digits are trained on; the other 5000 are for validation.
const TRAINED: usize = 55_000;
const EPOCHS: usize = 9;
const BATCH: usize = 100;
const PEAK_RATE: f64 = 0.004;

/// Five convolutions, each but the first with batch normalization, and the average of the last one's maps.
pub fn network() -> Sequential {
    let mut network = Sequential::new([28, 28, 1])
        .add(Conv2D::new(32, 3).activation(Relu).kernel_initializer(Initializer::HeNormal))
        .add(MaxPooling2D::new(2))
        .add(BatchNormalization::new().momentum(0.9));
    for (i, filters) in [48, 48, 96, 96].into_iter().enumerate() {
        let conv = Conv2D::new(filters, 3).padding(Same).use_bias(false).kernel_initializer(Initializer::HeNormal);
        network = network.add(conv).add(BatchNormalization::new().momentum(0.9)).add(ActivationLayer::new(Relu));
        if i == 1 {
            network = network.add(MaxPooling2D::new(2));
        }
    }
    network.add(GlobalAveragePooling2D::new()).add(Dropout::new(0.3)).add(Dense::new(10).activation(Softmax))
}

/// AdamW with one cycle of the learning rate, then one look at the test digits.
pub fn run(settings: &Settings, mut hooks: Hooks<'_>) -> Result<Outcome> {
    let mnist = match &settings.data {
        Some(folder) => Mnist::load_from(folder)?,
        None => Mnist::load()?,
    };
    let augmentation = Augmentation {
        rotation_range: 12.0,
        width_shift_range: 0.08.into(),
        height_shift_range: 0.08.into(),
        shear_range: 8.0,
        zoom_range: 0.12.into(),
        fill_mode: FillMode::Constant,
        ..Augmentation::default()
    };
    let train = Augmented::new(DigitPictures::first(&mnist.train, TRAINED), augmentation)?;
    let (_, validation) = mnist.train.split(1.0 - TRAINED as f64 / mnist.train.len() as f64)?;
    let (epochs, batch_size) = (settings.epochs.unwrap_or(EPOCHS), settings.batch_size.unwrap_or(BATCH));
    let steps = settings.steps_per_epoch.unwrap_or(train.len().div_ceil(batch_size));
    let mut model = network().build_seeded(settings.seed)?;
    settings.load_weights(&mut model)?;
    (hooks.on_model)(&model);
    hooks.pin(&validation, &Preparation::Digit)?;
    let rate = Schedule::one_cycle(PEAK_RATE, (epochs * steps) as u64, 0.2);
    let loss = CategoricalCrossentropy.label_smoothing(0.05);
    let mut training = model.compile(AdamW::new(rate).weight_decay(0.02), loss, [Accuracy])?;
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
    let test = Test::of(&mut training, &mnist.test, 100, Progress::Silent)?;
    let class_names = mnist.test.class_names().to_vec();
    Ok(Outcome { model, class_names, preprocessing: "digit".into(), history, test, kept: None })
}
