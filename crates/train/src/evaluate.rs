//! Loss and metrics on data, without training.

use crate::fit::finite;
use crate::history::EpochRecord;
use crate::progress::{Display, Progress, describe};
use crate::training::Training;
use std::fmt;
use std::time::{Duration, Instant};
use striate_autograd::Var;
use striate_data::{Batch, Batching, Dataset};
use striate_nn::Run;
use striate_tensor::{Error, Result, Tensor};

/// Loss and metrics on data.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Name and value in order: `loss`, then the metrics.
    pub values: Vec<(String, f64)>,
    /// Samples seen.
    pub samples: usize,
    /// Seconds taken.
    pub seconds: f64,
}

impl Evaluation {
    /// The value of that name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} samples  {}", self.samples, describe(&self.values))
    }
}

/// Samples a batch where nothing is trained: larger gains no speed on a CPU and costs memory.
const BATCH: usize = 100;

impl Training<'_> {
    /// Loss and metrics on all of the data: dropout off, statistics as learnt.
    ///
    /// # Errors
    /// [`Error::Shape`] if the data does not fit the model; [`Error::Data`] if there is none; [`Error::NonFinite`] if the loss
    /// is not a finite number.
    pub fn evaluate(&mut self, data: &dyn Dataset) -> Result<Evaluation> {
        self.evaluate_with(data, BATCH, None, Progress::Silent)
    }

    /// As [`Training::evaluate`], in batches of `batch_size`, at most `steps` of them.
    ///
    /// # Errors
    /// As [`Training::evaluate`]; [`Error::Argument`] for a batch size or steps of 0.
    pub fn evaluate_with(
        &mut self,
        data: &dyn Dataset,
        batch_size: usize,
        steps: Option<usize>,
        progress: Progress,
    ) -> Result<Evaluation> {
        self.evaluate_watched(data, batch_size, steps, progress, |_, _| Ok(()))
    }

    /// As [`Training::evaluate_with`]; `watch` is shown each batch with the model's first output for it, (samples, …).
    ///
    /// # Errors
    /// As [`Training::evaluate_with`]; those of `watch`.
    pub fn evaluate_watched(
        &mut self,
        data: &dyn Dataset,
        batch_size: usize,
        steps: Option<usize>,
        progress: Progress,
        mut watch: impl FnMut(&Batch, &Tensor) -> Result<()>,
    ) -> Result<Evaluation> {
        let start = Instant::now();
        if steps == Some(0) {
            return Err(Error::argument("evaluate", "steps must be at least 1", "0", ""));
        }
        let batching = Batching { batch_size, prefetch: 1, ..Batching::default() };
        let total = steps.unwrap_or(usize::MAX).min(batching.steps(data.len()));
        let mut display = Display::new(progress, "evaluate".into(), total);
        let constants = self.model.constants();
        self.metrics.iter_mut().for_each(|metric| metric.reset());
        let (mut loss_sum, mut samples) = (0.0, 0usize);
        let mut waited = Duration::ZERO;
        let mut batches = batching.epoch(data, 0, self.model.device())?;
        for step in 0..total {
            let asked = Instant::now();
            let Some(batch) = batches.next().transpose()? else { break };
            waited += asked.elapsed();
            let run = Run::inference();
            let inputs: Vec<Var> = batch.inputs.iter().cloned().map(Var::constant).collect();
            let outputs = self.model.run(&inputs, &constants, &run)?;
            let loss = finite(self.objective(&outputs, &batch, &constants, &run)?.value())?;
            self.update_metrics(outputs[0].value(), &batch.targets[0])?;
            watch(&batch, outputs[0].value())?;
            loss_sum += loss * batch.samples as f64;
            samples += batch.samples;
            display.step(step + 1, batch.samples, waited, || vec![("loss".into(), loss_sum / samples as f64)]);
        }
        let mut values = vec![("loss".to_string(), loss_sum / samples as f64)];
        values.extend(self.metric_values());
        let seconds = start.elapsed().as_secs_f64();
        let record = EpochRecord {
            epoch: 0,
            values,
            seconds,
            images_per_second: samples as f64 / seconds.max(1e-9),
            data_wait_share: waited.as_secs_f64() / seconds.max(1e-9),
        };
        display.finish(&record);
        Ok(Evaluation { values: record.values, samples, seconds })
    }
}
