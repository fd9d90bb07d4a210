//! Pictures from disk.

use image::codecs::png::PngEncoder;
use image::metadata::Orientation;
use image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageError, ImageFormat, ImageReader, Limits, Rgb,
    RgbaImage,
};
use std::fs;
use std::io::{self, Cursor};
use std::path::Path;
use striate_tensor::{Device, Error, Result, Shape, Tensor, replace_file};

/// The longest side a picture may have, in pixels.
pub const MAX_SIDE: u32 = 16_384;
/// The most pixels a picture may have: 2²⁶, 67 megapixels.
pub const MAX_PIXELS: u64 = 1 << 26;
/// The most bytes a picture's file may have: what 16-bit RGBA takes without compression, and something for headers.
pub const MAX_BYTES: u64 = 9 * MAX_PIXELS;

/// What the channels of a picture mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Colour {
    /// One channel: brightness.
    Grey,
    /// Three channels: red, green, blue.
    Rgb,
    /// Four channels: red, green, blue and opacity, 255 where there is none.
    Rgba,
}

impl Colour {
    /// The number of channels.
    pub fn channels(self) -> usize {
        match self {
            Colour::Grey => 1,
            Colour::Rgb => 3,
            Colour::Rgba => 4,
        }
    }
}

/// A picture's bytes, row-major: (height, width, channels).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    shape: Shape,
    bytes: Vec<u8>,
}

impl Picture {
    /// A picture of bytes, row-major: (height, width, channels).
    ///
    /// # Errors
    /// [`Error::Shape`] if there is no pixel, or the number of bytes is not what the size asks for.
    pub fn new(bytes: Vec<u8>, height: usize, width: usize, colour: Colour) -> Result<Self> {
        let count = height.checked_mul(width).and_then(|n| n.checked_mul(colour.channels()));
        if bytes.is_empty() || count != Some(bytes.len()) {
            let rule = format!("a picture must have height · width · {} bytes and not be empty", colour.channels());
            let received = format!("{} bytes for {height} × {width} pixels", bytes.len());
            return Err(Error::shape("Picture", rule, received, ""));
        }
        Ok(Picture { shape: Shape::from([height, width, colour.channels()]), bytes })
    }

    /// The number of rows.
    pub fn height(&self) -> usize {
        self.shape[0]
    }

    /// The number of columns.
    pub fn width(&self) -> usize {
        self.shape[1]
    }

    /// What the channels mean.
    pub fn colour(&self) -> Colour {
        match self.shape[2] {
            1 => Colour::Grey,
            3 => Colour::Rgb,
            _ => Colour::Rgba,
        }
    }

    /// 1 for grey, 3 for RGB, 4 for RGBA.
    pub fn channels(&self) -> usize {
        self.shape[2]
    }

    /// A picture whose bytes were counted by the caller.
    pub(crate) fn with_shape(bytes: Vec<u8>, shape: Shape) -> Self {
        Picture { shape, bytes }
    }

    /// (height, width, channels).
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The bytes, row-major.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The picture as uint8, (height, width, channels).
    ///
    /// # Errors
    /// What the device reports.
    pub fn to_tensor(&self, device: &Device) -> Result<Tensor> {
        Tensor::from_vec(self.bytes.clone(), self.shape, device)
    }

    /// The picture as float32, 0..255, (height, width, channels).
    ///
    /// # Errors
    /// What the device reports.
    pub fn to_float_tensor(&self, device: &Device) -> Result<Tensor> {
        Tensor::from_vec(self.bytes.iter().map(|&byte| f32::from(byte)).collect(), self.shape, device)
    }
}

/// Reads a picture: JPEG, PNG, BMP, GIF (its first frame) or WebP, told apart by content.
///
/// Transparency is left out except for [`Colour::Rgba`], deeper channels are reduced to 8 bits, CMYK becomes RGB, and grey is ITU-R 601 luma, as
/// Keras's `load_img` has it. Unlike there, a camera's note on its orientation is obeyed.
///
/// # Errors
/// [`Error::Data`] if the file is missing, of an unknown format, damaged, cut off, or larger than [`MAX_SIDE`] or
/// [`MAX_PIXELS`]; [`Error::Io`] if the system refuses to read it.
pub fn read(path: impl AsRef<Path>, colour: Colour) -> Result<Picture> {
    let path = path.as_ref();
    read_bytes(path, &load(path)?, colour)
}

/// Reads a picture from the bytes of a file, as [`read`] does; errors call it by `name`.
///
/// # Errors
/// As [`read`].
pub fn read_bytes(name: impl AsRef<Path>, bytes: &[u8], colour: Colour) -> Result<Picture> {
    let image = decode_any(name.as_ref(), bytes)?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    let bytes = match (colour, image) {
        (Colour::Rgb, image) => image.into_rgb8().into_raw(),
        (Colour::Rgba, image) => image.into_rgba8().into_raw(),
        (Colour::Grey, DynamicImage::ImageLuma8(image)) => image.into_raw(),
        (Colour::Grey, image) => image.into_rgb8().pixels().map(|&Rgb([r, g, b])| luma([r, g, b, 255])).collect(),
    };
    Ok(Picture { shape: Shape::from([height, width, colour.channels()]), bytes })
}

