//! DeepDream: a picture is changed so that layers respond more strongly to it, from small to large.

use crate::pixels::{random_shift, resized, rolled, size};
use striate_autograd::Var;
use striate_nn::{LayerInfo, Model, PartEnd, Run};
use striate_tensor::{Error, Key, Result, Shape, Tensor, UnaryOp, known_names};

/// The options: Mordvintsev et al. 2015; octaves as in F. Chollet's book.
#[derive(Debug, Clone, PartialEq)]
pub struct Dream {
    /// Layers and how much each counts.
    pub layers: Vec<(String, f32)>,
    /// Sizes at which the picture is worked on. Default 4.
    pub octaves: usize,
    /// From size to size. Default 1.4.
    pub scale: f32,
    /// Steps at each size. Default 12.
    pub steps: usize,
    /// What a step changes the pixels by on average, as a part of the input's range. Default 0.012.
    pub step: f32,
    /// The picture is shifted at random by up to so many pixels before each step. Default 16.
    pub jitter: usize,
    /// The source of the shifts.
    pub seed: u64,
}

impl Dream {
    /// The default for these layers, each counting 1.
    pub fn new<S: Into<String>>(layers: impl IntoIterator<Item = S>) -> Self {
        Dream {
            layers: layers.into_iter().map(|layer| (layer.into(), 1.0)).collect(),
            octaves: 4,
            scale: 1.4,
            steps: 12,
            step: 0.012,
            jitter: 16,
            seed: 0,
        }
    }
}

/// The dream of an input (1, height, width, channels) of any size that the layers take; `range` are the least and the largest value
/// of each channel, in which the result stays.
///
/// # Errors
/// [`Error::Argument`] for options outside of what makes sense, or a layer that is not there.
pub fn dream(model: &Model, input: &Tensor, range: &[(f32, f32)], options: &Dream) -> Result<Tensor> {
    let (height, width, channels) = size(input)?;
    check(options)?;
    ranges_fit("dream", range, channels)?;
    let names: Vec<&str> = options.layers.iter().map(|(name, _)| name.as_str()).collect();
    let last = last_of(model, &names)?;
    let sizes: Vec<(usize, usize)> = (0..options.octaves)
        .rev()
        .map(|octave| {
            let part = options.scale.powi(octave as i32);
            let side = |side: usize| ((side as f32 / part).round() as usize).max(1);
            (side(height), side(width))
        })
        .collect();
    let mut image = resized(input, sizes[0].0, sizes[0].1)?;
    for (octave, &(rows, columns)) in sizes.iter().enumerate() {
        if octave > 0 {
            // What the picture lost when it was made small comes back.
            let original = resized(input, rows, columns)?;
            let (before_rows, before_columns) = sizes[octave - 1];
            let lost = original.sub(&resized(&resized(input, before_rows, before_columns)?, rows, columns)?)?;
            image = resized(&image, rows, columns)?.add(&lost)?;
        }
        let part = model.part(last, PartEnd::Output, &[Shape::from([rows, columns, channels])])?;
        let constants = part.constants();
        for step in 0..options.steps {
            let key = Key::new(options.seed).fold(octave as u64).fold(step as u64);
            let shift = random_shift(key, options.jitter.min(rows.min(columns) / 2));
            let leaf = Var::leaf(rolled(&image, shift.0, shift.1)?);
            let run = Run::inference().capture(names.iter().map(|name| name.to_string()));
            part.run(std::slice::from_ref(&leaf), &constants, &run)?;
            let captured = run.into_captured();
            let mut total: Option<Var> = None;
            for (name, weight) in &options.layers {
                let Some(value) = captured.get(name) else { continue };
                let strength = value.unary(UnaryOp::Square)?.mean()?.affine(*weight, 0.0)?;
                total = Some(match total {
                    Some(total) => (&total + &strength)?,
                    None => strength,
                });
            }
            let Some(gradient) = total.and_then(|total| total.backward().ok()).and_then(|mut g| g.take(&leaf)) else {
                continue;
            };
            let gradient = rolled(&gradient, -shift.0, -shift.1)?;
            image = stepped(&image, &gradient, range, options.step)?;
        }
    }
    Ok(image)
}

