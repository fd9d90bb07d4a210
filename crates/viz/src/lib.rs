//! Pictures of networks and of their training.
//!
//! - [`Curves`]: loss and accuracy over the epochs, of one run or several.
//! - [`activations()`]: what every layer makes of a picture; [`kernels`]: what single kernels make of it.
//! - [`filters`]: the pictures that filters respond to.
//! - [`heat`]: where a network sees what it names, with checks of such maps.
//! - [`Answers`]: what a classifier said of each sample, and the pictures of that.
//! - [`report`]: a run as one page.
//! - [`dream()`] and [`transfer_style`]: pictures made by a network.
//!
//! Everything is a call that gives numbers ([`Plane`]) or an image ([`image::RgbImage`]); [`write_png`] and [`write_gif`] bring it to disk.
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod activations;
mod answers;
mod axis;
mod colours;
mod confusion;
mod curves;
mod dream;
pub mod filters;
pub mod heat;
pub mod kernels;
mod labels;
mod layer_choice;
mod mistakes;
mod number_grid;
mod picture;
mod pixels;
mod plane;
mod reliability;
mod render;
pub mod report;
mod sheet;
mod style;
mod subject;

pub use activations::{Activation, CHANNELS_A_ROW, activations, channel_image, grid_image};
pub use answers::{Answer, Answers};
pub use colours::{ColourMap, SERIES};
pub use confusion::{MOST_CLASSES, confusion_image};
pub use curves::{Curves, PlotHistory};
pub use dream::{Dream, dream, dream_layers};
pub use image::RgbImage;
pub use labels::Label;
pub use layer_choice::choose_layers;
pub use mistakes::mistakes_sheet;
pub use picture::{check_ending, image_of, image_of_tensor, picture_of, png_bytes, tensor_of, write_gif, write_png};
pub use plane::Plane;
pub use reliability::Reliability;
pub use render::Theme;
pub use sheet::{Cell, Sheet};
pub use style::{Style, StyleLoss, transfer_style};
pub use subject::Subject;

/// The examples of the README are tests too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;
