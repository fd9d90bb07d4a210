//! Networks for photographs on made data: training, features, classification.

use super::{Subject, Unit, measure, networks, random};
use crate::output::Output;
use crate::recipes::cats_dogs;
use striate::data::Batch;
use striate::prelude::*;
use striate::tensor::Key;

const BATCH: usize = 20;
const SIDE: usize = 150;

/// Twenty made photographs with yes-or-no labels.
fn batch() -> Result<Batch> {
    let inputs = random([BATCH, SIDE, SIDE, 3], 1)?;
    let labels = (0..BATCH).map(|i| (i % 2) as f32).collect();
    Batch::new(vec![inputs], vec![Tensor::from_vec(labels, [BATCH, 1], &device()?)?], BATCH)
}

fn steps(name: &'static str, model: &mut Model, rate: f64, count: usize, repeat: usize, output: &Output) -> Result<()> {
    let batch = batch()?;
    let mut training = model.compile(RmsProp::new(rate), BinaryCrossentropy, ())?;
    let mut subject = Subject::new(name, Unit::Rate("images/s"), (BATCH * count) as f64);
    training.step(&batch, Key::new(0))?;
    subject.first_step_done();
    measure(subject, repeat, output, || {
        (0..count).try_for_each(|i| training.step(&batch, Key::new(i as u64)).map(|_| ()))
    })
}

/// Ten steps of the lecture's small network.
pub fn cats_dogs(repeat: usize, output: &Output) -> Result<()> {
    steps("catsdogs_train", &mut cats_dogs::network_with_dropout().build()?, 1e-4, 10, repeat, output)
}

/// VGG16's convolutions, forward.
pub fn features(repeat: usize, output: &Output) -> Result<()> {
    let model = networks::vgg16_base(SIDE, "").build()?;
    let inputs = [random([BATCH, SIDE, SIDE, 3], 1)?];
    measure(Subject::new("vgg16_features_150", Unit::Rate("images/s"), BATCH as f64), repeat, output, || {
        model.predict_on(&inputs).map(|_| ())
    })
}

/// All of VGG16, forward.
pub fn classify(images: usize, repeat: usize, output: &Output) -> Result<()> {
    let model = networks::vgg16_top().build()?;
    let inputs = [random([images, 224, 224, 3], 1)?];
    let (name, unit) = match images {
        1 => ("vgg16_top_224_1", Unit::Milliseconds),
        _ => ("vgg16_top_224_16", Unit::Rate("images/s")),
    };
    let work = if images == 1 { 1.0 } else { images as f64 };
    measure(Subject::new(name, unit, work), repeat, output, || model.predict_on(&inputs).map(|_| ()))
}

/// What of the transfer network is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trained {
    /// The dense layers.
    Head,
    /// Those and block 5.
    BlockFive,
    /// Everything.
    All,
}

/// One step of the transfer network.
pub fn transfer(trained: Trained, repeat: usize, output: &Output) -> Result<()> {
    let mut model = networks::transfer(networks::vgg16_base(SIDE, "").build()?).build()?;
    let (name, rate) = match trained {
        Trained::Head => ("vgg16_frozen_train", 2e-5),
        Trained::BlockFive => ("vgg16_finetune", 1e-5),
        Trained::All => ("vgg16_full_train", 1e-5),
    };
    if trained != Trained::All {
        model.set_trainable("vgg16", false)?;
    }
    if trained == Trained::BlockFive {
        (1..=3).try_for_each(|i| model.set_trainable(&format!("vgg16/block5_conv{i}"), true))?;
    }
    steps(name, &mut model, rate, 1, repeat, output)
}
