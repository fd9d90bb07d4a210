//! Pictures brought to a given size.
//!
//! The arithmetic is Pillow's (<https://pillow.readthedocs.io/en/stable/handbook/concepts.html#filters>), which Keras's
//! `load_img` uses: filters widen when a picture shrinks, weights are fixed-point numbers of 22 bits, and the rows are done
//! before the columns with bytes between. The result is Pillow's to the bit for [`Filter::Nearest`] and where one side
//! changes; else within one step of 255, since recent versions choose by size which direction is rounded first.

use crate::image_file::{MAX_SIDE, Picture};
use std::f64::consts::PI;
use striate_tensor::{Error, Result, Shape};

/// Binary places of a weight: 8 bits of pixel, 2 of headroom for weights that sum to more than 1.
const PRECISION: u32 = 32 - 8 - 2;

/// How a pixel comes from those around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Filter {
    /// The pixel under the centre; Keras's default.
    #[default]
    Nearest,
    /// The mean over the area that the pixel covers.
    Area,
    /// A tent, one source pixel to either side.
    Bilinear,
    /// Like bilinear, sharper: a cosine window, one source pixel to either side.
    Hamming,
    /// Cubic with a = -0.5, two source pixels to either side.
    Bicubic,
    /// A sine wave in a window of three source pixels to either side.
    Lanczos,
}

/// What happens to a picture whose proportions are not the target's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Fit {
    /// It is stretched; Keras's default.
    #[default]
    Stretch,
    /// Its middle is cut out with the target's proportions: Keras's `keep_aspect_ratio`.
    Crop,
    /// It is made to fit inside, and the rest is filled with this brightness, the picture in the middle.
    Pad(u8),
}

/// The picture at height × width.
///
/// # Errors
/// [`Error::Argument`] for a side of 0 or beyond [`MAX_SIDE`].
///
/// ```
/// use striate_data::image_file::{Colour, Picture};
/// use striate_data::{Filter, Fit, resize};
/// let picture = Picture::new(vec![0, 100, 200, 100], 1, 4, Colour::Grey)?;
/// assert_eq!(resize(&picture, (1, 2), Filter::Area, Fit::Stretch)?.bytes(), [50, 150]);
/// assert_eq!(resize(&picture, (2, 4), Filter::Nearest, Fit::Pad(7))?.bytes(), [0, 100, 200, 100, 7, 7, 7, 7]);
/// # Ok::<(), striate_tensor::Error>(())
/// ```
pub fn resize(picture: &Picture, (height, width): (usize, usize), filter: Filter, fit: Fit) -> Result<Picture> {
    check_size((height, width))?;
    let (rows, columns) = (picture.height(), picture.width());
    if (rows, columns) == (height, width) {
        return Ok(picture.clone());
    }
    let whole = (Span::whole(rows), Span::whole(columns));
    Ok(match fit {
        Fit::Stretch => scale(picture, whole, (height, width), filter),
        Fit::Crop => {
            let middle = |size: usize, keep: usize| Span { start: (size - keep) / 2, length: keep };
            // Never empty: a sliver of a picture keeps one pixel.
            let keep_rows = (columns * height / width).clamp(1, rows);
            let keep_columns = (rows * width / height).clamp(1, columns);
            scale(picture, (middle(rows, keep_rows), middle(columns, keep_columns)), (height, width), filter)
        }
        Fit::Pad(shade) => {
            let rounded = |a: usize, b: usize, c: usize| (a * b + c / 2) / c;
            // The side that fills the target is decided by the proportions, the other one follows.
            let inner = if rows * width >= columns * height {
                (height, rounded(columns, height, rows).clamp(1, width))
            } else {
                (rounded(rows, width, columns).clamp(1, height), width)
            };
            let scaled = if inner == (rows, columns) { picture.clone() } else { scale(picture, whole, inner, filter) };
            pad(&scaled, (height, width), shade)
        }
    })
}

