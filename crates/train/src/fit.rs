//! Training. [`Training::step`] is the line a training step takes through the house: data gives a batch, the model turns it
//! into predictions, the loss into one number, the tape into gradients, the optimizer into new weights; metrics and callbacks
//! look on.

use crate::average::Average;
use crate::callback::{Callback, Flow, Moment, StepEnd};
use crate::checkpoint::{self, Resumed, Setting};
use crate::class_weight::ClassWeights;
use crate::features::through;
use crate::history::{EpochRecord, History};
use crate::progress::{Display, Progress};
use crate::training::Training;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use striate_autograd::Var;
use striate_data::{Batch, Batches, Batching, Dataset};
use striate_nn::{Model, Run};
use striate_tensor::{Error, Key, Result, Tensor};

/// How to train. Defaults are Keras's: 1 epoch, batches of 32, shuffled anew in every epoch.
pub struct Fit<'a> {
    /// Passes over the data, or groups of `steps_per_epoch` steps. Default 1.
    pub epochs: usize,
    /// Samples a step. Default 32.
    pub batch_size: usize,
    /// Steps an epoch; the data is repeated as needed. Default: one pass.
    pub steps_per_epoch: Option<usize>,
    /// Evaluated after every epoch.
    pub validation: Option<&'a dyn Dataset>,
    /// Batches of the validation data that are used. Default all.
    pub validation_steps: Option<usize>,
    /// How much a sample of each class counts in the loss, by class index; for models of one output. Default all 1.
    pub class_weight: Option<Vec<f32>>,
    /// A model that the inputs of training batches pass through before they reach the model that is trained; it stays as it is. For
    /// data that changes from epoch to epoch. Validation data must have passed through it: see [`crate::features`].
    pub frozen_base: Option<&'a Model>,
    /// Keep a moving average of all weights, which remembers this share of itself at each step (0.999, say). Validation, callbacks
    /// and the trained model get the average; training goes on from the weights themselves. Default none.
    pub ema_momentum: Option<f64>,
    /// Draw a new order in every epoch. Default true.
    pub shuffle: bool,
    /// The source of orders, augmentation and dropout. It fixes them; it does not make epochs equal. Default 0.
    pub seed: u64,
    /// Where the run's state is kept: written after every epoch, so that a run that was stopped can go on. Default nowhere.
    pub checkpoint: Option<PathBuf>,
    /// Go on from `checkpoint` if that file exists: the result has the bits of a run that was never stopped. A run that a
    /// callback ended is at its end. Default false.
    pub resume: bool,
    /// Batches prepared ahead by worker threads; worth it where preparing one takes long, as with photographs. Default 0.
    pub prefetch: usize,
    /// Worker threads that prepare batches. Default 1.
    pub workers: usize,
    /// How progress is shown.
    pub progress: Progress,
    /// What looks on.
    pub callbacks: Vec<Box<dyn Callback + 'a>>,
}

impl Default for Fit<'_> {
    fn default() -> Self {
        Fit {
            epochs: 1,
            batch_size: 32,
            steps_per_epoch: None,
            validation: None,
            validation_steps: None,
            class_weight: None,
            frozen_base: None,
            ema_momentum: None,
            shuffle: true,
            seed: 0,
            checkpoint: None,
            resume: false,
            prefetch: 0,
            workers: 1,
            progress: Progress::Auto,
            callbacks: Vec::new(),
        }
    }
}

