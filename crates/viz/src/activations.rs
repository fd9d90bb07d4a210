//! What layers make of a picture: the outputs inside a model, one channel or all of them.

use crate::colours::ColourMap;
use crate::labels::Label;
use crate::picture::{fill, frame, put};
use crate::plane::Plane;
use image::{Rgb, RgbImage};
use striate_data::image_file::MAX_SIDE;
use striate_nn::{LayerInfo, Model};
use striate_tensor::{Error, Result, Tensor};

/// Channels in a row of a grid, as in the lecture.
pub const CHANNELS_A_ROW: usize = 16;
/// The width that a grid has at least, in pixels, unless a channel would be enlarged beyond reason.
const GRID_WIDTH: usize = 960;
const GAP: u32 = 2;
const INK: [u8; 3] = [40, 40, 40];

/// A layer's output for one picture.
#[derive(Debug, Clone)]
pub struct Activation {
    /// The layer.
    pub layer: LayerInfo,
    /// The output (1, …).
    pub output: Tensor,
}

impl Activation {
    /// Channels of a map, or numbers of a vector.
    pub fn channels(&self) -> usize {
        self.output.shape().channels()
    }

    /// Whether the output is a map (1, height, width, channels), and not a vector.
    pub fn is_map(&self) -> bool {
        self.output.rank() == 4
    }

    /// One channel of a map; of a vector all numbers, 16 a row, 0 beyond the last.
    ///
    /// # Errors
    /// [`Error::Shape`] for outputs that are neither; [`Error::Argument`] for a channel that is not there.
    pub fn plane(&self, channel: usize) -> Result<Plane> {
        if self.is_map() {
            return Plane::of_channel(&self.output, channel);
        }
        if self.output.rank() != 2 {
            let rule = "an output must be a map (1, height, width, channels) or a vector (1, n)";
            return Err(Error::shape(self.layer.path.clone(), rule, self.output.shape().to_string(), ""));
        }
        let mut values = self.output.to_vec::<f32>()?;
        let columns = values.len().min(CHANNELS_A_ROW);
        let rows = values.len().div_ceil(columns.max(1));
        values.resize(rows * columns, 0.0);
        Plane::new(rows, columns, values)
    }
}

/// The outputs of layers for an input (1, …), all in one forward pass.
///
/// # Errors
/// As [`Model::activations`].
pub fn activations(model: &Model, input: &Tensor, layers: &[LayerInfo]) -> Result<Vec<Activation>> {
    let paths: Vec<&str> = layers.iter().map(|layer| layer.path.as_str()).collect();
    let mut outputs = model.activations(std::slice::from_ref(input), &paths)?;
    let missing = |path: &str| Error::model(path, "the layer must be used in the pass", "no output", "");
    layers
        .iter()
        .map(|layer| {
            let output = outputs.remove(&layer.path).ok_or_else(|| missing(&layer.path))?;
            Ok(Activation { layer: layer.clone(), output })
        })
        .collect()
}

/// One channel as a matrix in viridis, with rows and columns numbered and a scale of its values: the lecture's `matshow`.
///
/// # Errors
/// As [`Activation::plane`].
pub fn channel_image(activation: &Activation, channel: usize) -> Result<RgbImage> {
    let plane = activation.plane(channel)?;
    let size = format!("{} × {}", plane.height(), plane.width());
    let title = match activation.is_map() {
        true => format!("{}, channel {channel} of {}", activation.layer.path, activation.channels()),
        false => format!("{}, {} numbers", activation.layer.path, activation.channels()),
    };
    Ok(matrix_image(&plane, &title, &size))
}