/// The layers that are usual for a dream: of VGG16 those of [`Dream`]'s authors, else the convolutions at about half and three
/// quarters of the depth.
///
/// # Errors
/// [`Error::Model`] for a model without convolutions of pictures.
pub fn dream_layers(model: &Model) -> Result<Vec<String>> {
    let vgg16 = ["block4_conv3", "block5_conv1"];
    if vgg16.iter().all(|layer| model.graph().layer(layer).is_some()) {
        return Ok(vgg16.map(String::from).to_vec());
    }
    let is_convolution = |layer: &LayerInfo| {
        layer.class.contains("Conv2D") && layer.output.rank() == 3 && layer.output[0] * layer.output[1] > 1
    };
    let paths: Vec<String> =
        model.graph().layers().into_iter().filter(is_convolution).map(|layer| layer.path).collect();
    let Some(last) = paths.len().checked_sub(1) else {
        return Err(Error::model(model.name(), "a dream needs convolutions of pictures", "none", ""));
    };
    let mut chosen = vec![paths[last.div_ceil(2)].clone(), paths[(3 * last).div_ceil(4)].clone()];
    chosen.dedup();
    Ok(chosen)
}

fn check(options: &Dream) -> Result<()> {
    let refuse = |rule: &str, received: String, hint: &str| Err(Error::argument("dream", rule, received, hint));
    let Dream { layers, octaves, scale, steps, step, .. } = options;
    if !(1..=10).contains(octaves) {
        return refuse("octaves must be 1 to 10", octaves.to_string(), "4 is usual");
    }
    if !(1.05..=3.0).contains(scale) {
        return refuse("the scale from octave to octave must be 1.05 to 3", scale.to_string(), "1.4 is usual");
    }
    if *steps > 1000 {
        return refuse("steps must be at most 1000", steps.to_string(), "12 are usual");
    }
    if !step.is_finite() {
        return refuse("the size of a step must be a finite number", step.to_string(), "0.012 is usual");
    }
    match layers.iter().find(|(_, weight)| !weight.is_finite()) {
        Some((layer, weight)) => {
            refuse("a layer must count a finite number", format!("{weight} for {layer}"), "1 is usual")
        }
        None => Ok(()),
    }
}

/// There must be a range for each of the picture's channels.
pub(crate) fn ranges_fit(subject: &str, range: &[(f32, f32)], channels: usize) -> Result<()> {
    if range.len() == channels {
        return Ok(());
    }
    let rule = format!("there must be a range for each of the picture's {channels} channels");
    Err(Error::argument(subject, rule, format!("{} ranges", range.len()), ""))
}

/// No layer has this path.
pub(crate) fn no_layer(model: &Model, name: &str) -> Error {
    let known = known_names("layers", name, &model.layer_paths());
    Error::argument("layer", "must be one of the model's", format!("`{name}`"), known)
}

/// A step along the gradient over its mean size, cut off at the range.
fn stepped(image: &Tensor, gradient: &Tensor, range: &[(f32, f32)], step: f32) -> Result<Tensor> {
    let slope = gradient.to_vec::<f32>()?;
    let mean = slope.iter().map(|&g| f64::from(g.abs())).sum::<f64>() / slope.len().max(1) as f64;
    let mut values = image.to_vec::<f32>()?;
    for (i, (value, g)) in values.iter_mut().zip(&slope).enumerate() {
        let (low, high) = range[i % range.len()];
        let change = f64::from(*g) / mean.max(1e-12);
        *value = (*value + step * (high - low) * change as f32).clamp(low, high);
    }
    Tensor::from_vec(values, *image.shape(), image.device())
}

/// The layer of a list that stands last in the model.
pub(crate) fn last_of<'a>(model: &Model, names: &[&'a str]) -> Result<&'a str> {
    let order = model.layer_paths();
    let place = |name: &str| order.iter().position(|path| path == name).ok_or_else(|| no_layer(model, name));
    let mut last: Option<(usize, &str)> = None;
    for name in names {
        let at = place(name)?;
        if last.is_none_or(|(before, _)| at > before) {
            last = Some((at, name));
        }
    }
    last.map(|(_, name)| name).ok_or_else(|| Error::argument("layer", "at least one must be named", "none", ""))
}
