//! Pictures in memory and on disk.

use crate::colours::ColourMap;
use crate::plane::Plane;
use image::codecs::gif::{GifEncoder, Repeat};
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{Delay, ExtendedColorType, Frame, ImageEncoder, Rgb, RgbImage};
use std::io;
use std::path::Path;
use std::time::Duration;
use striate_data::PixelValues;
use striate_data::image_file::{Colour, Picture};
use striate_tensor::{Device, Error, Result, Tensor, replace_file};

/// A picture from a file as an image; grey ones get three equal channels.
///
/// # Errors
/// [`Error::Shape`] for one that is larger than an image can be.
pub fn image_of(picture: &Picture) -> Result<RgbImage> {
    let bytes: Vec<u8> = match picture.colour() {
        Colour::Grey => picture.bytes().iter().flat_map(|&byte| [byte; 3]).collect(),
        Colour::Rgb => picture.bytes().to_vec(),
        Colour::Rgba => picture.bytes().as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect(),
    };
    let size = (picture.width() as u32, picture.height() as u32);
    RgbImage::from_raw(size.0, size.1, bytes)
        .ok_or_else(|| Error::shape("image", "a picture must have its pixels", format!("{size:?}"), ""))
}

/// An image as a picture.
///
/// # Errors
/// [`Error::Shape`] for one without pixels.
pub fn picture_of(image: &RgbImage) -> Result<Picture> {
    Picture::new(image.as_raw().clone(), image.height() as usize, image.width() as usize, Colour::Rgb)
}

/// An image as values 0 to 255 brought to a network's range, (1, height, width, 3).
///
/// # Errors
/// What the device reports.
pub fn tensor_of(image: &RgbImage, values: PixelValues, device: &Device) -> Result<Tensor> {
    let mut numbers: Vec<f32> = image.as_raw().iter().map(|&byte| f32::from(byte)).collect();
    values.apply(&mut numbers);
    Tensor::from_vec(numbers, [1, image.height() as usize, image.width() as usize, 3], device)
}

/// The first picture of a network's input (n, height, width, 3) as an image.
///
/// # Errors
/// [`Error::Shape`] for another shape.
pub fn image_of_tensor(tensor: &Tensor, values: PixelValues) -> Result<RgbImage> {
    let &[_, height, width, 3] = tensor.shape().as_slice() else {
        let received = tensor.shape().to_string();
        return Err(Error::shape("image", "pictures must be (n, height, width, 3)", received, ""));
    };
    let mut numbers = tensor.rows(0..1)?.to_vec::<f32>()?;
    values.undo(&mut numbers);
    let bytes = numbers.iter().map(|value| (value + 0.5) as u8).collect();
    let missing = || Error::shape("image", "a picture must have its pixels", tensor.shape().to_string(), "");
    RgbImage::from_raw(width as u32, height as u32, bytes).ok_or_else(missing)
}

/// The first of a network's inputs (n, height, width, channels) as an image: of one or three channels as what it is, of others the first
/// channel in false colours.
pub(crate) fn image_of_input(input: &Tensor, values: PixelValues) -> Result<RgbImage> {
    match input.shape().as_slice() {
        [_, _, _, 3] => image_of_tensor(input, values),
        [_, _, _, 1] if !matches!(values, PixelValues::Caffe) => {
            let plane = Plane::of_channel(input, 0)?;
            let mut numbers = plane.values().to_vec();
            values.undo(&mut numbers);
            let plane = Plane::new(plane.height(), plane.width(), numbers)?;
            Ok(plane.image(ColourMap::Grey, (0.0, 255.0), 1))
        }
        [_, _, _, _] => {
            let plane = Plane::of_channel(input, 0)?;
            Ok(plane.image(ColourMap::Viridis, plane.range(), 1))
        }
        _ => {
            let received = input.shape().to_string();
            Err(Error::shape("picture", "must be (n, height, width, channels)", received, ""))
        }
    }
}

