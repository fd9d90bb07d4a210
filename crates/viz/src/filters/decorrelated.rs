//! A picture as weights of waves and of colours that have little to do with one another, instead of pixels.
//!
//! An ascent on pixels likes fine patterns, because neighbouring pixels and the three colours, which go together in photographs, are free to
//! differ. Here the numbers that climb are weights of waves, each weighed by the inverse of its frequency as photographs have them, in three
//! colours along which those of photographs do not go together. Olah, Mordvintsev, Schubert 2017, "Feature Visualization",
//! <https://distill.pub/2017/feature-visualization/>, section "Preconditioning and Parameterization".

use crate::pixels::size;
use striate_data::PixelValues;
use striate_tensor::{Error, Key, Result, Shape, Tensor};

/// Brightness, red against blue, green against magenta: the directions along which the colours of photographs vary independently, each with
/// the deviation along it, that of brightness being 1. Measured on 200 photographs of cats and dogs.
const COLOURS: [([f32; 3], f32); 3] =
    [([0.582, 0.577, 0.573], 1.0), ([-0.728, 0.056, 0.684], 0.22), ([0.363, -0.815, 0.452], 0.104)];

/// The rate of Adam, and its memories.
const RATE: f32 = 0.05;
const BETAS: (f32, f32) = (0.9, 0.999);

/// A picture that climbs by the weights of its waves.
#[derive(Debug)]
pub(super) struct Waves {
    height: usize,
    width: usize,
    channels: usize,
    values: PixelValues,
    /// (height, width, channels), and Adam's two memories of each.
    weights: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
    steps: i32,
    /// Rows of waves in one direction, each its own inverse.
    down: Vec<f32>,
    across: Vec<f32>,
    /// What each wave is weighed by.
    scale: Vec<f32>,
}

impl Waves {
    /// Faint noise for an input (height, width, 1 or 3).
    pub(super) fn new(input: &Shape, values: PixelValues, key: Key) -> Result<Waves> {
        let &[height, width, channels @ (1 | 3)] = input.as_slice() else {
            let received = input.to_string();
            return Err(Error::shape("picture", "must be (height, width, 1 or 3)", received, ""));
        };
        let mut stream = key.stream();
        let frequency = |k: usize, n: usize| k.min(n - k) as f32 / n as f32;
        let least = 1.0 / height.max(width) as f32;
        let root = ((height * width) as f32).sqrt();
        let scale: Vec<f32> = (0..height * width)
            .map(|i| {
                let (v, u) = (frequency(i / width, height), frequency(i % width, width));
                // Orthonormal waves of weight 1 would make pixels of deviation 1; those of photographs are much smoother.
                0.25 * root * least / v.hypot(u).max(least)
            })
            .collect();
        let n = height * width * channels;
        Ok(Waves {
            weights: (0..n).map(|_| 0.01 * stream.normal() as f32).collect(),
            first: vec![0.0; n],
            second: vec![0.0; n],
            steps: 0,
            down: waves(height),
            across: waves(width),
            scale,
            height,
            width,
            channels,
            values,
        })
    }

    /// Values of pixels before they are squeezed between 0 and 255.
    fn raw(&self) -> Vec<f32> {
        let mut scaled = self.weights.clone();
        self.weigh(&mut scaled);
        let waved = self.transformed(&scaled);
        self.coloured(&waved, false)
    }

    /// The picture as pixels 0 to 255, then in the network's range, (1, height, width, channels).
    pub(super) fn image(&self, device: &striate_tensor::Device) -> Result<Tensor> {
        let mut pixels: Vec<f32> = self.raw().into_iter().map(|x| 255.0 / (1.0 + (-x).exp())).collect();
        self.values.apply(&mut pixels);
        Tensor::from_vec(pixels, [1, self.height, self.width, self.channels], device)
    }

    /// One step of Adam uphill, given the gradient with respect to [`Waves::image`].
    pub(super) fn step(&mut self, gradient: &Tensor) -> Result<()> {
        if size(gradient)? != (self.height, self.width, self.channels) {
            let received = gradient.shape().to_string();
            return Err(Error::shape("gradient", "must have the picture's shape", received, ""));
        }
        let slopes = gradient.to_vec::<f32>()?;
        let is_turned = self.values == PixelValues::Caffe && self.channels == 3;
        let unit = match self.values {
            PixelValues::Rescale(factor) => factor,
            PixelValues::Symmetric => 1.0 / 127.5,
            PixelValues::Caffe => 1.0,
        };
        let mut back: Vec<f32> = self
            .raw()
            .into_iter()
            .enumerate()
            .map(|(i, x)| {
                let (pixel, channel) = (i / self.channels, i % self.channels);
                let channel = if is_turned { 2 - channel } else { channel };
                let y = 1.0 / (1.0 + (-x).exp());
                slopes[pixel * self.channels + channel] * unit * 255.0 * y * (1.0 - y)
            })
            .collect();
        back = self.coloured(&back, true);
        back = self.transformed(&back);
        self.weigh(&mut back);
        // Only the direction counts in Adam; the size is brought near 1 so that its small constant plays no part.
        let size = (back.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>() / back.len().max(1) as f64).sqrt() as f32;
        if size <= 0.0 || !size.is_finite() {
            return Ok(());
        }
        self.steps += 1;
        let corrections = (1.0 - BETAS.0.powi(self.steps), 1.0 - BETAS.1.powi(self.steps));
        let memories = self.first.iter_mut().zip(&mut self.second);
        for ((weight, gradient), (first, second)) in self.weights.iter_mut().zip(&back).zip(memories) {
            let gradient = gradient / size;
            *first = BETAS.0 * *first + (1.0 - BETAS.0) * gradient;
            *second = BETAS.1 * *second + (1.0 - BETAS.1) * gradient * gradient;
            *weight += RATE * (*first / corrections.0) / ((*second / corrections.1).sqrt() + 1e-6);
        }
        Ok(())
    }

