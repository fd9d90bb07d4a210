//! A picture of a digit, made to look like one of MNIST's.

use crate::image_file::{Picture, decode, luma};
use image::imageops::{FilterType, resize};
use image::{ImageBuffer, Luma, Rgba, RgbaImage};
use std::path::Path;
use striate_tensor::{Device, Error, Result, Tensor};

/// Pixels along a side of the result.
pub const SIDE: usize = 28;
/// Pixels along the longer side of the digit itself.
const DIGIT_SIDE: u32 = 20;
/// Brightness steps of 255 between background and ink below which a picture counts as empty.
const LEAST_CONTRAST: f32 = 24.0;
/// Where the centre of mass comes to lie: between this and 1 more, as in all of MNIST's own digits.
const CENTRE: f64 = 14.0;
/// Rounding in the resampling must not move a symmetric digit by a pixel.
const SLACK: f64 = 0.01;
/// Ink from which a pixel counts as part of the digit.
const LEAST_INK: f32 = 0.15;

type Ink = ImageBuffer<Luma<f32>, Vec<f32>>;

/// A digit as MNIST has it: 28 × 28 values in 0..1, white ink on black, centred by its centre of mass.
#[derive(Debug, Clone, PartialEq)]
pub struct Digit {
    pixels: Vec<f32>,
}

impl Digit {
    /// The 28 × 28 values, row-major.
    pub fn pixels(&self) -> &[f32] {
        &self.pixels
    }

    /// The digit as a batch of one, (1, 28, 28, 1).
    ///
    /// # Errors
    /// What the device reports.
    pub fn to_tensor(&self, device: &Device) -> Result<Tensor> {
        Tensor::from_vec(self.pixels.clone(), [1, SIDE, SIDE, 1], device)
    }
}

/// Reads a picture of one digit, dark on light or light on dark, of any size and colour, and prepares it as MNIST's were:
/// cropped to the ink, scaled to fit 20 × 20 pixels with its proportions kept, and placed in 28 × 28 so that its centre of mass
/// is in the middle (<http://yann.lecun.com/exdb/mnist/>).
///
/// The background is what most of the border is; ink is how far a pixel is from it, relative to the farthest.
///
/// # Errors
/// As [`crate::image_file::read`], and [`Error::Data`] if nothing stands out from the background.
pub fn prepare(path: impl AsRef<Path>) -> Result<Digit> {
    let path = path.as_ref();
    of_grey(&path.display().to_string(), &flatten(&decode(path)?))
}

/// Prepares a picture that is in memory already, as [`prepare`] does.
///
/// # Errors
/// [`Error::Data`] if nothing stands out from the background.
pub fn prepare_picture(picture: &Picture) -> Result<Digit> {
    let (width, height) = (picture.width() as u32, picture.height() as u32);
    let channels = picture.channels();
    let image = RgbaImage::from_fn(width, height, |x, y| {
        let at = channels * (y as usize * picture.width() + x as usize);
        Rgba(match picture.bytes()[at..at + channels] {
            [r, g, b, a] => [r, g, b, a],
            [r, g, b] => [r, g, b, 255],
            ref grey => [grey[0], grey[0], grey[0], 255],
        })
    });
    of_grey("the picture", &flatten(&image))
}

fn of_grey(name: &str, grey: &Ink) -> Result<Digit> {
    let ink = ink(grey).ok_or_else(|| {
        Error::data(
            name,
            "the picture must show a digit that stands out from its background",
            format!("{} × {} pixels of nearly one brightness", grey.width(), grey.height()),
            "use dark ink on light paper, or the reverse",
        )
    })?;
    Ok(centre(&shrink(&ink)))
}

/// Brightness 0..255 with transparency resolved. Where the border is transparent the picture is a cut-out, and the
/// paper takes the shade that its ink is not; else transparent pixels take the border's shade.
fn flatten(image: &RgbaImage) -> Ink {
    let pixel = |x, y| image.get_pixel(x, y).0;
    let border = || border(image.width(), image.height()).map(|(x, y)| pixel(x, y));
    let paper = if median(border().map(|p| f32::from(p[3]))) < 128.0 {
        let (sum, weight) = image.pixels().fold((0.0, 0.0), |(sum, weight), p| {
            let alpha = f64::from(p.0[3]);
            (sum + alpha * f64::from(luma(p.0)), weight + alpha)
        });
        if sum > 127.5 * weight { 0.0 } else { 255.0 }
    } else {
        median(border().filter(|p| p[3] >= 128).map(|p| f32::from(luma(p))))
    };
    Ink::from_fn(image.width(), image.height(), |x, y| {
        let p = pixel(x, y);
        let alpha = f32::from(p[3]) / 255.0;
        Luma([alpha * f32::from(luma(p)) + (1.0 - alpha) * paper])
    })
}

