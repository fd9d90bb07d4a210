//! One drawn set of parameters, and what it does to a picture.

use super::colour;
use super::fill::FillMode;
use super::geometry::{IDENTITY, Matrix, about_centre, product, rotation, shear, translation, zoom};
use super::resample::{Flips, affine, mirrored};
use crate::image_file::Picture;
use std::fmt;
use striate_tensor::{Error, PictureView, Result};

/// One set of parameters. The default changes nothing.
///
/// Keras's `get_random_transform` names some by axes that it exchanges later: `column_shift` is its `tx`, `row_shift` its
/// `ty`, `column_zoom` its `zx` and `row_zoom` its `zy`. (Drawing, Keras takes `tx` from `height_shift_range`, which
/// thereby moves along the width; here each range moves along the axis that it is named for. Keras also turns
/// pictures that are not square about a point off their centre; here it is the centre.)
///
/// ```
/// use striate_data::augment::Variant;
/// use striate_data::image_file::{Colour, Picture};
/// let picture = Picture::new(vec![1, 2, 3, 4], 2, 2, Colour::Grey)?;
/// let variant = Variant { flip_horizontal: true, ..Variant::default() };
/// assert_eq!(variant.apply(&picture), [2.0, 1.0, 4.0, 3.0]);
/// # Ok::<(), striate_tensor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// Turn in degrees.
    pub theta: f64,
    /// Pixels along the height; what the result shows comes from so much farther down.
    pub row_shift: f64,
    /// Pixels along the width; what the result shows comes from so much farther right.
    pub column_shift: f64,
    /// Shear in degrees.
    pub shear: f64,
    /// Factor along the height; below 1 enlarges.
    pub row_zoom: f64,
    /// Factor along the width; below 1 enlarges.
    pub column_zoom: f64,
    /// Mirror left to right.
    pub flip_horizontal: bool,
    /// Mirror top to bottom.
    pub flip_vertical: bool,
    /// What is added to all values.
    pub channel_shift: Option<f64>,
    /// The factor for the brightness.
    pub brightness: Option<f64>,
    /// What lies beyond the border.
    pub fill_mode: FillMode,
    /// The value beyond the border for [`FillMode::Constant`].
    pub cval: f32,
}

impl Default for Variant {
    fn default() -> Self {
        Variant {
            theta: 0.0,
            row_shift: 0.0,
            column_shift: 0.0,
            shear: 0.0,
            row_zoom: 1.0,
            column_zoom: 1.0,
            flip_horizontal: false,
            flip_vertical: false,
            channel_shift: None,
            brightness: None,
            fill_mode: FillMode::Nearest,
            cval: 0.0,
        }
    }
}

impl Variant {
    /// All geometry in one matrix, which takes (x, y, 1) of a result of height × width pixels to its place in the source;
    /// x counts columns, y rows.
    pub fn matrix(&self, height: usize, width: usize) -> [[f64; 3]; 3] {
        let mirror = |flip: bool, size: usize| if flip { (-1.0, size as f64 - 1.0) } else { (1.0, 0.0) };
        let ((sx, tx), (sy, ty)) = (mirror(self.flip_horizontal, width), mirror(self.flip_vertical, height));
        let flips = [[sx, 0.0, tx], [0.0, sy, ty], [0.0, 0.0, 1.0]];
        product(&self.unflipped(height, width).unwrap_or(IDENTITY), &flips)
    }

    /// Turn, shift, shear and zoom about the centre; none if there is nothing of it.
    fn unflipped(&self, height: usize, width: usize) -> Option<Matrix> {
        let parts = [
            (self.theta != 0.0).then(|| rotation(self.theta)),
            (self.column_shift != 0.0 || self.row_shift != 0.0).then(|| translation(self.column_shift, self.row_shift)),
            (self.shear != 0.0).then(|| shear(self.shear)),
            (self.column_zoom != 1.0 || self.row_zoom != 1.0).then(|| zoom(self.column_zoom, self.row_zoom)),
        ];
        let matrix = parts.into_iter().flatten().reduce(|all, part| product(&all, &part))?;
        Some(about_centre(&matrix, height, width))
    }

    /// The geometry for a device that resamples; colours are not part of it.
    pub(super) fn view(&self, height: usize, width: usize) -> PictureView {
        let [x, y, _] = self.unflipped(height, width).unwrap_or(IDENTITY);
        let (flip_horizontal, flip_vertical) = (self.flip_horizontal, self.flip_vertical);
        PictureView { matrix: [x, y], flip_horizontal, flip_vertical }
    }