impl Training<'_> {
    /// One training step on one batch: the loss before the step. Weights change only if everything went well.
    ///
    /// # Errors
    /// [`Error::Shape`] if the batch does not fit the model; [`Error::NonFinite`] if the loss is not a finite number.
    pub fn step(&mut self, batch: &Batch, key: Key) -> Result<f64> {
        if let Some(value) = self.step_again(batch, key)? {
            return Ok(value);
        }
        let variables = self.model.variables();
        let run = Run::training(key);
        let inputs: Vec<Var> = batch.inputs.iter().cloned().map(Var::constant).collect();
        let outputs = self.model.run(&inputs, &variables, &run)?;
        let loss = self.objective(&outputs, batch, &variables, &run)?;
        let value = finite(loss.value())?;
        self.update_metrics(outputs[0].value(), &batch.targets[0])?;
        let gradients = match &self.scale {
            Some(scale) => loss.affine(scale.factor(), 0.0)?.backward(),
            None => loss.backward(),
        };
        let gradients = self.gradients_of(&variables, &mut gradients?)?;
        // The optimizer writes in place: nothing else may hold the weights.
        drop((variables, inputs, outputs, loss));
        self.keep_statistics(&run)?;
        let gradients = match &mut self.scale {
            Some(scale) => scale.unscale(gradients)?,
            None => Some(gradients),
        };
        // Without gradients the scale was too large, and the weights stay as they are for this step.
        gradients.map_or(Ok(()), |gradients| self.optimize(&gradients))?;
        Ok(value)
    }

    /// What the optimizer makes of the gradients.
    pub(crate) fn optimize(&mut self, gradients: &[Tensor]) -> Result<()> {
        let mut weights: Vec<(&str, &mut Tensor)> =
            self.model.trainable_mut().into_iter().map(|(_, path, weight)| (path, weight)).collect();
        self.optimizer.step(&mut weights, gradients)
    }

    /// The first part of a step, up to the gradients, without a look at any number on the way: what a device can record.
    pub(crate) fn forward_and_backward(&self, batch: &Batch, key: Key) -> Result<Passed> {
        let variables = self.model.variables();
        let run = Run::training(key);
        let inputs: Vec<Var> = batch.inputs.iter().cloned().map(Var::constant).collect();
        let outputs = self.model.run(&inputs, &variables, &run)?;
        let objective = self.objective(&outputs, batch, &variables, &run)?;
        let (loss, output) = (objective.value().clone(), outputs[0].value().clone());
        let mut gradients = objective.backward()?;
        let gradients = self.gradients_of(&variables, &mut gradients)?;
        Ok(Passed { loss, output, run, gradients })
    }

    /// What training makes small: the losses of all outputs, averaged over samples, plus all penalties.
    pub(crate) fn objective(&self, outputs: &[Var], batch: &Batch, variables: &[Var], run: &Run) -> Result<Var> {
        if outputs.len() != batch.targets.len() {
            return Err(Error::shape(
                "fit",
                "the data must have one target for each output of the model",
                format!("{} targets, {} outputs", batch.targets.len(), outputs.len()),
                "",
            ));
        }
        let mut total: Option<Var> = None;
        let mut add = |term: Var| -> Result<()> {
            total = Some(match &total {
                Some(total) => (total + &term)?,
                None => term,
            });
            Ok(())
        };
        for ((loss, output), target) in self.losses.iter().zip(outputs).zip(&batch.targets) {
            let mut each = loss.per_sample(output, target)?;
            if let Some(weights) = &batch.weights {
                each = (&each * &Var::constant(weights.clone()))?;
            }
            add(each.mean()?)?;
        }
        self.model.penalty(variables)?.map_or(Ok(()), &mut add)?;
        run.take_losses().into_iter().try_for_each(&mut add)?;
        total.ok_or_else(|| Error::argument("fit", "a model needs a loss", "none", "give one to compile"))
    }

    /// The gradient of each trained weight in order; zeros for one that the loss does not depend on.
    fn gradients_of(&self, variables: &[Var], all: &mut striate_autograd::Gradients) -> Result<Vec<Tensor>> {
        let trained = variables.iter().enumerate().filter(|(i, _)| self.model.is_trainable(*i));
        trained
            .map(|(_, variable)| match all.take(variable) {
                Some(gradient) => Ok(gradient),
                None => Tensor::full(*variable.shape(), 0.0, variable.value().dtype(), variable.device()),
            })
            .collect()
    }

    /// Trains, and reports each epoch.
    ///
    /// # Errors
    /// Those of [`Training::step`], of the data and of callbacks; [`Error::Argument`] for zero epochs, batch size or steps, or
    /// class weights that are not one for each class; [`Error::NonFinite`] if a weight is not finite after an epoch. The
    /// checkpoint is as before then.
    pub fn fit(&mut self, data: &dyn Dataset, mut options: Fit<'_>) -> Result<History> {
        for (name, value) in [
            ("epochs", options.epochs),
            ("batch_size", options.batch_size),
            ("steps_per_epoch", options.steps_per_epoch.unwrap_or(1)),
            ("validation_steps", options.validation_steps.unwrap_or(1)),
        ] {
            if value == 0 {
                return Err(Error::argument("fit", format!("{name} must be at least 1"), "0", ""));
            }
        }
        if cfg!(debug_assertions) && options.progress != Progress::Silent && data.len() > 10_000 {
            eprintln!("note: this is a debug build; a release build (cargo run --release) trains many times faster");
        }
        let key = Key::new(options.seed);
        let batching = Batching {
            batch_size: options.batch_size,
            shuffle: options.shuffle,
            key: key.fold_str("training data"),
            prefetch: options.prefetch,
            workers: options.workers,
            ..Batching::default()
        };
        let steps_per_pass = batching.steps(data.len()).max(1);
        let steps = options.steps_per_epoch.unwrap_or(steps_per_pass);
        let outputs = self.model.graph().output_shapes();
        let labels_of = self.losses.first().zip(outputs.first());
        let labels_of = labels_of.and_then(|(loss, output)| loss.takes_labels().then(|| output.channels()));
        let class_weights =
            options.class_weight.take().map(|weights| ClassWeights::new(weights, data, labels_of)).transpose()?;
        let setting = Setting {
            seed: options.seed,
            batch_size: options.batch_size,
            steps,
            samples: data.len(),
            data: data.fingerprint(),
            shuffle: options.shuffle,
            ema_momentum: options.ema_momentum,
            class_weight: class_weights.as_ref().map(|weights| weights.values().to_vec()),
        };
        let Resumed { mut history, is_stopped, callbacks: states, average } = match &options.checkpoint {
            Some(path) if options.resume && path.exists() => checkpoint::restore(path, &setting, self)?,
            _ => Resumed::default(),
        };
        let average = match (average, options.ema_momentum) {
            (None, Some(momentum)) => Some(Average::new(momentum, self.model)?),
            (restored, _) => restored,
        };
        let first = history.epochs.len();
        let last = if is_stopped { first } else { options.epochs };
        let passes = Passes::new(batching, data, self.model.device().clone(), first * steps);
        let mut feed = Feed { steps, key, passes, class_weights, average };
        let mut callbacks = std::mem::take(&mut options.callbacks);
        for callback in &mut callbacks {
            callback.on_train_begin(&mut self.moment(&history))?;
        }
        checkpoint::restore_callbacks(&mut callbacks, &states)?;
        for epoch in first..last {
            let _span = tracing::info_span!("epoch", number = epoch + 1).entered();
            let passed = self.epoch(epoch, &mut feed, &mut callbacks, &options)?;
            self.check_weights().map_err(|error| error.at(&format!("epoch {}", epoch + 1)))?;
            self.swap_average(&mut feed)?;
            let flow = self.after_epoch(passed, &mut history, &mut callbacks, &options);
            self.swap_average(&mut feed)?;
            let flow = flow?;
            // After the callbacks, because they may have changed the learning rate or the weights.
            if let Some(path) = &options.checkpoint {
                let progress =
                    checkpoint::Progress { history: &history, callbacks: &callbacks, average: feed.average.as_ref() };
                checkpoint::write(path, &setting, self, progress, flow == Flow::Stop)?;
            }
            if flow == Flow::Stop {
                break;
            }
        }
        self.swap_average(&mut feed)?;
        for callback in &mut callbacks {
            callback.on_train_end(&mut self.moment(&history))?;
        }
        Ok(history)
    }

    /// Refuses weights that a gradient beyond the range of floats has spoilt, before they get into a file.
    fn check_weights(&self) -> Result<()> {
        for (spec, value) in self.model.weights() {
            if !value.is_finite()? {
                return Err(
                    not_finite("weights", "all weights must be finite numbers", "NaN or an infinity").at(&spec.path)
                );
            }
        }
        Ok(())
    }

    /// Gives the model the averaged weights and the average the model's, if there is one.
    fn swap_average(&mut self, feed: &mut Feed<'_>) -> Result<()> {
        feed.average.as_mut().map_or(Ok(()), |average| average.swap_with(self.model))
    }

    /// Validates, writes the epoch into the history and calls the callbacks.
    fn after_epoch(
        &mut self,
        trained: Trained,
        history: &mut History,
        callbacks: &mut [Box<dyn Callback + '_>],
        options: &Fit<'_>,
    ) -> Result<Flow> {
        let Trained { mut record, display } = trained;
        if let Some(validation) = options.validation {
            let result =
                self.evaluate_with(validation, options.batch_size, options.validation_steps, Progress::Silent)?;
            record.values.extend(result.values.into_iter().map(|(name, value)| (format!("val_{name}"), value)));
        }
        display.finish(&record);
        history.epochs.push(record);
        let mut flow = Flow::Continue;
        for callback in callbacks {
            if callback.on_epoch_end(&mut self.moment(history))? == Flow::Stop {
                flow = Flow::Stop;
            }
        }
        Ok(flow)
    }

    fn moment<'a>(&'a mut self, history: &'a History) -> Moment<'a> {
        Moment { model: self.model, optimizer: &mut self.optimizer, history }
    }

    /// The steps of one epoch.
    fn epoch(
        &mut self,
        epoch: usize,
        feed: &mut Feed<'_>,
        callbacks: &mut [Box<dyn Callback + '_>],
        options: &Fit<'_>,
    ) -> Result<Trained> {
        let start = Instant::now();
        let title = format!("epoch {}/{}", epoch + 1, options.epochs);
        let mut display = Display::new(options.progress, title, feed.steps);
        self.metrics.iter_mut().for_each(|metric| metric.reset());
        feed.passes.waited = Duration::ZERO;
        let (mut loss_sum, mut samples) = (0.0, 0usize);
        for step in 0..feed.steps {
            let batch = feed.passes.next()?;
            let batch = match &feed.class_weights {
                Some(weights) => weights.apply(batch)?,
                None => batch,
            };
            let batch = match options.frozen_base {
                Some(base) => through(base, batch)?,
                None => batch,
            };
            let _span = tracing::debug_span!("step", number = step + 1).entered();
            let number = (epoch * feed.steps + step) as u64;
            let loss = self
                .step(&batch, feed.key.fold_str("step").fold(number))
                .map_err(|error| error.at(&format!("epoch {}, step {}", epoch + 1, step + 1)))?;
            feed.average.as_mut().map_or(Ok(()), |average| average.update(self.model))?;
            loss_sum += loss * batch.samples as f64;
            samples += batch.samples;
            let (mean, metrics) = (loss_sum / samples as f64, &self.metrics);
            let values = || {
                let mut values = vec![("loss".to_string(), mean)];
                values.extend(metrics.iter().map(|metric| (metric.name().to_string(), metric.value())));
                values
            };
            display.step(step + 1, batch.samples, feed.passes.waited, values);
            let (epoch, epochs, step, steps) = (epoch + 1, options.epochs, step + 1, feed.steps);
            let end = StepEnd { epoch, epochs, step, steps, samples: batch.samples, loss, values: &values };
            callbacks.iter_mut().try_for_each(|callback| callback.on_step_end(&end))?;
        }
        let seconds = start.elapsed().as_secs_f64();
        let mut values = vec![("loss".to_string(), loss_sum / samples as f64)];
        values.extend(self.metric_values());
        let record = EpochRecord {
            epoch: epoch + 1,
            values,
            seconds,
            images_per_second: samples as f64 / seconds.max(1e-9),
            data_wait_share: feed.passes.waited.as_secs_f64() / seconds.max(1e-9),
        };
        Ok(Trained { record, display })
    }
}

/// What the first part of a step leaves to the second.
pub(crate) struct Passed {
    pub(crate) loss: Tensor,
    pub(crate) output: Tensor,
    pub(crate) run: Run,
    pub(crate) gradients: Vec<Tensor>,
}

/// What the epochs of one call of `fit` go through with.
struct Feed<'a> {
    /// Steps an epoch.
    steps: usize,
    key: Key,
    passes: Passes<'a>,
    class_weights: Option<ClassWeights>,
    average: Option<Average>,
}

