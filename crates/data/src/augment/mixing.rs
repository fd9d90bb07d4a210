//! Samples mixed with others of their batch: mixup and cutmix, with soft targets.

use crate::dataset::{Batch, BatchContext, Dataset};
use crate::fingerprint::Fingerprint;
use std::fmt;
use std::sync::Arc;
use striate_tensor::{Error, Key, Result, Shape, Stream, Tensor};

/// How samples are mixed. With both methods on, half of the samples are mixed by each. By default none is.
///
/// - mixup: a sample becomes λ · itself + (1 - λ) · a partner, λ from Beta(α, α); Zhang et al. 2018,
///   <https://arxiv.org/abs/1710.09412>.
/// - cutmix: a rectangle of a partner, of (1 - λ) of the area before it is cut at the border, replaces what was there; Yun et al.
///   2019, <https://arxiv.org/abs/1905.04899>.
///
/// Targets and sample weights are mixed in the same proportion, which suits one-hot rows and yes-or-no numbers (n, 1) alike,
/// but not class indices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mixing {
    /// α of mixup; 0 leaves it out. 0.2 is usual.
    pub mixup: f64,
    /// α of cutmix; 0 leaves it out. 1 is usual.
    pub cutmix: f64,
    /// The part of the samples that are mixed; 1 unless set.
    pub probability: f64,
}

impl Default for Mixing {
    fn default() -> Self {
        Mixing { mixup: 0.0, cutmix: 0.0, probability: 1.0 }
    }
}

impl Mixing {
    /// Mixup of all samples.
    pub fn mixup(alpha: f64) -> Self {
        Mixing { mixup: alpha, ..Mixing::default() }
    }

    /// Cutmix of all samples.
    pub fn cutmix(alpha: f64) -> Self {
        Mixing { cutmix: alpha, ..Mixing::default() }
    }

    fn check(&self) -> Result<()> {
        for (name, alpha) in [("mixup", self.mixup), ("cutmix", self.cutmix)] {
            if !(alpha.is_finite() && alpha >= 0.0) {
                return Err(Error::argument(name, "alpha must be finite and not negative", alpha.to_string(), ""));
            }
        }
        if !(0.0..=1.0).contains(&self.probability) {
            return Err(Error::argument("probability", "must be in 0..=1", self.probability.to_string(), ""));
        }
        Ok(())
    }

    /// What happens to a sample of height × width: a function of the key.
    fn draw(&self, key: Key, height: usize, width: usize) -> Mixed {
        let mut stream = key.fold_str("mixing").stream();
        let cut = match (self.mixup > 0.0, self.cutmix > 0.0) {
            (false, false) => return Mixed::Alone,
            (true, true) => stream.below(2) == 1,
            (_, cut) => cut,
        };
        if stream.uniform() >= self.probability {
            return Mixed::Alone;
        }
        if !cut {
            return Mixed::Blended { own: beta(&mut stream, self.mixup) };
        }
        let side = (1.0 - beta(&mut stream, self.cutmix)).sqrt();
        let mut span = |size: usize| {
            let (half, centre) = ((size as f64 * side / 2.0) as usize, stream.below(size as u64) as usize);
            (centre.saturating_sub(half), (centre + half).min(size))
        };
        let (rows, columns) = (span(height), span(width));
        Mixed::Cut { rows, columns }
    }
}

/// What happens to a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mixed {
    Alone,
    /// So much of itself, the rest of its partner.
    Blended {
        own: f64,
    },
    /// This rectangle of its partner; ends are not included.
    Cut {
        rows: (usize, usize),
        columns: (usize, usize),
    },
}

impl Mixed {
    /// How much of the sample is its own.
    fn own(self, height: usize, width: usize) -> f64 {
        match self {
            Mixed::Alone => 1.0,
            Mixed::Blended { own } => own,
            Mixed::Cut { rows, columns } => {
                let cut = (rows.1 - rows.0) * (columns.1 - columns.0);
                1.0 - cut as f64 / (height * width) as f64
            }
        }
    }
}

/// A number from Beta(α, α), as the part that one Gamma(α) is of two.
fn beta(stream: &mut Stream, alpha: f64) -> f64 {
    let (a, b) = (gamma(stream, alpha), gamma(stream, alpha));
    // For a tiny α both can vanish: then it is 0 or 1.
    if a + b > 0.0 { a / (a + b) } else { stream.below(2) as f64 }
}