    /// Whether a picture stays as it is.
    pub fn is_identity(&self) -> bool {
        Variant { fill_mode: FillMode::Nearest, cval: 0.0, ..self.clone() } == Variant::default()
    }

    /// The picture changed: (height, width, channels) as before, values 0..255, not rounded.
    pub fn apply(&self, picture: &Picture) -> Vec<f32> {
        let mut values = vec![0.0; picture.bytes().len()];
        self.write(picture, &mut values);
        values
    }

    /// As [`Variant::apply`], into memory that is there already.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is one value for each of the picture's bytes.
    pub fn apply_into(&self, picture: &Picture, out: &mut [f32]) -> Result<()> {
        if out.len() != picture.bytes().len() {
            let rule = format!("there must be room for {} values", picture.bytes().len());
            return Err(Error::shape("Variant", rule, out.len().to_string(), ""));
        }
        self.write(picture, out);
        Ok(())
    }

    fn write(&self, picture: &Picture, out: &mut [f32]) {
        let flips = Flips { horizontal: self.flip_horizontal, vertical: self.flip_vertical };
        match self.unflipped(picture.height(), picture.width()) {
            Some(matrix) => affine(picture, &matrix, (self.fill_mode, self.cval), flips, out),
            None => mirrored(picture, flips, out),
        }
        if let Some(intensity) = self.channel_shift {
            colour::shift(out, intensity as f32);
        }
        if let Some(factor) = self.brightness {
            colour::brighten(out, factor as f32);
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        let mut put = |there: bool, text: String| parts.extend(there.then_some(text));
        put(self.theta != 0.0, format!("turned {:.1}°", self.theta));
        let moved = self.row_shift != 0.0 || self.column_shift != 0.0;
        put(moved, format!("shifted {:.1} down, {:.1} right", self.row_shift, self.column_shift));
        put(self.shear != 0.0, format!("sheared {:.2}°", self.shear));
        let zoomed = self.row_zoom != 1.0 || self.column_zoom != 1.0;
        put(zoomed, format!("zoomed {:.3} × {:.3}", self.row_zoom, self.column_zoom));
        put(self.flip_horizontal, "mirrored left to right".into());
        put(self.flip_vertical, "mirrored top to bottom".into());
        put(self.channel_shift.is_some(), format!("values {:+.1}", self.channel_shift.unwrap_or(0.0)));
        put(self.brightness.is_some(), format!("brightness × {:.2}", self.brightness.unwrap_or(1.0)));
        f.write_str(if parts.is_empty() { "unchanged" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_file::Colour;

    #[test]
    fn the_matrix_says_where_each_pixel_comes_from() {
        let (height, width) = (20, 40);
        let variant = Variant {
            theta: 25.0,
            row_shift: 1.5,
            column_shift: -3.0,
            shear: 9.0,
            row_zoom: 0.8,
            column_zoom: 1.1,
            flip_horizontal: true,
            fill_mode: FillMode::Constant,
            cval: -1.0,
            ..Variant::default()
        };
        let matrix = variant.matrix(height, width);
        // Brightness that says the column, or the row: bilinear sampling gives the place itself.
        for (along, [x, y, offset]) in matrix.into_iter().take(2).enumerate() {
            let bytes = (0..height * width).map(|i| if along == 0 { i % width } else { i / width } as u8 * 6).collect();
            let picture = Picture::new(bytes, height, width, Colour::Grey).unwrap();
            let result = variant.apply(&picture);
            let mut inside = 0;
            for (i, &value) in result.iter().enumerate().filter(|(_, v)| **v >= 0.0) {
                let (u, v) = ((i % width) as f64, (i / width) as f64);
                let place = x * u + y * v + offset;
                assert!((f64::from(value) - 6.0 * place).abs() < 1e-3, "{u} {v}: {value} for {place}");
                inside += 1;
            }
            assert!(inside > height * width / 2, "{inside}");
        }
    }

    #[test]
    fn a_variant_can_be_read() {
        assert_eq!(Variant::default().to_string(), "unchanged");
        let variant = Variant { theta: -12.34, flip_vertical: true, brightness: Some(0.5), ..Variant::default() };
        assert_eq!(variant.to_string(), "turned -12.3°, mirrored top to bottom, brightness × 0.50");
    }

    #[test]
    fn room_of_another_size_is_refused() {
        let picture = Picture::new(vec![0; 6], 1, 2, Colour::Rgb).unwrap();
        assert!(matches!(Variant::default().apply_into(&picture, &mut [0.0; 5]), Err(Error::Shape(_))));
    }
}
