//! The pictures that a run is asked about again and again.

use super::embed::address;
use super::{NOTES, PINS, write};
use crate::picture::image_of_input;
use serde_json::json;
use std::path::Path;
use striate_data::{BatchContext, Dataset, PixelValues};
use striate_tensor::{Device, Error, Key, Result, Tensor};

/// How many pictures are pinned.
const COUNT: usize = 4;
/// Samples that are looked at to find them.
const PROBES: usize = 64;

/// A few pictures of different classes that a training diary shows after each epoch.
#[derive(Debug, Clone)]
pub struct Pins {
    /// Their numbers in the data set.
    pub samples: Vec<usize>,
    /// Their classes.
    pub classes: Vec<usize>,
    /// The classes' names by index; empty if they are not known.
    pub class_names: Vec<String>,
    /// The pictures as the whole model takes them, (n, …).
    pub pictures: Tensor,
    /// What the model that is trained takes, (n, …): the pictures, or what a frozen base makes of them.
    pub seen: Tensor,
    /// The range of the pictures' values.
    pub values: PixelValues,
}

impl Pins {
    /// Up to four samples from all over `pictures`, of as many classes as there are. `seen` has the same samples as the model takes that
    /// is trained; where that is the whole model, it is the same data.
    ///
    /// # Errors
    /// [`Error::Data`] if there are no samples, or not as many in both; those of [`Dataset::batch`].
    pub fn choose(pictures: &dyn Dataset, seen: &dyn Dataset, values: PixelValues, device: &Device) -> Result<Pins> {
        let samples = pictures.len();
        if samples == 0 || seen.len() != samples {
            let received = format!("{samples} and {}", seen.len());
            return Err(Error::data(
                "pins",
                "there must be as many pictures as inputs, and at least one",
                received,
                "",
            ));
        }
        let context = BatchContext::new(Key::new(0).fold_str("pins"), device);
        let classes = pictures.target_shapes().first().map_or(1, |shape| shape.channels()).max(2);
        let most = COUNT.div_ceil(classes);
        let mut chosen: Vec<(usize, usize)> = Vec::new();
        for probe in 0..PROBES.min(samples) {
            let sample = probe * samples / PROBES.min(samples);
            let class = class_of(seen, sample, &context)?;
            if chosen.iter().filter(|(_, known)| *known == class).count() < most {
                chosen.push((sample, class));
            }
            if chosen.len() == COUNT {
                break;
            }
        }
        let samples: Vec<usize> = chosen.iter().map(|(sample, _)| *sample).collect();
        Ok(Pins {
            pictures: first(pictures, &samples, &context)?,
            seen: first(seen, &samples, &context)?,
            classes: chosen.into_iter().map(|(_, class)| class).collect(),
            class_names: pictures.class_names().to_vec(),
            samples,
            values,
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The name of a class.
    pub fn class_name(&self, class: usize) -> String {
        self.class_names.get(class).cloned().unwrap_or_else(|| format!("class {class}"))
    }

    /// Writes the pictures into a run's notes.
    pub(super) fn write(&self, run: &Path) -> Result<()> {
        let picture = |i: usize| -> Result<serde_json::Value> {
            let image = image_of_input(&self.pictures.rows(i..i + 1)?, self.values)?;
            Ok(json!({
                "sample": self.samples[i],
                "class": self.class_name(self.classes[i]),
                "image": address(&image)?,
                "width": image.width(),
            }))
        };
        let pictures = (0..self.len()).map(picture).collect::<Result<Vec<_>>>()?;
        write(&run.join(NOTES).join(PINS), &json!({ "pins": pictures, "class_names": self.class_names }))
    }
}

fn class_of(data: &dyn Dataset, sample: usize, context: &BatchContext) -> Result<usize> {
    let batch = data.batch(&[sample], context)?;
    let target = match batch.targets.first() {
        Some(target) => target.to_vec::<f32>()?,
        None => return Err(Error::data("pins", "the data must have a target", "none", "")),
    };
    Ok(match target[..] {
        [only] => usize::from(only > 0.5),
        _ => target.iter().position(|&value| value > 0.5).unwrap_or(0),
    })
}

fn first(data: &dyn Dataset, samples: &[usize], context: &BatchContext) -> Result<Tensor> {
    let missing = || Error::data("pins", "the data must have an input", "none", "");
    data.batch(samples, context)?.inputs.into_iter().next().ok_or_else(missing)
}