/// A number from Gamma(shape, 1): Marsaglia and Tsang 2000, <https://doi.org/10.1145/358407.358414>.
fn gamma(stream: &mut Stream, shape: f64) -> f64 {
    let boost = if shape < 1.0 { stream.uniform().powf(1.0 / shape) } else { 1.0 };
    let d = (if shape < 1.0 { shape + 1.0 } else { shape }) - 1.0 / 3.0;
    loop {
        let x = stream.normal();
        let v = (1.0 + x / (9.0 * d).sqrt()).powi(3);
        if v > 0.0 && (1.0 - stream.uniform()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return boost * d * v;
        }
    }
}

/// A data set whose samples are each mixed with another of their batch.
///
/// What happens to a sample is a function of seed, epoch and sample; who its partner is, also of the batch. Neither depends on
/// the thread that makes the batch.
///
/// ```
/// use striate_data::augment::{MixedDataset, Mixing};
/// use striate_data::{Array, ArrayDataset, Batching};
/// # let device = striate_testkit::reference::device();
/// let images = Array::bytes((0..4 * 8 * 8).map(|i| i as u8).collect(), [4, 8, 8, 1], 255.0)?;
/// let data = ArrayDataset::new(vec![images], vec![Array::one_hot(&[0u8, 1, 2, 3], 4)?])?;
/// let mixed = MixedDataset::new(&data, Mixing::mixup(0.2))?;
/// for batch in (Batching { batch_size: 4, shuffle: true, ..Batching::default() }).epoch(&mixed, 0, &device)? {
///     let targets = batch?.targets[0].to_vec::<f32>()?;
///     assert!(targets.chunks(4).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-6));
/// }
/// # Ok::<(), striate_tensor::Error>(())
/// ```
#[derive(Clone)]
pub struct MixedDataset {
    source: Arc<dyn Dataset>,
    mixing: Mixing,
}

impl MixedDataset {
    /// Wraps a data set of one input: with cutmix, pictures (height, width, channels).
    ///
    /// # Errors
    /// [`Error::Argument`] for a negative alpha or a probability outside 0..=1; [`Error::Shape`] for more inputs, or others
    /// than pictures.
    pub fn new(source: &dyn Dataset, mixing: Mixing) -> Result<Self> {
        mixing.check()?;
        let shapes = source.input_shapes();
        let [shape] = &shapes[..] else {
            return Err(Error::shape("MixedDataset", "there must be one input", shapes.len().to_string(), ""));
        };
        if mixing.cutmix > 0.0 && shape.rank() != 3 {
            let rule = "cutmix needs pictures (height, width, channels)";
            return Err(Error::shape("MixedDataset", rule, shape.to_string(), "use mixup"));
        }
        Ok(MixedDataset { source: source.share(), mixing })
    }
}

impl Dataset for MixedDataset {
    fn len(&self) -> usize {
        self.source.len()
    }

    fn input_shapes(&self) -> Vec<Shape> {
        self.source.input_shapes()
    }

    fn target_shapes(&self) -> Vec<Shape> {
        self.source.target_shapes()
    }

    fn class_names(&self) -> &[String] {
        self.source.class_names()
    }

    fn fingerprint(&self) -> u64 {
        Fingerprint::new().number(self.source.fingerprint()).text(&format!("{:?}", self.mixing)).value()
    }

