//! Pictures brought to a given size.
//!
//! The arithmetic is Pillow's (<https://pillow.readthedocs.io/en/stable/handbook/concepts.html#filters>), which Keras's
//! `load_img` uses: filters widen when a picture shrinks, weights have 22 binary places, and between the two directions there are
//! bytes. The result is Pillow's to the bit for [`Filter::Nearest`] and where one side changes; else within one step of 255, since
//! the direction that comes first is not always the same.

mod passes;
mod weights;

use crate::image_file::{Colour, MAX_SIDE, Picture};
use passes::{across, down};
use striate_tensor::{Error, Result, Shape};
use weights::{Span, Weights};

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

impl Filter {
    /// Whether the bytes between the two directions may be cut off at 0 and 255, so that their order shows.
    fn overshoots(self) -> bool {
        matches!(self, Filter::Bicubic | Filter::Lanczos)
    }
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

/// A piece of the picture, (start, length) of its rows and columns, at height × width.
///
/// # Errors
/// As [`resize`]; [`Error::Shape`] for a piece that is empty or reaches beyond the picture.
pub(crate) fn resize_part(
    picture: &Picture,
    rows: (usize, usize),
    columns: (usize, usize),
    (height, width): (usize, usize),
    filter: Filter,
) -> Result<Picture> {
    check_size((height, width))?;
    for ((start, length), size) in [(rows, picture.height()), (columns, picture.width())] {
        if length == 0 || start + length > size {
            let rule = format!("a piece must lie within {} × {}", picture.height(), picture.width());
            return Err(Error::shape("resize", rule, format!("{length} from {start}"), ""));
        }
    }
    let span = |(start, length): (usize, usize)| Span { start, length };
    Ok(scale(picture, (span(rows), span(columns)), (height, width), filter))
}

pub(crate) fn check_size((height, width): (usize, usize)) -> Result<()> {
    let possible = 1..=MAX_SIDE as usize;
    if possible.contains(&height) && possible.contains(&width) {
        return Ok(());
    }
    let rule = format!("a picture's sides must be in 1..={MAX_SIDE}");
    Err(Error::argument("target size", rule, format!("{height} × {width}"), ""))
}

fn scale(picture: &Picture, (rows, columns): (Span, Span), (height, width): (usize, usize), filter: Filter) -> Picture {
    let shape = Shape::from([height, width, picture.channels()]);
    if filter == Filter::Nearest {
        return Picture::with_shape(nearest(picture, (rows, columns), (height, width)), shape);
    }
    if picture.colour() == Colour::Rgba {
        let scaled = scale_colours(&premultiplied(picture), (rows, columns), (height, width), filter);
        return Picture::with_shape(divided(scaled), shape);
    }
    Picture::with_shape(scale_colours(picture, (rows, columns), (height, width), filter), shape)
}

/// What is transparent has no colour that could shine through: colours count as much as they are opaque.
fn premultiplied(picture: &Picture) -> Picture {
    let mut changed = picture.clone();
    for [r, g, b, opacity] in changed.bytes_mut().as_chunks_mut::<4>().0 {
        for colour in [r, g, b] {
            let product = u32::from(*colour) * u32::from(*opacity) + 128;
            *colour = (((product >> 8) + product) >> 8) as u8;
        }
    }
    changed
}

/// The reverse of [`premultiplied`].
fn divided(mut bytes: Vec<u8>) -> Vec<u8> {
    for [r, g, b, opacity] in bytes.as_chunks_mut::<4>().0 {
        if *opacity > 0 {
            for colour in [r, g, b] {
                *colour = (255 * u32::from(*colour) / u32::from(*opacity)).min(255) as u8;
            }
        }
    }
    bytes
}

fn scale_colours(
    picture: &Picture,
    (rows, columns): (Span, Span),
    (height, width): (usize, usize),
    filter: Filter,
) -> Vec<u8> {
    let channels = picture.channels();
    let vertical = Weights::new(filter, rows, picture.height(), height);
    let horizontal = Weights::new(filter, columns, picture.width(), width);
    let unchanged = |span: Span, size: usize, target: usize| span.start == 0 && span.length == target && size == target;
    let keep_height = unchanged(rows, picture.height(), height);
    let keep_width = unchanged(columns, picture.width(), width);
    // Only the rows that the vertical pass reads; all of them if there is none.
    let (first, last) = if keep_height { (0, picture.height()) } else { vertical.reach() };
    let source = &picture.bytes()[first * picture.width() * channels..last * picture.width() * channels];
    let narrow = |bytes: &[u8]| across(&horizontal, bytes, picture.width(), channels);
    if keep_height {
        narrow(source)
    } else if keep_width {
        down(&vertical, source, width * channels, first)
    } else if height < rows.length && !filter.overshoots() && channels < 4 {
        narrow(&down(&vertical, source, picture.width() * channels, first))
    } else {
        down(&vertical, &narrow(source), width * channels, first)
    }
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
    match picture.channels() {
        1 => chosen::<1>(picture, &down, &across),
        3 => chosen::<3>(picture, &down, &across),
        _ => chosen::<4>(picture, &down, &across),
    }
}

fn chosen<const C: usize>(picture: &Picture, down: &[usize], across: &[usize]) -> Vec<u8> {
    let mut bytes = vec![0; down.len() * across.len() * C];
    let rows = picture.bytes().as_chunks::<C>().0;
    for (row, out) in down.iter().zip(bytes.as_chunks_mut::<C>().0.chunks_exact_mut(across.len())) {
        let source = &rows[row * picture.width()..][..picture.width()];
        out.iter_mut().zip(across).for_each(|(pixel, &x)| *pixel = source[x]);
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
