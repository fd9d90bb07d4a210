//! Where samples come from and how they become batches.
//!
//! - [`Dataset`]: anything that can make a [`Batch`] of given samples; [`ArrayDataset`] keeps its samples in memory,
//!   [`Subset`] shows some of another's.
//! - [`Batching`]: one epoch after another, shuffled by a seed, prepared ahead by worker threads.
//! - [`Mnist`]: the digits, from the four files that everyone knows; [`idx`] reads their format, [`npz`] NumPy's.
//! - [`ImageFolder`]: photographs in folders, one for each class, or listed in a table; [`augment`] changes them at random, as Keras does.
//! - [`catalog`]: data sets and weight files by name: fetched, checked, found.
//! - [`image_file`] and [`digit`]: pictures from disk, and a picture of a digit made to look like MNIST's; [`Preparation`]: how either becomes an input.
//!
//! A batch leaves on whichever [`striate_tensor::Device`] it was asked for; this crate knows no back end.
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod array;
mod array_dataset;
pub mod augment;
mod batches;
pub mod catalog;
mod csv_index;
mod dataset;
pub mod digit;
mod featurewise;
mod fingerprint;
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
mod pixel_values;
mod prefetch;
mod preparation;
mod resize;
mod standardize;
mod subset;

pub use array::Array;
pub use array_dataset::ArrayDataset;
pub use batches::{Batches, Batching, EndlessBatches};
pub use dataset::{Batch, BatchContext, Dataset, Share};
pub use featurewise::{Featurewise, FeaturewiseOptions};
pub use fingerprint::Fingerprint;
pub use folder_scan::BadFile;
pub use image_folder::{ClassMode, FolderOptions, ImageFolder};
pub use locate::{cache_folder, locate};
pub use mnist::Mnist;
pub use one_hot::one_hot;
pub use pixel_values::PixelValues;
pub use preparation::{Photograph, Preparation};
pub use resize::{Filter, Fit, resize};
pub use standardize::{Preprocess, Standardize};
pub use subset::Subset;
