//! Training steps that a device does again as it did them before.
//!
//! Where the device can record ([`striate_tensor::Backend::record`]) the second step on batches of one shape is done in the recording's own memory and
//! recorded then; steps on such batches are replayed from there on. A replayed step has the bits of a step: it is the same work on the same
//! memory, with the batch copied to where the recorded one was and dropout's keys and the optimizer's numbers put where the device reads
//! them. Whatever cannot be recorded trains as without a recording.

use crate::fit::{Passed, finite};
use crate::training::Training;
use striate_data::Batch;
use striate_nn::Run;
use striate_tensor::{Error, Key, Recording, Result, Shape, Take, Tensor};

/// How far a training has got with its recording.
#[derive(Debug, Default)]
pub(crate) enum Replays {
    /// No step was taken.
    #[default]
    New,
    /// A step was taken on a batch like this.
    Seen(Form),
    /// A step was recorded.
    Ready(Box<Recorded>),
    /// Nothing can be recorded.
    Never,
}

/// What must be the same for a step to be the same work.
#[derive(Debug, PartialEq)]
pub(crate) struct Form {
    shapes: Vec<Shape>,
    is_weighted: bool,
    trained: Vec<bool>,
}

/// A recorded step.
#[derive(Debug)]
pub(crate) struct Recorded {
    form: Form,
    /// The batch that the recorded work reads.
    batch: Batch,
    loss: Tensor,
    output: Tensor,
    /// From the step's key to those of dropout: what it is folded with.
    folds: Vec<Vec<u64>>,
    /// Where all weights and the optimizer's tensors are.
    places: Vec<u64>,
    /// The weights that the step writes.
    written: Vec<usize>,
    // Last, so that its memory outlives the tensors in it.
    recording: Box<dyn Recording>,
}

const FORWARD_AND_BACKWARD: usize = 0;
const UPDATE: usize = 1;

