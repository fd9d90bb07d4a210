//! A kernel sliding over a small picture, number by number.

use super::NamedKernel;
use crate::labels::Label;
use crate::number_grid::{MARK, NumberGrid, number};
use crate::picture::put;
use crate::plane::Plane;
use image::{Rgb, RgbImage};
use std::time::Duration;
use striate_tensor::{Error, Result};

/// Pixels a cell.
const CELL: u32 = 46;
const MARGIN: u32 = 28;
/// Pixels between the three matrices.
const BETWEEN: u32 = 56;
const HEADING: u32 = 34;

/// The frames of the animation: the window on the picture, the kernel, the values so far, and the sum that gave the newest.
///
/// # Errors
/// [`Error::Argument`] for a picture smaller than 3×3 or larger than 12×12, whose numbers nobody could read.
///
/// ```
/// use striate_viz::kernels::{UPRIGHT_EDGES, sliding_frames};
/// let frames = sliding_frames(&striate_viz::kernels::lecture_a(), &UPRIGHT_EDGES)?;
/// assert_eq!(frames.len(), 16); // (6 - 3 + 1)²
/// # Ok::<(), striate_tensor::Error>(())
/// ```
pub fn sliding_frames(picture: &Plane, kernel: &NamedKernel) -> Result<Vec<(RgbImage, Duration)>> {
    let (rows, columns) = (picture.height(), picture.width());
    if !(3..=12).contains(&rows) || !(3..=12).contains(&columns) {
        let received = format!("{rows} × {columns}");
        return Err(Error::argument("animation", "the picture must be from 3 × 3 to 12 × 12", received, ""));
    }
    let weights = kernel.plane();
    let output = slide(picture, kernel)?;
    let steps = output.values().len();
    let most = output.values().iter().fold(0f32, |most, value| most.max(value.abs()));
    let frames = (0..steps).map(|step| {
        let (row, column) = (step / output.width(), step % output.width());
        let time = if step + 1 == steps { 3500 } else { 1100 };
        let grids = [
            NumberGrid {
                plane: picture,
                cell: CELL,
                range: picture.range(),
                filled: usize::MAX,
                window: Some((row, column, 3, 3)),
            },
            NumberGrid { plane: &weights, cell: CELL, range: (-3.0, 3.0), filled: 9, window: None },
            NumberGrid {
                plane: &output,
                cell: CELL,
                range: (-most, most),
                filled: step + 1,
                window: Some((row, column, 1, 1)),
            },
        ];
        (draw(&grids, &terms(picture, kernel, row, column, output.at(row, column))), Duration::from_millis(time))
    });
    Ok(frames.collect())
}

/// The sums of products at every place of the kernel within the picture.
fn slide(picture: &Plane, kernel: &NamedKernel) -> Result<Plane> {
    let (rows, columns) = (picture.height() - 2, picture.width() - 2);
    let sum = |row: usize, column: usize| {
        let term = |i: usize| picture.at(row + i / 3, column + i % 3) * kernel.weights[i];
        (0..9).map(term).sum::<f32>() / kernel.divisor
    };
    Plane::new(rows, columns, (0..rows * columns).map(|i| sum(i / columns, i % columns)).collect())
}

/// The sum in words, the products with 0 left out.
fn terms(picture: &Plane, kernel: &NamedKernel, row: usize, column: usize, value: f32) -> String {
    let products = (0..9).map(|i| (picture.at(row + i / 3, column + i % 3), kernel.weights[i]));
    let shown: Vec<String> = products
        .filter(|(pixel, weight)| pixel * weight != 0.0)
        .map(|(pixel, weight)| {
            if weight < 0.0 {
                format!("{} · ({})", number(pixel), number(weight))
            } else {
                format!("{} · {}", number(pixel), number(weight))
            }
        })
        .collect();
    let sum = if shown.is_empty() { "all products are 0".to_string() } else { shown.join(" + ") };
    format!("{sum} = {}", number(value))
}

fn draw(grids: &[NumberGrid<'_>; 3], sum: &str) -> RgbImage {
    let sizes = grids.map(|grid| grid.size());
    let width = 2 * MARGIN + 2 * BETWEEN + sizes.iter().map(|size| size.0).sum::<u32>();
    let tallest = sizes.iter().map(|size| size.1).max().unwrap_or(0);
    let foot = Label::default().size(19.0);
    let height = MARGIN + HEADING + tallest + 18 + foot.line() + MARGIN;
    let mut canvas = RgbImage::from_pixel(width, height, Rgb([255; 3]));
    let heading = Label::default().bold().size(17.0);
    let middle = MARGIN + HEADING + tallest / 2;
    let mut left = MARGIN;
    for (grid, (title, sign)) in grids.iter().zip([("picture", "×"), ("kernel", "="), ("response", "")]) {
        let (grid_width, grid_height) = grid.size();
        let top = middle - grid_height / 2;
        put(&mut canvas, &grid.image(), left, top);
        let centre = i64::from(left + grid_width / 2);
        heading.draw_centred(&mut canvas, title, centre, i64::from(top) - i64::from(HEADING) + 6);
        left += grid_width;
        let sign_at = i64::from(left + BETWEEN / 2);
        Label::default().size(28.0).draw_centred(&mut canvas, sign, sign_at, i64::from(middle) - 18);
        left += BETWEEN;
    }
    let y = i64::from(MARGIN + HEADING + tallest + 18);
    foot.colour(MARK).bold().draw_centred(&mut canvas, sum, i64::from(width / 2), y);
    canvas
}

/// The lecture's example: the letter A in 6×6 pixels.
pub fn lecture_a() -> Plane {
    const A: [[u8; 6]; 6] = [
        [0, 0, 0, 0, 0, 0],
        [0, 0, 1, 1, 0, 0],
        [0, 1, 0, 0, 1, 0],
        [0, 1, 1, 1, 1, 0],
        [0, 1, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 0],
    ];
    let values = A.iter().flatten().map(|&pixel| 0.6 * f32::from(pixel)).collect();
    // Six rows of six.
    Plane::new(6, 6, values).unwrap_or_else(|_| unreachable!())
}

#[cfg(test)]
mod tests {
    use super::super::UPRIGHT_EDGES;
    use super::*;

    #[test]
    fn the_lectures_numbers() {
        let response = slide(&lecture_a(), &UPRIGHT_EDGES).unwrap();
        let shown: Vec<String> = response.values().iter().map(|&value| number(value)).collect();
        assert_eq!(&shown[..5], ["−1.2", "−0.6", "0.6", "1.2", "−1.2"]);
        // Its ReLU is the matrix that the lecture pools: 0 0 0.6 1.2 / 0 0.6 0 1.2 / 0 1.2 0 1.2 / 0 1.2 0 0.6.
        let relu: Vec<f32> = response.values().iter().map(|value| (value.max(0.0) * 10.0).round() / 10.0).collect();
        assert_eq!(relu[..4], [0.0, 0.0, 0.6, 1.2]);
        assert_eq!(terms(&lecture_a(), &UPRIGHT_EDGES, 0, 0, -1.2), "0.6 · (−2) = −1.2");
        let small = Plane::new(2, 3, vec![0.0; 6]).unwrap();
        assert!(sliding_frames(&small, &UPRIGHT_EDGES).is_err());
    }
}