pub(crate) fn check_size((height, width): (usize, usize)) -> Result<()> {
    let possible = 1..=MAX_SIDE as usize;
    if possible.contains(&height) && possible.contains(&width) {
        return Ok(());
    }
    let rule = format!("a picture's sides must be in 1..={MAX_SIDE}");
    Err(Error::argument("target size", rule, format!("{height} × {width}"), ""))
}

/// A range of rows or columns of the source.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    length: usize,
}

impl Span {
    fn whole(length: usize) -> Self {
        Span { start: 0, length }
    }
}

fn scale(picture: &Picture, (rows, columns): (Span, Span), (height, width): (usize, usize), filter: Filter) -> Picture {
    let channels = picture.channels();
    let shape = Shape::from([height, width, channels]);
    if filter == Filter::Nearest {
        return Picture::with_shape(nearest(picture, (rows, columns), (height, width)), shape);
    }
    let down = Weights::new(filter, rows, picture.height(), height);
    let across = Weights::new(filter, columns, picture.width(), width);
    let unchanged = |span: Span, size: usize, target: usize| span.start == 0 && span.length == target && size == target;
    // Only the rows that the second pass reads; all of them if there is none.
    let skip_down = unchanged(rows, picture.height(), height);
    let (first, last) = if skip_down { (0, picture.height()) } else { down.reach() };
    let row = picture.width() * channels;
    let source = &picture.bytes()[first * row..last * row];
    let narrow = if unchanged(columns, picture.width(), width) {
        source.to_vec()
    } else {
        match channels {
            1 => across.rows::<1>(source, picture.width()),
            _ => across.rows::<3>(source, picture.width()),
        }
    };
    let bytes = if skip_down { narrow } else { down.columns(&narrow, width * channels, first) };
    Picture::with_shape(bytes, shape)
}

fn nearest(picture: &Picture, (rows, columns): (Span, Span), (height, width): (usize, usize)) -> Vec<u8> {
    // The position is summed up step by step, as Pillow does it: its rounding decides ties.
    let positions = |span: Span, size: usize, target: usize| {
        let step = span.length as f64 / target as f64;
        let mut at = span.start as f64 + step * 0.5;
        let next = move |_| {
            let index = (at as usize).min(size - 1);
            at += step;
            index
        };
        (0..target).map(next).collect::<Vec<usize>>()
    };
    let (down, across) = (positions(rows, picture.height(), height), positions(columns, picture.width(), width));
    let channels = picture.channels();
    let mut bytes = Vec::with_capacity(height * width * channels);
    for row in down {
        let source = &picture.bytes()[row * picture.width() * channels..][..picture.width() * channels];
        across.iter().for_each(|&x| bytes.extend_from_slice(&source[x * channels..][..channels]));
    }
    bytes
}

fn pad(picture: &Picture, (height, width): (usize, usize), shade: u8) -> Picture {
    let channels = picture.channels();
    let (top, left) = ((height - picture.height()) / 2, (width - picture.width()) / 2);
    let mut bytes = vec![shade; height * width * channels];
    let row = picture.width() * channels;
    for (y, source) in picture.bytes().chunks_exact(row).enumerate() {
        bytes[((top + y) * width + left) * channels..][..row].copy_from_slice(source);
    }
    Picture::with_shape(bytes, Shape::from([height, width, channels]))
}

/// Which source pixels each target pixel is made of, and how much each counts.
struct Weights {
    /// The first source pixel and the place of its weight.
    starts: Vec<(usize, usize)>,
    weights: Vec<i32>,
}

