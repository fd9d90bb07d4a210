//! Score-CAM: channels weighed by what the model says of the picture seen through them.

use crate::plane::Plane;
use crate::subject::Subject;
use striate_tensor::{Error, Result, Tensor};

/// The options of Score-CAM: Wang et al. 2020, <https://arxiv.org/abs/1910.01279>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScoreCam {
    /// Only so many channels, those with the largest response; each costs a pass. Default 128.
    pub channels: usize,
    /// Pictures a pass. Default 8.
    pub batch: usize,
}

impl Default for ScoreCam {
    fn default() -> Self {
        ScoreCam { channels: 128, batch: 8 }
    }
}

/// The map at the layer's own resolution, at least 0. No gradient is used.
///
/// # Errors
/// As [`super::cam`].
pub fn score_cam(subject: &Subject, input: &Tensor, class: usize, layer: &str, options: ScoreCam) -> Result<Plane> {
    let activation = subject.model.activations(std::slice::from_ref(input), &[layer])?.remove(layer);
    let missing = || Error::argument(layer, "the layer must have places", "none", "");
    let activation = activation.ok_or_else(missing)?;
    let (height, width, channels) = crate::pixels::size(input)?;
    let count = activation.shape().channels();
    let mut planes = (0..count).map(|c| Plane::of_channel(&activation, c)).collect::<Result<Vec<_>>>()?;
    planes.retain(|plane| {
        let (low, high) = plane.range();
        high > low
    });
    planes.sort_by(|a, b| b.range().1.total_cmp(&a.range().1));
    planes.truncate(options.channels.max(1));
    let Some(first) = planes.first() else { return Plane::new(1, 1, vec![0.0]) };
    let (rows, columns) = (first.height(), first.width());
    let pixels = input.to_vec::<f32>()?;
    let mut scores = Vec::with_capacity(planes.len());
    for group in planes.chunks(options.batch.max(1)) {
        let mut masked = Vec::with_capacity(group.len() * pixels.len());
        for plane in group {
            let mask = plane.normalised().resized(height, width)?;
            masked.extend(
                pixels.chunks_exact(channels).zip(mask.values()).flat_map(|(p, m)| p.iter().map(move |v| v * m)),
            );
        }
        let batch = Tensor::from_vec(masked, [group.len(), height, width, channels], input.device())?;
        for row in subject.probabilities(&batch)? {
            scores.push(row.get(class).copied().ok_or_else(missing)?);
        }
    }
    // Softmax of the scores, as in the authors' code.
    let most = scores.iter().copied().fold(f32::MIN, f32::max);
    let weights: Vec<f32> = scores.iter().map(|score| (score - most).exp()).collect();
    let total: f32 = weights.iter().sum();
    let mut values = vec![0f32; rows * columns];
    for (plane, weight) in planes.iter().zip(&weights) {
        values.iter_mut().zip(plane.values()).for_each(|(sum, value)| *sum += weight / total * value);
    }
    Plane::new(rows, columns, values.into_iter().map(|value| value.max(0.0)).collect())
}
