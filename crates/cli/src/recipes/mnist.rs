//! The lecture's network on MNIST.

use super::{Hooks, Outcome, Settings, Test};
use striate::prelude::*;

/// Two convolutions with pooling, a third one, and two dense layers: 93,322 parameters.
pub fn network() -> Sequential {
    Sequential::new([28, 28, 1])
        .add(Conv2D::new(32, 3).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(64, 3).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(64, 3).activation(Relu))
        .add(Flatten)
        .add(Dense::new(64).activation(Relu))
        .add(Dense::new(10).activation(Softmax))
}

/// Five epochs of RMSprop in batches of 64, then one look at the test digits.
pub fn run(settings: &Settings, mut hooks: Hooks<'_>) -> Result<Outcome> {
    let mnist = match &settings.data {
        Some(folder) => Mnist::load_from(folder)?,
        None => Mnist::load()?,
    };
    let mut model = network().build_seeded(settings.seed)?;
    settings.load_weights(&mut model)?;
    (hooks.on_model)(&model);
    hooks.pin(&mnist.train, &Preparation::Digit)?;
    let mut training = model.compile(RmsProp::default(), CategoricalCrossentropy, [Accuracy])?;
    let history = training.fit(
        &mnist.train,
        Fit {
            epochs: settings.epochs.unwrap_or(5),
            batch_size: settings.batch_size.unwrap_or(64),
            ..settings.fit(hooks.callbacks)
        },
    )?;
    let test = Test::of(&mut training, &mnist.test, 100, Progress::Silent)?;
    let class_names = (0..10).map(|digit| digit.to_string()).collect();
    Ok(Outcome { model, class_names, preprocessing: "digit".into(), history, test, kept: None })
}
