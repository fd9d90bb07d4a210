//! Conv1D on a made time series: which of two short motifs is hidden somewhere in the noise?
//!
//! The second motif is the first one backwards, and both may lie anywhere: single values tell nothing, only their order in a
//! window does. A dense layer on the raw series stays at guessing; a convolution finds the motif wherever it is.
//!
//! `cargo run --release --example time_series`

use striate::data::Array;
use striate::prelude::*;
use striate::tensor::Key;

const LENGTH: usize = 64;
const MOTIF: [f32; 7] = [0.5, 1.5, 2.0, 1.0, -0.5, -1.5, -0.5];

/// (samples, timesteps, features) with labels 0 and 1.
fn series(samples: usize, key: Key) -> Result<ArrayDataset> {
    let mut stream = key.stream();
    let mut values = Vec::with_capacity(samples * LENGTH);
    let mut labels = Vec::with_capacity(samples);
    for _ in 0..samples {
        let start = values.len() + stream.below((LENGTH - MOTIF.len()) as u64) as usize;
        values.extend((0..LENGTH).map(|_| 0.5 * stream.normal() as f32));
        let label = stream.below(2) as f32;
        for (i, value) in values[start..start + MOTIF.len()].iter_mut().enumerate() {
            *value += if label == 0.0 { MOTIF[i] } else { MOTIF[MOTIF.len() - 1 - i] };
        }
        labels.push(label);
    }
    ArrayDataset::new(vec![Array::floats(values, [samples, LENGTH, 1])?], vec![Array::floats(labels, [samples, 1])?])
}

fn accuracy(mut model: Model, train: &ArrayDataset, test: &ArrayDataset) -> Result<f64> {
    let mut training = model.compile(Adam::new(0.003), BinaryCrossentropy, [Accuracy])?;
    training.fit(train, Fit { epochs: 10, batch_size: 32, progress: Progress::Silent, ..Fit::default() })?;
    Ok(training.evaluate(test)?.get("accuracy").unwrap_or(f64::NAN))
}

fn main() -> Result<()> {
    let (train, test) = (series(2000, Key::new(1))?, series(1000, Key::new(2))?);
    let convolution = Sequential::new([LENGTH, 1])
        .add(Conv1D::new(8, 7).activation(Relu))
        .add(GlobalMaxPooling1D::new())
        .add(Dense::new(1).activation(Sigmoid))
        .build()?;
    println!("{}", convolution.summary());
    let dense = Sequential::new([LENGTH, 1]).add(Flatten).add(Dense::new(1).activation(Sigmoid)).build()?;

    let (with, without) = (accuracy(convolution, &train, &test)?, accuracy(dense, &train, &test)?);
    println!("test accuracy with the convolution {with:.3}, without it {without:.3}");
    assert!(with > 0.95 && without < 0.65);
    Ok(())
}
