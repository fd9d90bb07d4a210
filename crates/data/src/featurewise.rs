//! Numbers about a whole set of pictures, by which each is standardized: mean, deviation, whitening.

use crate::augment::PictureSource;
use std::fmt;
use striate_tensor::{Error, Result, Shape};

/// The most values a picture may have for whitening: its matrix has the square of that.
const MAX_WHITENED: usize = 8192;
/// Rotations go on until no two columns are less orthogonal than this.
const TOLERANCE: f64 = 1e-12;
const MAX_SWEEPS: usize = 60;

/// What is worked out from a set of pictures; named as in Keras's `ImageDataGenerator`. By default nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FeaturewiseOptions {
    /// Subtract each channel's mean over the set.
    pub featurewise_center: bool,
    /// Divide by each channel's standard deviation over the set, + 10⁻⁶.
    pub featurewise_std_normalization: bool,
    /// Whiten (ZCA): make all values of a picture uncorrelated over the set, and as like the picture as that allows. The number is
    /// Keras's `zca_epsilon`, 10⁻⁶ there, which keeps small directions small.
    pub zca_whitening: Option<f64>,
}

/// The numbers of a set; see [`Featurewise::fit`].
#[derive(Clone, PartialEq)]
pub struct Featurewise {
    mean: Option<Vec<f32>>,
    /// Standard deviations + 10⁻⁶.
    deviation: Option<Vec<f32>>,
    /// A symmetric matrix, row-major.
    whitening: Option<Vec<f32>>,
}

impl Featurewise {
    /// Works the numbers out from these samples of a data set: Keras's `fit`.
    ///
    /// The pictures are taken as they are after all that [`crate::Standardize`] does to a single one. (Keras takes them before, so that
    /// `rescale` there spoils the numbers.) Whitening takes time of the order of n² · d for n samples of d values, n < d.
    ///
    /// # Errors
    /// [`Error::Data`] without samples; [`Error::Argument`] for an epsilon that is not positive, or pictures too large for
    /// whitening; what reading the pictures reports.
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// # for (class, shade) in [("cats", 50), ("dogs", 150)] {
    /// #     std::fs::create_dir(folder.path().join(class)).unwrap();
    /// #     let path = folder.path().join(class).join("0.png");
    /// #     image::GrayImage::from_pixel(4, 4, image::Luma([shade])).save(path).unwrap();
    /// # }
    /// # let folder = folder.path();
    /// use striate_data::{BatchContext, Dataset, Featurewise, FeaturewiseOptions, FolderOptions, ImageFolder};
    /// use striate_tensor::Key;
    /// let pictures = ImageFolder::open(folder, FolderOptions { target_size: (4, 4), ..FolderOptions::default() })?;
    /// let options = FeaturewiseOptions { featurewise_center: true, ..FeaturewiseOptions::default() };
    /// let numbers = Featurewise::fit(&pictures, &[0, 1], options)?;
    /// let pictures = pictures.with_featurewise(numbers)?;
    /// let batch = pictures.batch(&[0], &BatchContext::new(Key::new(0), &striate_testkit::reference::device()))?;
    /// assert_eq!(batch.inputs[0].to_vec::<f32>()?, [-50.0; 48]);
    /// # Ok::<(), striate_tensor::Error>(())
    /// ```
    pub fn fit(data: &dyn PictureSource, samples: &[usize], options: FeaturewiseOptions) -> Result<Self> {
        let mut all = Vec::with_capacity(samples.len());
        for &sample in samples {
            let picture = data.picture(sample)?;
            let mut values: Vec<f32> = picture.bytes().iter().map(|&byte| f32::from(byte)).collect();
            data.standardize().apply_alone(&mut values, &picture.shape());
            all.push(values);
        }
        let channels = data.input_shapes().first().map_or(1, |shape| shape.channels());
        Featurewise::of(all, channels, options)
    }

