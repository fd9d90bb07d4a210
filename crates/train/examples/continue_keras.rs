//! Goes on with a training that Keras saved, for some steps on numbers made by a formula, and writes it for Keras to go on.
//!
//! `cargo run -p striate-train --example continue_keras IN.keras OUT.keras STEPS FIRST`
//!
//! `xtask/golden/keras_training.py` uses it to hold both programs to the same next steps.

use striate_data::ArrayDataset;
use striate_formats::{ModelOptions, WeightsFile};
use striate_nn::Registry;
use striate_tensor::{Error, Result, Shape, Tensor};
use striate_train::{Fit, Progress, continue_training};

/// Numbers in [−0.5, 0.5) that any language makes alike.
fn fill(sizes: &[usize], seed: u64) -> Vec<f32> {
    let number = |i: u64| ((i + seed * 1_000_003).wrapping_mul(2_654_435_761) % (1 << 32)) as f64 / 2f64.powi(32) - 0.5;
    (0..sizes.iter().product::<usize>() as u64).map(|i| number(i) as f32).collect()
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, output, steps, first] = &arguments[..] else {
        return Err(Error::argument("arguments", "must be IN OUT STEPS FIRST", format!("{arguments:?}"), ""));
    };
    let number = |text: &str| {
        text.parse::<u64>().map_err(|error| Error::argument("arguments", "must be a number", error.to_string(), text))
    };
    let (steps, first) = (number(steps)?, number(first)?);
    let device = striate_testkit::reference::device();
    let file = WeightsFile::read(input)?;
    let mut model = file.model(&Registry::default(), &device, &ModelOptions::default())?.model;
    let (from, to) = (model.graph().input_shapes()[0], model.graph().output_shapes()[0]);
    let mut training = continue_training(&mut model, &file)?;
    for step in first..first + steps {
        let tensor = |shape: &Shape, seed: u64| -> Result<Tensor> {
            let shape = shape.with_batch(4)?;
            Tensor::from_vec(fill(shape.as_slice(), seed), shape, &device)
        };
        let batch = ArrayDataset::from_tensors(&tensor(&from, 100 + step)?, &tensor(&to, 200 + step)?)?;
        let fit = Fit { epochs: 1, batch_size: 4, shuffle: false, progress: Progress::Silent, ..Fit::default() };
        training.fit(&batch, fit)?;
    }
    training.save(output)
}
