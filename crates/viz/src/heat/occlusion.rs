//! What the model loses when a patch of the picture is covered.

use crate::pixels;
use crate::plane::Plane;
use crate::subject::Subject;
use striate_tensor::{Error, Result, Tensor};

/// The options: Zeiler and Fergus 2013, <https://arxiv.org/abs/1311.2901>.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Occlusion {
    /// The patch's side in pixels.
    pub patch: usize,
    /// From patch to patch, in pixels.
    pub stride: usize,
    /// What covers, in the input's units.
    pub fill: f32,
    /// Pictures a pass.
    pub batch: usize,
}

impl Occlusion {
    /// For pictures of a height and width: patches of a fifth of the shorter side, moved by half of themselves, filled with `fill`.
    pub fn of(height: usize, width: usize, fill: f32) -> Self {
        let patch = (height.min(width) / 5).max(1);
        Occlusion { patch, stride: (patch / 2).max(1), fill, batch: 8 }
    }
}

/// One number a pixel: how far the class's probability falls on average when a patch covers the pixel; at least 0.
///
/// # Errors
/// [`Error::Argument`] for a class that is not there, or a patch or stride of 0, or larger than the picture.
pub fn occlusion_map(subject: &Subject, input: &Tensor, class: usize, options: Occlusion) -> Result<Plane> {
    let (height, width, channels) = pixels::size(input)?;
    let Occlusion { patch, stride, fill, batch } = options;
    if patch == 0 || stride == 0 || patch > height.min(width) {
        let rule = "patch and stride must be at least 1, and the patch no larger than the picture";
        return Err(Error::argument("occlusion", rule, format!("patch {patch}, stride {stride}"), ""));
    }
    let missing = || Error::argument("class", "must be one of the model's", class.to_string(), "");
    let of = |row: &Vec<f32>| row.get(class).copied().ok_or_else(missing);
    let whole = of(&subject.probabilities(input)?[0])?;
    // The last patch ends at the border.
    let starts = |side: usize| {
        let mut starts: Vec<usize> = (0..=side - patch).step_by(stride).collect();
        if starts.last() != Some(&(side - patch)) {
            starts.push(side - patch);
        }
        starts
    };
    let columns = starts(width);
    let places: Vec<(usize, usize)> =
        starts(height).into_iter().flat_map(|top| columns.iter().map(move |&left| (top, left))).collect();
    let values = input.to_vec::<f32>()?;
    let (mut sum, mut count) = (vec![0f32; height * width], vec![0f32; height * width]);
    for group in places.chunks(batch.max(1)) {
        let mut covered = Vec::with_capacity(group.len() * values.len());
        for &(top, left) in group {
            let start = covered.len();
            covered.extend_from_slice(&values);
            for y in top..top + patch {
                let row = start + (y * width + left) * channels;
                covered[row..row + patch * channels].fill(fill);
            }
        }
        let inputs = Tensor::from_vec(covered, [group.len(), height, width, channels], input.device())?;
        for (&(top, left), row) in group.iter().zip(&subject.probabilities(&inputs)?) {
            let fall = whole - of(row)?;
            for y in top..top + patch {
                for at in y * width + left..y * width + left + patch {
                    sum[at] += fall;
                    count[at] += 1.0;
                }
            }
        }
    }
    let mean = sum.iter().zip(&count).map(|(sum, count)| (sum / count.max(1.0)).max(0.0)).collect();
    Plane::new(height, width, mean)
}
