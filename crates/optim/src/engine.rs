//! Runs an optimizer: counts steps and keeps the slots.

use crate::optimizer::{Optimizer, Slot};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use striate_tensor::{Error, Parameter, Result, Tensor, UpdateRule};

/// An optimizer at work: its step count, and its slots by the path of the weight that they belong to.
pub struct Engine {
    optimizer: Box<dyn Optimizer>,
    slots: Vec<Slot>,
    /// The tensors of each weight, in the order of `slots`.
    tensors: BTreeMap<String, Vec<Tensor>>,
    iterations: u64,
    factor: f32,
}

/// What a checkpoint keeps of an [`Engine`].
#[derive(Debug, Clone)]
pub struct OptimizerState {
    /// Steps taken.
    pub iterations: u64,
    /// See [`Engine::set_learning_rate_factor`].
    pub learning_rate_factor: f32,
    /// The slots, sorted by weight and named `optimizer/slot/weight`: `rmsprop/velocity/conv2d/kernel`.
    pub slots: Vec<(String, Tensor)>,
}

impl Engine {
    /// An optimizer before its first step.
    ///
    /// # Errors
    /// [`Error::Argument`] for a hyperparameter outside its range.
    pub fn new(optimizer: impl Optimizer + 'static) -> Result<Self> {
        optimizer.validate()?;
        let slots = optimizer.slots();
        Ok(Engine { optimizer: Box::new(optimizer), slots, tensors: BTreeMap::new(), iterations: 0, factor: 1.0 })
    }

    /// The optimizer.
    pub fn optimizer(&self) -> &dyn Optimizer {
        &*self.optimizer
    }

    /// Steps taken.
    pub fn iterations(&self) -> u64 {
        self.iterations
    }

    /// The learning rate of the next step.
    pub fn learning_rate(&self) -> f32 {
        self.optimizer.settings().learning_rate.at(self.iterations) * self.factor
    }

    /// What the schedule's learning rate is multiplied by; 1 at the start.
    pub fn learning_rate_factor(&self) -> f32 {
        self.factor
    }

    /// Sets what the schedule's learning rate is multiplied by, as a callback does that watches for a plateau.
    ///
    /// # Errors
    /// [`Error::Argument`] unless it is finite and at least 0.
    pub fn set_learning_rate_factor(&mut self, factor: f32) -> Result<()> {
        if !(factor.is_finite() && factor >= 0.0) {
            return Err(Error::argument(
                "learning rate factor",
                "must be finite and at least 0",
                factor.to_string(),
                "",
            ));
        }
        self.factor = factor;
        Ok(())
    }

    /// The rule of the next step; none for an optimizer that has none.
    pub fn update_rule(&self) -> Option<UpdateRule> {
        self.optimizer.update_rule(self.learning_rate(), self.iterations + 1)
    }

    /// What each weight is multiplied by before the next step's rule: 1 − decay·lr, or 1 without weight decay.
    pub fn kept(&self) -> f32 {
        // Rounded as the weight's own arithmetic rounds it.
        self.optimizer.settings().weight_decay.map_or(1.0, |decay| 1.0 - decay as f32 * self.learning_rate())
    }

    /// The optimizer's own tensors.
    pub fn tensors_mut(&mut self) -> impl Iterator<Item = &mut Tensor> {
        self.tensors.values_mut().flatten()
    }

    /// Counts a step that the device took by itself, by [`Engine::update_rule`].
    pub fn count_step(&mut self) {
        self.iterations += 1;
    }

    /// One step: cuts the gradients, decays the weights, updates them in place. `weights` are (path, tensor), `gradients` in
    /// the same order. A path that comes for the first time gets new slots.
    ///
    /// # Errors
    /// [`Error::Shape`] at the weight's path if a gradient or a restored slot has another shape, or their numbers differ;
    /// [`Error::Argument`] for a path that comes twice. The weights are as before then.
    pub fn step(&mut self, weights: &mut [(&str, &mut Tensor)], gradients: &[Tensor]) -> Result<()> {
        self.step_uncounted(weights, gradients)?;
        self.count_step();
        Ok(())
    }

    /// The work of [`Engine::step`] for a device that records it: the step is not counted.
    ///
    /// # Errors
    /// As [`Engine::step`].
    pub fn step_uncounted(&mut self, weights: &mut [(&str, &mut Tensor)], gradients: &[Tensor]) -> Result<()> {
        self.check(weights, gradients)?;
        let settings = self.optimizer.settings();
        let gradients = settings.clip.apply(gradients)?;
        let (learning_rate, kept) = (self.learning_rate(), self.kept());
        for (path, weight) in weights.iter_mut() {
            ready(&mut self.tensors, &self.slots, path, weight).map_err(|error| error.at(path))?;
        }
        let mut own: BTreeMap<&str, &mut Vec<Tensor>> =
            self.tensors.iter_mut().map(|(path, slots)| (path.as_str(), slots)).collect();
        let mut parameters = Vec::with_capacity(weights.len());
        for ((path, weight), gradient) in weights.iter_mut().zip(&gradients) {
            // `check` saw that no path comes twice.
            let slots = own.remove(*path).map_or(&mut [][..], |slots| slots);
            parameters.push(Parameter { path, weight, gradient, slots, kept });
        }
        self.optimizer.update_all(&mut parameters, learning_rate, self.iterations + 1)
    }

