//! The moving average of a model's weights.

use std::mem::swap;
use striate_nn::Model;
use striate_tensor::{Error, Result, Tensor, UpdateRule};

/// A moving average of every weight of a model, statistics included: average ← m·average + (1 − m)·weight after each step.
///
/// Early on m is held below (1 + step)/(10 + step), so that the average forgets its start at once; without that Keras's `use_ema`
/// is the same. The last weights jump about the point that the average settles on, so it predicts better than they do.
///
/// Source: Polyak and Juditsky 1992, <https://doi.org/10.1137/0330046>; the warm-up is that of TensorFlow's
/// `ExponentialMovingAverage`.
#[derive(Debug)]
pub(crate) struct Average {
    momentum: f64,
    steps: u64,
    /// In the order of the model's weights; while swapped, the model's own.
    values: Vec<Tensor>,
}

impl Average {
    /// Starts with a copy of the model's weights.
    pub(crate) fn new(momentum: f64, model: &Model) -> Result<Self> {
        check_momentum(momentum)?;
        // The tensors are shared until the first step writes one of them.
        Ok(Average { momentum, steps: 0, values: model.weights().map(|(_, value)| value.clone()).collect() })
    }

    /// The state after so many steps.
    pub(crate) fn restored(momentum: f64, steps: u64, values: Vec<Tensor>) -> Result<Self> {
        check_momentum(momentum)?;
        Ok(Average { momentum, steps, values })
    }

    /// The steps that were taken in.
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// The averages in the order of the model's weights.
    pub(crate) fn values(&self) -> &[Tensor] {
        &self.values
    }

    /// Takes in the weights after a step.
    pub(crate) fn update(&mut self, model: &Model) -> Result<()> {
        let step = self.steps as f64;
        let rate = (1.0 - self.momentum.min((1.0 + step) / (10.0 + step))) as f32;
        for (average, (_, weight)) in self.values.iter_mut().zip(model.weights()) {
            let behind = average.sub(weight)?;
            average.update(
                &UpdateRule::Sgd { learning_rate: rate, momentum: 0.0, nesterov: false },
                &behind,
                &mut [],
            )?;
        }
        self.steps += 1;
        Ok(())
    }

    /// Exchanges the model's weights and the averages; a second call undoes the first.
    pub(crate) fn swap_with(&mut self, model: &mut Model) -> Result<()> {
        let paths: Vec<String> = model.weights().map(|(spec, _)| spec.path.clone()).collect();
        let mut own: Vec<Tensor> = model.weights().map(|(_, value)| value.clone()).collect();
        paths.iter().zip(&self.values).try_for_each(|(path, average)| model.set_weight(path, average))?;
        swap(&mut self.values, &mut own);
        Ok(())
    }
}

fn check_momentum(momentum: f64) -> Result<()> {
    if (0.0..1.0).contains(&momentum) {
        return Ok(());
    }
    Err(Error::argument(
        "ema_momentum",
        "must be in [0, 1)",
        momentum.to_string(),
        "0.99 averages over about 100 steps",
    ))
}
