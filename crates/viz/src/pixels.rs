//! Work on the pixels of inputs (1, height, width, channels) between steps of an ascent.

use crate::plane::Plane;
use striate_tensor::{Error, Key, Result, Tensor};

/// (height, width, channels) of a single input.
pub(crate) fn size(image: &Tensor) -> Result<(usize, usize, usize)> {
    match *image.shape().as_slice() {
        [1, height, width, channels] => Ok((height, width, channels)),
        _ => {
            let received = image.shape().to_string();
            Err(Error::shape("picture", "must be (1, height, width, channels)", received, ""))
        }
    }
}

/// The input turned around the edges by so many rows and columns.
pub(crate) fn rolled(image: &Tensor, rows: i64, columns: i64) -> Result<Tensor> {
    let (height, width, channels) = size(image)?;
    let down = rows.rem_euclid(height as i64) as usize;
    let across = columns.rem_euclid(width as i64) as usize * channels;
    if (down, across) == (0, 0) {
        return Ok(image.clone());
    }
    let values = image.to_vec::<f32>()?;
    let line = width * channels;
    let mut turned = vec![0f32; values.len()];
    for (y, source) in values.chunks_exact(line).enumerate() {
        let target = &mut turned[(y + down) % height * line..][..line];
        target[across..].copy_from_slice(&source[..line - across]);
        target[..across].copy_from_slice(&source[line - across..]);
    }
    Tensor::from_vec(turned, *image.shape(), image.device())
}

/// A shift by up to `most` to either side in both directions.
pub(crate) fn random_shift(key: Key, most: usize) -> (i64, i64) {
    let mut stream = key.stream();
    let mut draw = || stream.below(2 * most as u64 + 1) as i64 - most as i64;
    (draw(), draw())
}

/// The input blurred by a bell of this standard deviation in pixels, the border extended.
pub(crate) fn blurred(image: &Tensor, sigma: f32) -> Result<Tensor> {
    let (height, width, channels) = size(image)?;
    let radius = (3.0 * sigma).ceil().max(1.0) as i64;
    let bell: Vec<f32> = (-radius..=radius).map(|d| (-((d * d) as f32) / (2.0 * sigma * sigma)).exp()).collect();
    let total: f32 = bell.iter().sum();
    let values = image.to_vec::<f32>()?;
    let mut pass = vec![0f32; values.len()];
    for (weight, d) in bell.iter().zip(-radius..) {
        for y in 0..height {
            for x in 0..width {
                let from = (x as i64 + d).clamp(0, width as i64 - 1) as usize;
                for c in 0..channels {
                    pass[(y * width + x) * channels + c] += weight / total * values[(y * width + from) * channels + c];
                }
            }
        }
    }
    let line = width * channels;
    let mut both = vec![0f32; values.len()];
    for (weight, d) in bell.iter().zip(-radius..) {
        for y in 0..height {
            let from = (y as i64 + d).clamp(0, height as i64 - 1) as usize;
            for i in 0..line {
                both[y * line + i] += weight / total * pass[from * line + i];
            }
        }
    }
    Tensor::from_vec(both, *image.shape(), image.device())
}

/// The gradient of the total variation, Σ |differences to the right and below|, smoothed near 0 by `soft`.
pub(crate) fn variation_gradient(image: &Tensor, soft: f32) -> Result<Tensor> {
    let (height, width, channels) = size(image)?;
    let values = image.to_vec::<f32>()?;
    let line = width * channels;
    let mut gradient = vec![0f32; values.len()];
    let mut pair = |here: usize, there: usize| {
        let difference = values[there] - values[here];
        let slope = difference / (difference * difference + soft * soft).sqrt();
        gradient[there] += slope;
        gradient[here] -= slope;
    };
    for y in 0..height {
        for i in 0..line {
            let here = y * line + i;
            if i + channels < line {
                pair(here, here + channels);
            }
            if y + 1 < height {
                pair(here, here + line);
            }
        }
    }
    Tensor::from_vec(gradient, *image.shape(), image.device())
}

/// The input at another size, bilinear.
pub(crate) fn resized(image: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    let (_, _, channels) = size(image)?;
    let planes =
        (0..channels).map(|c| Plane::of_channel(image, c)?.resized(height, width)).collect::<Result<Vec<_>>>()?;
    let values = (0..height * width).flat_map(|i| planes.iter().map(move |plane| plane.values()[i])).collect();
    Tensor::from_vec(values, [1, height, width, channels], image.device())
}

/// The root of the mean square of all values.
pub(crate) fn root_mean_square(tensor: &Tensor) -> Result<f32> {
    let values = tensor.to_vec::<f32>()?;
    let square: f64 = values.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
    Ok((square / values.len().max(1) as f64).sqrt() as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use striate_testkit::reference::device;

    fn ramp() -> Tensor {
        Tensor::from_vec((0..24).map(|i| i as f32).collect(), [1, 3, 4, 2], &device()).unwrap()
    }

    #[test]
    fn a_roll_and_its_reverse_give_the_same() {
        let turned = rolled(&ramp(), 1, -1).unwrap();
        assert_eq!(turned.to_vec::<f32>().unwrap()[8..10], [2.0, 3.0]);
        assert_eq!(rolled(&turned, -1, 1).unwrap().to_vec::<f32>().unwrap(), ramp().to_vec::<f32>().unwrap());
    }

    #[test]
    fn blurring_keeps_the_mean_of_what_is_level_and_variation_points_downhill() {
        let level = Tensor::full([1, 5, 5, 3], 7.0, striate_tensor::DType::F32, &device()).unwrap();
        assert!(blurred(&level, 1.3).unwrap().to_vec::<f32>().unwrap().iter().all(|v| (v - 7.0).abs() < 1e-5));
        assert!(variation_gradient(&level, 0.1).unwrap().to_vec::<f32>().unwrap().iter().all(|v| *v == 0.0));
        let slope = variation_gradient(&ramp(), 1e-3).unwrap().to_vec::<f32>().unwrap();
        // The upper left corner is the lowest: raising it would lessen both its differences.
        assert!((slope[0] + 2.0).abs() < 1e-3 && (slope[23] - 2.0).abs() < 1e-3, "{slope:?}");
    }
}
