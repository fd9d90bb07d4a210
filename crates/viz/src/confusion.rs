//! Which class is taken for which, as a picture.

use crate::colours::ColourMap;
use crate::labels::Label;
use crate::picture::{fill, frame};
use image::{Rgb, RgbImage};
use striate_tensor::{Error, Result};
use striate_train::metric::ConfusionMatrix;

/// A confusion matrix is drawn for so many classes: of more nothing could be read.
pub const MOST_CLASSES: usize = 60;
/// Beyond so many the cells have no numbers.
const MOST_NUMBERED: usize = 25;

/// A row for each actual class and a column for each predicted one: a cell's colour is its share of the row, its number the count. `names`
/// may be empty.
///
/// # Errors
/// [`Error::Argument`] for more than 60 classes, or names that are not one for each.
pub fn confusion_image(matrix: &ConfusionMatrix, names: &[String], title: &str) -> Result<RgbImage> {
    let classes = matrix.classes();
    if classes > MOST_CLASSES || !(names.is_empty() || names.len() == classes) {
        let rule = format!("there must be at most {MOST_CLASSES} classes, each with a name or none with one");
        return Err(Error::argument("confusion matrix", rule, format!("{classes} classes, {} names", names.len()), ""));
    }
    let cell = (640 / classes as u32).clamp(18, 90);
    let (heading, label) = (Label::default().bold().size(20.0), Label::default().size(14.0));
    let name = |class: usize| names.get(class).cloned().unwrap_or_else(|| class.to_string());
    let shown: Vec<String> = (0..classes).map(|class| label.fit(&name(class), 150)).collect();
    let widest = shown.iter().map(|name| label.width(name)).max().unwrap_or(0);
    // Names above the columns stand on end where they would not fit.
    let upright = widest + 6 > cell;
    let above = if upright { widest } else { label.line() };
    let (left, top) = (24 + label.line() + 10 + widest + 8, 18 + heading.line() + 8 + label.line() + 8 + above + 8);
    let side = cell * classes as u32;
    let width = (left + side + 24).max(heading.width(title) + 48);
    let mut canvas = RgbImage::from_pixel(width, top + side + 24, Rgb([255; 3]));
    heading.draw(&mut canvas, title, 24, 18);
    label.draw_centred(&mut canvas, "predicted", i64::from(left + side / 2), i64::from(18 + heading.line() + 8));
    draw_upright(&mut canvas, "actual", &label, 24, top + side / 2 + label.width("actual") / 2);
    for (class, name) in shown.iter().enumerate() {
        let middle = class as u32 * cell + cell / 2;
        let half = label.line() / 2;
        label.draw_right(&mut canvas, name, i64::from(left) - 8, i64::from(top + middle) - i64::from(half));
        match upright {
            true => draw_upright(&mut canvas, name, &label, left + middle - half, top - 8),
            false => label.draw_centred(&mut canvas, name, i64::from(left + middle), i64::from(top - 8 - label.line())),
        }
    }
    let number = Label::default().size((cell as f32 * 0.32).clamp(10.0, 20.0));
    for (actual, row) in matrix.rows().enumerate() {
        let total = row.iter().sum::<u64>().max(1);
        for (predicted, &count) in row.iter().enumerate() {
            let place = (left + predicted as u32 * cell, top + actual as u32 * cell);
            // A few mistakes among many samples shall be seen: the root spreads small shares.
            let colour = ColourMap::Viridis.colour((count as f32 / total as f32).sqrt());
            fill(&mut canvas, place, (cell, cell), colour);
            if classes <= MOST_NUMBERED && count > 0 {
                let light = u32::from(colour[0]) * 3 + u32::from(colour[1]) * 6 + u32::from(colour[2]) > 1275;
                let ink = if light { [20; 3] } else { [255; 3] };
                let y = i64::from(place.1 + cell / 2) - i64::from(number.line() / 2);
                number.colour(ink).draw_centred(&mut canvas, &count.to_string(), i64::from(place.0 + cell / 2), y);
            }
        }
    }
    frame(&mut canvas, (left - 1, top - 1), (side + 2, side + 2), 1, [40; 3]);
    Ok(canvas)
}

/// A line that reads from below, its start at (left, bottom).
fn draw_upright(canvas: &mut RgbImage, text: &str, label: &Label, left: u32, bottom: u32) {
    let mut flat = RgbImage::from_pixel(label.width(text).max(1) + 2, label.line() + 4, Rgb([255; 3]));
    label.draw(&mut flat, text, 0, 0);
    let turned = image::imageops::rotate270(&flat);
    image::imageops::replace(canvas, &turned, i64::from(left), i64::from(bottom) - i64::from(turned.height()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use striate_tensor::Tensor;

    #[test]
    fn the_cell_of_all_samples_is_the_brightest() {
        let device = striate_testkit::reference::device();
        let prediction = Tensor::from_vec(vec![0.9f32, 0.1, 0.8, 0.2, 0.3, 0.7], [3, 2], &device).unwrap();
        let target = Tensor::from_vec(vec![1.0f32, 0.0, 1.0, 0.0, 0.0, 1.0], [3, 2], &device).unwrap();
        let mut matrix = ConfusionMatrix::new(2).unwrap();
        matrix.update(&prediction, &target).unwrap();
        let names = ["cats".to_string(), "dogs".to_string()];
        let image = confusion_image(&matrix, &names, "two classes").unwrap();
        let count = |colour: [u8; 3]| image.pixels().filter(|pixel| pixel.0 == colour).count();
        let (yellow, violet) = (count(ColourMap::Viridis.colour(1.0)), count(ColourMap::Viridis.colour(0.0)));
        assert!(yellow > 15_000 && violet > 15_000 && yellow.abs_diff(violet) < 1000, "{yellow} {violet}");
        assert!(confusion_image(&matrix, &names[..1], "").is_err());
        assert!(confusion_image(&ConfusionMatrix::new(61).unwrap(), &[], "").is_err());
    }
}
