//! Anybody's folder of pictures, parted into training, validation and test.

use super::Settings;
use std::path::{Path, PathBuf};
use striate::data::{ClassMode, FolderOptions, ImageFolder, Photograph};
use striate::prelude::*;

/// The share of the pictures that validation gets, and test.
const SHARE: f64 = 0.15;

/// Training, validation and test pictures, whose classes are the same.
pub struct FolderParts {
    pub train: ImageFolder,
    pub validation: ImageFolder,
    pub test: ImageFolder,
}

impl FolderParts {
    /// The parts as the folder has them: `train`, `validation` (or `val`, `valid`) and `test`, each with a folder for each class. What
    /// is missing is taken from the part before: without any, the first 15 % of each class in the order of the files' names are for test
    /// and the next for validation, so that pictures of one series, which have neighbouring names, rarely come to lie in two parts.
    pub fn open(settings: &Settings, folder: &Path, photograph: &Photograph) -> Result<FolderParts> {
        let options =
            FolderOptions { cache_bytes: super::CACHE_BYTES, ..photograph.folder_options(ClassMode::Categorical) };
        let part = |names: &[&str]| -> Option<PathBuf> {
            names.iter().map(|name| folder.join(name)).find(|path| path.is_dir())
        };
        let (parts, how) = match part(&["train", "training"]) {
            None => {
                let all = settings.pictures(folder, options)?;
                let (rest, test) = all.validation_split(SHARE)?;
                let (train, validation) = rest.validation_split(SHARE / (1.0 - SHARE))?;
                (FolderParts { train, validation, test }, "parted 70, 15 and 15 %")
            }
            Some(train) => {
                let train = settings.pictures(&train, options.clone())?;
                let options = FolderOptions { classes: train.class_names().to_vec(), ..options };
                let open = |path: &PathBuf| settings.pictures(path, options.clone());
                let (train, validation) = match part(&["validation", "val", "valid"]) {
                    Some(path) => (train, open(&path)?),
                    None => train.validation_split(SHARE)?,
                };
                match part(&["test"]) {
                    Some(path) => (FolderParts { train, validation, test: open(&path)? }, "as the folder has them"),
                    None => {
                        let (validation, test) = validation.validation_split(0.5)?;
                        (FolderParts { train, validation, test }, "test is half of the validation pictures")
                    }
                }
            }
        };
        let FolderParts { train, validation, test } = &parts;
        eprintln!(
            "pictures: {} for training, {} for validation, {} for test ({how}); {} classes: {}",
            train.len(),
            validation.len(),
            test.len(),
            train.class_names().len(),
            train.class_names().join(", ")
        );
        Ok(parts)
    }

    /// The training pictures of the smallest class.
    pub fn least_per_class(&self) -> usize {
        let mut counts = vec![0; self.train.class_names().len()];
        (0..self.train.len()).filter_map(|sample| self.train.label(sample)).for_each(|label| counts[label] += 1);
        counts.into_iter().min().unwrap_or(0)
    }

    /// Up to so many training pictures of each class: their indices and classes.
    pub fn few_of_each(&self, count: usize) -> (Vec<usize>, Vec<usize>) {
        let mut taken = vec![0; self.train.class_names().len()];
        let labelled = (0..self.train.len()).filter_map(|sample| Some((sample, self.train.label(sample)?)));
        labelled
            .filter(|(_, label)| {
                taken[*label] += 1;
                taken[*label] <= count
            })
            .unzip()
    }
}
