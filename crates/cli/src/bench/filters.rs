//! Pictures that filters respond to: 40 steps of gradient ascent on the input.

use super::{Subject, Unit, measure, networks, random};
use crate::output::Output;
use striate::nn::Run;
use striate::prelude::*;
use striate::tensor::{ConvSpec, ReduceOp};

const STEPS: usize = 40;

/// Climbs the mean response of filter `i` for image `i`, as the lecture does: the gradient is divided by its root mean square.
///
/// Only the filter that is asked for is computed of the last layer: `last` holds one kernel (3, 3, c, 1) for each image.
fn ascend(body: Option<&Model>, last: &[(Var, Var)], side: usize) -> Result<Vec<Tensor>> {
    let count = last.len();
    let start = random([count, side, side, 3], 7)?.affine(20.0, 128.0)?;
    let mut images: Vec<Tensor> = (0..count).map(|i| start.rows(i..i + 1)).collect::<Result<_>>()?;
    let constants = body.map(Model::constants).unwrap_or_default();
    let spec = ConvSpec { padding: Same, ..ConvSpec::default() };
    for _ in 0..STEPS {
        for (image, (kernel, bias)) in images.iter_mut().zip(last) {
            let x = Var::leaf(image.clone());
            let below = match body {
                Some(body) => body.run(std::slice::from_ref(&x), &constants, &Run::inference())?.remove(0),
                None => x.clone(),
            };
            let response = below.conv(kernel, Some(bias), &spec, Relu)?.mean()?;
            let mut gradients = response.backward()?;
            let Some(g) = gradients.take(&x) else { continue };
            let square = g.mul(&g)?.reduce(ReduceOp::Mean, &[0, 1, 2, 3], false)?.item()?;
            *image = image.add(&g.affine((1.0 / (square.sqrt() + 1e-5)) as f32, 0.0)?)?;
        }
    }
    Ok(images)
}

/// The kernels of single filters of a layer with `channels` inputs.
fn kernels(channels: usize, filters: usize, chosen: std::ops::Range<usize>) -> Result<Vec<(Var, Var)>> {
    let side = 8;
    let layer = Sequential::new([side, side, channels])
        .add(Conv2D::new(filters, 3).padding(Same).kernel_initializer(Initializer::HeNormal))
        .build()?;
    let missing = || Error::model("bench", "the layer must have its weights", "none", "");
    let kernel = layer.weight("conv2d/kernel").ok_or_else(missing)?;
    let bias = layer.weight("conv2d/bias").ok_or_else(missing)?;
    chosen
        .map(|f| {
            let kernel = kernel.crop(&[0, 0, 0, f], Shape::from([3, 3, channels, 1]))?;
            Ok((Var::constant(kernel), Var::constant(bias.crop(&[f], Shape::from([1]))?)))
        })
        .collect()
}

/// One filter of block3_conv1 at 150×150.
pub fn pattern(repeat: usize, output: &Output) -> Result<()> {
    let body = networks::vgg16_base(150, "block2_conv2").add(MaxPooling2D::new(2)).build()?;
    let last = kernels(128, 256, 0..1)?;
    measure(Subject::new("filter_pattern", Unit::Seconds, 1.0), repeat, output, || {
        ascend(Some(&body), &last, 150).map(|_| ())
    })
}

/// All 64 filters of block1_conv1 at 64×64.
pub fn grid(repeat: usize, output: &Output) -> Result<()> {
    let last = kernels(3, 64, 0..64)?;
    measure(Subject::new("filter_grid", Unit::Seconds, 1.0), repeat, output, || ascend(None, &last, 64).map(|_| ()))
}
