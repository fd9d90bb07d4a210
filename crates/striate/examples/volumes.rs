//! Conv3D on made volumes: along which axis does the short rod lie?
//!
//! The rod may be anywhere in the noise, and every voxel is as bright in all three classes: only neighbours along an axis tell them
//! apart.
//!
//! `cargo run --release --example volumes`

use striate::data::Array;
use striate::prelude::*;
use striate::tensor::Key;

const SIDE: usize = 12;
const ROD: usize = 5;

/// (samples, depth, height, width, channels) with one-hot labels for the axis.
fn volumes(samples: usize, key: Key) -> Result<ArrayDataset> {
    let mut stream = key.stream();
    let mut voxels = vec![0.0f32; samples * SIDE * SIDE * SIDE];
    let mut axes = Vec::with_capacity(samples);
    for volume in voxels.chunks_exact_mut(SIDE * SIDE * SIDE) {
        volume.iter_mut().for_each(|voxel| *voxel = 0.4 * stream.normal() as f32);
        let axis = stream.below(3) as usize;
        let mut at = [0; 3].map(|_: usize| stream.below(SIDE as u64) as usize);
        at[axis] = stream.below((SIDE - ROD + 1) as u64) as usize;
        for _ in 0..ROD {
            volume[(at[0] * SIDE + at[1]) * SIDE + at[2]] += 2.0;
            at[axis] += 1;
        }
        axes.push(axis as u8);
    }
    ArrayDataset::new(vec![Array::floats(voxels, [samples, SIDE, SIDE, SIDE, 1])?], vec![Array::one_hot(&axes, 3)?])
}

fn accuracy(mut model: Model, train: &ArrayDataset, test: &ArrayDataset) -> Result<f64> {
    let mut training = model.compile(Adam::new(0.01), CategoricalCrossentropy, [Accuracy])?;
    training.fit(train, Fit { epochs: 12, batch_size: 32, progress: Progress::Silent, ..Fit::default() })?;
    Ok(training.evaluate(test)?.get("accuracy").unwrap_or(f64::NAN))
}

fn main() -> Result<()> {
    let (train, test) = (volumes(1500, Key::new(1))?, volumes(500, Key::new(2))?);
    let shape = [SIDE, SIDE, SIDE, 1];
    let convolution = Sequential::new(shape)
        .add(Conv3D::new(12, 5).activation(Relu))
        .add(GlobalMaxPooling3D::new())
        .add(Dense::new(3).activation(Softmax))
        .build()?;
    println!("{}", convolution.summary());
    let dense = Sequential::new(shape).add(Flatten).add(Dense::new(3).activation(Softmax)).build()?;

    let (with, without) = (accuracy(convolution, &train, &test)?, accuracy(dense, &train, &test)?);
    println!("test accuracy with the convolution {with:.3}, without it {without:.3}");
    assert!(with > 0.95 && without < 0.5);
    Ok(())
}
