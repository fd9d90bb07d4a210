//! How a picture of any kind and size becomes a model's input.

use crate::digit;
use crate::image_file::{Colour, Picture, read};
use crate::image_folder::{ClassMode, FolderOptions};
use crate::pixel_values::PixelValues;
use crate::resize::{Filter, Fit, check_size, resize};
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use striate_tensor::{Device, Error, Result, Shape, Tensor};

/// How a picture becomes a model's input. Model files carry it as text, which `Display` writes and `FromStr` reads.
///
/// ```
/// use striate_data::{Photograph, PixelValues, Preparation};
/// let preparation: Preparation = "photograph 150x150 bilinear caffe".parse()?;
/// let expected = Photograph { values: PixelValues::Caffe, ..Photograph::new(150, 150) };
/// assert_eq!(preparation, Preparation::Photograph(expected));
/// assert_eq!(preparation.to_string(), "photograph 150x150 bilinear caffe");
/// # Ok::<(), striate_tensor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Preparation {
    /// As MNIST's digits were: see [`digit::prepare`].
    Digit,
    /// Resized, and its values brought to a range.
    Photograph(Photograph),
}

/// How a photograph becomes a model's input.
#[derive(Debug, Clone, PartialEq)]
pub struct Photograph {
    /// (height, width) in pixels.
    pub size: (usize, usize),
    /// The channels.
    pub colour: Colour,
    /// How pixels are resampled.
    pub filter: Filter,
    /// What happens to other proportions.
    pub fit: Fit,
    /// What the values become.
    pub values: PixelValues,
}

impl Photograph {
    /// In RGB, stretched to this size by bilinear resampling, values 0 to 255.
    pub fn new(height: usize, width: usize) -> Self {
        Photograph {
            size: (height, width),
            colour: Colour::Rgb,
            filter: Filter::Bilinear,
            fit: Fit::Stretch,
            values: PixelValues::default(),
        }
    }

    /// Options by which folders are read in the same way.
    pub fn folder_options(&self, class_mode: ClassMode) -> FolderOptions {
        FolderOptions {
            target_size: self.size,
            colour: self.colour,
            filter: self.filter,
            fit: self.fit,
            class_mode,
            standardize: self.values.standardize(),
            ..FolderOptions::default()
        }
    }
}

impl Preparation {
    /// What the file of a model does not say, guessed from the model's input: pictures of 28×28×1 are digits, others with one or three
    /// channels photographs with values 0 to 1.
    ///
    /// # Errors
    /// [`Error::Shape`] for inputs that are no pictures.
    pub fn guess(input: &Shape) -> Result<Self> {
        let colour = match input.as_slice() {
            [28, 28, 1] => return Ok(Preparation::Digit),
            [_, _, 1] => Colour::Grey,
            [_, _, 3] => Colour::Rgb,
            _ => {
                return Err(Error::shape(
                    "preparation",
                    "the model's input must be a picture, (height, width, 1 or 3)",
                    input.to_string(),
                    "",
                ));
            }
        };
        let values = PixelValues::Rescale(255.0f32.recip());
        Ok(Preparation::Photograph(Photograph { colour, values, ..Photograph::new(input[0], input[1]) }))
    }

    /// The picture in a file as a batch of one, (1, height, width, channels).
    ///
    /// # Errors
    /// As [`digit::prepare`] and [`read`].
    pub fn apply(&self, path: impl AsRef<Path>, device: &Device) -> Result<Tensor> {
        match self {
            Preparation::Digit => digit::prepare(path)?.to_tensor(device),
            Preparation::Photograph(photograph) => self.apply_to(&read(path, photograph.colour)?, device),
        }
    }

    /// A picture in memory as a batch of one; for photographs it must have the colour that they name.
    ///
    /// # Errors
    /// As [`digit::prepare_picture`] and [`resize`]; [`Error::Shape`] for a picture of another colour.
    pub fn apply_to(&self, picture: &Picture, device: &Device) -> Result<Tensor> {
        match self {
            Preparation::Digit => digit::prepare_picture(picture)?.to_tensor(device),
            Preparation::Photograph(photograph) => {
                let picture = resize(picture, photograph.size, photograph.filter, photograph.fit)?;
                let mut values: Vec<f32> = picture.bytes().iter().map(|&byte| f32::from(byte)).collect();
                photograph.values.apply(&mut values);
                let (height, width) = photograph.size;
                Tensor::from_vec(values, [1, height, width, photograph.colour.channels()], device)
            }
        }
    }