    /// Works on values as they are.
    fn of(mut all: Vec<Vec<f32>>, channels: usize, options: FeaturewiseOptions) -> Result<Self> {
        let size = all.first().map_or(0, Vec::len);
        if size == 0 || channels == 0 {
            return Err(Error::data("Featurewise", "there must be at least one sample", "none", ""));
        }
        if let Some(epsilon) = options.zca_whitening {
            if !(epsilon > 0.0 && epsilon.is_finite()) {
                return Err(Error::argument("zca_whitening", "epsilon must be positive", epsilon.to_string(), "1e-6"));
            }
            if size > MAX_WHITENED {
                let rule = format!("a picture may have at most {MAX_WHITENED} values");
                return Err(Error::argument("zca_whitening", rule, size.to_string(), "use smaller pictures"));
            }
        }
        let count = (all.len() * size / channels) as f64;
        let per_channel = |all: &[Vec<f32>], f: &dyn Fn(f64, usize) -> f64| -> Vec<f64> {
            let mut sums = vec![0.0; channels];
            for values in all {
                values.iter().enumerate().for_each(|(i, &v)| sums[i % channels] += f(f64::from(v), i % channels));
            }
            sums.into_iter().map(|sum| sum / count).collect()
        };
        let floats = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
        let mean = options.featurewise_center.then(|| floats(&per_channel(&all, &|v, _| v)));
        let mut numbers = Featurewise { mean, deviation: None, whitening: None };
        all.iter_mut().for_each(|values| numbers.apply(values));
        if options.featurewise_std_normalization {
            let centre = per_channel(&all, &|v, _| v);
            let variance = per_channel(&all, &|v, c| (v - centre[c]).powi(2));
            numbers.deviation = Some(variance.iter().map(|v| v.sqrt() as f32 + 1e-6).collect());
            all.iter_mut().for_each(|values| {
                values.iter_mut().enumerate().for_each(|(i, v)| *v /= variance[i % channels].sqrt() as f32 + 1e-6);
            });
        }
        numbers.whitening = options.zca_whitening.map(|epsilon| whitening(&all, epsilon));
        Ok(numbers)
    }

    /// Works on one picture's values.
    pub(crate) fn apply(&self, values: &mut [f32]) {
        if let Some(mean) = &self.mean {
            values.iter_mut().enumerate().for_each(|(i, v)| *v -= mean[i % mean.len()]);
        }
        if let Some(deviation) = &self.deviation {
            values.iter_mut().enumerate().for_each(|(i, v)| *v /= deviation[i % deviation.len()]);
        }
        if let Some(matrix) = &self.whitening {
            let before = values.to_vec();
            for (value, row) in values.iter_mut().zip(matrix.chunks_exact(before.len())) {
                *value = row.iter().zip(&before).map(|(a, b)| a * b).sum();
            }
        }
    }

    /// Whether these numbers are about pictures of this shape.
    pub(crate) fn check(&self, shape: &Shape) -> Result<()> {
        let channels = shape.channels();
        let fits = |numbers: &Option<Vec<f32>>, count: usize| numbers.as_ref().is_none_or(|n| n.len() == count);
        let size = shape.elements();
        if fits(&self.mean, channels) && fits(&self.deviation, channels) && fits(&self.whitening, size * size) {
            return Ok(());
        }
        Err(Error::shape(
            "Featurewise",
            "it must come from pictures of the same shape",
            shape.to_string(),
            "fit it anew",
        ))
    }
}

