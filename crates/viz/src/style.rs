//! Style transfer: a picture with the content of one and the style of another.

use crate::dream::{last_of, ranges_fit};
use crate::pixels::{size, variation_gradient};
use std::collections::HashMap;
use striate_autograd::Var;
use striate_nn::{Model, PartEnd, Run};
use striate_tensor::{Error, Result, Shape, Tensor, UnaryOp, UpdateRule};

/// The options: Gatys et al. 2015, <https://arxiv.org/abs/1508.06576>, with layers of VGG16.
///
/// Each layer's loss is divided by what it would be for a picture of nothing, so that weights mean the same for every picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Style {
    /// The layer whose output is the content. Default `block4_conv2`.
    pub content_layer: String,
    /// The layers whose channels' products are the style. Default the first convolution of each block.
    pub style_layers: Vec<String>,
    /// How much the style counts against the content, 1 to 1 being 1. Default 60.
    pub style_weight: f32,
    /// How much smoothness counts. Default 0.02.
    pub variation: f32,
    /// Steps of Adam. Default 200.
    pub steps: usize,
    /// The size of a step, as a part of 255 grey levels. Default 0.02.
    pub learning_rate: f32,
}

impl Default for Style {
    fn default() -> Self {
        Style {
            content_layer: "block4_conv2".into(),
            style_layers: (1..=5).map(|block| format!("block{block}_conv1")).collect(),
            style_weight: 60.0,
            variation: 0.02,
            steps: 200,
            learning_rate: 0.02,
        }
    }
}

/// The loss's parts at a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StyleLoss {
    /// 0 where the content is that of the content picture.
    pub content: f32,
    /// 0 where the style is that of the style picture.
    pub style: f32,
}

/// Paints the content picture in the style of the other; both are inputs (1, height, width, channels) of any size, values 0 to 255 wide. `range` are the
/// least and the largest value of each channel. `seen` is told the loss before each step.
///
/// # Errors
/// [`Error::Argument`] for a layer that is not there, or options outside of what makes sense.
pub fn transfer_style(
    model: &Model,
    content: &Tensor,
    style: &Tensor,
    range: &[(f32, f32)],
    options: &Style,
    mut seen: impl FnMut(usize, StyleLoss),
) -> Result<Tensor> {
    let (height, width, channels) = size(content)?;
    check(options)?;
    ranges_fit("style", range, channels)?;
    let style_names: Vec<&str> = options.style_layers.iter().map(String::as_str).collect();
    let mut names = style_names.clone();
    names.push(&options.content_layer);
    let last = last_of(model, &names)?;
    last_of(model, &style_names)?;
    let part = |shape: [usize; 3]| model.part(last, PartEnd::Output, &[Shape::from(shape)]);
    let (style_height, style_width, _) = size(style)?;
    let of_style = captured(&part([style_height, style_width, channels])?, &Var::constant(style.clone()), &names)?;
    let targets =
        style_names.iter().map(|name| Ok(gram(pick(&of_style, name)?)?.into_value())).collect::<Result<Vec<_>>>()?;
    let body = part([height, width, channels])?;
    let of_content = captured(&body, &Var::constant(content.clone()), &names)?;
    let wanted = pick(&of_content, &options.content_layer)?.value().clone();

    let mut image = content.clone();
    let zeros = || Tensor::zeros(*image.shape(), image.device());
    let mut slots = vec![zeros()?, zeros()?];
    for step in 0..options.steps {
        let leaf = Var::leaf(image.clone());
        let outputs = captured(&body, &leaf, &names)?;
        let content_loss = relative(pick(&outputs, &options.content_layer)?, &wanted)?;
        let mut style_loss: Option<Var> = None;
        for (name, target) in style_names.iter().zip(&targets) {
            let loss = relative(&gram(pick(&outputs, name)?)?, target)?.affine(1.0 / targets.len() as f32, 0.0)?;
            style_loss = Some(match style_loss {
                Some(sum) => (&sum + &loss)?,
                None => loss,
            });
        }
        let Some(style_loss) = style_loss else { break };
        seen(
            step,
            StyleLoss { content: content_loss.value().item()? as f32, style: style_loss.value().item()? as f32 },
        );
        let total = (&content_loss + &style_loss.affine(options.style_weight, 0.0)?)?;
        let Some(mut gradient) = total.backward()?.take(&leaf) else { break };
        if options.variation > 0.0 {
            let scale = options.variation / image.elements() as f32;
            gradient = gradient.add(&variation_gradient(&image, 1.0)?.affine(scale, 0.0)?)?;
        }
        let rule = UpdateRule::Adam {
            learning_rate: 255.0 * options.learning_rate,
            beta_1: 0.9,
            beta_2: 0.99,
            epsilon: 1e-12,
            step: step as u64 + 1,
        };
        image.update(&rule, &gradient, &mut slots)?;
        for (i, value) in image.make_mut::<f32>()?.iter_mut().enumerate() {
            let (low, high) = range[i % range.len()];
            *value = value.clamp(low, high);
        }
    }
    Ok(image)
}

fn check(options: &Style) -> Result<()> {
    let usual = Style::default();
    for (name, value, usual) in [
        ("the style's weight", options.style_weight, usual.style_weight),
        ("the weight of smoothness", options.variation, usual.variation),
        ("the learning rate", options.learning_rate, usual.learning_rate),
    ] {
        if !value.is_finite() || value < 0.0 {
            let rule = format!("{name} must be a finite number of at least 0");
            return Err(Error::argument("style", rule, value.to_string(), format!("{usual} is usual")));
        }
    }
    if options.steps > 10_000 {
        let rule = "steps must be at most 10000";
        return Err(Error::argument("style", rule, options.steps.to_string(), format!("{} are usual", usual.steps)));
    }
    Ok(())
}

fn captured(model: &Model, input: &Var, names: &[&str]) -> Result<HashMap<String, Var>> {
    let run = Run::inference().capture(names.iter().map(|name| name.to_string()));
    model.run(std::slice::from_ref(input), &model.constants(), &run)?;
    Ok(run.into_captured())
}

fn pick<'a>(outputs: &'a HashMap<String, Var>, name: &str) -> Result<&'a Var> {
    outputs.get(name).ok_or_else(|| Error::argument("layer", "must be one of the model's", format!("`{name}`"), ""))
}

/// The products of all pairs of channels, averaged over the places: (channels, channels).
fn gram(value: &Var) -> Result<Var> {
    let &[1, height, width, channels] = value.shape().as_slice() else {
        let received = value.shape().to_string();
        return Err(Error::shape("style", "a layer of style must have places", received, ""));
    };
    let rows = value.reshape([height * width, channels])?;
    rows.permute(&[1, 0])?.matmul(&rows)?.affine(1.0 / (height * width) as f32, 0.0)
}

/// The mean square of the difference over that of the target.
fn relative(value: &Var, target: &Tensor) -> Result<Var> {
    let size = target.unary(UnaryOp::Square)?.sum_all()?.item()? / target.elements() as f64;
    let difference = (value - &Var::constant(target.clone()))?;
    difference.unary(UnaryOp::Square)?.mean()?.affine((1.0 / size.max(1e-20)) as f32, 0.0)
}
