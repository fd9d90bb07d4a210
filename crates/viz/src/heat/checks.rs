//! Whether a heat map says anything: does it depend on what the model learnt, and do the places matter that it names?

use crate::pixels;
use crate::plane::Plane;
use crate::subject::Subject;
use striate_nn::Model;
use striate_tensor::{Error, Key, Result, Tensor};

/// A map passes the randomisation test if its rank correlation with the maps of random models is below this.
pub const RANDOM_SIMILARITY: f64 = 0.5;

/// The model with every weight's numbers in a random order: what it has learnt is gone, the size of its numbers is not.
///
/// # Errors
/// What the device reports.
pub fn randomised(model: &Model, seed: u64) -> Result<Model> {
    let mut random = model.clone();
    let weights: Vec<(String, Tensor)> =
        model.weights().map(|(spec, value)| (spec.path.clone(), value.clone())).collect();
    for (path, value) in weights {
        let values = value.to_vec::<f32>()?;
        let order = Key::new(seed).fold_str(&path).permutation(values.len());
        let shuffled = order.into_iter().map(|i| values[i]).collect();
        random.set_weight(&path, &Tensor::from_vec(shuffled, *value.shape(), value.device())?)?;
    }
    Ok(random)
}

/// What the weight-randomisation test found: Adebayo et al. 2018, <https://arxiv.org/abs/1810.03292>.
#[derive(Debug, Clone, PartialEq)]
pub struct Randomisation {
    /// Rank correlations of the map with the maps of models of shuffled weights, one for each seed.
    pub similarities: Vec<f64>,
}

impl Randomisation {
    /// Their mean.
    pub fn similarity(&self) -> f64 {
        self.similarities.iter().sum::<f64>() / self.similarities.len().max(1) as f64
    }

    /// Whether the map depends on what was learnt: the mean is below [`RANDOM_SIMILARITY`].
    pub fn passes(&self) -> bool {
        !self.similarities.is_empty() && self.similarity() < RANDOM_SIMILARITY
    }
}

/// Compares a map with those that `explain` draws of the model with shuffled weights, `seeds` times.
///
/// # Errors
/// Those of `explain`; [`Error::Argument`] for no seeds.
pub fn randomisation(
    subject: &Subject,
    map: &Plane,
    seeds: u64,
    explain: impl Fn(&Subject) -> Result<Plane>,
) -> Result<Randomisation> {
    if seeds == 0 {
        return Err(Error::argument("randomisation", "there must be at least one random model", "0", ""));
    }
    let similarity = |seed: u64| {
        let model = randomised(&subject.model, seed)?;
        let other = explain(&Subject { model, ..subject.clone() })?.resized(map.height(), map.width())?;
        Ok(rank_correlation(map, &other))
    };
    Ok(Randomisation { similarities: (0..seeds).map(similarity).collect::<Result<_>>()? })
}

/// Spearman's rank correlation of two maps of one size, −1 to 1; 0 where one of them is the same everywhere or holds what is no number.
pub fn rank_correlation(a: &Plane, b: &Plane) -> f64 {
    let (a, b) = (ranks(a.values()), ranks(b.values()));
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let product = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum::<f64>();
    let size = (product(&a, &a) * product(&b, &b)).sqrt();
    if size > 0.0 { product(&a, &b) / size } else { 0.0 }
}

/// The place of each value in their order, equal ones at their mean place.
fn ranks(values: &[f32]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let same =
            |&i: &usize| values[i] == values[order[start]] || values[i].is_nan() && values[order[start]].is_nan();
        let count = order[start..].iter().take_while(|i| same(i)).count().max(1);
        let rank = start as f64 + (count as f64 - 1.0) / 2.0;
        order[start..start + count].iter().for_each(|&i| ranks[i] = rank);
        start += count;
    }
    ranks
}

/// What deletion and insertion found: Petsiuk et al. 2018, <https://arxiv.org/abs/1806.07421>. Each is the mean probability of the class, 0 to 1,
/// while the pixels go or come, the hottest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Deletion {
    /// The mean probability while pixels become a blur; low if the map names what matters.
    pub deletion: f64,
    /// The mean probability while a blurred picture becomes sharp; high if the map names what matters.
    pub insertion: f64,
    /// Deletion in the order of maps of random blots instead, the mean of several.
    pub random_deletion: f64,
    /// Insertion in that order.
    pub random_insertion: f64,
}

