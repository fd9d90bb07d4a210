//! Pictures that filters respond to, by gradient ascent on the input, and the kernels themselves.

mod decorrelated;
mod raw;

pub use raw::{kernel_images, kernel_sheet};

use crate::picture::image_of_input;
use crate::pixels::{blurred, random_shift, rolled, root_mean_square, variation_gradient};
use decorrelated::Waves;
use image::{Rgb, RgbImage};
use serde_json::{Value, json};
use striate_autograd::Var;
use striate_data::PixelValues;
use striate_nn::{BuildOptions, Instance, Model, PartEnd, Registry, Run, Sequential};
use striate_tensor::{Device, Error, Key, ReduceOp, Result, Shape, Tensor};

/// How the ascent goes. The default is the lecture's: 40 steps of the gradient divided by its root mean square.
#[derive(Debug, Clone, PartialEq)]
pub struct Ascent {
    /// Steps.
    pub steps: usize,
    /// What a step changes a pixel by, in the root mean square, in steps of brightness (of 255).
    pub step: f32,
    /// The source of the noise that it starts from: 128 to 148 in each channel.
    pub seed: u64,
    /// The picture is shifted at random by up to so many pixels before each step and back after it. 0 for never.
    pub jitter: usize,
    /// Every fourth step ends with a blur of this deviation in pixels. 0 for none.
    pub blur: f32,
    /// How much of each step goes into smoothing: the weight of the total variation's gradient. 0 for none.
    pub variation: f32,
    /// Whether colours are shown as they are, for networks that want BGR; the lecture shows the values as they stand.
    pub is_true_colour: bool,
    /// Whether the numbers that climb are weights of waves and of colours that go apart in photographs, instead of pixels: smooth pictures in
    /// natural colours without any blur. They climb with Adam then; `step`, `blur` and `variation` play no part. Olah et al. 2017,
    /// <https://distill.pub/2017/feature-visualization/>.
    pub is_decorrelated: bool,
    /// Pictures that climb together as one batch. On a CPU one at a time is fastest: its values stay in the cache.
    pub batch: usize,
}

impl Default for Ascent {
    fn default() -> Self {
        Ascent {
            steps: 40,
            step: 1.0,
            seed: 7,
            jitter: 0,
            blur: 0.0,
            variation: 0.0,
            is_true_colour: false,
            is_decorrelated: false,
            batch: 1,
        }
    }
}

impl Ascent {
    /// Clearer pictures: more and larger steps, shifted at random, smoothed, in true colours.
    pub fn clear() -> Self {
        Ascent {
            steps: 120,
            step: 2.0,
            jitter: 4,
            blur: 0.5,
            variation: 0.25,
            is_true_colour: true,
            ..Ascent::default()
        }
    }

    /// Pictures in decorrelated waves and colours, shifted at random.
    pub fn decorrelated() -> Self {
        Ascent { steps: 120, jitter: 6, is_true_colour: true, is_decorrelated: true, ..Ascent::default() }
    }
}

/// The filters of one layer, ready to be climbed.
///
/// Of a convolution only the filter that is asked for is computed, and nothing that comes after it.
#[derive(Debug)]
pub struct Filters {
    /// Up to the layer's input, if it is a convolution, else up to its output; none where that is the picture.
    body: Option<Model>,
    last: Last,
    input: Shape,
    count: usize,
    values: PixelValues,
}

#[derive(Debug)]
enum Last {
    /// A layer of one filter can be made of it.
    Convolution(Box<Convolution>),
    /// The body's output has all channels.
    All,
}

/// A convolution of a model, and the shape that it receives.
#[derive(Debug)]
struct Convolution {
    model: Model,
    class: &'static str,
    config: Value,
    path: String,
    input: Shape,
}

