//! Training as a whole: losses and metrics against numbers worked out by hand, and runs whose bits must be the same.

mod average;
mod callbacks;
mod class_weights;
mod fit;
mod frozen_base;
mod keras_training;
mod loss_scale;
mod losses;
mod memory;
mod metrics;
mod reproducible;
mod resume;
mod runs;
