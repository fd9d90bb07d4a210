//! Small matrices with their numbers in the cells.

use crate::labels::Label;
use crate::picture::{fill, frame};
use crate::plane::Plane;
use image::{Rgb, RgbImage};

const LINES: [u8; 3] = [150, 150, 150];
/// Okabe and Ito's orange-red: stands out from grey for everyone.
pub(crate) const MARK: [u8; 3] = [213, 94, 0];
const EMPTY: [u8; 3] = [250, 250, 250];

/// How a matrix is drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NumberGrid<'a> {
    pub(crate) plane: &'a Plane,
    /// Pixels a cell.
    pub(crate) cell: u32,
    /// The number that is black and the one that is white.
    pub(crate) range: (f32, f32),
    /// Only so many cells are filled in, row by row.
    pub(crate) filled: usize,
    /// A window to frame: (row, column, height, width).
    pub(crate) window: Option<(usize, usize, usize, usize)>,
}

impl NumberGrid<'_> {
    /// The size of the picture in pixels, (width, height).
    pub(crate) fn size(&self) -> (u32, u32) {
        (self.plane.width() as u32 * self.cell + 1, self.plane.height() as u32 * self.cell + 1)
    }

    pub(crate) fn image(&self) -> RgbImage {
        let (width, height) = self.size();
        let mut canvas = RgbImage::from_pixel(width, height, Rgb(EMPTY));
        let label = Label::default().size((self.cell as f32 * 0.4).clamp(11.0, 22.0));
        for row in 0..self.plane.height() {
            for column in 0..self.plane.width() {
                let place = (column as u32 * self.cell, row as u32 * self.cell);
                if row * self.plane.width() + column < self.filled {
                    let value = self.plane.at(row, column);
                    let (low, high) = self.range;
                    let part = if high > low { ((value - low) / (high - low)).clamp(0.0, 1.0) } else { 0.5 };
                    // Not quite to black and white, so that the lines show.
                    let shade = (20.0 + 225.0 * part) as u8;
                    fill(&mut canvas, place, (self.cell, self.cell), [shade; 3]);
                    let ink = if shade < 128 { [255; 3] } else { [20; 3] };
                    let y = i64::from(place.1) + i64::from(self.cell) / 2 - i64::from(label.line()) / 2;
                    let x = i64::from(place.0 + self.cell / 2);
                    label.colour(ink).draw_centred(&mut canvas, &number(value), x, y);
                }
                frame(&mut canvas, place, (self.cell + 1, self.cell + 1), 1, LINES);
            }
        }
        if let Some((row, column, rows, columns)) = self.window {
            let place = (column as u32 * self.cell, row as u32 * self.cell);
            frame(&mut canvas, place, (columns as u32 * self.cell + 1, rows as u32 * self.cell + 1), 3, MARK);
        }
        canvas
    }
}

/// A number in few letters, with a true minus sign.
pub(crate) fn number(value: f32) -> String {
    let text = format!("{:.2}", value + 0.0);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    let text = if text == "-0" { "0" } else { text };
    text.replace('-', "−")
}