impl Filters {
    /// The filters of the layer at a path. `size` is another height and width of the picture; none keeps the model's. `values` is
    /// the range of the model's input.
    ///
    /// # Errors
    /// As [`Model::part`]; [`Error::Shape`] for a model whose input is no picture of one or three channels.
    pub fn new(model: &Model, path: &str, size: Option<(usize, usize)>, values: PixelValues) -> Result<Self> {
        let input = match model.graph().input_shapes()[..] {
            [shape] if shape.rank() == 3 && matches!(shape[2], 1 | 3) => shape,
            ref shapes => {
                let rule = "the model must take one picture of one or three channels";
                return Err(Error::shape(model.name(), rule, format!("{shapes:?}"), ""));
            }
        };
        let input = size.map_or(input, |(height, width)| Shape::from([height, width, input[2]]));
        let shapes = [input];
        let count = model.part(path, PartEnd::Output, &shapes)?.graph().output_shapes()[0].channels();
        let layer = model.graph().layer(path).map(|layer| (layer.class_name(), Value::Object(layer.config())));
        if let Some((class @ "Conv2D", config)) = layer
            && config.get("groups").and_then(Value::as_u64).unwrap_or(1) == 1
        {
            let body = model.part(path, PartEnd::Input, &shapes)?;
            let below = body.graph().output_shapes()[0];
            let last = Last::Convolution(Box::new(Convolution {
                model: model.clone(),
                class,
                config,
                path: path.to_string(),
                input: below,
            }));
            let is_empty = body.graph().layers().iter().all(|layer| layer.class == "InputLayer");
            return Ok(Filters { body: (!is_empty).then_some(body), last, input, count, values });
        }
        let body = Some(model.part(path, PartEnd::Output, &shapes)?);
        Ok(Filters { body, last: Last::All, input, count, values })
    }

    /// The number of the layer's filters.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The inputs (1, height, width, channels) that these filters respond to most, after the ascent from noise.
    ///
    /// # Errors
    /// [`Error::Argument`] for a filter that is not there.
    pub fn climb(&self, filters: &[usize], ascent: &Ascent) -> Result<Vec<Tensor>> {
        let device = match (&self.body, &self.last) {
            (Some(body), _) => body.device().clone(),
            (None, Last::Convolution(layer)) => layer.model.device().clone(),
            (None, Last::All) => return Ok(Vec::new()),
        };
        let heads = filters.iter().map(|&filter| self.head(filter)).collect::<Result<Vec<_>>>()?;
        if ascent.is_decorrelated {
            return filters
                .iter()
                .zip(&heads)
                .map(|(&filter, head)| self.climb_waves(filter, head, ascent, &device))
                .collect();
        }
        let mut images = Vec::with_capacity(filters.len());
        for &filter in filters {
            let mut stream = Key::new(ascent.seed).fold(filter as u64).stream();
            let shape = self.input.with_batch(1)?;
            let noise =
                (0..shape.elements()).map(|_| self.unit() * (128.0 + 20.0 * stream.uniform() as f32) + self.zero());
            images.push(Tensor::from_vec(noise.collect(), shape, &device)?);
        }
        let constants = self.body.as_ref().map(Model::constants).unwrap_or_default();
        for (group, images) in images.chunks_mut(ascent.batch.max(1)).enumerate() {
            let heads = &heads[group * ascent.batch.max(1)..][..images.len()];
            for step in 0..ascent.steps {
                let key = Key::new(ascent.seed).fold_str("jitter").fold(step as u64);
                let shift = random_shift(key, ascent.jitter);
                for image in images.iter_mut() {
                    *image = rolled(image, shift.0, shift.1)?;
                }
                let gradients = self.gradients(images, heads, &constants)?;
                for (image, gradient) in images.iter_mut().zip(gradients) {
                    *image = self.stepped(image, gradient, ascent, step)?;
                    *image = rolled(image, -shift.0, -shift.1)?;
                }
            }
        }
        Ok(images)
    }