impl Deletion {
    /// Whether the map's order takes the class away faster than a random one, and brings it back faster.
    pub fn passes(&self) -> bool {
        self.deletion < self.random_deletion && self.insertion > self.random_insertion
    }
}

/// Steps from the whole picture to the blurred one.
const STEPS: usize = 16;
/// Random maps to compare with.
const RANDOM_MAPS: u64 = 4;

/// Deletes and inserts the pixels of an input in the order of a map, and of random maps of the same grain.
///
/// # Errors
/// [`Error::Argument`] for a class that is not there.
pub fn deletion_insertion(subject: &Subject, input: &Tensor, class: usize, map: &Plane) -> Result<Deletion> {
    let (height, width, _) = pixels::size(input)?;
    let blurred = pixels::blurred(input, height.min(width) as f32 / 16.0)?;
    let (sharp, blurred) = (input.to_vec::<f32>()?, blurred.to_vec::<f32>()?);
    let means = |map: &Plane| -> Result<(f64, f64)> {
        let order = hottest_first(&map.resized(height, width)?);
        Ok((
            mean_probability(subject, input, class, &sharp, &blurred, &order)?,
            mean_probability(subject, input, class, &blurred, &sharp, &order)?,
        ))
    };
    let (deletion, insertion) = means(map)?;
    let (mut random_deletion, mut random_insertion) = (0.0, 0.0);
    for seed in 0..RANDOM_MAPS {
        let mut stream = Key::new(seed).fold_str("random map").stream();
        let blots = Plane::new(7, 7, (0..49).map(|_| stream.uniform() as f32).collect())?;
        let (d, i) = means(&blots)?;
        random_deletion += d / RANDOM_MAPS as f64;
        random_insertion += i / RANDOM_MAPS as f64;
    }
    Ok(Deletion { deletion, insertion, random_deletion, random_insertion })
}

fn hottest_first(map: &Plane) -> Vec<usize> {
    let mut order: Vec<usize> = (0..map.values().len()).collect();
    order.sort_by(|&a, &b| map.values()[b].total_cmp(&map.values()[a]));
    order
}

/// The class's mean probability on the way from one picture to another, pixel after pixel in an order.
fn mean_probability(
    subject: &Subject,
    input: &Tensor,
    class: usize,
    from: &[f32],
    to: &[f32],
    order: &[usize],
) -> Result<f64> {
    let (height, width, channels) = pixels::size(input)?;
    let mut current = from.to_vec();
    let mut sum = 0.0;
    let mut done = 0;
    let mut batch = Vec::with_capacity(4 * current.len());
    let per_pass = 4;
    for step in 0..=STEPS {
        let until = order.len() * step / STEPS;
        for &pixel in &order[done..until] {
            current[pixel * channels..(pixel + 1) * channels]
                .copy_from_slice(&to[pixel * channels..(pixel + 1) * channels]);
        }
        done = until;
        batch.extend_from_slice(&current);
        let count = batch.len() / current.len();
        if count == per_pass || step == STEPS {
            let inputs =
                Tensor::from_vec(std::mem::take(&mut batch), [count, height, width, channels], input.device())?;
            for row in subject.probabilities(&inputs)? {
                let missing = || Error::argument("class", "must be one of the model's", class.to_string(), "");
                sum += f64::from(*row.get(class).ok_or_else(missing)?);
            }
        }
    }
    Ok(sum / (STEPS + 1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_share_places_and_correlate() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 0.0]), [2.5, 1.0, 2.5, 0.0]);
        let plane = |values: Vec<f32>| Plane::new(1, values.len(), values).unwrap();
        let a = plane(vec![1.0, 2.0, 3.0, 4.0]);
        assert_eq!(rank_correlation(&a, &plane(vec![10.0, 20.0, 30.0, 40.0])), 1.0);
        assert_eq!(rank_correlation(&a, &plane(vec![4.0, 3.0, 2.0, 1.0])), -1.0);
        assert_eq!(rank_correlation(&a, &plane(vec![5.0; 4])), 0.0);
        assert_eq!(rank_correlation(&a, &plane(vec![f32::NAN; 4])), 0.0);
    }
}
