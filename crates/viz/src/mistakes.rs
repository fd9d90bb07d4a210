//! The worst mistakes of a classifier as one picture.

use crate::answers::Answers;
use crate::report::sample_image;
use crate::sheet::{Cell, Sheet};
use crate::subject::Subject;
use image::RgbImage;
use image::imageops::{FilterType, resize};
use striate_data::Dataset;
use striate_tensor::Result;

/// A picture's longer side in pixels, about.
const SIDE: u32 = 140;

/// Letters of a name that stand below a picture.
const NAME: usize = 24;

/// What stands below a sample: its name, without its middle if it is long.
fn name(data: &dyn Dataset, sample: usize) -> String {
    let Some(name) = data.sample_name(sample) else { return format!("no. {sample}") };
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= NAME {
        return name;
    }
    let end = NAME * 2 / 3;
    let part = |letters: &[char]| letters.iter().collect::<String>();
    format!("{}…{}", part(&letters[..NAME - 1 - end]), part(&letters[letters.len() - end..]))
}

/// The test pictures that were answered worst, at most `count`, each with what was said of it; none without mistakes. `data` is what
/// the answers are about.
///
/// # Errors
/// Those of [`Dataset::batch`]; [`striate_tensor::Error::Shape`] for data that is no pictures.
pub fn mistakes_sheet(
    subject: &Subject,
    data: &dyn Dataset,
    answers: &Answers,
    count: usize,
) -> Result<Option<RgbImage>> {
    let worst = answers.worst(count);
    if worst.is_empty() {
        return Ok(None);
    }
    let cells = worst.iter().map(|answer| {
        let image = sample_image(subject, data, answer.sample, SIDE)?;
        let by = (SIDE / image.width().max(image.height()).max(1)).max(1);
        let image = resize(&image, image.width() * by, image.height() * by, FilterType::Nearest);
        let percent = |part: f32| format!("{:.1} %", 100.0 * part);
        let (said, is) = (subject.class_name(answer.predicted), subject.class_name(answer.actual));
        Ok(Cell::new(image, format!("{said}, {}", percent(answer.probability)))
            .line(format!("is {is}, {}", percent(answer.actual_probability)))
            .line(name(data, answer.sample)))
    });
    let wrong = answers.all().iter().filter(|answer| !answer.is_right()).count();
    let title = match wrong {
        1 => "The only mistake".to_string(),
        wrong if wrong <= worst.len() => format!("The {wrong} mistakes, the worst first"),
        wrong => format!("The worst of {wrong} mistakes"),
    };
    Ok(Some(Sheet::new(cells.collect::<Result<_>>()?).title(title).columns(6).image()?))
}