    /// One filter's ascent by the weights of waves.
    fn climb_waves(&self, filter: usize, head: &Head, ascent: &Ascent, device: &Device) -> Result<Tensor> {
        let constants = self.body.as_ref().map(Model::constants).unwrap_or_default();
        let mut waves = Waves::new(&self.input, self.values, Key::new(ascent.seed).fold(filter as u64))?;
        for step in 0..ascent.steps {
            let key = Key::new(ascent.seed).fold_str("jitter").fold(step as u64);
            let (down, across) = random_shift(key, ascent.jitter);
            let image = rolled(&waves.image(device)?, down, across)?;
            let gradient = self.gradients(&[image], std::slice::from_ref(head), &constants)?.pop().flatten();
            // A filter that nothing here excites has no gradient; the picture stays as it is.
            let Some(gradient) = gradient else { break };
            waves.step(&rolled(&gradient, -down, -across)?)?;
        }
        waves.image(device)
    }

    /// The pictures of [`Filters::climb`], with the lecture's contrast; decorrelated ones as they are.
    ///
    /// # Errors
    /// As [`Filters::climb`].
    pub fn images(&self, filters: &[usize], ascent: &Ascent) -> Result<Vec<RgbImage>> {
        if ascent.is_decorrelated {
            return self.climb(filters, ascent)?.iter().map(|image| image_of_input(image, self.values)).collect();
        }
        let turn = ascent.is_true_colour && self.values == PixelValues::Caffe;
        self.climb(filters, ascent)?.iter().map(|image| contrast_image(image, turn)).collect()
    }

    /// A step of brightness in the input's units.
    fn unit(&self) -> f32 {
        match self.values {
            PixelValues::Rescale(factor) => factor,
            PixelValues::Symmetric => 1.0 / 127.5,
            PixelValues::Caffe => 1.0,
        }
    }

    /// Black in the input's units; the lecture gives VGG16 values that start at 0 as they are.
    fn zero(&self) -> f32 {
        if self.values == PixelValues::Symmetric { -1.0 } else { 0.0 }
    }

    /// A model of the one filter, with its own weights.
    fn head(&self, filter: usize) -> Result<Head> {
        if filter >= self.count {
            let rule = format!("the layer has {} filters, counted from 0", self.count);
            return Err(Error::argument("filter", rule, filter.to_string(), ""));
        }
        let Last::Convolution(layer) = &self.last else { return Ok(Head::Channel(filter)) };
        let Convolution { model, class, config, path, input } = &**layer;
        let mut config = config.clone();
        config["filters"] = json!(1);
        let layer = Instance::from_arc(Registry::default().layer_from_json(class, &config)?).with_name("filter");
        let mut head = Sequential::new(*input).add(layer).build_on(&BuildOptions::on(model.device()))?;
        let wanted: Vec<(String, Shape)> =
            head.weights().map(|(spec, value)| (spec.path.clone(), *value.shape())).collect();
        for (own, shape) in wanted {
            let theirs = format!("{path}/{}", own.trim_start_matches("filter/"));
            let missing =
                || Error::model(path.clone(), "the layer must have its weights", format!("no `{theirs}`"), "");
            let whole = model.weight(&theirs).ok_or_else(missing)?;
            let mut start = vec![0; shape.rank()];
            start[shape.rank() - 1] = filter;
            head.set_weight(&own, &whole.crop(&start, shape)?)?;
        }
        let constants = head.constants();
        Ok(Head::Layer(Box::new(head), constants))
    }

    /// The gradient of each filter's mean response with respect to its picture, all in one pass.
    fn gradients(&self, images: &[Tensor], heads: &[Head], constants: &[Var]) -> Result<Vec<Option<Tensor>>> {
        let leaves: Vec<Var> = images.iter().cloned().map(Var::leaf).collect();
        let batch = match &leaves[..] {
            [one] => one.clone(),
            many => Var::concat(&many.iter().collect::<Vec<_>>(), 0)?,
        };
        let below = match &self.body {
            Some(body) => body.run(&[batch], constants, &Run::inference())?.remove(0),
            None => batch,
        };
        let mut total: Option<Var> = None;
        for (i, head) in heads.iter().enumerate() {
            let shape = *below.shape();
            let own = match heads.len() {
                1 => below.clone(),
                _ => {
                    let mut start = vec![0; shape.rank()];
                    start[0] = i;
                    below.crop(&start, shape.without_batch().with_batch(1)?)?
                }
            };
            let response = head.response(&own)?.mean()?;
            total = Some(match total {
                Some(total) => (&total + &response)?,
                None => response,
            });
        }
        let Some(total) = total else { return Ok(Vec::new()) };
        let mut gradients = total.backward()?;
        Ok(leaves.iter().map(|leaf| gradients.take(leaf)).collect())
    }