    fn batch(&self, samples: &[usize], context: &BatchContext) -> Result<Batch> {
        let batch = self.source.batch(samples, context)?;
        let (Some(input), true) = (batch.inputs.first(), samples.len() > 1) else { return Ok(batch) };
        let (height, width, channels) = match input.shape().as_slice() {
            &[_, height, width, channels] => (height, width, channels),
            &[_, ref rest @ ..] => (1, rest.iter().product(), 1),
            [] => return Ok(batch),
        };
        let partners = partners(samples, context.key);
        let mixed: Vec<Mixed> =
            samples.iter().map(|&i| self.mixing.draw(context.key.fold(i as u64), height, width)).collect();
        let own: Vec<f64> = mixed.iter().map(|mixed| mixed.own(height, width)).collect();

        let before = input.to_vec::<f32>()?;
        let size = height * width * channels;
        let mut after = before.clone();
        for (i, row) in after.chunks_exact_mut(size.max(1)).enumerate() {
            let partner = &before[partners[i] * size..][..size];
            match mixed[i] {
                Mixed::Alone => {}
                Mixed::Blended { own } => blend(row, partner, own),
                Mixed::Cut { rows, columns } => {
                    for y in rows.0..rows.1 {
                        let range = (y * width + columns.0) * channels..(y * width + columns.1) * channels;
                        row[range.clone()].copy_from_slice(&partner[range]);
                    }
                }
            }
        }
        let inputs = vec![Tensor::from_vec(after, *input.shape(), &context.device)?];
        let follow = |tensor: &Tensor| -> Result<Tensor> {
            let before = tensor.to_vec::<f32>()?;
            let size = before.len() / samples.len();
            let mut after = before.clone();
            for (i, row) in after.chunks_exact_mut(size.max(1)).enumerate() {
                blend(row, &before[partners[i] * size..][..size], own[i]);
            }
            Tensor::from_vec(after, *tensor.shape(), &context.device)
        };
        let targets = batch.targets.iter().map(follow).collect::<Result<_>>()?;
        let all = Batch::new(inputs, targets, samples.len())?;
        match &batch.weights {
            Some(weights) => all.with_weights(follow(weights)?),
            None => Ok(all),
        }
    }
}

fn blend(row: &mut [f32], partner: &[f32], own: f64) {
    if own < 1.0 {
        let (own, other) = (own as f32, (1.0 - own) as f32);
        row.iter_mut().zip(partner).for_each(|(a, b)| *a = own * *a + other * b);
    }
}

/// Each sample's partner, by its place in the batch: the next one in a random round, so that nobody is alone or taken twice.
fn partners(samples: &[usize], key: Key) -> Vec<usize> {
    let key = samples.iter().fold(key.fold_str("partners"), |key, &sample| key.fold(sample as u64));
    let round = key.permutation(samples.len());
    let mut partners = vec![0; samples.len()];
    for (i, &place) in round.iter().enumerate() {
        partners[place] = round[(i + 1) % round.len()];
    }
    partners
}

impl fmt::Debug for MixedDataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MixedDataset({} samples, {:?})", self.len(), self.mixing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beta_has_its_moments() {
        for alpha in [0.2, 1.0, 4.0] {
            let mut stream = Key::new(7).stream();
            let n = 20_000;
            let drawn: Vec<f64> = (0..n).map(|_| beta(&mut stream, alpha)).collect();
            assert!(drawn.iter().all(|x| (0.0..=1.0).contains(x)));
            let mean = drawn.iter().sum::<f64>() / f64::from(n);
            let variance = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n);
            let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            assert!((mean - 0.5).abs() < 0.01 && (variance - expected).abs() < 0.004, "{alpha}: {mean} {variance}");
        }
        let mut stream = Key::new(1).stream();
        assert!((0..100).all(|_| (0.0..=1.0).contains(&beta(&mut stream, 1e-9))));
    }

    #[test]
    fn partners_go_round() {
        for n in [2, 3, 20] {
            let samples: Vec<usize> = (10..10 + n).collect();
            let partners = partners(&samples, Key::new(3));
            let mut seen = partners.clone();
            seen.sort_unstable();
            assert!(seen.iter().enumerate().all(|(i, &p)| i == p));
            assert!(partners.iter().enumerate().all(|(i, &p)| i != p));
        }
    }

    #[test]
    fn rectangles_have_the_area_that_the_targets_are_told() {
        let mixing = Mixing { mixup: 0.2, cutmix: 1.0, probability: 0.5 };
        let drawn: Vec<Mixed> = (0..4000).map(|i| mixing.draw(Key::new(2).fold(i), 20, 30)).collect();
        let count = |f: &dyn Fn(&Mixed) -> bool| drawn.iter().filter(|m| f(m)).count();
        assert!((1900..2100).contains(&count(&|m| *m == Mixed::Alone)));
        assert!((900..1100).contains(&count(&|m| matches!(m, Mixed::Cut { .. }))));
        for mixed in drawn {
            if let Mixed::Cut { rows, columns } = mixed {
                assert!(rows.0 <= rows.1 && rows.1 <= 20 && columns.0 <= columns.1 && columns.1 <= 30);
            }
            assert!((0.0..=1.0).contains(&mixed.own(20, 30)));
        }
    }
}