/// Writes a picture as PNG, to a temporary name first.
///
/// # Errors
/// [`Error::Io`] if the system refuses.
///
/// ```
/// use striate_data::image_file::{Colour, Picture, read, write_png};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("a.png");
/// let picture = Picture::new(vec![10, 20, 30], 1, 1, Colour::Rgb)?;
/// write_png(&path, &picture)?;
/// assert_eq!(read(&path, Colour::Rgb)?, picture);
/// # Ok::<(), striate_tensor::Error>(())
/// ```
pub fn write_png(path: impl AsRef<Path>, picture: &Picture) -> Result<()> {
    let path = path.as_ref();
    let failed = |error: io::Error| Error::io(path, "writing", error);
    let kind = match picture.colour() {
        Colour::Grey => ExtendedColorType::L8,
        Colour::Rgb => ExtendedColorType::Rgb8,
        Colour::Rgba => ExtendedColorType::Rgba8,
    };
    let mut bytes = Vec::new();
    let encoder = PngEncoder::new(&mut bytes);
    let (width, height) = (picture.width() as u32, picture.height() as u32);
    encoder.write_image(picture.bytes(), width, height, kind).map_err(|error| failed(io::Error::other(error)))?;
    replace_file(path, &bytes)
}

/// Looks at a file without decoding its pixels: format, size, and whether its end is there. The result is (height, width)
/// as stored, before any turn that the camera's note asks for.
///
/// # Errors
/// As [`read`], except for damage in the pixels themselves.
pub fn inspect(path: impl AsRef<Path>) -> Result<(usize, usize)> {
    let path = path.as_ref();
    inspect_bytes(path, &load(path)?)
}

/// Looks at the bytes of a file, as [`inspect`] does; errors call it by `name`.
///
/// # Errors
/// As [`inspect`].
pub fn inspect_bytes(name: impl AsRef<Path>, bytes: &[u8]) -> Result<(usize, usize)> {
    let (width, height) = open(name.as_ref(), bytes)?.dimensions();
    Ok((height as usize, width as usize))
}

/// ITU-R 601 luma, in 16-bit fixed point, rounded.
pub(crate) fn luma([red, green, blue, _]: [u8; 4]) -> u8 {
    ((19_595 * u32::from(red) + 38_470 * u32::from(green) + 7_471 * u32::from(blue) + 0x8000) >> 16) as u8
}

/// Reads a picture of any kind as RGBA, within the limits.
pub(crate) fn decode(path: &Path) -> Result<RgbaImage> {
    Ok(decode_any(path, &load(path)?)?.into_rgba8())
}

fn decode_any(path: &Path, bytes: &[u8]) -> Result<DynamicImage> {
    let mut decoder = open(path, bytes)?;
    // A damaged note is no reason to refuse the picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| refused(path, error))?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// The file's bytes, at most [`MAX_BYTES`].
fn load(path: &Path) -> Result<Vec<u8>> {
    let name = || path.display().to_string();
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Error::data(name(), "the picture must exist", "no such file", "check the path"),
        _ => Error::io(path, "reading", error),
    };
    let metadata = path.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(Error::data(name(), "a picture must be a regular file", "a folder or a device", ""));
    }
    if metadata.len() > MAX_BYTES {
        let rule = format!("a picture's file may have at most {MAX_BYTES} bytes");
        return Err(Error::data(name(), rule, metadata.len().to_string(), "make the picture smaller"));
    }
    fs::read(path).map_err(failed)
}

/// A decoder that has read the header, and found a size within the limits and the file's end in place.
fn open<'a>(path: &Path, bytes: &'a [u8]) -> Result<Box<dyn ImageDecoder + 'a>> {
    let name = || path.display().to_string();
    let damaged = |what: &str| Error::data(name(), "the picture must not be damaged", what, "save it anew");
    let Ok(format) = image::guess_format(bytes) else {
        return Err(match ImageFormat::from_path(path) {
            Ok(_) if bytes.is_empty() => damaged("an empty file"),
            Ok(_) => damaged("content that is no picture, in spite of the file's name"),
            Err(_) => Error::data(name(), "the picture must be of a known format", "unknown content", "save it as PNG"),
        });
    };
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    // 8 bytes a pixel for 16-bit RGBA, and room for the decoder's own work.
    limits.max_alloc = Some(10 * MAX_PIXELS);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|error| refused(path, error))?;
    let (width, height) = decoder.dimensions();
    // Not every decoder looks at the limits.
    if width > MAX_SIDE || height > MAX_SIDE || u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(too_large(path, format!("{width} × {height}")));
    }
    if width == 0 || height == 0 {
        return Err(Error::data(name(), "a picture must have pixels", format!("{width} × {height}"), ""));
    }
    if !is_complete(format, bytes) {
        return Err(damaged("a file that was cut off"));
    }
    Ok(Box::new(decoder))
}