/// Keras's matrix: u · diag(√n / (s + ε)) · uᵀ, where the samples as columns are u · diag(s) · vᵀ.
fn whitening(all: &[Vec<f32>], epsilon: f64) -> Vec<f32> {
    let (n, size) = (all.len(), all[0].len());
    let samples: Vec<Vec<f64>> = all.iter().map(|values| values.iter().map(|&v| f64::from(v)).collect()).collect();
    let directions: Vec<(Vec<f64>, f64)> = if n <= size {
        let (columns, _) = orthogonal(samples, false);
        let unit = |column: Vec<f64>| {
            let length = dot(&column, &column).sqrt();
            (column.iter().map(|v| v / length).collect(), length)
        };
        columns.into_iter().map(unit).collect()
    } else {
        let features = (0..size).map(|i| samples.iter().map(|sample| sample[i]).collect()).collect();
        let (columns, rotations) = orthogonal(features, true);
        rotations.into_iter().zip(columns).map(|(u, column)| (u, dot(&column, &column).sqrt())).collect()
    };
    let mut matrix = vec![0.0f64; size * size];
    for (u, length) in directions.iter().filter(|(_, length)| *length > 0.0) {
        let factor = (n as f64).sqrt() / (length + epsilon);
        for (row, a) in matrix.chunks_exact_mut(size).zip(u) {
            row.iter_mut().zip(u).for_each(|(value, b)| *value += factor * a * b);
        }
    }
    matrix.into_iter().map(|v| v as f32).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Columns rotated in pairs until all are orthogonal (Hestenes 1958, <https://doi.org/10.1137/0106005>), and, if wanted, what the
/// rotations make of unit vectors.
fn orthogonal(mut columns: Vec<Vec<f64>>, with_rotations: bool) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let n = columns.len();
    let unit = |i: usize| (0..n).map(|j| f64::from(u8::from(i == j))).collect();
    let mut rotations: Vec<Vec<f64>> = if with_rotations { (0..n).map(unit).collect() } else { Vec::new() };
    for _ in 0..MAX_SWEEPS {
        let mut rotated = false;
        for p in 0..n {
            for q in p + 1..n {
                let (a, b, c) =
                    (dot(&columns[p], &columns[p]), dot(&columns[q], &columns[q]), dot(&columns[p], &columns[q]));
                if c.abs() <= TOLERANCE * (a * b).sqrt() {
                    continue;
                }
                rotated = true;
                let zeta = (b - a) / (2.0 * c);
                let tangent = zeta.signum() / (zeta.abs() + (1.0 + zeta * zeta).sqrt());
                let cosine = 1.0 / (1.0 + tangent * tangent).sqrt();
                turn(&mut columns, p, q, cosine, cosine * tangent);
                if with_rotations {
                    turn(&mut rotations, p, q, cosine, cosine * tangent);
                }
            }
        }
        if !rotated {
            break;
        }
    }
    (columns, rotations)
}

/// Turns columns p < q in their plane.
fn turn(columns: &mut [Vec<f64>], p: usize, q: usize, cosine: f64, sine: f64) {
    let (low, high) = columns.split_at_mut(q);
    for (a, b) in low[p].iter_mut().zip(&mut high[0]) {
        (*a, *b) = (cosine * *a - sine * *b, sine * *a + cosine * *b);
    }
}

impl fmt::Debug for Featurewise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.whitening.as_ref().map(|matrix| matrix.len().isqrt());
        write!(f, "Featurewise(mean {:?}, deviation {:?}, whitened values {size:?})", self.mean, self.deviation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use striate_testkit::golden::Golden;

    #[test]
    fn numbers_are_keras_s() {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/changes.json");
        let golden = Golden::load(path).unwrap();
        let options = |name: &str| FeaturewiseOptions {
            featurewise_center: true,
            featurewise_std_normalization: name == "std",
            zca_whitening: (name == "zca").then_some(1e-2),
        };
        for count in [5, 40] {
            let (shape, values) = golden.array(&format!("standardize/{count}")).unwrap();
            let size: usize = shape[1..].iter().product();
            let all: Vec<Vec<f32>> = values.chunks(size).map(|v| v.iter().map(|&v| v as f32).collect()).collect();
            for name in ["center", "std", "zca"] {
                let numbers = Featurewise::of(all.clone(), 2, options(name)).unwrap();
                let expected = golden.array(&format!("standardize/{count}/{name}")).unwrap().1;
                for (sample, expected) in all.iter().zip(expected.chunks(size)) {
                    let mut values = sample.clone();
                    numbers.apply(&mut values);
                    for (value, expected) in values.iter().zip(expected) {
                        let bound = 2e-3 * expected.abs().max(1.0);
                        assert!((f64::from(*value) - expected).abs() < bound, "{count} {name}: {value} {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn whitened_values_are_uncorrelated() {
        let mut stream = striate_tensor::Key::new(2).stream();
        let all: Vec<Vec<f32>> = (0..400)
            .map(|_| {
                let common = stream.normal();
                (0..6).map(|i| (f64::from(i) * common + stream.normal()) as f32).collect()
            })
            .collect();
        let numbers = Featurewise::of(
            all.clone(),
            1,
            FeaturewiseOptions { zca_whitening: Some(1e-6), ..FeaturewiseOptions::default() },
        )
        .unwrap();
        let white: Vec<Vec<f32>> = all
            .into_iter()
            .map(|mut values| {
                numbers.apply(&mut values);
                values
            })
            .collect();
        for i in 0..6 {
            for j in 0..6 {
                let product = white.iter().map(|v| f64::from(v[i] * v[j])).sum::<f64>() / 400.0;
                assert!((product - f64::from(u8::from(i == j))).abs() < 1e-3, "{i} {j}: {product}");
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let zca = |epsilon| FeaturewiseOptions { zca_whitening: Some(epsilon), ..FeaturewiseOptions::default() };
        assert!(matches!(Featurewise::of(vec![], 3, zca(1.0)), Err(Error::Data(_))));
        assert!(matches!(Featurewise::of(vec![vec![0.0; 3]], 3, zca(0.0)), Err(Error::Argument(_))));
        assert!(matches!(Featurewise::of(vec![vec![0.0; 9000]], 3, zca(1.0)), Err(Error::Argument(_))));
        let numbers = Featurewise::of(vec![vec![1.0; 12]], 3, zca(1.0)).unwrap();
        numbers.check(&Shape::from([2, 2, 3])).unwrap();
        assert!(numbers.check(&Shape::from([2, 3, 3])).is_err());
    }
}