    fn stepped(&self, image: &Tensor, gradient: Option<Tensor>, ascent: &Ascent, step: usize) -> Result<Tensor> {
        // A filter that nothing here excites has no gradient; the picture stays as it is.
        let Some(gradient) = gradient else { return Ok(image.clone()) };
        let size = ascent.step * self.unit();
        let axes: Vec<usize> = (0..gradient.rank()).collect();
        let square = gradient.mul(&gradient)?.reduce(ReduceOp::Mean, &axes, false)?.item()?;
        let mut next = image.add(&gradient.affine((f64::from(size) / (square.sqrt() + 1e-5)) as f32, 0.0)?)?;
        if ascent.variation > 0.0 && square > 0.0 {
            let slope = variation_gradient(image, self.unit())?;
            let length = root_mean_square(&slope)?.max(1e-6);
            next = next.sub(&slope.affine(ascent.variation * size / length, 0.0)?)?;
        }
        if ascent.blur > 0.0 && step % 4 == 3 {
            next = blurred(&next, ascent.blur)?;
        }
        Ok(next)
    }
}

#[derive(Debug)]
enum Head {
    Layer(Box<Model>, Vec<Var>),
    Channel(usize),
}

impl Head {
    fn response(&self, below: &Var) -> Result<Var> {
        match self {
            Head::Layer(model, constants) => {
                Ok(model.run(std::slice::from_ref(below), constants, &Run::inference())?.remove(0))
            }
            Head::Channel(filter) => {
                let mut start = vec![0; below.shape().rank()];
                start[below.shape().rank() - 1] = *filter;
                below.crop(&start, below.shape().with_channels(1))
            }
        }
    }
}

/// An input (1, height, width, 1 or 3) with the lecture's contrast: mean 128, a standard deviation of a tenth of the range, cut off at
/// both ends. `turn` reverses the channels.
///
/// # Errors
/// [`Error::Shape`] for another shape.
pub fn contrast_image(input: &Tensor, turn: bool) -> Result<RgbImage> {
    let (height, width, channels) = crate::pixels::size(input)?;
    let values = input.to_vec::<f32>()?;
    let n = values.len() as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let deviation =
        (values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n).sqrt() + 1e-5 * mean.abs().min(1.0);
    let byte = |v: f32| ((((f64::from(v) - mean) / deviation.max(1e-12) * 0.1 + 0.5) * 255.0).clamp(0.0, 255.0)) as u8;
    if !matches!(channels, 1 | 3) {
        let received = input.shape().to_string();
        return Err(Error::shape("picture", "a picture has one or three channels", received, ""));
    }
    Ok(RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let at = (y as usize * width + x as usize) * channels;
        let channel = |c: usize| byte(values[at + if turn { 2 - c } else { c }]);
        Rgb(if channels == 1 { [byte(values[at]); 3] } else { [channel(0), channel(1), channel(2)] })
    }))
}

/// Pictures of one size in rows and columns with a margin between them, as the lecture's grids.
///
/// # Errors
/// [`Error::Argument`] without pictures or columns.
pub fn filter_grid(images: &[RgbImage], columns: usize, margin: u32) -> Result<RgbImage> {
    let (Some(first), true) = (images.first(), columns > 0) else {
        return Err(Error::argument("grid", "a grid must have pictures and columns", "none", ""));
    };
    let (width, height) = first.dimensions();
    let (columns, rows) = (columns.min(images.len()) as u32, images.len().div_ceil(columns) as u32);
    let mut canvas = RgbImage::new(columns * width + (columns - 1) * margin, rows * height + (rows - 1) * margin);
    for (i, image) in images.iter().enumerate() {
        let place = (i as u32 % columns * (width + margin), i as u32 / columns * (height + margin));
        crate::picture::put(&mut canvas, image, place.0, place.1);
    }
    Ok(canvas)
}
