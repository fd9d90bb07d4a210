//! Maps from the gradient of a class's score with respect to the pixels.

use super::score;
use crate::pixels;
use crate::plane::Plane;
use striate_autograd::Var;
use striate_nn::{Model, Run};
use striate_tensor::{Error, Key, Result, Tensor};

/// How the gradient becomes a map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GradientMethod {
    /// The largest |gradient| of a pixel's channels: Simonyan et al. 2013, <https://arxiv.org/abs/1312.6034>.
    Saliency,
    /// The same of the mean gradient over pictures with noise: Smilkov et al. 2017, <https://arxiv.org/abs/1706.03825>.
    SmoothGrad {
        /// Pictures; 16 are usual.
        samples: usize,
        /// The noise's deviation as a part of the picture's range; 0.15 is usual.
        noise: f32,
        /// The noise's source.
        seed: u64,
    },
    /// |Σ over channels of (pixel − black) times the mean gradient on the way from black|: Sundararajan et al. 2017,
    /// <https://arxiv.org/abs/1703.01365>. The sum over all pixels is the difference of the scores.
    IntegratedGradients {
        /// Points on the way; 32 are usual.
        steps: usize,
        /// Black in the input's units.
        black: f32,
    },
}

/// The map of a class, one number a pixel, at least 0.
///
/// # Errors
/// [`Error::Argument`] for a class that is not there, or no samples or steps.
pub fn gradient_map(model: &Model, input: &Tensor, class: usize, method: GradientMethod) -> Result<Plane> {
    let (height, width, channels) = pixels::size(input)?;
    let values = match method {
        GradientMethod::Saliency => gradient(model, input, class)?,
        GradientMethod::SmoothGrad { samples, noise, seed } => {
            let all = input.to_vec::<f32>()?;
            let (low, high) = all.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
            mean(samples, |sample| {
                let mut stream = Key::new(seed).fold(sample as u64).stream();
                let noisy = all.iter().map(|v| v + noise * (high - low) * stream.normal() as f32).collect();
                gradient(model, &Tensor::from_vec(noisy, *input.shape(), input.device())?, class)
            })?
        }
        GradientMethod::IntegratedGradients { steps, black } => attribution(model, input, class, steps, black)?,
    };
    let at = |pixel: &[f32]| match method {
        GradientMethod::IntegratedGradients { .. } => pixel.iter().sum::<f32>().abs(),
        _ => pixel.iter().fold(0f32, |most, value| most.max(value.abs())),
    };
    Plane::new(height, width, values.chunks_exact(channels).map(at).collect())
}

/// Integrated gradients number by number: (pixel − black) · mean gradient, by the midpoint rule.
pub(super) fn attribution(model: &Model, input: &Tensor, class: usize, steps: usize, black: f32) -> Result<Vec<f32>> {
    let slope = mean(steps, |step| {
        let part = (step as f32 + 0.5) / steps as f32;
        gradient(model, &input.affine(part, black * (1.0 - part))?, class)
    })?;
    Ok(input.to_vec::<f32>()?.iter().zip(slope).map(|(pixel, slope)| (pixel - black) * slope).collect())
}

fn gradient(model: &Model, input: &Tensor, class: usize) -> Result<Vec<f32>> {
    let leaf = Var::leaf(input.clone());
    let (score, _) = score(model, &leaf, class, Run::inference())?;
    match score.backward()?.take(&leaf) {
        Some(gradient) => gradient.to_vec::<f32>(),
        None => Ok(vec![0.0; input.elements()]),
    }
}

fn mean(count: usize, of: impl Fn(usize) -> Result<Vec<f32>>) -> Result<Vec<f32>> {
    if count == 0 {
        return Err(Error::argument("gradient map", "there must be at least one sample or step", "0", ""));
    }
    let mut sum = of(0)?;
    for i in 1..count {
        sum.iter_mut().zip(of(i)?).for_each(|(sum, value)| *sum += value);
    }
    sum.iter_mut().for_each(|sum| *sum /= count as f32);
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use striate_nn::layers::*;
    use striate_nn::{BuildOptions, Sequential};
    use striate_tensor::Activation::{Relu, Sigmoid};

    #[test]
    fn integrated_gradients_add_up_to_the_difference_of_the_scores() {
        let device = striate_testkit::reference::device();
        let model = Sequential::new([6, 6, 3])
            .add(Conv2D::new(4, 3).activation(Relu))
            .add(Flatten)
            .add(Dense::new(1).activation(Sigmoid))
            .build_on(&BuildOptions { seed: 5, ..BuildOptions::on(&device) })
            .unwrap();
        let pixels: Vec<f32> = (0..108).map(|i| (i * 37 % 101) as f32 / 101.0).collect();
        let input = Tensor::from_vec(pixels, [1, 6, 6, 3], &device).unwrap();
        let black = Tensor::full([1, 6, 6, 3], -1.0, striate_tensor::DType::F32, &device).unwrap();
        for class in [0, 1] {
            let of = |x: &Tensor| score(&model, &Var::constant(x.clone()), class, Run::inference()).unwrap().0;
            let (there, here) = (of(&input).value().item().unwrap(), of(&black).value().item().unwrap());
            let sum: f32 = attribution(&model, &input, class, 1024, -1.0).unwrap().iter().sum();
            assert!(
                (f64::from(sum) - (there - here)).abs() < 0.02 * (there - here).abs() + 1e-3,
                "{sum} {there} {here}"
            );
        }
        assert!(gradient_map(&model, &input, 2, GradientMethod::Saliency).is_err());
        let none = GradientMethod::SmoothGrad { samples: 0, noise: 0.1, seed: 1 };
        assert!(gradient_map(&model, &input, 1, none).is_err());
    }
}