/// Whether the file's end is there: decoders fill what is missing with grey.
fn is_complete(format: ImageFormat, bytes: &[u8]) -> bool {
    let has = |part: &[u8], mark: &[u8]| part.windows(mark.len()).any(|window| window == mark);
    match format {
        ImageFormat::Jpeg => bytes.ends_with(&[0xFF, 0xD9]) || has(jpeg_pixels(bytes), &[0xFF, 0xD9]),
        ImageFormat::Png => has(&bytes[bytes.len().saturating_sub(1024)..], b"IEND") || has(bytes, b"IEND"),
        _ => true,
    }
}

/// What follows the header segments of a JPEG file: a thumbnail within those has an end mark of its own.
fn jpeg_pixels(bytes: &[u8]) -> &[u8] {
    let mut at = 2;
    while let Some(&[0xFF, marker, high, low]) = bytes.get(at..at + 4) {
        if marker == 0xFF {
            at += 1;
            continue;
        }
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
        if marker == 0xDA {
            break;
        }
    }
    bytes.get(at..).unwrap_or(&[])
}

fn too_large(path: &Path, received: String) -> Error {
    let rule = format!("a picture may have at most {MAX_SIDE} pixels a side and {MAX_PIXELS} in all");
    Error::data(path.display().to_string(), rule, received, "make the picture smaller")
}

fn refused(path: &Path, error: ImageError) -> Error {
    let name = path.display().to_string();
    // Some decoders' messages have several lines.
    let line = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    match error {
        ImageError::Limits(error) => too_large(path, line(error.to_string())),
        ImageError::Unsupported(error) => {
            Error::data(name, "the picture must be of a known format", line(error.to_string()), "save it as PNG")
        }
        error => Error::data(name, "the picture must not be damaged", line(error.to_string()), "save it anew"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayAlphaImage, GrayImage, ImageBuffer, LumaA};

    #[test]
    fn colours_are_converted_as_keras_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let image = ImageBuffer::<Rgb<u8>, _>::from_raw(2, 1, vec![255, 0, 0, 10, 200, 30]).unwrap();
        image.save(&path).unwrap();
        let picture = read(&path, Colour::Rgb).unwrap();
        assert_eq!((picture.shape(), picture.bytes()), (Shape::from([1, 2, 3]), &[255, 0, 0, 10, 200, 30][..]));
        // 0.299·255 = 76.2; 0.299·10 + 0.587·200 + 0.114·30 = 123.8.
        assert_eq!(read(&path, Colour::Grey).unwrap().bytes(), [76, 124]);

        GrayAlphaImage::from_pixel(1, 2, LumaA([77, 0])).save(&path).unwrap();
        assert_eq!(read(&path, Colour::Grey).unwrap().bytes(), [77, 77]);
        ImageBuffer::<image::Luma<u16>, _>::from_raw(1, 1, vec![0x8000u16]).unwrap().save(&path).unwrap();
        assert_eq!(read(&path, Colour::Rgb).unwrap().bytes(), [128; 3]);
    }

    #[test]
    fn pictures_become_tensors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        GrayImage::from_raw(2, 1, vec![0, 255]).unwrap().save(&path).unwrap();
        let device = striate_testkit::reference::device();
        let picture = read(&path, Colour::Grey).unwrap();
        assert_eq!(picture.to_tensor(&device).unwrap().to_vec::<u8>().unwrap(), [0, 255]);
        let floats = picture.to_float_tensor(&device).unwrap();
        assert_eq!((*floats.shape(), floats.to_vec::<f32>().unwrap()), (Shape::from([1, 2, 1]), vec![0.0, 255.0]));
    }

    #[test]
    fn defects_are_told_apart_and_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let check_at = |path: &Path, word: &str| {
            let error = read(path, Colour::Rgb).unwrap_err();
            assert!(matches!(error, Error::Data(_)), "{error:?}");
            let text = error.to_string();
            assert!(text.contains(&path.display().to_string()) && text.contains(word), "{text}");
        };
        let check = |word: &str| check_at(&path, word);
        check("no such file");
        check_at(folder.path(), "regular file");
        for content in [&b""[..], b"no picture at all"] {
            fs::write(&path, content).unwrap();
            check("damaged");
            let other = folder.path().join("a.xyz");
            fs::write(&other, content).unwrap();
            check_at(&other, "known format");
        }
        GrayImage::from_fn(40, 40, |x, y| image::Luma([(x * 31 + y * 17) as u8])).save(&path).unwrap();
        let good = fs::read(&path).unwrap();
        fs::write(&path, &good[..good.len() / 2]).unwrap();
        check("damaged");
        fs::write(&path, &good[..20]).unwrap();
        check("damaged");
        // A header that claims 2³⁰ × 2³⁰ pixels: width and height are at 16..24, and the chunk's checksum follows.
        let mut huge = good.clone();
        huge[16..24].copy_from_slice(&[0x40, 0, 0, 0, 0x40, 0, 0, 0]);
        let mut checksum = flate2::Crc::new();
        checksum.update(&huge[12..29]);
        huge[29..33].copy_from_slice(&checksum.sum().to_be_bytes());
        fs::write(&path, &huge).unwrap();
        check("at most");
    }
}