    fn weigh(&self, weights: &mut [f32]) {
        for (group, scale) in weights.chunks_exact_mut(self.channels).zip(&self.scale) {
            group.iter_mut().for_each(|weight| *weight *= scale);
        }
    }

    /// Waves to pixels, or pixels to waves: it is its own inverse, and its own transpose.
    fn transformed(&self, values: &[f32]) -> Vec<f32> {
        let (height, width, channels) = (self.height, self.width, self.channels);
        let line = width * channels;
        let mut rows = vec![0f32; values.len()];
        for (y, target) in rows.chunks_exact_mut(line).enumerate() {
            for (v, source) in values.chunks_exact(line).enumerate() {
                let wave = self.down[y * height + v];
                target.iter_mut().zip(source).for_each(|(target, source)| *target += wave * source);
            }
        }
        let mut both = vec![0f32; values.len()];
        for (target, source) in both.chunks_exact_mut(line).zip(rows.chunks_exact(line)) {
            for (x, target) in target.chunks_exact_mut(channels).enumerate() {
                let waves = &self.across[x * width..][..width];
                for (wave, source) in waves.iter().zip(source.chunks_exact(channels)) {
                    target.iter_mut().zip(source).for_each(|(target, source)| *target += wave * source);
                }
            }
        }
        both
    }

    /// Weights of colours to red, green and blue; `back` is the transpose of that.
    fn coloured(&self, values: &[f32], back: bool) -> Vec<f32> {
        if self.channels == 1 {
            return values.to_vec();
        }
        let part = |colour: usize, channel: usize| COLOURS[colour].0[channel] * COLOURS[colour].1;
        let group = |group: &[f32]| -> [f32; 3] {
            [0, 1, 2].map(|i| (0..3).map(|j| group[j] * if back { part(i, j) } else { part(j, i) }).sum())
        };
        values.chunks_exact(3).flat_map(group).collect()
    }
}

/// Hartley's waves, cos + sin of 2πkx/n, over √n: (n, n), symmetric and orthonormal.
fn waves(n: usize) -> Vec<f32> {
    let wave = |x: usize, k: usize| {
        let angle = std::f64::consts::TAU * ((x * k) % n) as f64 / n as f64;
        ((angle.cos() + angle.sin()) / (n as f64).sqrt()) as f32
    };
    (0..n * n).map(|i| wave(i / n, i % n)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use striate_testkit::reference::device;

    #[test]
    fn waves_are_their_own_inverse() {
        let waves = Waves::new(&Shape::from([5, 8, 3]), PixelValues::Symmetric, Key::new(1)).unwrap();
        let there = waves.transformed(&waves.weights);
        let back = waves.transformed(&there);
        assert!(back.iter().zip(&waves.weights).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn a_step_goes_uphill_whatever_the_range_of_values() {
        // The score: the sum of the input's values, each times a number of its own.
        for (values, channels) in
            [(PixelValues::Caffe, 3), (PixelValues::Symmetric, 3), (PixelValues::Rescale(1.0 / 255.0), 1)]
        {
            let shape = Shape::from([6, 7, channels]);
            let mut waves = Waves::new(&shape, values, Key::new(2)).unwrap();
            let slopes: Vec<f32> = (0..6 * 7 * channels).map(|i| ((i * 37 % 11) as f32) - 5.0).collect();
            let gradient = Tensor::from_vec(slopes.clone(), [1, 6, 7, channels], &device()).unwrap();
            let score = |waves: &Waves| -> f32 {
                let input = waves.image(&device()).unwrap().to_vec::<f32>().unwrap();
                input.iter().zip(&slopes).map(|(x, slope)| x * slope).sum()
            };
            let mut last = score(&waves);
            for _ in 0..5 {
                waves.step(&gradient).unwrap();
                let now = score(&waves);
                assert!(now > last, "{values}: {now} after {last}");
                last = now;
            }
        }
    }
}
