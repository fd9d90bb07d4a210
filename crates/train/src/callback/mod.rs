//! What looks on while a model trains, one callback a file.

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

/// Looks on while a model trains.
pub trait Callback: Send {
    /// Called before the first epoch.
    ///
    /// # Errors
    /// An error ends training.
    fn on_train_begin(&mut self, moment: &mut Moment<'_>) -> Result<()> {
        let _ = moment;
        Ok(())
    }

    /// Called after each epoch and its validation.
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
}