/// The coordinates of the outermost pixels; corners may come twice.
fn border(width: u32, height: u32) -> impl Iterator<Item = (u32, u32)> {
    let rows = (0..width).flat_map(move |x| [(x, 0), (x, height - 1)]);
    rows.chain((0..height).flat_map(move |y| [(0, y), (width - 1, y)]))
}

fn median(values: impl Iterator<Item = f32>) -> f32 {
    let mut values: Vec<f32> = values.collect();
    let middle = values.len() / 2;
    if values.is_empty() { 0.0 } else { *values.select_nth_unstable_by(middle, f32::total_cmp).1 }
}

/// The ink inside its bounding box, 0..1; none if nothing stands out.
fn ink(grey: &Ink) -> Option<Ink> {
    let paper = median(border(grey.width(), grey.height()).map(|(x, y)| grey.get_pixel(x, y).0[0]));
    let (darkest, lightest) = grey.pixels().fold((paper, paper), |(d, l), p| (d.min(p.0[0]), l.max(p.0[0])));
    let dark_ink = paper - darkest > lightest - paper;
    let contrast = if dark_ink { paper - darkest } else { lightest - paper };
    if contrast < LEAST_CONTRAST {
        return None;
    }
    let ink = |x, y| {
        let difference = grey.get_pixel(x, y).0[0] - paper;
        ((if dark_ink { -difference } else { difference }) / contrast).clamp(0.0, 1.0)
    };
    let (mut left, mut right, mut top, mut bottom) = (u32::MAX, 0, u32::MAX, 0);
    for y in 0..grey.height() {
        for x in 0..grey.width() {
            if ink(x, y) >= LEAST_INK {
                (left, right) = (left.min(x), right.max(x));
                (top, bottom) = (top.min(y), bottom.max(y));
            }
        }
    }
    // The pixel that is farthest from the paper has ink 1, so there is a box.
    Some(Ink::from_fn(right - left + 1, bottom - top + 1, |x, y| Luma([ink(left + x, top + y)])))
}

/// The ink scaled so that its longer side is [`DIGIT_SIDE`].
fn shrink(ink: &Ink) -> Ink {
    let longer = ink.width().max(ink.height());
    let scaled = |side: u32| {
        let exact = f64::from(side) * f64::from(DIGIT_SIDE) / f64::from(longer);
        (exact.round() as u32).clamp(1, DIGIT_SIDE)
    };
    let (width, height) = (scaled(ink.width()), scaled(ink.height()));
    if (width, height) == ink.dimensions() {
        return ink.clone();
    }
    if longer <= DIGIT_SIDE {
        return resize(ink, width, height, FilterType::Triangle);
    }
    area_mean(ink, width, height)
}

/// The picture made smaller: each pixel is the mean over the area that it covers.
fn area_mean(ink: &Ink, width: u32, height: u32) -> Ink {
    // One direction after the other; what is covered in part counts in part.
    let along = |from: u32, to: u32, get: &dyn Fn(u32) -> f32, i: u32| {
        let step = f64::from(from) / f64::from(to);
        let (start, end) = (f64::from(i) * step, (f64::from(i + 1) * step).min(f64::from(from)));
        let covered = |j: u32| (f64::from(j) + 1.0).min(end) - f64::from(j).max(start);
        let sum: f64 = (start as u32..end.ceil() as u32).map(|j| covered(j) * f64::from(get(j))).sum();
        Luma([(sum / step) as f32])
    };
    let value = |image: &Ink, x, y| image.get_pixel(x, y).0[0];
    let narrow = Ink::from_fn(width, ink.height(), |x, y| along(ink.width(), width, &|j| value(ink, j, y), x));
    Ink::from_fn(width, height, |x, y| along(ink.height(), height, &|j| value(&narrow, x, j), y))
}

