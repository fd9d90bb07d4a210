//! What looks on while a model trains, one callback a file. Names and meanings are Keras's
//! (<https://keras.io/api/callbacks/>).

mod csv_log;
mod early_stopping;
mod monitor;
mod reduce_lr_on_plateau;
mod save_best;
mod state;

pub use csv_log::CsvLog;
pub use early_stopping::EarlyStopping;
pub use monitor::Mode;
pub use reduce_lr_on_plateau::ReduceLROnPlateau;
pub use save_best::SaveBest;
pub use state::CallbackState;

use crate::history::History;
use striate_nn::Model;
use striate_optim::Engine;
use striate_tensor::Result;

/// Whether training goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// With the next epoch.
    Continue,
    /// No further epoch.
    Stop,
}

/// What a callback sees, and may change.
#[derive(Debug)]
pub struct Moment<'a> {
    /// The model.
    pub model: &'a mut Model,
    /// The optimizer with its state.
    pub optimizer: &'a mut Engine,
    /// All epochs so far, the one that just ended included.
    pub history: &'a History,
}

/// How far an epoch has come.
pub struct StepEnd<'a> {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// How many epochs the run is to have.
    pub epochs: usize,
    /// The step within the epoch, counted from 1.
    pub step: usize,
    /// Steps an epoch.
    pub steps: usize,
    /// Samples of this step.
    pub samples: usize,
    /// The loss of this step's batch, before its change of the weights.
    pub loss: f64,
    /// The means of `loss` and of the metrics over the epoch so far; they cost something, so ask for them only when they are shown.
    pub values: &'a dyn Fn() -> Vec<(String, f64)>,
}

/// Looks on while a model trains.
pub trait Callback: Send {
    /// Called before the first epoch; a run that goes on from a checkpoint has its history then.
    ///
    /// # Errors
    /// An error ends training.
    fn on_train_begin(&mut self, moment: &mut Moment<'_>) -> Result<()> {
        let _ = moment;
        Ok(())
    }

    /// Called after each step; what takes long here slows training down.
    ///
    /// # Errors
    /// An error ends training.
    fn on_step_end(&mut self, step: &StepEnd<'_>) -> Result<()> {
        let _ = step;
        Ok(())
    }

    /// Called after each epoch and its validation, and before the checkpoint is written.
    ///
    /// # Errors
    /// An error ends training.
    fn on_epoch_end(&mut self, moment: &mut Moment<'_>) -> Result<Flow>;

    /// Called once after the last epoch.
    ///
    /// # Errors
    /// An error ends training.
    fn on_train_end(&mut self, moment: &mut Moment<'_>) -> Result<()> {
        let _ = moment;
        Ok(())
    }

    /// What must be in a checkpoint for this callback to go on as if the run had never stopped. Default nothing.
    fn state(&self) -> CallbackState {
        CallbackState::default()
    }

    /// Takes over what [`Callback::state`] gave when the checkpoint was written; called after `on_train_begin`.
    ///
    /// # Errors
    /// [`striate_tensor::Error::Data`] if it is the state of another callback.
    fn restore(&mut self, state: &CallbackState) -> Result<()> {
        let _ = state;
        Ok(())
    }
}
