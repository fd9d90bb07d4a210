//! Single convolutions: forward, gradient of the input, gradient of the kernel.

use super::{Subject, Unit, measure};
use crate::output::Output;
use serde_json::{Map, json};
use striate::prelude::*;
use striate::tensor::{ConvSpec, Key, Padding};

/// Name, batch, side, channels in, filters; the kernel is 3×3, `same` for VGG16's layers and `valid` for the small nets'.
const LAYERS: [(&str, usize, usize, usize, usize, Padding); 16] = [
    ("mnist_c1", 64, 28, 1, 32, Valid),
    ("mnist_c2", 64, 13, 32, 64, Valid),
    ("mnist_c3", 64, 5, 64, 64, Valid),
    ("cd_c1", 20, 150, 3, 32, Valid),
    ("cd_c2", 20, 74, 32, 64, Valid),
    ("cd_c3", 20, 36, 64, 128, Valid),
    ("cd_c4", 20, 17, 128, 128, Valid),
    ("vgg_b1c1", 20, 150, 3, 64, Same),
    ("vgg_b1c2", 20, 150, 64, 64, Same),
    ("vgg_b2c1", 20, 75, 64, 128, Same),
    ("vgg_b2c2", 20, 75, 128, 128, Same),
    ("vgg_b3c1", 20, 37, 128, 256, Same),
    ("vgg_b3c2_3", 20, 37, 256, 256, Same),
    ("vgg_b4c1", 20, 18, 256, 512, Same),
    ("vgg_b4c2_3", 20, 18, 512, 512, Same),
    ("vgg_b5c1_3", 20, 9, 512, 512, Same),
];

/// Every layer and pass; the rate counts the direct algorithm's operations, whatever algorithm runs.
pub fn run(repeat: usize, output: &Output) -> Result<()> {
    for (name, batch, side, channels, filters, padding) in LAYERS {
        let spec = ConvSpec { padding, ..ConvSpec::default() };
        let (x, kernel) = (random([batch, side, side, channels])?, random([3, 3, channels, filters])?);
        let bias = random([1, 1, 1, filters])?.reshape([filters])?;
        let g = spec.geometry(x.shape(), kernel.shape())?;
        let dy = random([batch, g.output[1], g.output[2], filters])?;
        let gflop = 2.0 * g.multiply_adds() as f64 / 1e9;
        let subject = |pass: &str| Subject {
            extra: Map::from_iter([("layer".into(), json!(name)), ("pass".into(), json!(pass))]),
            ..Subject::new("conv_micro", Unit::Rate("GFLOP/s"), gflop)
        };
        measure(subject("forward"), repeat, output, || x.conv(&kernel, Some(&bias), &spec, Relu).map(|_| ()))?;
        measure(subject("input"), repeat, output, || dy.conv_backward_input(&kernel, x.shape(), &spec).map(|_| ()))?;
        measure(subject("kernel"), repeat, output, || {
            dy.conv_backward_kernel(&x, kernel.shape(), &spec, true).map(|_| ())
        })?;
    }
    Ok(())
}

fn random(shape: [usize; 4]) -> Result<Tensor> {
    let mut stream = Key::new(3).stream();
    let values = (0..shape.iter().product()).map(|_| stream.uniform_in(-1.0, 1.0) as f32).collect();
    Tensor::from_vec(values, shape, &device()?)
}
