//! A model together with how it is trained.

use crate::loss::Loss;
use crate::loss_scale::LossScale;
use crate::metric::Metric;
use crate::replay::Replays;
use striate_nn::Model;
use striate_optim::{Engine, Optimizer};
use striate_tensor::{Error, Result, Tensor};

/// One loss, or one for each output.
pub trait Losses {
    /// The losses in the order of the outputs.
    fn into_losses(self) -> Vec<Box<dyn Loss>>;
}

impl<L: Loss + 'static> Losses for L {
    fn into_losses(self) -> Vec<Box<dyn Loss>> {
        vec![Box::new(self)]
    }
}

impl Losses for Vec<Box<dyn Loss>> {
    fn into_losses(self) -> Vec<Box<dyn Loss>> {
        self
    }
}

/// Metrics of the first output.
pub trait Metrics {
    /// The metrics in the order they are reported.
    fn into_metrics(self) -> Vec<Box<dyn Metric>>;
}

impl<M: Into<Box<dyn Metric>>, const N: usize> Metrics for [M; N] {
    fn into_metrics(self) -> Vec<Box<dyn Metric>> {
        self.into_iter().map(Into::into).collect()
    }
}

impl Metrics for Vec<Box<dyn Metric>> {
    fn into_metrics(self) -> Vec<Box<dyn Metric>> {
        self
    }
}

impl Metrics for () {
    fn into_metrics(self) -> Vec<Box<dyn Metric>> {
        Vec::new()
    }
}

/// Metrics of several kinds: `(Accuracy, Precision::default())`.
macro_rules! tuples {
    ($(($($metric:ident)+))+) => {
        $(
            impl<$($metric: Into<Box<dyn Metric>>),+> Metrics for ($($metric,)+) {
                #[allow(non_snake_case)] // the type's letter names its value
                fn into_metrics(self) -> Vec<Box<dyn Metric>> {
                    let ($($metric,)+) = self;
                    vec![$($metric.into()),+]
                }
            }
        )+
    };
}

tuples! { (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) }

/// Joining a model with an optimizer, losses and metrics.
pub trait Compile {
    /// The model, ready to train.
    ///
    /// # Errors
    /// [`Error::Argument`] for an optimizer's options out of range, or a number of losses that is not the model's of outputs.
    fn compile(
        &mut self,
        optimizer: impl Optimizer + 'static,
        losses: impl Losses,
        metrics: impl Metrics,
    ) -> Result<Training<'_>>;
}

impl Compile for Model {
    fn compile(
        &mut self,
        optimizer: impl Optimizer + 'static,
        losses: impl Losses,
        metrics: impl Metrics,
    ) -> Result<Training<'_>> {
        let losses = losses.into_losses();
        let outputs = self.graph().output_shapes().len();
        if losses.len() != outputs {
            return Err(Error::argument(
                self.name(),
                "there must be one loss for each output of the model",
                format!("{} losses for {outputs} outputs", losses.len()),
                "",
            ));
        }
        let scale = self.device().scales_loss().then(LossScale::default);
        Ok(Training {
            optimizer: Engine::new(optimizer)?,
            model: self,
            losses,
            metrics: metrics.into_metrics(),
            replays: Replays::New,
            scale,
        })
    }
}

/// A model together with how it is trained. Made by [`Compile::compile`].
#[derive(Debug)]
pub struct Training<'m> {
    pub(crate) model: &'m mut Model,
    pub(crate) optimizer: Engine,
    pub(crate) losses: Vec<Box<dyn Loss>>,
    pub(crate) metrics: Vec<Box<dyn Metric>>,
    pub(crate) replays: Replays,
    pub(crate) scale: Option<LossScale>,
}

impl Training<'_> {
    /// The model.
    pub fn model(&self) -> &Model {
        self.model
    }

    /// The optimizer with its state.
    pub fn optimizer(&self) -> &Engine {
        &self.optimizer
    }

    /// The optimizer with its state, to set a learning rate or take over a checkpoint.
    pub fn optimizer_mut(&mut self) -> &mut Engine {
        &mut self.optimizer
    }

    /// How the loss is scaled: not at all, unless the device needs it or it was set.
    pub fn loss_scale(&self) -> Option<&LossScale> {
        self.scale.as_ref()
    }

    /// Scales the loss from here on, or no longer. Scaled steps are not recorded.
    pub fn set_loss_scale(&mut self, scale: Option<LossScale>) {
        self.scale = scale;
        self.replays = Replays::New;
    }

    /// Names and values of all metrics.
    pub(crate) fn metric_values(&self) -> Vec<(String, f64)> {
        self.metrics.iter().map(|metric| (metric.name().to_string(), metric.value())).collect()
    }

    pub(crate) fn update_metrics(&mut self, prediction: &Tensor, target: &Tensor) -> Result<()> {
        self.metrics.iter_mut().try_for_each(|metric| metric.update(prediction, target))
    }
}