impl Weights {
    fn new(filter: Filter, span: Span, size: usize, target: usize) -> Self {
        let step = span.length as f64 / target as f64;
        let widen = step.max(1.0);
        let reach = support(filter) * widen;
        let (mut starts, mut weights) = (Vec::with_capacity(target + 1), Vec::new());
        let mut exact = Vec::new();
        for i in 0..target {
            let centre = span.start as f64 + (i as f64 + 0.5) * step;
            let first = (centre - reach + 0.5).max(0.0) as usize;
            let last = ((centre + reach + 0.5) as usize).min(size);
            exact.clear();
            exact.extend((first..last).map(|j| value(filter, (j as f64 - centre + 0.5) / widen)));
            let sum: f64 = exact.iter().sum();
            starts.push((first, weights.len()));
            let one = f64::from(1u32 << PRECISION);
            let fixed = |w: &f64| {
                let w = if sum == 0.0 { *w } else { w / sum } * one;
                (if w < 0.0 { w - 0.5 } else { w + 0.5 }) as i32
            };
            weights.extend(exact.iter().map(fixed));
        }
        starts.push((0, weights.len()));
        Weights { starts, weights }
    }

    /// For each target pixel the first source pixel and the weights.
    fn each(&self) -> impl Iterator<Item = (usize, &[i32])> {
        self.starts.windows(2).map(|pair| (pair[0].0, &self.weights[pair[0].1..pair[1].1]))
    }

    /// The range of source pixels that are read at all.
    fn reach(&self) -> (usize, usize) {
        self.each()
            .fold((usize::MAX, 0), |(low, high), (first, weights)| (low.min(first), high.max(first + weights.len())))
    }

    /// Every row of `source`, `width` pixels of C channels, brought to the target's width.
    fn rows<const C: usize>(&self, source: &[u8], width: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(source.len() / width * (self.starts.len() - 1));
        for row in source.chunks_exact(width * C) {
            for (first, weights) in self.each() {
                let mut sums = [1i32 << (PRECISION - 1); C];
                for (pixel, weight) in row[first * C..].chunks_exact(C).zip(weights) {
                    for (sum, &byte) in sums.iter_mut().zip(pixel) {
                        *sum += i32::from(byte) * weight;
                    }
                }
                bytes.extend(sums.map(to_byte));
            }
        }
        bytes
    }

    /// The rows of `source`, of which the first is row `origin`, brought to the target's height.
    fn columns(&self, source: &[u8], row: usize, origin: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity((self.starts.len() - 1) * row);
        let mut sums = vec![0i32; row];
        for (first, weights) in self.each() {
            sums.fill(1 << (PRECISION - 1));
            for (line, weight) in source[(first - origin) * row..].chunks_exact(row).zip(weights) {
                for (sum, &byte) in sums.iter_mut().zip(line) {
                    *sum += i32::from(byte) * weight;
                }
            }
            bytes.extend(sums.iter().map(|&sum| to_byte(sum)));
        }
        bytes
    }
}

fn to_byte(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// How far a filter reaches, in source pixels when nothing shrinks.
fn support(filter: Filter) -> f64 {
    match filter {
        Filter::Nearest | Filter::Area => 0.5,
        Filter::Bilinear | Filter::Hamming => 1.0,
        Filter::Bicubic => 2.0,
        Filter::Lanczos => 3.0,
    }
}

/// A filter's height at a distance from its centre.
fn value(filter: Filter, x: f64) -> f64 {
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) };
    let d = x.abs();
    match filter {
        Filter::Nearest | Filter::Area => f64::from(x > -0.5 && x <= 0.5),
        Filter::Bilinear => (1.0 - d).max(0.0),
        Filter::Hamming if d >= 1.0 => 0.0,
        Filter::Hamming => sinc(x) * (0.54 + 0.46 * (x * PI).cos()),
        Filter::Bicubic if d < 1.0 => (1.5 * d - 2.5) * d * d + 1.0,
        Filter::Bicubic if d < 2.0 => ((-0.5 * d + 2.5) * d - 4.0) * d + 2.0,
        Filter::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
        Filter::Bicubic | Filter::Lanczos => 0.0,
    }
}