    /// The shape of an input, without the batch axis.
    pub fn input_shape(&self) -> Shape {
        match self {
            Preparation::Digit => Shape::from([digit::SIDE, digit::SIDE, 1]),
            Preparation::Photograph(Photograph { size: (height, width), colour, .. }) => {
                Shape::from([*height, *width, colour.channels()])
            }
        }
    }
}

const FILTERS: [(&str, Filter); 6] = [
    ("nearest", Filter::Nearest),
    ("area", Filter::Area),
    ("bilinear", Filter::Bilinear),
    ("hamming", Filter::Hamming),
    ("bicubic", Filter::Bicubic),
    ("lanczos", Filter::Lanczos),
];

impl fmt::Display for Preparation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Preparation::Photograph(Photograph { size: (height, width), colour, filter, fit, values }) = self else {
            return f.write_str("digit");
        };
        let filter = FILTERS.iter().find(|(_, known)| known == filter).map_or("nearest", |(name, _)| name);
        write!(f, "photograph {height}x{width} {filter}")?;
        match colour {
            Colour::Rgb => {}
            Colour::Grey => f.write_str(" grey")?,
            Colour::Rgba => f.write_str(" rgba")?,
        }
        match fit {
            Fit::Stretch => {}
            Fit::Crop => f.write_str(" crop")?,
            Fit::Pad(shade) => write!(f, " pad={shade}")?,
        }
        match values {
            PixelValues::Rescale(1.0) => Ok(()),
            values => write!(f, " {values}"),
        }
    }
}

impl FromStr for Preparation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |received: &str| {
            Error::data(
                "preparation",
                "the text must be `digit` or as in `photograph 150x150 bilinear rescale=1/255`",
                format!("`{received}`"),
                "",
            )
        };
        let mut words = text.split_whitespace();
        match words.next() {
            Some("digit") if words.next().is_none() => return Ok(Preparation::Digit),
            Some("photograph") => {}
            _ => return Err(refuse(text)),
        }
        let size = words.next().and_then(|word| word.split_once('x'));
        let (height, width) = size.ok_or_else(|| refuse(text))?;
        let side = |digits: &str| digits.parse::<usize>().map_err(|_| refuse(text));
        let mut photograph = Photograph::new(side(height)?, side(width)?);
        check_size(photograph.size)?;
        photograph.filter = Filter::Nearest;
        for word in words {
            if let Some((_, filter)) = FILTERS.iter().find(|(name, _)| *name == word) {
                photograph.filter = *filter;
            } else if let Some(shade) = word.strip_prefix("pad=") {
                photograph.fit = Fit::Pad(shade.parse().map_err(|_| refuse(word))?);
            } else {
                match word {
                    "grey" => photograph.colour = Colour::Grey,
                    "rgba" => photograph.colour = Colour::Rgba,
                    "crop" => photograph.fit = Fit::Crop,
                    _ => photograph.values = word.parse().map_err(|_| refuse(word))?,
                }
            }
        }
        Ok(Preparation::Photograph(photograph))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_says_all() {
        let caffe = Photograph { filter: Filter::Nearest, values: PixelValues::Caffe, ..Photograph::new(150, 160) };
        let grey = Photograph {
            colour: Colour::Grey,
            fit: Fit::Pad(7),
            values: PixelValues::Rescale(1.0 / 255.0),
            ..Photograph::new(8, 9)
        };
        let plain = Photograph { fit: Fit::Crop, filter: Filter::Lanczos, ..Photograph::new(3, 3) };
        for (preparation, text) in [
            (Preparation::Digit, "digit"),
            (Preparation::Photograph(caffe), "photograph 150x160 nearest caffe"),
            (Preparation::Photograph(grey), "photograph 8x9 bilinear grey pad=7 rescale=1/255"),
            (Preparation::Photograph(plain), "photograph 3x3 lanczos crop"),
        ] {
            assert_eq!(preparation.to_string(), text);
            assert_eq!(text.parse::<Preparation>().unwrap(), preparation);
        }
        for text in
            ["", "digit x", "photograph", "photograph 0x3", "photograph 3", "photograph 3x3 cubist", "photo 3x3"]
        {
            assert!(text.parse::<Preparation>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_model_that_says_nothing_gets_a_guess() {
        assert_eq!(Preparation::guess(&Shape::from([28, 28, 1])).unwrap(), Preparation::Digit);
        let guess = Preparation::guess(&Shape::from([150, 100, 3])).unwrap();
        assert_eq!(guess.to_string(), "photograph 150x100 bilinear rescale=1/255");
        assert!(Preparation::guess(&Shape::from([10])).is_err());
    }
}
