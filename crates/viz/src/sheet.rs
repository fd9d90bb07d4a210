//! Pictures in rows and columns, each with lines of text below it.

use crate::labels::Label;
use crate::picture::put;
use image::{Rgb, RgbImage};
use striate_data::image_file::MAX_SIDE;
use striate_tensor::{Error, Result};

/// Pixels between cells and around them.
const GAP: u32 = 12;
/// Pixels between a picture and its text.
const ABOVE_TEXT: u32 = 5;
const PAPER: Rgb<u8> = Rgb([255; 3]);

/// A picture and what is written below it.
#[derive(Debug, Clone)]
pub struct Cell {
    /// The picture.
    pub image: RgbImage,
    /// A heavy line below the picture; empty for none.
    pub heading: String,
    /// Lines below that.
    pub lines: Vec<String>,
}

impl Cell {
    /// A picture with its heading.
    pub fn new(image: RgbImage, heading: impl Into<String>) -> Self {
        Cell { image, heading: heading.into(), lines: Vec::new() }
    }

    /// Another line.
    pub fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }
}

/// Cells on white paper.
#[derive(Debug, Clone, Default)]
pub struct Sheet {
    cells: Vec<Cell>,
    columns: Option<usize>,
    title: String,
}

impl Sheet {
    /// These cells.
    pub fn new(cells: Vec<Cell>) -> Self {
        Sheet { cells, ..Sheet::default() }
    }

    /// How many stand in a row. Default: so many that the sheet is about one and a half times as wide as high.
    pub fn columns(self, columns: usize) -> Self {
        Sheet { columns: Some(columns.max(1)), ..self }
    }

    /// A line above all.
    pub fn title(self, title: impl Into<String>) -> Self {
        Sheet { title: title.into(), ..self }
    }

    /// The sheet as a picture.
    ///
    /// # Errors
    /// [`Error::Argument`] without cells, or for a sheet of more than [`MAX_SIDE`] pixels a side.
    ///
    /// ```
    /// use striate_viz::{Cell, Sheet};
    /// let dark = image::RgbImage::new(60, 40);
    /// let sheet = Sheet::new(vec![Cell::new(dark.clone(), "one"), Cell::new(dark, "two")]).columns(2).image()?;
    /// assert_eq!(sheet.get_pixel(12, 12).0, [0; 3]);
    /// # Ok::<(), striate_tensor::Error>(())
    /// ```
    pub fn image(&self) -> Result<RgbImage> {
        if self.cells.is_empty() {
            return Err(Error::argument("sheet", "a sheet must have pictures", "none", ""));
        }
        let (plain, heavy, title) = (Label::default(), Label::default().bold(), Label::default().bold().size(20.0));
        let text = |cell: &Cell| {
            let lines = cell.lines.iter().map(|line| plain.width(line));
            lines.chain([heavy.width(&cell.heading)]).max().unwrap_or(0)
        };
        let width = self.cells.iter().map(|cell| cell.image.width().max(text(cell))).max().unwrap_or(0) + GAP;
        let picture = self.cells.iter().map(|cell| cell.image.height()).max().unwrap_or(0);
        let headed = u32::from(self.cells.iter().any(|cell| !cell.heading.is_empty()));
        let lines = headed + self.cells.iter().map(|cell| cell.lines.len()).max().unwrap_or(0) as u32;
        let text_height = if lines > 0 { ABOVE_TEXT + lines * plain.line() } else { 0 };
        let height = picture + text_height + GAP;
        let n = self.cells.len();
        let columns = self.columns.unwrap_or_else(|| {
            let wanted = (1.5 * n as f64 * f64::from(height) / f64::from(width)).sqrt().round() as usize;
            // As few empty places as may be.
            let near = wanted.saturating_sub(1).max(1)..=wanted + 1;
            near.min_by_key(|&columns| n.div_ceil(columns) * columns - n).unwrap_or(1)
        });
        let columns = columns.min(n).max(1);
        let heading = if self.title.is_empty() { 0 } else { title.line() + GAP };
        let rows = n.div_ceil(columns) as u64;
        let size =
            (u64::from(width) * columns as u64 + u64::from(GAP), u64::from(height) * rows + u64::from(GAP + heading));
        let size = (size.0.max(u64::from(title.width(&self.title) + 2 * GAP)), size.1);
        if size.0.max(size.1) > u64::from(MAX_SIDE) {
            let rule = format!("the sheet may have at most {MAX_SIDE} pixels a side");
            let received = format!("{} × {}", size.0, size.1);
            return Err(Error::argument("sheet", rule, received, "show fewer pictures, or smaller ones"));
        }
        let mut canvas = RgbImage::from_pixel(size.0 as u32, size.1 as u32, PAPER);
        title.draw(&mut canvas, &self.title, i64::from(GAP), i64::from(GAP) - 2);
        for (i, cell) in self.cells.iter().enumerate() {
            let left = GAP + (i % columns) as u32 * width;
            let top = GAP + heading + (i / columns) as u32 * height;
            put(&mut canvas, &cell.image, left, top);
            let y = |line: u32| i64::from(top + picture + ABOVE_TEXT + line * plain.line());
            heavy.draw(&mut canvas, &cell.heading, i64::from(left), y(0));
            for (line, text) in (headed..).zip(&cell.lines) {
                plain.draw(&mut canvas, text, i64::from(left), y(line));
            }
        }
        Ok(canvas)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_stand_in_their_cells_and_text_below() {
        let cells =
            (1..=5u8).map(|i| Cell::new(RgbImage::from_pixel(60, 40, Rgb([i * 20; 3])), "turn +1.0°").line("x"));
        let sheet = Sheet::new(cells.collect()).columns(3).image().unwrap();
        let step = (60.max(Label::default().bold().width("turn +1.0°")) + GAP, 40 + ABOVE_TEXT + 2 * 18 + GAP);
        for i in 0..5u32 {
            let (left, top) = (GAP + i % 3 * step.0, GAP + i / 3 * step.1);
            let shade = sheet.get_pixel(left + 30, top + 20).0[0];
            assert_eq!(u32::from(shade), (i + 1) * 20);
            let below = |x: u32, y: u32| sheet.get_pixel(left + x, top + 40 + ABOVE_TEXT + y).0[0];
            let inked = (0..50).any(|x| (0..16).any(|y| below(x, y) < 128));
            assert!(inked, "text under picture {i}");
        }
        assert!(Sheet::default().image().is_err());
        let large = vec![Cell::new(RgbImage::new(9000, 10), ""); 4];
        let error = Sheet::new(large).columns(2).image().unwrap_err().to_string();
        assert!(error.contains("16384"), "{error}");
    }
}