/// The ink in the middle of the field by its centre of mass, as far as it fits.
fn centre(ink: &Ink) -> Digit {
    let (mut mass, mut x_mass, mut y_mass) = (0.0, 0.0, 0.0);
    for (x, y, p) in ink.enumerate_pixels() {
        let value = f64::from(p.0[0]);
        mass += value;
        x_mass += value * (f64::from(x) + 0.5);
        y_mass += value * (f64::from(y) + 0.5);
    }
    let offset = |moment: f64, side: u32| {
        let middle = if mass > 0.0 { moment / mass } else { f64::from(side) / 2.0 };
        ((CENTRE - middle - SLACK).ceil().max(0.0) as usize).min(SIDE - side as usize)
    };
    let (left, top) = (offset(x_mass, ink.width()), offset(y_mass, ink.height()));
    let mut pixels = vec![0.0; SIDE * SIDE];
    for (x, y, p) in ink.enumerate_pixels() {
        pixels[(top + y as usize) * SIDE + left + x as usize] = p.0[0].clamp(0.0, 1.0);
    }
    Digit { pixels }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idx;
    use crate::locate::locate;
    use image::{DynamicImage, GrayImage};

    /// The first test digits' bytes.
    fn digits(n: usize) -> Vec<Vec<u8>> {
        let file = locate(None, "mnist").unwrap().join("t10k-images-idx3-ubyte.gz");
        let images = idx::read(file).unwrap();
        images.data.chunks_exact(SIDE * SIDE).take(n).map(<[u8]>::to_vec).collect()
    }

    fn save_and_prepare(image: impl Into<DynamicImage>) -> Result<Digit> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("digit.png");
        image.into().save(&path).unwrap();
        prepare(&path)
    }

    fn enlarged(digit: &[u8], times: u32) -> GrayImage {
        let image = GrayImage::from_raw(28, 28, digit.to_vec()).unwrap();
        resize(&image, 28 * times, 28 * times, FilterType::Triangle)
    }

    /// The correlation with the original, at the best of the shifts by at most one pixel: where the centre of mass lies near a
    /// pixel's edge, resampling may take it to the other side.
    fn likeness(digit: &Digit, original: &[u8]) -> f64 {
        let side = SIDE as isize;
        let at = |x: isize, y: isize| {
            let inside = (0..side).contains(&x) && (0..side).contains(&y);
            if inside { f64::from(digit.pixels()[(y * side + x) as usize]) } else { 0.0 }
        };
        let b: Vec<f64> = original.iter().map(|&v| f64::from(v) / 255.0).collect();
        let shifts = (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (dx, dy)));
        shifts
            .map(|(dx, dy)| {
                let a: Vec<f64> = (0..side * side).map(|i| at(i % side + dx, i / side + dy)).collect();
                correlation(&a, &b)
            })
            .fold(-1.0, f64::max)
    }

    fn correlation(a: &[f64], b: &[f64]) -> f64 {
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        let (mean_a, mean_b) = (mean(a), mean(b));
        let moment =
            |x: &[f64], mx: f64, y: &[f64], my: f64| x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum::<f64>();
        moment(a, mean_a, b, mean_b) / (moment(a, mean_a, a, mean_a) * moment(b, mean_b, b, mean_b)).sqrt()
    }

    #[test]
    fn a_digit_comes_back_whatever_its_size_and_polarity() {
        let originals = digits(30);
        for original in &originals {
            for times in [1, 4, 13] {
                let white = enlarged(original, times);
                let mut black = white.clone();
                image::imageops::invert(&mut black);
                let (from_white, from_black) = (save_and_prepare(white).unwrap(), save_and_prepare(black).unwrap());
                let apart = from_white.pixels().iter().zip(from_black.pixels()).map(|(a, b)| (a - b).abs());
                assert!(apart.fold(0.0, f32::max) < 1e-5);
                // Resampling off the pixel grid softens thin strokes; unscaled, nothing may be lost.
                let own = likeness(&from_white, original);
                assert!(own > if times == 1 { 0.99 } else { 0.9 }, "×{times}: {own}");
                assert!(
                    originals.iter().all(|other| likeness(&from_white, other) <= own),
                    "×{times}: another is nearer"
                );
            }
        }
    }

    #[test]
    fn colour_and_transparency_do_not_matter() {
        let original = &digits(1)[0];
        let grey = enlarged(original, 6);
        let plain = save_and_prepare(grey.clone()).unwrap();
        let same = |image: RgbaImage, what: &str| {
            let digit = save_and_prepare(image).unwrap();
            let apart = digit.pixels().iter().zip(plain.pixels()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart < 0.02, "{what}: {apart}");
        };
        let paint = |f: &dyn Fn(u8) -> [u8; 4]| {
            RgbaImage::from_fn(grey.width(), grey.height(), |x, y| Rgba(f(grey.get_pixel(x, y).0[0])))
        };
        same(paint(&|v| [0, 0, 0, v]), "black ink on nothing");
        same(paint(&|v| [255, 255, 255, v]), "white ink on nothing");
        same(paint(&|v| [255 - v, 255 - v, 255, 255]), "blue ink on white paper");
        same(paint(&|v| [v / 2 + 20, v / 2 + 20, v / 2 + 20, 255]), "weak contrast");
        let mut corners = paint(&|v| [255 - v, 255 - v, 255 - v, 255]);
        (0..9).for_each(|i| corners.put_pixel(i % 3, i / 3, Rgba([0, 0, 0, 0])));
        same(corners, "transparent corners");
    }

    #[test]
    fn proportions_and_centre_are_mnists() {
        // A bar of 30 × 120 pixels in a corner of 200 × 160.
        let bar = |x: u32, y: u32| if (3..33).contains(&x) && (5..125).contains(&y) { 0u8 } else { 250 };
        let digit = save_and_prepare(GrayImage::from_fn(200, 160, |x, y| Luma([bar(x, y)]))).unwrap();
        let full: Vec<usize> = (0..SIDE * SIDE).filter(|&i| digit.pixels()[i] > 0.5).collect();
        let (rows, columns): (Vec<_>, Vec<_>) = full.iter().map(|i| (i / SIDE, i % SIDE)).unzip();
        let span = |v: &[usize]| (*v.iter().min().unwrap(), *v.iter().max().unwrap());
        assert_eq!(span(&rows), (4, 23));
        let (left, right) = span(&columns);
        assert!(right - left + 1 == 5 && left.abs_diff(12) <= 1, "{left}..={right}");
    }

    #[test]
    fn a_picture_in_memory_gives_the_same() {
        use crate::image_file::{Colour, read};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("digit.png");
        enlarged(&digits(1)[0], 3).save(&path).unwrap();
        let expected = prepare(&path).unwrap();
        for colour in [Colour::Grey, Colour::Rgb, Colour::Rgba] {
            assert_eq!(prepare_picture(&read(&path, colour).unwrap()).unwrap(), expected, "{colour:?}");
        }
        let blank = Picture::new(vec![9; 12], 2, 2, Colour::Rgb).unwrap();
        assert!(matches!(prepare_picture(&blank), Err(Error::Data(_))));
    }

    #[test]
    fn the_smallest_pictures_are_taken() {
        let dot = save_and_prepare(GrayImage::from_fn(3, 3, |x, y| Luma([if (x, y) == (1, 1) { 255 } else { 0 }])));
        assert_eq!(dot.unwrap().pixels().iter().filter(|&&v| v > 0.99).count(), 400);
        let line = save_and_prepare(GrayImage::from_fn(1, 50, |_, y| Luma([if y > 40 { 255 } else { 0 }]))).unwrap();
        assert!(line.pixels().iter().sum::<f32>() > 10.0);
    }

    #[test]
    fn an_empty_picture_is_an_error() {
        for shade in [0, 255, 128] {
            let error = save_and_prepare(GrayImage::from_pixel(50, 40, Luma([shade]))).unwrap_err();
            assert!(matches!(error, Error::Data(_)) && error.to_string().contains("50 × 40"), "{error}");
        }
        assert!(save_and_prepare(RgbaImage::from_pixel(9, 9, Rgba([7, 7, 7, 0]))).is_err());
        assert!(save_and_prepare(GrayImage::from_pixel(1, 1, Luma([9]))).is_err());
    }
}
