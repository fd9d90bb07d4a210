//! The MNIST network on made data: training, batches of 1000, single digits.

use super::{Subject, Unit, measure, random};
use crate::output::Output;
use crate::recipes;
use striate::data::{Array, BatchContext};
use striate::prelude::*;
use striate::tensor::Key;

const BATCH: usize = 64;
/// Steps a repetition.
const STEPS: usize = 100;

/// 100 steps of batch 64.
pub fn train(repeat: usize, output: &Output) -> Result<()> {
    let (device, samples) = (device()?, BATCH * STEPS);
    let shape = [samples, 28, 28, 1];
    let mut stream = Key::new(2).stream();
    let labels: Vec<u8> = (0..samples).map(|_| stream.below(10) as u8).collect();
    let data = ArrayDataset::new(vec![Array::from_tensor(&random(shape, 1)?)?], vec![Array::one_hot(&labels, 10)?])?;
    let context = BatchContext::new(Key::new(0), &device);
    let batches: Vec<_> = (0..STEPS)
        .map(|step| data.batch(&(step * BATCH..(step + 1) * BATCH).collect::<Vec<_>>(), &context))
        .collect::<Result<_>>()?;
    let mut model = recipes::mnist::network().build()?;
    let mut training = model.compile(RmsProp::default(), CategoricalCrossentropy, [Accuracy])?;
    let mut subject = Subject::new("mnist_train", Unit::Rate("images/s"), samples as f64);
    training.step(&batches[0], Key::new(0))?;
    subject.first_step_done();
    measure(subject, repeat, output, || {
        batches.iter().enumerate().try_for_each(|(i, batch)| training.step(batch, Key::new(i as u64)).map(|_| ()))
    })
}

/// Ten forward passes of batch 1000.
pub fn infer(repeat: usize, output: &Output) -> Result<()> {
    let model = recipes::mnist::network().build()?;
    let shape = [1000, 28, 28, 1];
    let inputs = [random(shape, 1)?];
    measure(Subject::new("mnist_infer_1000", Unit::Rate("images/s"), 10_000.0), repeat, output, || {
        (0..10).try_for_each(|_| model.predict_on(&inputs).map(|_| ()))
    })
}

/// A thousand forward passes of batch 1.
pub fn latency(repeat: usize, output: &Output) -> Result<()> {
    let model = recipes::mnist::network().build()?;
    let shape = [1, 28, 28, 1];
    let inputs = [random(shape, 1)?];
    measure(Subject::new("mnist_latency_1", Unit::Milliseconds, 1000.0), repeat, output, || {
        (0..1000).try_for_each(|_| model.predict_on(&inputs).map(|_| ()))
    })
}
