//! Pictures in rows and columns, with lines of text under each.

use super::too_large;
use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::iso_8859_1::FONT_7X13;
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::text::{Baseline, Text};
use std::convert::Infallible;
use striate::Result;
use striate::data::image_file::{Colour, MAX_SIDE, Picture};

/// Pixels between cells and around them.
const GAP: usize = 12;
/// Pixels between a picture and its text.
const ABOVE_TEXT: usize = 5;
/// Pixels from line to line.
const LINE: usize = 14;
/// The width of a letter.
const LETTER: usize = 7;
const PAPER: u8 = 255;
const INK: Rgb888 = Rgb888::new(40, 40, 40);

/// A picture and what is written below it.
pub struct Cell {
    pub picture: Picture,
    pub lines: Vec<String>,
}

/// All cells on white, the pictures of one size.
pub fn sheet(cells: &[Cell]) -> Result<Picture> {
    let (height, width) = cells.first().map_or((1, 1), |cell| (cell.picture.height(), cell.picture.width()));
    let letters = cells.iter().flat_map(|cell| &cell.lines).map(|line| line.chars().count()).max().unwrap_or(0);
    let lines = cells.iter().map(|cell| cell.lines.len()).max().unwrap_or(0);
    // Wide enough for the longest line; about one and a half times as wide as high, with few empty places.
    let (cell_width, cell_height) = (width.max(letters * LETTER) + GAP, height + ABOVE_TEXT + lines * LINE + GAP);
    let wanted = (1.5 * (cells.len() * cell_height) as f64 / cell_width as f64).sqrt().round() as usize;
    let near = wanted.saturating_sub(1).max(1)..=wanted + 1;
    let columns = near.min_by_key(|&n| cells.len().div_ceil(n) * n - cells.len()).unwrap_or(1);
    let rows = cells.len().div_ceil(columns);
    let (sheet_height, sheet_width) = (rows * cell_height + GAP, columns * cell_width + GAP);
    if sheet_height.max(sheet_width) > MAX_SIDE as usize {
        return Err(too_large(format!("{sheet_height} × {sheet_width}")));
    }
    let mut canvas =
        Canvas { width: sheet_width, height: sheet_height, bytes: vec![PAPER; sheet_height * sheet_width * 3] };
    let style = MonoTextStyle::new(&FONT_7X13, INK);
    for (i, cell) in cells.iter().enumerate() {
        let (top, left) = (GAP + i / columns * cell_height, GAP + i % columns * cell_width);
        canvas.put(&cell.picture, top, left);
        for (l, line) in cell.lines.iter().enumerate() {
            let place = Point::new(left as i32, (top + height + ABOVE_TEXT + l * LINE) as i32);
            let drawn = Text::with_baseline(line, place, style, Baseline::Top).draw(&mut canvas);
            // Drawing in memory cannot fail, as its error type says.
            drawn.map_or_else(|never| match never {}, |_| ());
        }
    }
    Picture::new(canvas.bytes, sheet_height, sheet_width, Colour::Rgb)
}

/// RGB pixels to draw on.
struct Canvas {
    width: usize,
    height: usize,
    bytes: Vec<u8>,
}

impl Canvas {
    fn put(&mut self, picture: &Picture, top: usize, left: usize) {
        let row = picture.width() * 3;
        for (y, source) in picture.bytes().chunks_exact(row).enumerate() {
            self.bytes[((top + y) * self.width + left) * 3..][..row].copy_from_slice(source);
        }
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.width as u32, self.height as u32)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(place, colour) in pixels {
            let (Ok(x), Ok(y)) = (usize::try_from(place.x), usize::try_from(place.y)) else { continue };
            if x < self.width && y < self.height {
                let at = (y * self.width + x) * 3;
                self.bytes[at..at + 3].copy_from_slice(&[colour.r(), colour.g(), colour.b()]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_stand_in_their_cells_and_text_below() {
        let picture = |shade| Picture::new(vec![shade; 40 * 60 * 3], 40, 60, Colour::Rgb).unwrap();
        let cells: Vec<Cell> =
            (1..=5).map(|i| Cell { picture: picture(i * 20), lines: vec!["turn +1.0°".into(); 2] }).collect();
        let sheet = sheet(&cells).unwrap();
        let shade = |y: usize, x: usize| sheet.bytes()[(y * sheet.width() + x) * 3];
        for i in 1..=5u8 {
            let count = sheet.bytes().iter().filter(|&&b| b == i * 20).count();
            assert!(count >= 40 * 60 * 3, "{i}");
        }
        assert_eq!((shade(GAP, GAP), shade(GAP + 39, GAP + 59), shade(0, 0)), (20, 20, PAPER));
        // Two lines of text: ink in both, and none between the picture and the first.
        let ink = |from: usize| (from..from + LINE).any(|y| (GAP..GAP + 60).any(|x| shade(y, x) == 40));
        let text = GAP + 40 + ABOVE_TEXT;
        assert!(ink(text) && ink(text + LINE) && !(GAP..GAP + 60).any(|x| shade(text - 2, x) != PAPER));
    }

    #[test]
    fn a_sheet_without_end_is_refused() {
        let picture = Picture::new(vec![9; 2000 * 2000 * 3], 2000, 2000, Colour::Rgb).unwrap();
        let cells: Vec<Cell> = (0..90).map(|_| Cell { picture: picture.clone(), lines: vec![] }).collect();
        assert!(sheet(&cells).unwrap_err().to_string().starts_with("--count"));
    }
}
