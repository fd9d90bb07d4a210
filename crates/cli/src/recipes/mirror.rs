//! Predictions that are the mean of those for a picture and for its mirror image.

use super::Test;
use std::time::Instant;
use striate::data::Batch;
use striate::prelude::*;
use striate::train::{Evaluation, Loss, Metric};
use striate::viz::Answers;

/// Loss, accuracy and answers of a yes-or-no model whose prediction is the mean over a picture and its mirror image, left to right.
/// The loss is that of the targets as they are, without label smoothing.
///
/// # Errors
/// As [`Training::evaluate`].
pub fn evaluate_mirrored(model: &Model, data: &dyn Dataset, batch_size: usize) -> Result<Test> {
    let start = Instant::now();
    let mut accuracy: Box<dyn Metric> = Accuracy.into();
    let mut answers = Answers::default();
    let (mut loss_sum, mut samples) = (0.0, 0);
    let batching = Batching { batch_size, prefetch: 2, ..Batching::default() };
    for batch in batching.epoch(data, 0, model.device())? {
        let Batch { inputs, targets, samples: here, .. } = batch?;
        let [mut input] = <[Tensor; 1]>::try_from(inputs).map_err(|inputs| {
            Error::shape("mirror images", "the data must have one input", format!("{}", inputs.len()), "")
        })?;
        let plain = model.predict_on(std::slice::from_ref(&input))?.remove(0);
        mirror(&mut input)?;
        let mirrored = model.predict_on(&[input])?.remove(0);
        let mean = plain.add(&mirrored)?.affine(0.5, 0.0)?;
        accuracy.update(&mean, &targets[0])?;
        answers.add(&mean, &targets[0])?;
        let loss = BinaryCrossentropy.per_sample(&Var::constant(mean), &targets[0])?;
        loss_sum += loss.value().sum_all()?.item()?;
        samples += here;
    }
    let values = vec![("loss".to_string(), loss_sum / samples as f64), ("accuracy".to_string(), accuracy.value())];
    let evaluation = Evaluation { values, samples, seconds: start.elapsed().as_secs_f64() };
    Ok(Test { evaluation, answers, pictures: data.share() })
}

/// Exchanges left and right of (n, height, width, channels).
fn mirror(pictures: &mut Tensor) -> Result<()> {
    let shape = *pictures.shape();
    let (width, channels) = (shape[2], shape[3]);
    for row in pictures.make_mut::<f32>()?.chunks_exact_mut((width * channels).max(1)) {
        row.reverse();
        row.chunks_exact_mut(channels.max(1)).for_each(<[f32]>::reverse);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_and_right_are_exchanged_and_channels_are_not() {
        let mut pictures =
            Tensor::from_vec((0..12).map(|i| i as f32).collect(), [1, 2, 3, 2], &device().unwrap()).unwrap();
        mirror(&mut pictures).unwrap();
        let values = pictures.to_vec::<f32>().unwrap();
        assert_eq!(values, [4.0, 5.0, 2.0, 3.0, 0.0, 1.0, 10.0, 11.0, 8.0, 9.0, 6.0, 7.0]);
    }
}
