//! What the model loses when a patch of the picture is covered.

use super::log_odds;
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

/// One number a pixel: how far the class's log-odds, ln p/(1 − p), fall on average when a patch covers the pixel; at least 0. The
/// probability itself would not fall where the model is sure.
///
/// # Errors
/// [`Error::Argument`] for a class that is not there, or a patch or stride of 0 or larger than the picture, or a stride larger than the
/// patch.
pub fn occlusion_map(subject: &Subject, input: &Tensor, class: usize, options: Occlusion) -> Result<Plane> {
    let (height, width, channels) = pixels::size(input)?;
    let Occlusion { patch, stride, fill, batch } = options;
    let side = height.min(width);
    for (name, pixels) in [("patch", patch), ("stride", stride)] {
        if pixels == 0 || pixels > side {
            let rule = format!("the {name} must be 1 to {side} pixels, as the picture has {height} × {width}");
            let hint = "patches of a fifth of the picture, moved by half of themselves, are usual";
            return Err(Error::argument("occlusion", rule, format!("{name} {pixels}"), hint));
        }
    }
    // A stride beyond the patch leaves pixels that nothing covers: their map would be black whatever the model sees.
    if stride > patch {
        let rule = "the stride must be no larger than the patch, so that every pixel is covered";
        let hint = "half a patch is usual";
        return Err(Error::argument("occlusion", rule, format!("patch {patch}, stride {stride}"), hint));
    }
    let whole = log_odds(&subject.model, input, class)?[0];
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
        for (&(top, left), odds) in group.iter().zip(log_odds(&subject.model, &inputs, class)?) {
            let fall = whole - odds;
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

#[cfg(test)]
mod tests {
    use super::*;
    use striate_data::Preparation;
    use striate_nn::layers::{Dense, Flatten, Softmax};
    use striate_nn::{BuildOptions, Sequential};
    use striate_tensor::Activation::Sigmoid;

    /// A model that looks at the pixel in row 3, column 2 alone, and is sure of what it sees.
    fn subject(classes: usize, device: &striate_tensor::Device) -> Subject {
        let end =
            if classes == 1 { Dense::new(1).activation(Sigmoid) } else { Dense::new(classes).activation(Softmax) };
        let network = Sequential::new([6, 6, 1]).add(Flatten).add(end);
        let mut model = network.build_on(&BuildOptions::on(device)).unwrap();
        let mut kernel = vec![0f32; 36 * classes];
        kernel[(3 * 6 + 2) * classes + classes - 1] = 200.0;
        let path = model.weights().next().unwrap().0.path.clone();
        model.set_weight(&path, &Tensor::from_vec(kernel, [36, classes], device).unwrap()).unwrap();
        Subject { model, preparation: Preparation::guess(&[6usize, 6, 1].into()).unwrap(), class_names: Vec::new() }
    }

    #[test]
    fn a_model_that_is_sure_still_shows_what_it_looks_at() {
        let device = striate_testkit::reference::device();
        let picture = Tensor::full([1, 6, 6, 1], 1.0, striate_tensor::DType::F32, &device).unwrap();
        let options = Occlusion { patch: 2, stride: 1, fill: 0.5, batch: 3 };
        for (classes, class) in [(1, 1), (3, 2)] {
            let subject = subject(classes, &device);
            assert_eq!(subject.probabilities(&picture).unwrap()[0][class], 1.0);
            let map = occlusion_map(&subject, &picture, class, options).unwrap();
            let hottest = (0..36).max_by(|&a, &b| map.values()[a].total_cmp(&map.values()[b])).unwrap();
            assert_eq!(hottest, 3 * 6 + 2);
            assert!(map.values()[0] == 0.0 && (map.values()[hottest] - 100.0).abs() < 1e-2, "{:?}", map.values());
            assert!(occlusion_map(&subject, &picture, 3, options).is_err());
            for (options, word) in [
                (Occlusion { stride: 99_999_999_999, ..options }, "stride must be 1 to 6 pixels"),
                (Occlusion { stride: 0, ..options }, "received stride 0"),
                (Occlusion { patch: 7, ..options }, "received patch 7"),
                (Occlusion { stride: 3, ..options }, "no larger than the patch"),
            ] {
                let text = occlusion_map(&subject, &picture, class, options).unwrap_err().to_string();
                assert!(text.contains(word), "{text}");
            }
        }
    }
}