    /// Refuses what does not belong together, before anything changes.
    fn check(&self, weights: &[(&str, &mut Tensor)], gradients: &[Tensor]) -> Result<()> {
        if weights.len() != gradients.len() {
            return Err(Error::shape(
                "optimizer step",
                "there must be one gradient for each weight",
                format!("{} weights and {} gradients", weights.len(), gradients.len()),
                "",
            ));
        }
        let mut seen = BTreeSet::new();
        for ((path, weight), gradient) in weights.iter().zip(gradients) {
            if !seen.insert(*path) {
                return Err(Error::argument(
                    "optimizer step",
                    "each weight must come once",
                    format!("{path} twice"),
                    "",
                ));
            }
            gradient.has_shape("gradient", weight.shape()).map_err(|error| error.at(path))?;
            for (tensor, slot) in self.tensors.get(*path).into_iter().flatten().zip(&self.slots) {
                tensor.has_shape(slot.name, weight.shape()).map_err(|error| error.at(path))?;
            }
        }
        Ok(())
    }

    /// What a checkpoint keeps. The tensors share memory with the engine's until its next step.
    pub fn export_state(&self) -> OptimizerState {
        let name = self.optimizer.name();
        let named = |(path, tensors): (&String, &Vec<Tensor>)| {
            let named = |(slot, tensor): (&Slot, &Tensor)| (format!("{name}/{}/{path}", slot.name), tensor.clone());
            self.slots.iter().zip(tensors).map(named).collect::<Vec<_>>()
        };
        let slots = self.tensors.iter().flat_map(named).collect();
        OptimizerState { iterations: self.iterations, learning_rate_factor: self.factor, slots }
    }

    /// Goes on from a checkpoint. Whether the shapes are the weights' shows at the next step.
    ///
    /// # Errors
    /// [`Error::Model`] for a name that is not one of this optimizer's slots, or a weight with only some of its slots;
    /// [`Error::Argument`] for a learning rate factor outside its range. The engine is as before then.
    pub fn import_state(&mut self, state: OptimizerState) -> Result<()> {
        let name = self.optimizer.name();
        let expected: Vec<String> = self.slots.iter().map(|slot| format!("{name}/{}/…", slot.name)).collect();
        let expected = if expected.is_empty() { "nothing".to_string() } else { expected.join(", ") };
        let refuse = |received: String| {
            let hint = "was the checkpoint written by the same optimizer?";
            Error::model("optimizer state", format!("{name} keeps {expected} for each weight"), received, hint)
        };
        let mut found: BTreeMap<String, Vec<Option<Tensor>>> = BTreeMap::new();
        for (full, tensor) in state.slots {
            let (slot, path) = full
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix('/')?.split_once('/'))
                .ok_or_else(|| refuse(full.clone()))?;
            let index = self.slots.iter().position(|known| known.name == slot).ok_or_else(|| refuse(full.clone()))?;
            found.entry(path.to_string()).or_insert_with(|| vec![None; self.slots.len()])[index] = Some(tensor);
        }
        let complete = found.into_iter().map(|(path, tensors)| {
            let all: Option<Vec<Tensor>> = tensors.into_iter().collect();
            all.map(|all| (path.clone(), all)).ok_or_else(|| refuse(format!("only some of them for {path}")))
        });
        let tensors = complete.collect::<Result<_>>()?;
        self.set_learning_rate_factor(state.learning_rate_factor)?;
        self.tensors = tensors;
        self.iterations = state.iterations;
        Ok(())
    }
}

/// Sees to it that the slots of a weight are there and on its device.
fn ready(tensors: &mut BTreeMap<String, Vec<Tensor>>, slots: &[Slot], path: &str, weight: &Tensor) -> Result<()> {
    let Some(own) = tensors.get_mut(path) else {
        let make = |slot: &Slot| Tensor::full(*weight.shape(), slot.start.into(), weight.dtype(), weight.device());
        let made = slots.iter().map(make).collect::<Result<_>>()?;
        tensors.insert(path.to_string(), made);
        return Ok(());
    };
    for tensor in own.iter_mut().filter(|tensor| tensor.device() != weight.device()) {
        *tensor = tensor.to_device(weight.device())?;
    }
    Ok(())
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Engine({:?}, {} steps, {} weights)", self.optimizer, self.iterations, self.tensors.len())
    }
}
