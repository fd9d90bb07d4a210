//! How much of a pretrained network to train: the lecture's table of large or small data, similar or different pictures.

use std::fmt;
use striate_tensor::{Error, Result};

/// What to train.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Only a new classifier; the pretrained layers stay frozen.
    TotalTransfer,
    /// A new classifier, then the last pretrained layers too, slowly.
    FineTuning,
    /// Everything.
    WholeNetwork,
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Strategy::TotalTransfer => "total transfer: train a classifier on the frozen network",
            Strategy::FineTuning => "fine-tuning: train a classifier, then the network's last layers slowly too",
            Strategy::WholeNetwork => "train the whole network",
        })
    }
}

/// What is known about a data set, and what follows from it.
///
/// ```
/// use striate_zoo::{Advice, Strategy};
/// let cats_and_dogs = Advice { least_per_class: 1000, separation: 0.9 };
/// assert_eq!(cats_and_dogs.strategy(), Strategy::TotalTransfer);
/// let x_rays = Advice { least_per_class: 1000, separation: 0.2 };
/// assert_eq!(x_rays.strategy(), Strategy::FineTuning);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Advice {
    /// Training pictures in the smallest class.
    pub least_per_class: usize,
    /// How well the pretrained features tell the classes apart before any training: see [`separation`].
    pub separation: f64,
}

impl Advice {
    /// Training pictures in each class from which on a data set counts as large.
    pub const LARGE: usize = 5000;
    /// The separation from which on pictures count as similar to those that the network was trained on.
    pub const SIMILAR: f64 = 0.6;

    /// Whether there are enough pictures to train more than a classifier.
    pub fn is_large(&self) -> bool {
        self.least_per_class >= Advice::LARGE
    }

    /// Whether the pretrained features fit the pictures.
    pub fn is_similar(&self) -> bool {
        self.separation >= Advice::SIMILAR
    }

    /// The lecture's table.
    ///
    /// | data | similar | different |
    /// |---|---|---|
    /// | small | total transfer | fine-tuning |
    /// | large | fine-tuning | whole network |
    pub fn strategy(&self) -> Strategy {
        match (self.is_large(), self.is_similar()) {
            (false, true) => Strategy::TotalTransfer,
            (false, false) | (true, true) => Strategy::FineTuning,
            (true, false) => Strategy::WholeNetwork,
        }
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, compared) = if self.is_large() { ("large", "at least") } else { ("small", "fewer than") };
        let likeness = if self.is_similar() { "similar" } else { "different" };
        write!(
            f,
            "{size} data: {} pictures in the smallest class, {compared} {}; {likeness} pictures: untrained, the network's features \
             separate the classes to {:.0} % (similar from {:.0} % on)",
            self.least_per_class,
            Advice::LARGE,
            100.0 * self.separation.max(0.0),
            100.0 * Advice::SIMILAR
        )
    }
}

/// How well features tell classes apart: each sample is given to the class whose mean of the other samples points most nearly in its
/// direction; the share that is right, brought to 0 for guessing and 1 for no mistake.
///
/// `features` is row-major, (samples, columns); `labels` count from 0. Classes with fewer than two samples are left out.
///
/// # Errors
/// [`Error::Shape`] if the lengths do not fit; [`Error::Data`] for fewer than two classes of two samples.
pub fn separation(features: &[f32], columns: usize, labels: &[usize]) -> Result<f64> {
    if columns == 0 || features.len() != columns * labels.len() {
        let received = format!("{} numbers for {} samples of {columns}", features.len(), labels.len());
        return Err(Error::shape("separation", "there must be one row of features for each label", received, ""));
    }
    let classes = labels.iter().max().map_or(0, |last| last + 1);
    let mut counts = vec![0usize; classes];
    let mut sums = vec![0f64; classes * columns];
    // Of length one each, so that a bright picture counts no more than a dark one.
    let rows: Vec<Vec<f64>> = features
        .chunks_exact(columns)
        .map(|row| {
            let length = row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt().max(1e-12);
            row.iter().map(|&v| f64::from(v) / length).collect()
        })
        .collect();
    for (row, &label) in rows.iter().zip(labels) {
        counts[label] += 1;
        sums[label * columns..][..columns].iter_mut().zip(row).for_each(|(sum, v)| *sum += v);
    }
    let known: Vec<usize> = (0..classes).filter(|&class| counts[class] > 1).collect();
    if known.len() < 2 {
        let received = format!("{} such classes", known.len());
        return Err(Error::data("separation", "at least two classes must have two samples or more", received, ""));
    }
    let (mut right, mut asked) = (0, 0);
    for (row, &label) in rows.iter().zip(labels).filter(|(_, label)| counts[**label] > 1) {
        let likeness = |class: usize| {
            let sum = &sums[class * columns..][..columns];
            let own = if class == label { 1.0 } else { 0.0 };
            let (mut product, mut length) = (0.0, 0.0);
            for (sum, v) in sum.iter().zip(row) {
                let others = sum - own * v;
                product += others * v;
                length += others * others;
            }
            product / length.sqrt().max(1e-12)
        };
        let best = known.iter().copied().max_by(|&a, &b| likeness(a).total_cmp(&likeness(b)));
        right += usize::from(best == Some(label));
        asked += 1;
    }
    let chance = 1.0 / known.len() as f64;
    Ok((right as f64 / asked as f64 - chance) / (1.0 - chance))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separated_mixed_and_refused() {
        let apart = [1.0, 0.1, 2.0, 0.0, 0.1, 1.0, 0.0, 3.0];
        assert_eq!(separation(&apart, 2, &[0, 0, 1, 1]).unwrap(), 1.0);
        // Each sample looks like the other class: worse than guessing.
        let crossed = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0];
        assert!(separation(&crossed, 2, &[0, 0, 1, 1]).unwrap() <= 0.0);
        // A class of one sample is not asked.
        assert_eq!(separation(&[&apart[..], &[9.0, 9.0]].concat(), 2, &[0, 0, 1, 1, 2]).unwrap(), 1.0);
        assert!(separation(&apart, 2, &[0, 0, 1]).is_err());
        assert!(separation(&apart, 2, &[0, 0, 0, 0]).is_err());
    }

    #[test]
    fn the_table_of_the_lecture() {
        let strategy = |least_per_class, separation| Advice { least_per_class, separation }.strategy();
        assert_eq!(strategy(100, 0.9), Strategy::TotalTransfer);
        assert_eq!(strategy(100, 0.1), Strategy::FineTuning);
        assert_eq!(strategy(100_000, 0.9), Strategy::FineTuning);
        assert_eq!(strategy(100_000, 0.1), Strategy::WholeNetwork);
        let text = Advice { least_per_class: 1000, separation: 0.91 }.to_string();
        assert!(text.contains("small data: 1000") && text.contains("91 %"), "{text}");
    }
}
