//! Where samples come from and how they become batches.
//!
//! - [`Dataset`]: anything that can make a [`Batch`] of given samples; [`ArrayDataset`] keeps its samples in memory,
//!   [`Subset`] shows some of another's.
//! - [`Batching`]: one epoch after another, shuffled by a seed, prepared ahead by worker threads.
//! - [`Mnist`]: the digits, from the four files that everyone knows; [`idx`] reads their format, [`npz`] NumPy's.
//! - [`ImageFolder`]: photographs in folders, one for each class, or listed in a table; [`augment`] changes them at random, as Keras does.
//! - [`image_file`] and [`digit`]: pictures from disk, and a picture of a digit made to look like MNIST's.
//!
//! A batch leaves on whichever [`striate_tensor::Device`] it was asked for; this crate knows no back end.
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod array;
mod array_dataset;
pub mod augment;
mod batches;
mod csv_index;
mod dataset;
pub mod digit;
mod featurewise;
mod folder_scan;
pub mod idx;
mod image_batch;
pub mod image_file;
mod image_folder;
mod locate;
mod mnist;
pub mod npz;
mod one_hot;
mod picture_cache;
mod prefetch;
mod resize;
mod standardize;
mod subset;

pub use array::Array;
pub use array_dataset::ArrayDataset;
pub use batches::{Batches, Batching, EndlessBatches};
pub use dataset::{Batch, BatchContext, Dataset, Share};
pub use featurewise::{Featurewise, FeaturewiseOptions};
pub use folder_scan::BadFile;
pub use image_folder::{ClassMode, FolderOptions, ImageFolder};
pub use locate::locate;
pub use mnist::Mnist;
pub use one_hot::one_hot;
pub use resize::{Filter, Fit, resize};
pub use standardize::{Preprocess, Standardize};
pub use subset::Subset;
