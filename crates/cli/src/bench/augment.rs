//! Photographs from disk to batches: decoded, resized, changed at random.

use super::{Subject, Unit, measure};
use crate::output::Output;
use crate::process::cpu_seconds;
use crate::recipes::cats_dogs;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;
use striate::Result;
use striate::data::augment::{Augmentation, Augmented, PictureSource};
use striate::data::image_file::{Colour, Picture, read};
use striate::data::{Batching, ClassMode, Dataset, Filter, Fit, FolderOptions, ImageFolder, Standardize, resize};
use striate::prelude::device;
use striate::tensor::Key;

const BATCH: usize = 20;
const SIZE: (usize, usize) = (150, 150);
/// Stages are repeated for so long, because the system counts processor time in hundredths of a second.
const STAGE_SECONDS: f64 = 0.4;
/// Epochs over which the processor time of everything together is taken.
const EPOCHS: u64 = 3;

/// An epoch of the pictures under `folder`, none of them kept, brought to their size by a filter.
pub fn run(name: &'static str, filter: Filter, folder: &Path, repeat: usize, output: &Output) -> Result<()> {
    let standardize = Standardize { rescale: 1.0 / 255.0, ..Standardize::default() };
    let options = FolderOptions {
        target_size: SIZE,
        filter,
        class_mode: ClassMode::Sparse,
        standardize,
        cache_bytes: 0,
        ..FolderOptions::default()
    };
    let augmentation = cats_dogs::augmentation();
    let folder = ImageFolder::open(folder, options)?;
    let images = folder.len();
    let stages = stages(&folder, filter, &augmentation)?;
    let data = Augmented::new(folder, augmentation)?;
    let device = device()?;
    let workers = device.info().threads;
    let batching = Batching {
        batch_size: BATCH,
        shuffle: true,
        key: Key::new(1),
        prefetch: 2 * workers,
        workers,
        ..Batching::default()
    };
    let mut subject = Subject::new(name, Unit::Rate("images/s"), images as f64);
    let mut next = 0;
    let mut epoch = || {
        next += 1;
        batching.epoch(&data, next, &device)?.try_for_each(|batch| batch.map(|_| ()))
    };
    epoch()?;
    subject.first_step_done();
    let start = cpu_seconds();
    (0..EPOCHS).try_for_each(|_| epoch())?;
    if let (Some(start), Some(end)) = (start, cpu_seconds()) {
        subject.extra.insert("cpu_ms_per_image".into(), json!(1e3 * (end - start) / (EPOCHS as f64 * images as f64)));
    }
    let line = stages.iter().map(|(name, cost)| format!("{name} {:.3}", cost.as_f64().unwrap_or(0.0)));
    let line = line.collect::<Vec<_>>().join(", ");
    subject.extra.insert("stage_cpu_ms".into(), Value::Object(stages));
    measure(subject, repeat, output, epoch)?;
    output.text(format!("{:<34} processor time of one thread, ms an image: {line}", ""));
    Ok(())
}

/// Processor time of each stage alone, in ms an image.
fn stages(folder: &ImageFolder, filter: Filter, augmentation: &Augmentation) -> Result<Map<String, Value>> {
    let shape = folder.input_shapes()[0];
    let paths: Vec<_> = (0..folder.len()).filter_map(|i| folder.path(i)).collect();
    let decoded: Vec<Picture> = paths.iter().map(|path| read(path, Colour::Rgb)).collect::<Result<_>>()?;
    let small: Vec<Arc<Picture>> = (0..folder.len()).map(|i| folder.picture(i)).collect::<Result<_>>()?;
    let mut values = vec![0.0; shape.elements()];
    let mut costs = Map::new();
    costs.extend(cost("decode", &paths, |_, path| read(path, Colour::Rgb).map(|_| ()))?);
    costs.extend(cost("resize", &decoded, |_, picture| resize(picture, SIZE, filter, Fit::Stretch).map(|_| ()))?);
    costs.extend(cost("change", &small, |i, picture| {
        let variant = augmentation.draw(Key::new(1).fold(i as u64), picture.height(), picture.width());
        variant.apply_into(picture, &mut values)
    })?);
    costs.extend(cost("float", &small, |_, _| {
        folder.standardize().apply(&mut values, &shape);
        Ok(())
    })?);
    Ok(costs)
}

fn cost<T>(name: &str, items: &[T], mut work: impl FnMut(usize, &T) -> Result<()>) -> Result<Option<(String, Value)>> {
    let Some(start) = cpu_seconds() else { return Ok(None) };
    let (mut done, mut used) = (0, 0.0);
    while used < STAGE_SECONDS {
        items.iter().enumerate().try_for_each(|(i, item)| work(i, item))?;
        done += items.len();
        used = cpu_seconds().unwrap_or(f64::INFINITY) - start;
    }
    Ok(Some((name.to_string(), json!(1e3 * used / done as f64))))
}
