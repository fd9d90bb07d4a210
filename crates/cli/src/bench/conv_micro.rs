//! Single convolutions: forward, gradient of the input, gradient of the kernel.

use super::{Subject, Unit, measure};
use crate::output::Output;
use serde_json::{Map, json};
use std::time::Instant;
use striate::prelude::*;
use striate::tensor::{ConvSpec, Key, Padding};

/// A repetition is as many calls as take this long.
const REPETITION_S: f64 = 0.01;
/// Calls before the first repetition: by then the system has given each thread a processor of its own.
const WARM_UP_S: f64 = 0.1;

/// A convolution to measure.
struct Layer {
    name: &'static str,
    /// (n, spatial…, channels).
    x: &'static [usize],
    /// The kernel's size along every spatial axis.
    kernel: usize,
    filters: usize,
    stride: usize,
    dilation: usize,
    groups: usize,
    padding: Padding,
}

impl Layer {
    const fn new(name: &'static str, x: &'static [usize], kernel: usize, filters: usize, padding: Padding) -> Layer {
        Layer { name, x, kernel, filters, stride: 1, dilation: 1, groups: 1, padding }
    }
}

/// The layers of the lecture's networks and of VGG16 at 150×150, then the other kinds that networks are made of.
const LAYERS: [Layer; 25] = [
    Layer::new("mnist_c1", &[64, 28, 28, 1], 3, 32, Valid),
    Layer::new("mnist_c2", &[64, 13, 13, 32], 3, 64, Valid),
    Layer::new("mnist_c3", &[64, 5, 5, 64], 3, 64, Valid),
    Layer::new("cd_c1", &[20, 150, 150, 3], 3, 32, Valid),
    Layer::new("cd_c2", &[20, 74, 74, 32], 3, 64, Valid),
    Layer::new("cd_c3", &[20, 36, 36, 64], 3, 128, Valid),
    Layer::new("cd_c4", &[20, 17, 17, 128], 3, 128, Valid),
    Layer::new("vgg_b1c1", &[20, 150, 150, 3], 3, 64, Same),
    Layer::new("vgg_b1c2", &[20, 150, 150, 64], 3, 64, Same),
    Layer::new("vgg_b2c1", &[20, 75, 75, 64], 3, 128, Same),
    Layer::new("vgg_b2c2", &[20, 75, 75, 128], 3, 128, Same),
    Layer::new("vgg_b3c1", &[20, 37, 37, 128], 3, 256, Same),
    Layer::new("vgg_b3c2_3", &[20, 37, 37, 256], 3, 256, Same),
    Layer::new("vgg_b4c1", &[20, 18, 18, 256], 3, 512, Same),
    Layer::new("vgg_b4c2_3", &[20, 18, 18, 512], 3, 512, Same),
    Layer::new("vgg_b5c1_3", &[20, 9, 9, 512], 3, 512, Same),
    Layer { groups: 32, ..Layer::new("depthwise_112_32", &[8, 112, 112, 32], 3, 32, Same) },
    Layer { groups: 4, ..Layer::new("grouped_28_128", &[8, 28, 28, 128], 3, 128, Same) },
    Layer { stride: 2, ..Layer::new("strided_56_64", &[8, 56, 56, 64], 3, 128, Same) },
    Layer { dilation: 2, ..Layer::new("dilated_28_128", &[8, 28, 28, 128], 3, 128, Same) },
    Layer::new("5x5_28_64", &[8, 28, 28, 64], 5, 64, Same),
    Layer { stride: 2, ..Layer::new("7x7_s2_224_3", &[2, 224, 224, 3], 7, 64, Same) },
    Layer::new("1x1_56_256", &[8, 56, 56, 256], 1, 64, Same),
    Layer::new("conv1d_k5_512_64", &[16, 512, 64], 5, 128, Same),
    Layer::new("conv3d_16_32", &[4, 16, 16, 16, 32], 3, 64, Same),
];

/// Every layer whose name contains `part`, and pass; the rate counts the direct algorithm's operations, whatever algorithm runs.
/// As in training, the kernel was written since the last call: what is prepared from it is prepared anew.
pub fn run(part: &str, repeat: usize, output: &Output) -> Result<()> {
    let layers: Vec<&Layer> = LAYERS.iter().filter(|layer| layer.name.contains(part)).collect();
    if layers.is_empty() {
        let names: Vec<&str> = LAYERS.iter().map(|layer| layer.name).collect();
        let hint = format!("the layers are {}", names.join(", "));
        return Err(Error::argument("conv_micro", "--layer must be a part of a layer's name", part, hint));
    }
    for layer in layers {
        let Layer { name, filters, padding, groups, .. } = *layer;
        let (strides, dilations) = ([layer.stride; 3], [layer.dilation; 3]);
        let spec = ConvSpec { padding, strides, dilations, groups, ..ConvSpec::default() };
        let axes = layer.x.len() - 2;
        let mut kernel = vec![layer.kernel; axes];
        kernel.extend([layer.x[axes + 1] / groups, filters]);
        let geometry = json!({
            "x": layer.x,
            "kernel": kernel,
            "stride": layer.stride,
            "dilation": layer.dilation,
            "groups": groups,
            "same": padding == Same,
        });
        let (x, mut kernel) = (random(layer.x)?, random(&kernel)?);
        let bias = random(&[filters])?;
        let dy = random(&spec.output_shape(x.shape(), kernel.shape())?)?;
        let gflop = 2.0 * spec.geometry(x.shape(), kernel.shape())?.multiply_adds() as f64 / 1e9;
        let mut timed = |pass: &str, call: &mut dyn FnMut(&Tensor) -> Result<()>| {
            let mut once = || {
                kernel.make_mut::<f32>()?;
                call(&kernel)
            };
            let warm_up = Instant::now();
            let calls = loop {
                let start = Instant::now();
                once()?;
                if warm_up.elapsed().as_secs_f64() >= WARM_UP_S {
                    break (REPETITION_S / start.elapsed().as_secs_f64()).clamp(1.0, 1000.0) as usize;
                }
            };
            let subject = Subject {
                extra: Map::from_iter([
                    ("layer".into(), json!(name)),
                    ("pass".into(), json!(pass)),
                    ("geometry".into(), geometry.clone()),
                ]),
                ..Subject::new("conv_micro", Unit::Rate("GFLOP/s"), gflop * calls as f64)
            };
            measure(subject, repeat, output, || (0..calls).try_for_each(|_| once()))
        };
        timed("forward", &mut |kernel| x.conv(kernel, Some(&bias), &spec, Relu).map(|_| ()))?;
        timed("input", &mut |kernel| dy.conv_backward_input(kernel, x.shape(), &spec).map(|_| ()))?;
        timed("kernel", &mut |kernel| dy.conv_backward_kernel(&x, kernel.shape(), &spec, true).map(|_| ()))?;
    }
    Ok(())
}

fn random(shape: &[usize]) -> Result<Tensor> {
    let mut stream = Key::new(3).stream();
    let values = (0..shape.iter().product()).map(|_| stream.uniform_in(-1.0, 1.0) as f32).collect();
    Tensor::from_vec(values, Shape::new(shape)?, &device()?)
}