/// The bytes of a PNG file.
///
/// # Errors
/// [`Error::Data`] for an image without pixels.
pub fn png_bytes(image: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoder = PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, FilterType::Adaptive);
    let written = encoder.write_image(image.as_raw(), image.width(), image.height(), ExtendedColorType::Rgb8);
    written.map_err(|error| Error::data("PNG", "an image must be one that can be stored", error.to_string(), ""))?;
    Ok(bytes)
}

/// Whether a file's name ends in one of these, without regard to case: a file must hold what its name says. To be asked before work
/// whose result the file shall hold.
///
/// # Errors
/// [`Error::Argument`] that names the endings.
///
/// ```
/// striate_viz::check_ending("map.PNG", &["png"])?;
/// assert!(striate_viz::check_ending("map.jpg", &["png"]).is_err());
/// # Ok::<(), striate_tensor::Error>(())
/// ```
pub fn check_ending(path: impl AsRef<Path>, endings: &[&str]) -> Result<()> {
    let path = path.as_ref();
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    if ending.as_deref().is_some_and(|ending| endings.contains(&ending)) {
        return Ok(());
    }
    let dotted: Vec<String> = endings.iter().map(|ending| format!(".{ending}")).collect();
    let received = ending.map_or_else(|| "no ending".to_string(), |ending| format!("`.{ending}`"));
    let hint = format!("call it {}", path.with_extension(endings.first().unwrap_or(&"")).display());
    Err(Error::argument(
        path.display().to_string(),
        format!("the name must end in {}", dotted.join(" or ")),
        received,
        hint,
    ))
}

/// Writes an image as PNG, all of it or nothing.
///
/// # Errors
/// As [`check_ending`] and [`png_bytes`]; [`Error::Io`].
pub fn write_png(path: impl AsRef<Path>, image: &RgbImage) -> Result<()> {
    check_ending(&path, &["png"])?;
    replace_file(path, &png_bytes(image)?)
}

/// Writes frames of one size as an endless animation, GIF, each shown for the time that stands with it.
///
/// # Errors
/// [`Error::Argument`] without frames or for another ending than `.gif`; [`Error::Io`].
pub fn write_gif(path: impl AsRef<Path>, frames: &[(RgbImage, Duration)]) -> Result<()> {
    let path = path.as_ref();
    check_ending(path, &["gif"])?;
    if frames.is_empty() {
        return Err(Error::argument(path.display().to_string(), "an animation must have frames", "none", ""));
    }
    let mut bytes = Vec::new();
    let mut encode = || -> image::ImageResult<()> {
        let mut encoder = GifEncoder::new_with_speed(&mut bytes, 10);
        encoder.set_repeat(Repeat::Infinite)?;
        for (frame, time) in frames {
            let delay = Delay::from_saturating_duration(*time);
            let rgba = image::DynamicImage::ImageRgb8(frame.clone()).into_rgba8();
            encoder.encode_frame(Frame::from_parts(rgba, 0, 0, delay))?;
        }
        Ok(())
    };
    encode().map_err(|error| Error::io(path, "writing", io::Error::other(error)))?;
    replace_file(path, &bytes)
}

/// Puts an image onto another; what lies outside is left out.
pub(crate) fn put(canvas: &mut RgbImage, image: &RgbImage, left: u32, top: u32) {
    image::imageops::replace(canvas, image, i64::from(left), i64::from(top));
}

/// A filled rectangle; what lies outside is left out.
pub(crate) fn fill(canvas: &mut RgbImage, (left, top): (u32, u32), (width, height): (u32, u32), colour: [u8; 3]) {
    for y in top..(top + height).min(canvas.height()) {
        for x in left..(left + width).min(canvas.width()) {
            canvas.put_pixel(x, y, Rgb(colour));
        }
    }
}

/// A rectangle's border of so many pixels, inside of it.
pub(crate) fn frame(
    canvas: &mut RgbImage,
    (left, top): (u32, u32),
    (width, height): (u32, u32),
    thick: u32,
    colour: [u8; 3],
) {
    fill(canvas, (left, top), (width, thick), colour);
    fill(canvas, (left, (top + height).saturating_sub(thick)), (width, thick), colour);
    fill(canvas, (left, top), (thick, height), colour);
    fill(canvas, ((left + width).saturating_sub(thick), top), (thick, height), colour);
}
