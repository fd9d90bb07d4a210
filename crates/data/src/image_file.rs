//! Pictures from disk.

use image::{DynamicImage, GenericImageView, ImageDecoder, ImageError, ImageReader, Limits, RgbaImage};
use std::io;
use std::path::Path;
use striate_tensor::{Device, Error, Result, Shape, Tensor};

/// The longest side a picture may have, in pixels.
pub const MAX_SIDE: u32 = 16_384;
/// The most pixels a picture may have: 2²⁶, 67 megapixels.
pub const MAX_PIXELS: u64 = 1 << 26;

/// What the channels of a picture mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Colour {
    /// One channel: brightness.
    Grey,
    /// Three channels: red, green, blue.
    Rgb,
}

impl Colour {
    /// The number of channels.
    pub fn channels(self) -> usize {
        match self {
            Colour::Grey => 1,
            Colour::Rgb => 3,
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
    /// (height, width, channels).
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The bytes, row-major.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
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

/// Reads a picture. Transparency is left out, deeper channels are reduced to 8 bits, and grey is ITU-R 601 luma, as
/// Keras's `load_img` has it.
///
/// # Errors
/// [`Error::Data`] if the file is missing, of an unknown format, damaged, or larger than [`MAX_SIDE`] or [`MAX_PIXELS`];
/// [`Error::Io`] if the system refuses to read it.
pub fn read(path: impl AsRef<Path>, colour: Colour) -> Result<Picture> {
    let image = decode(path.as_ref())?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    let bytes = match colour {
        Colour::Rgb => image.pixels().flat_map(|p| [p.0[0], p.0[1], p.0[2]]).collect(),
        Colour::Grey => image.pixels().map(|p| luma(p.0)).collect(),
    };
    Ok(Picture { shape: Shape::from([height, width, colour.channels()]), bytes })
}

/// ITU-R 601 luma, in 16-bit fixed point, rounded.
pub(crate) fn luma([red, green, blue, _]: [u8; 4]) -> u8 {
    ((19_595 * u32::from(red) + 38_470 * u32::from(green) + 7_471 * u32::from(blue) + 0x8000) >> 16) as u8
}

/// Reads a picture of any kind as RGBA, within the limits.
pub(crate) fn decode(path: &Path) -> Result<RgbaImage> {
    let name = path.display().to_string();
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Error::data(&name, "the picture must exist", "no such file", "check the path"),
        _ => Error::io(path, "reading", error),
    };
    if !path.metadata().map_err(failed)?.is_file() {
        return Err(Error::data(&name, "a picture must be a regular file", "a folder or a device", ""));
    }
    let too_large = |received: String| {
        let rule = format!("a picture may have at most {MAX_SIDE} pixels a side and {MAX_PIXELS} in all");
        Error::data(&name, rule, received, "make the picture smaller")
    };
    let refused = |error: ImageError| match error {
        ImageError::IoError(error) if error.kind() != io::ErrorKind::UnexpectedEof => failed(error),
        ImageError::Limits(error) => too_large(error.to_string()),
        ImageError::Unsupported(error) => {
            Error::data(&name, "the picture must be of a known format", error.to_string(), "save it as PNG")
        }
        error => Error::data(&name, "the picture must not be damaged", error.to_string(), "save it anew"),
    };
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    // 8 bytes a pixel for 16-bit RGBA, and room for the decoder's own work.
    limits.max_alloc = Some(10 * MAX_PIXELS);
    let mut reader = ImageReader::open(path).map_err(failed)?.with_guessed_format().map_err(failed)?;
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(refused)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(too_large(format!("{width} × {height}")));
    }
    let image = DynamicImage::from_decoder(decoder).map_err(refused)?;
    if image.dimensions().0 == 0 || image.dimensions().1 == 0 {
        return Err(Error::data(&name, "a picture must have pixels", format!("{width} × {height}"), ""));
    }
    Ok(image.into_rgba8())
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayAlphaImage, GrayImage, ImageBuffer, LumaA, Rgb};
    use std::fs;

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