impl Training<'_> {
    /// The step by replaying or while recording; none if it is to be taken without.
    pub(crate) fn step_again(&mut self, batch: &Batch, key: Key) -> Result<Option<f64>> {
        // Whether a scaled step changes weights the host decides.
        if matches!(self.replays, Replays::Never) || self.scale.is_some() {
            return Ok(None);
        }
        let form = self.form(batch);
        match std::mem::take(&mut self.replays) {
            Replays::Ready(mut recorded) if recorded.form == form => {
                if !self.is_as_recorded(&recorded)? {
                    self.replays = Replays::Seen(form);
                    return Ok(None);
                }
                let loss = self.replay(&mut recorded, batch, key);
                self.replays = Replays::Ready(recorded);
                loss.map(Some)
            }
            // A last batch that is smaller, say; the others go on afterwards.
            Replays::Ready(recorded) => {
                self.replays = Replays::Ready(recorded);
                Ok(None)
            }
            Replays::Seen(seen) if seen == form => match self.model.device().record()? {
                Some(recording) if self.optimizer.update_rule().is_some() => {
                    self.record(recording, form, batch, key).map(Some)
                }
                _ => {
                    self.replays = Replays::Never;
                    Ok(None)
                }
            },
            _ => {
                self.replays = Replays::Seen(form);
                Ok(None)
            }
        }
    }

    fn form(&self, batch: &Batch) -> Form {
        Form {
            shapes: batch
                .inputs
                .iter()
                .chain(&batch.targets)
                .chain(&batch.weights)
                .map(|tensor| *tensor.shape())
                .collect(),
            is_weighted: batch.weights.is_some(),
            trained: (0..self.model.weights().count()).map(|i| self.model.is_trainable(i)).collect(),
        }
    }

    /// Takes the step in the recording's memory, and records it.
    fn record(&mut self, recording: Box<dyn Recording>, form: Form, batch: &Batch, key: Key) -> Result<f64> {
        let mut own = batch.clone();
        for tensor in own.inputs.iter_mut().chain(&mut own.targets).chain(&mut own.weights) {
            *tensor = tensor.contiguous_copy()?;
        }
        let mut passed = None;
        recording.within(Take::Rehearsal, &mut || {
            passed = Some(self.forward_and_backward(&own, key)?);
            Ok(())
        })?;
        let Some(Passed { loss, output, run, gradients }) = passed.take() else { return Err(unfinished()) };
        let value = finite(&loss)?;
        self.update_metrics(&output, &batch.targets[0])?;
        let mut written = Vec::new();
        recording.within(Take::Rehearsal, &mut || {
            written = self.model.assign_updates(&run, &mut |to, from| recording.assign(to, from))?;
            self.optimize(&gradients)
        })?;
        drop((loss, output, run, gradients));
        // The step is taken; what follows is for the next ones.
        match self.recorded(recording, form, own, key, written) {
            Ok(recorded) => self.replays = Replays::Ready(Box::new(recorded)),
            Err(error) => {
                tracing::debug!(%error, "this step cannot be recorded");
                self.replays = Replays::Never;
            }
        }
        Ok(value)
    }

    fn recorded(
        &mut self,
        recording: Box<dyn Recording>,
        form: Form,
        batch: Batch,
        key: Key,
        mut written: Vec<usize>,
    ) -> Result<Recorded> {
        written.extend((0..form.trained.len()).filter(|&i| form.trained[i]));
        let places = self.places(&*recording)?;
        let mut passed = None;
        let (captured, trail) = Key::traced(|| {
            recording.within(Take::Record, &mut || {
                passed = Some(self.forward_and_backward(&batch, key)?);
                Ok(())
            })
        });
        captured?;
        let Some(Passed { loss, output, run, gradients }) = passed.take() else { return Err(unfinished()) };
        recording.within(Take::Record, &mut || {
            self.model.assign_updates(&run, &mut |to, from| recording.assign(to, from))?;
            let mut weights: Vec<(&str, &mut Tensor)> =
                self.model.trainable_mut().into_iter().map(|(_, path, weight)| (path, weight)).collect();
            self.optimizer.step_uncounted(&mut weights, &gradients)
        })?;
        let unknown = || Error::argument("recording", "dropout's keys must come from the step's", "another key", "");
        let folds = recording.keys().into_iter().map(|drawn| trail.folds(key, drawn).ok_or_else(unknown));
        let folds = folds.collect::<Result<_>>()?;
        if self.places(&*recording)? != places {
            return Err(Error::argument("recording", "weights must be changed where they are", "a new one", ""));
        }
        Ok(Recorded { form, batch, loss, output, folds, places, written, recording })
    }

    /// Takes over the statistics of a step that was not replayed; where they are, if a recording counts on that.
    pub(crate) fn keep_statistics(&mut self, run: &Run) -> Result<()> {
        if let Replays::Ready(recorded) = &self.replays
            && recorded.written.iter().all(|&i| self.model.is_sole_owner(i))
        {
            return self.model.assign_updates(run, &mut |to, from| recorded.recording.assign(to, from)).map(|_| ());
        }
        self.model.apply_updates(run)
    }

    /// Where all that a step reads and writes is.
    fn places(&mut self, recording: &dyn Recording) -> Result<Vec<u64>> {
        let weights: Vec<u64> = self.model.weights().map(|(_, value)| recording.place(value)).collect::<Result<_>>()?;
        let own = self.optimizer.tensors_mut().map(|tensor| recording.place(tensor)).collect::<Result<Vec<_>>>()?;
        Ok(weights.into_iter().chain(own).collect())
    }

    /// Whether the recorded work still finds what it works on, and nobody else looks at what it writes.
    fn is_as_recorded(&mut self, recorded: &Recorded) -> Result<bool> {
        Ok(recorded.written.iter().all(|&i| self.model.is_sole_owner(i))
            && self.optimizer.tensors_mut().all(|tensor| tensor.is_sole_owner())
            && self.places(&*recorded.recording)? == recorded.places)
    }

    /// One step as it was recorded.
    fn replay(&mut self, recorded: &mut Recorded, batch: &Batch, key: Key) -> Result<f64> {
        let Recorded { recording, batch: own, .. } = recorded;
        let to = own.inputs.iter_mut().chain(&mut own.targets).chain(&mut own.weights);
        let from = batch.inputs.iter().chain(&batch.targets).chain(&batch.weights);
        to.zip(from).try_for_each(|(to, from)| recording.assign(to, from))?;
        let keys: Vec<Key> =
            recorded.folds.iter().map(|folds| folds.iter().fold(key, |key, &tag| key.fold(tag))).collect();
        recording.replay(FORWARD_AND_BACKWARD, &keys, None)?;
        let value = finite(&recorded.loss)?;
        self.update_metrics(&recorded.output, &batch.targets[0])?;
        let rule = self.optimizer.update_rule().ok_or_else(unfinished)?;
        recording.replay(UPDATE, &[], Some((&rule, self.optimizer.kept())))?;
        self.optimizer.count_step();
        Ok(value)
    }
}

fn unfinished() -> Error {
    Error::argument("recording", "a recorded step must run to its end", "half a step", "this is a defect of striate")
}
