//! A training diary: what the network makes of the pinned pictures after each epoch.

use super::embed::png_address;
use super::pins::Pins;
use super::tiles::{sheet, tile};
use super::{END, NOTES, write};
use crate::filters::kernel_images;
use crate::plane::Plane;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use striate_data::PixelValues;
use striate_nn::{LayerInfo, Model};
use striate_tensor::{Error, Result, Tensor};
use striate_train::callback::{Callback, Flow, Moment};

/// So many epochs, about, have their page; of longer runs every second one, every fourth, and so on.
const PAGES: usize = 12;
/// Layers that are shown.
const LAYERS: usize = 5;
/// Channels of each.
const CHANNELS: usize = 8;
/// Kernels in a row.
const KERNELS_A_ROW: usize = 16;
/// Kernels that are shown.
const MOST_KERNELS: usize = 64;
/// Classes that are named.
const TOP: usize = 3;

/// Writes a page for each epoch into the notes of a run: the first layer's kernels, some layers' responses to the pinned pictures, and what the
/// model says of them. There is a page for the time before the first epoch.
///
/// Each page is a file of its own, written before the run's checkpoint: a run that was killed goes on with the pages it had, and has at
/// its end those of a run that was never stopped. Nothing is kept in memory. Of a long run about a dozen pages are kept, evenly spread.
#[derive(Debug)]
pub struct Diary {
    run: PathBuf,
    pins: Pins,
}

impl Diary {
    /// A diary in the notes of the run in this folder.
    pub fn new(run: impl Into<PathBuf>, pins: Pins) -> Diary {
        Diary { run: run.into(), pins }
    }

    fn record(&self, model: &Model, epoch: usize) -> Result<()> {
        let page = json!({
            "epoch": epoch,
            "answers": answers(model, &self.pins)?,
            "kernels": kernels(model, self.pins.values)?,
            "layers": responses(model, &self.pins.seen)?,
        });
        let folder = self.run.join(NOTES);
        write(&page_path(&folder, epoch), &page)?;
        remove(&folder, |page| page > epoch || !is_kept(page, epoch))
    }
}

impl Callback for Diary {
    fn on_train_begin(&mut self, moment: &mut Moment<'_>) -> Result<()> {
        let folder = self.run.join(NOTES);
        std::fs::create_dir_all(&folder).map_err(|error| Error::io(&folder, "making", error))?;
        self.pins.write(&self.run)?;
        remove_file(&folder.join(END))?;
        let done = moment.history.epochs.len();
        // What an earlier run in the same folder wrote, or this one after its last checkpoint.
        remove(&folder, |page| page > done || done == 0)?;
        if done == 0 { self.record(moment.model, 0) } else { Ok(()) }
    }

    fn on_epoch_end(&mut self, moment: &mut Moment<'_>) -> Result<Flow> {
        self.record(moment.model, moment.history.epochs.len())?;
        Ok(Flow::Continue)
    }
}

/// The pages of a diary that are there, in order.
pub(super) fn pages(folder: &Path) -> Result<Vec<usize>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io(folder, "reading", error)),
    };
    let number = |name: &str| name.strip_prefix("epoch-")?.strip_suffix(".json")?.parse::<usize>().ok();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut pages: Vec<usize> = names.filter_map(|name| number(&name)).collect();
    pages.sort_unstable();
    Ok(pages)
}

pub(super) fn page_path(folder: &Path, epoch: usize) -> PathBuf {
    folder.join(format!("epoch-{epoch:05}.json"))
}

/// Whether a page is kept when `last` is the newest.
fn is_kept(page: usize, last: usize) -> bool {
    let stride = (last.div_ceil(PAGES)).max(1).next_power_of_two();
    page.is_multiple_of(stride) || page == last
}

fn remove(folder: &Path, is_wrong: impl Fn(usize) -> bool) -> Result<()> {
    let wrong = pages(folder)?.into_iter().filter(|&page| is_wrong(page));
    wrong.into_iter().try_for_each(|page| remove_file(&page_path(folder, page)))
}

fn remove_file(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path, "removing", error)),
        _ => Ok(()),
    }
}