/// A matrix with numbered rows and columns and a scale of its values.
pub(crate) fn matrix_image(plane: &Plane, title: &str, subtitle: &str) -> RgbImage {
    const LEFT: u32 = 52;
    const BAR: u32 = 18;
    let (rows, columns) = (plane.height() as u32, plane.width() as u32);
    let scale = (560 / rows.max(columns)).max(1);
    let (low, high) = plane.range();
    let picture = plane.image(ColourMap::Viridis, (low, high), scale);
    let (heading, small, tick) =
        (Label::default().bold().size(19.0), Label::default().size(14.0), Label::default().size(13.0));
    let top = 14 + heading.line() + small.line() + 12 + tick.line() + 8;
    let bar_height = picture.height().max(120);
    let right = 24 + BAR + 10 + tick.width("−0.0000") + 16;
    let least = 2 * 18 + heading.width(title);
    let width = (LEFT + picture.width() + right).max(least);
    let mut canvas = RgbImage::from_pixel(width, top + bar_height + 20, Rgb([255; 3]));
    heading.draw(&mut canvas, title, 18, 14);
    small.draw(&mut canvas, subtitle, 18, 14 + i64::from(heading.line()));
    put(&mut canvas, &picture, LEFT, top);
    frame(&mut canvas, (LEFT - 1, top - 1), (picture.width() + 2, picture.height() + 2), 1, INK);
    for column in ticks(columns) {
        let x = LEFT + column * scale + scale / 2;
        fill(&mut canvas, (x, top - 6), (1, 5), INK);
        tick.draw_centred(&mut canvas, &column.to_string(), i64::from(x), i64::from(top - 8 - tick.line()));
    }
    for row in ticks(rows) {
        let y = top + row * scale + scale / 2;
        fill(&mut canvas, (LEFT - 6, y), (5, 1), INK);
        tick.draw_right(&mut canvas, &row.to_string(), i64::from(LEFT) - 10, i64::from(y) - i64::from(tick.line() / 2));
    }
    let bar = LEFT + picture.width() + 24;
    for y in 0..bar_height {
        let part = 1.0 - y as f32 / (bar_height - 1) as f32;
        fill(&mut canvas, (bar, top + y), (BAR, 1), ColourMap::Viridis.colour(part));
    }
    frame(&mut canvas, (bar - 1, top - 1), (BAR + 2, bar_height + 2), 1, INK);
    for part in [0.0, 0.25, 0.5, 0.75, 1.0f32] {
        let y = i64::from(top) + ((1.0 - part) * (bar_height - 1) as f32) as i64;
        let text = short(low + part * (high - low), high - low);
        tick.draw(&mut canvas, &text, i64::from(bar + BAR) + 8, y - i64::from(tick.line() / 2));
    }
    canvas
}

/// All channels of a map, 16 a row, each normalised as in the lecture ([`Plane::as_lecture`]); of a vector its numbers as squares.
///
/// # Errors
/// As [`Activation::plane`]; [`Error::Shape`] for a grid of more than [`MAX_SIDE`] pixels a side.
pub fn grid_image(activation: &Activation) -> Result<RgbImage> {
    let path = &activation.layer.path;
    if !activation.is_map() {
        let title = format!("{path}, {} numbers", activation.channels());
        return Ok(matrix_image(&activation.plane(0)?, &title, &format!("{CHANNELS_A_ROW} a row")));
    }
    let channels = activation.channels();
    let columns = channels.min(CHANNELS_A_ROW);
    let rows = channels.div_ceil(columns.max(1));
    let first = activation.plane(0)?;
    let scale = (GRID_WIDTH / (first.width() * columns).max(1)).clamp(1, 12);
    let step = ((first.width() * scale) as u32 + GAP, (first.height() * scale) as u32 + GAP);
    let (heading, small) = (Label::default().bold().size(22.0), Label::default().size(16.0));
    let top = 16 + heading.line() + small.line() + 14;
    let size = [u64::from(step.0) * columns as u64, u64::from(step.1) * rows as u64];
    if size.iter().any(|&side| side > u64::from(MAX_SIDE) - 200) {
        let rule = format!("a grid of channels may have at most {MAX_SIDE} pixels a side");
        return Err(Error::shape(path.clone(), rule, format!("{} × {}", size[1], size[0]), ""));
    }
    let title = format!("{path}  ({})", activation.layer.class);
    let subtitle = format!(
        "{channels} channels of {} × {}, each less its mean and over its deviation",
        first.height(),
        first.width()
    );
    let (left, width) = (16, size[0] as u32 - GAP);
    let canvas_width = (2 * left + width).max(2 * left + heading.width(&title).max(small.width(&subtitle)));
    let mut canvas = RgbImage::from_pixel(canvas_width, top + size[1] as u32 - GAP + 16, Rgb([255; 3]));
    heading.draw(&mut canvas, &title, i64::from(left), 16);
    small.draw(&mut canvas, &subtitle, i64::from(left), 16 + i64::from(heading.line()));
    for channel in 0..channels {
        let plane = activation.plane(channel)?.as_lecture();
        let image = plane.image(ColourMap::Viridis, (0.0, 255.0), scale as u32);
        let place = (left + (channel % columns) as u32 * step.0, top + (channel / columns) as u32 * step.1);
        put(&mut canvas, &image, place.0, place.1);
    }
    Ok(canvas)
}

/// Round numbers below `count`, at most nine of them.
fn ticks(count: u32) -> impl Iterator<Item = u32> {
    let step = [1, 2, 5, 10, 20, 25, 50, 100, 200, 500, 1000, 2000, 5000]
        .into_iter()
        .find(|step| count.div_ceil(*step) <= 8)
        .unwrap_or(10_000);
    (0..count).step_by(step as usize)
}

/// A number with as many digits as tell it from others of the spread.
fn short(value: f32, spread: f32) -> String {
    let digits = match spread {
        s if s >= 100.0 => 0,
        s if s >= 10.0 => 1,
        s if s >= 0.5 => 2,
        s if s >= 0.05 => 3,
        _ => 4,
    };
    format!("{:.digits$}", value + 0.0).replace('-', "−")
}