/// An epoch that was trained and not yet validated.
struct Trained {
    record: EpochRecord,
    display: Display,
}

/// The loss as a number, if it is one.
pub(crate) fn finite(loss: &Tensor) -> Result<f64> {
    let value = loss.item()?;
    if value.is_finite() {
        return Ok(value);
    }
    Err(not_finite("loss", "the loss must be a finite number", &value.to_string()))
}

fn not_finite(subject: &str, rule: &str, received: &str) -> Error {
    Error::non_finite(subject, rule, received, "a smaller learning rate, or inputs scaled to 0..1, often helps")
}

/// The data over and over: pass after pass, each in an order of its own.
struct Passes<'a> {
    batching: Batching,
    data: &'a dyn Dataset,
    device: striate_tensor::Device,
    pass: usize,
    skip: usize,
    current: Option<Batches>,
    waited: Duration,
}

impl<'a> Passes<'a> {
    /// Begins after `steps` batches.
    fn new(batching: Batching, data: &'a dyn Dataset, device: striate_tensor::Device, steps: usize) -> Self {
        let in_pass = batching.steps(data.len()).max(1);
        let (pass, skip) = (steps / in_pass, steps % in_pass);
        Passes { batching, data, device, pass, skip, current: None, waited: Duration::ZERO }
    }

    fn next(&mut self) -> Result<Batch> {
        let start = Instant::now();
        loop {
            let batches = match &mut self.current {
                Some(batches) => batches,
                None => {
                    let mut batches = self.batching.epoch(self.data, self.pass as u64, &self.device)?;
                    for skipped in batches.by_ref().take(std::mem::take(&mut self.skip)) {
                        skipped?;
                    }
                    self.current.insert(batches)
                }
            };
            if let Some(batch) = batches.next() {
                self.waited += start.elapsed();
                return batch;
            }
            self.current = None;
            self.pass += 1;
        }
    }
}