/// Of each pinned picture the probability of its own class, and the most probable classes.
fn answers(model: &Model, pins: &Pins) -> Result<Vec<Value>> {
    let output = model.predict_on(std::slice::from_ref(&pins.seen))?.swap_remove(0);
    let columns = output.shape().channels().max(1);
    let rows = output.to_vec::<f32>()?;
    let answer = |(row, &class): (&[f32], &usize)| {
        let row = if let [second] = *row { vec![1.0 - second, second] } else { row.to_vec() };
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        let top: Vec<Value> =
            order.iter().take(TOP).map(|&class| json!([pins.class_name(class), row[class]])).collect();
        json!({ "actual": row.get(class), "is_right": order.first() == Some(&class), "top": top })
    };
    Ok(rows.chunks(columns).zip(&pins.classes).map(answer).collect())
}

/// The kernels of the first convolution, if they are kernels of pictures.
fn kernels(model: &Model, values: PixelValues) -> Result<Value> {
    let first = model.graph().layers().into_iter().find(|layer| layer.class == "Conv2D");
    let is_bgr = values == PixelValues::Caffe;
    let Some(LayerInfo { path, .. }) = first else { return Ok(Value::Null) };
    // Kernels of four channels, say, are no pictures.
    let Ok(images) = kernel_images(model, &path, 1, is_bgr) else { return Ok(Value::Null) };
    let count = images.len();
    let rows: Vec<Vec<_>> = images[..count.min(MOST_KERNELS)].chunks(KERNELS_A_ROW).map(<[_]>::to_vec).collect();
    let (bytes, (width, height)) = sheet(&rows)?;
    Ok(json!({ "path": path, "count": count, "image": png_address(&bytes), "width": width, "height": height }))
}

/// A row of channels for each picture, layer by layer; nothing for a model that takes no pictures.
fn responses(model: &Model, seen: &Tensor) -> Result<Vec<Value>> {
    let layers = shown_layers(model);
    if layers.is_empty() || seen.rank() != 4 {
        return Ok(Vec::new());
    }
    let paths: Vec<&str> = layers.iter().map(|layer| layer.path.as_str()).collect();
    let outputs = model.activations(std::slice::from_ref(seen), &paths)?;
    let value = |layer: &LayerInfo| -> Result<Value> {
        let missing = || Error::model(layer.path.clone(), "the layer must be used in the pass", "no output", "");
        let output = outputs.get(&layer.path).ok_or_else(missing)?;
        let channels = output.shape().channels();
        let shown = channels.min(CHANNELS);
        let row = |picture: usize| -> Result<Vec<_>> {
            let own = output.rows(picture..picture + 1)?;
            (0..shown).map(|i| tile(&Plane::of_channel(&own, i * channels / shown)?)).collect()
        };
        let rows = (0..output.shape()[0]).map(row).collect::<Result<Vec<_>>>()?;
        let (bytes, (width, height)) = sheet(&rows)?;
        Ok(json!({
            "path": layer.path,
            "shape": [layer.output[0], layer.output[1], channels],
            "shown": shown,
            "image": png_address(&bytes),
            "width": width,
            "height": height,
        }))
    };
    layers.iter().map(value).collect()
}

/// Convolutions from all over the model, or other layers with places if there are none.
fn shown_layers(model: &Model) -> Vec<LayerInfo> {
    let has_places = |layer: &LayerInfo| layer.output.rank() == 3 && layer.output[0] * layer.output[1] > 1;
    let all: Vec<LayerInfo> = model.graph().layers().into_iter().filter(has_places).collect();
    let not = ["InputLayer", "Sequential", "Functional", "Model"];
    let mut fitting: Vec<LayerInfo> = all.iter().filter(|layer| layer.class.contains("Conv")).cloned().collect();
    if fitting.is_empty() {
        fitting = all.into_iter().filter(|layer| !not.contains(&layer.class)).collect();
    }
    let count = fitting.len();
    let chosen = LAYERS.min(count);
    let at = |i: usize| if chosen < 2 { 0 } else { i * (count - 1) / (chosen - 1) };
    (0..chosen).map(|i| fitting[at(i)].clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_of_a_long_run_are_few_and_evenly_spread() {
        let mut kept: Vec<usize> = Vec::new();
        for epoch in 0..=100 {
            kept.push(epoch);
            kept.retain(|&page| is_kept(page, epoch));
            assert!(kept.len() <= PAGES + 2 && kept[0] == 0 && kept.last() == Some(&epoch), "{kept:?}");
        }
        assert_eq!(kept, [0, 16, 32, 48, 64, 80, 96, 100]);
        assert!((0..=5).all(|page| is_kept(page, 5)));
        // Whatever was thinned out earlier would not be kept later either.
        assert!((0..500).all(|last| (0..last).all(|page| is_kept(page, last) || !is_kept(page, last + 1))));
    }
}
