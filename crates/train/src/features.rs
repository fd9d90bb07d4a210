//! What a frozen model makes of a data set, computed once.

use crate::history::EpochRecord;
use crate::progress::{Display, Progress};
use std::time::{Duration, Instant};
use striate_data::{Array, ArrayDataset, Batch, Batching, Dataset, Fingerprint};
use striate_nn::Model;
use striate_tensor::{Error, Result, Shape};

/// The first output of `base` for all of `data`, in memory, with that data's targets and weights: what a head is trained on whose
/// base stays as it is. The same weights result, to the bit, as from training both with the base frozen.
///
/// Computed in batches of `batch_size`. Data that changes at random is taken as it is in its first epoch; [`crate::Fit::frozen_base`]
/// is for that.
///
/// # Errors
/// [`Error::Shape`] if the data's inputs are not those that the model takes; [`Error::Argument`] for a batch size of 0; [`Error::Data`]
/// if there are no samples.
///
/// ```
/// use striate_data::{Array, ArrayDataset, Dataset};
/// use striate_nn::layers::{Conv2D, GlobalAveragePooling2D};
/// use striate_nn::{BuildOptions, Sequential};
/// use striate_train::{Progress, features};
///
/// let device = striate_testkit::reference::device();
/// let base = Sequential::new([4, 4, 1]).add(Conv2D::new(3, 3)).add(GlobalAveragePooling2D::new());
/// let base = base.build_on(&BuildOptions::on(&device))?;
/// let pictures = Array::floats(vec![0.5; 5 * 16], [5, 4, 4, 1])?;
/// let data = ArrayDataset::new(vec![pictures], vec![Array::one_hot(&[0u8, 1, 1, 0, 1], 2)?])?;
/// let features = features(&base, &data, 20, Progress::Silent)?;
/// assert_eq!((features.len(), features.input_shapes()[0].to_string()), (5, "(3,)".into()));
/// # Ok::<(), striate_tensor::Error>(())
/// ```
pub fn features(base: &Model, data: &dyn Dataset, batch_size: usize, progress: Progress) -> Result<ArrayDataset> {
    let (wanted, given) = (base.graph().input_shapes(), data.input_shapes());
    if wanted != given {
        let rule = format!("the model takes inputs {wanted:?}");
        return Err(Error::shape(base.name(), rule, format!("a data set of {given:?}"), ""));
    }
    let shape = base.graph().output_shapes()[0];
    let start = Instant::now();
    let batching = Batching { batch_size, prefetch: 2, ..Batching::default() };
    let samples = data.len();
    let mut display = Display::new(progress, format!("features of {}", base.name()), batching.steps(samples));
    let mut values: Vec<f32> = Vec::new();
    let mut targets: Vec<Vec<f32>> = vec![Vec::new(); data.target_shapes().len()];
    let mut weights: Option<Vec<f32>> = None;
    let mut waited = Duration::ZERO;
    let mut batches = batching.epoch(data, 0, base.device())?;
    for step in 1.. {
        let asked = Instant::now();
        let Some(batch) = batches.next().transpose()? else { break };
        waited += asked.elapsed();
        if values.is_empty() {
            values.reserve_exact(samples * shape.elements());
        }
        let output = base.predict_on(&batch.inputs)?.swap_remove(0);
        values.extend_from_slice(&output.to_vec::<f32>()?);
        for (all, target) in targets.iter_mut().zip(&batch.targets) {
            all.extend_from_slice(&target.to_vec::<f32>()?);
        }
        if let Some(given) = &batch.weights {
            weights.get_or_insert_default().extend_from_slice(&given.to_vec::<f32>()?);
        }
        display.step(step, batch.samples, waited, Vec::new);
    }
    let seconds = start.elapsed().as_secs_f64();
    display.finish(&EpochRecord {
        epoch: 0,
        values: Vec::new(),
        seconds,
        images_per_second: samples as f64 / seconds.max(1e-9),
        data_wait_share: waited.as_secs_f64() / seconds.max(1e-9),
    });
    let batched = |shape: &Shape| Shape::new(&[&[samples], shape.as_slice()].concat());
    let inputs = vec![Array::floats(values, batched(&shape)?)?];
    let shapes = data.target_shapes();
    let targets = targets.into_iter().zip(&shapes);
    let targets = targets.map(|(values, shape)| Array::floats(values, batched(shape)?)).collect::<Result<_>>()?;
    let print = Fingerprint::new().number(data.fingerprint()).text(base.name());
    let mut made = ArrayDataset::new(inputs, targets)?.computed_from(print.value());
    if let Some(weights) = weights {
        made = made.with_sample_weights(weights)?;
    }
    match data.class_names() {
        // A single column of yes or no has two names and cannot carry them.
        names if names.len() == shapes.first().map_or(0, Shape::channels) => made.with_class_names(names.to_vec()),
        _ => Ok(made),
    }
}

/// The batch with its inputs passed through a model.
pub(crate) fn through(base: &Model, batch: Batch) -> Result<Batch> {
    let mut inputs = base.predict_on(&batch.inputs)?;
    inputs.truncate(1);
    let made = Batch::new(inputs, batch.targets, batch.samples)?;
    match batch.weights {
        Some(weights) => made.with_weights(weights),
        None => Ok(made),
    }
}
