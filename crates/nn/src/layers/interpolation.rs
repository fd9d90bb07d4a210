//! Pictures at another size, as one matrix product for each axis: how much of each given element every new one holds.

use serde_json::Value;
use striate_autograd::Var;
use striate_tensor::{Error, Result, Shape, Tensor};

/// Where the elements between the given ones come from. Positions are those of centres: new element i lies at
/// (i + 1/2)·given/new − 1/2 of the given ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interpolation {
    /// The nearest element.
    #[default]
    Nearest,
    /// Straight lines between the centres of neighbouring elements; the border's elements beyond.
    Bilinear,
    /// A cubic with a = −1/2 over two elements to either side, its places rounded to 1/1024 as TensorFlow does.
    Bicubic,
    /// A sine wave in a window of three elements to either side.
    Lanczos3,
    /// A sine wave in a window of five elements to either side.
    Lanczos5,
}

impl Interpolation {
    /// Keras's name.
    pub fn name(self) -> &'static str {
        match self {
            Interpolation::Nearest => "nearest",
            Interpolation::Bilinear => "bilinear",
            Interpolation::Bicubic => "bicubic",
            Interpolation::Lanczos3 => "lanczos3",
            Interpolation::Lanczos5 => "lanczos5",
        }
    }

    pub(crate) fn from_name(class: &str, name: &str) -> Result<Self> {
        use Interpolation::*;
        [Nearest, Bilinear, Bicubic, Lanczos3, Lanczos5].into_iter().find(|known| known.name() == name).ok_or_else(
            || {
                let rule = "`interpolation` must be nearest, bilinear, bicubic, lanczos3 or lanczos5";
                Error::model(class, rule, format!("`{name}`"), "")
            },
        )
    }

    /// Elements to either side that count.
    fn radius(self) -> f64 {
        match self {
            Interpolation::Nearest | Interpolation::Bilinear => 1.0,
            Interpolation::Bicubic => 2.0,
            Interpolation::Lanczos3 => 3.0,
            Interpolation::Lanczos5 => 5.0,
        }
    }

    /// The weight of an element at a distance.
    fn weight(self, distance: f64) -> f64 {
        let x = distance.abs();
        match self {
            Interpolation::Nearest | Interpolation::Bilinear => (1.0 - x).max(0.0),
            Interpolation::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Interpolation::Bicubic if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
            Interpolation::Bicubic => 0.0,
            Interpolation::Lanczos3 | Interpolation::Lanczos5 => {
                let radius = self.radius();
                let angle = std::f64::consts::PI * x;
                match x {
                    x if x > radius => 0.0,
                    x if x <= 1e-3 => 1.0,
                    _ => radius * angle.sin() * (angle / radius).sin() / (angle * angle),
                }
            }
        }
    }
}

/// What each of `new` elements is made of, as rows of `given` shares that sum to 1. With `antialias` the window grows with the
/// distance between the new elements.
fn shares(given: usize, new: usize, interpolation: Interpolation, antialias: bool) -> Vec<f64> {
    let step = given as f64 / new as f64;
    let mut rows = vec![0.0; new * given];
    for (i, row) in rows.chunks_exact_mut(given.max(1)).enumerate() {
        let centre = (i as f64 + 0.5) * step;
        if interpolation == Interpolation::Nearest {
            // As float32, which decides where a centre falls between two elements.
            let nearest = ((i as f32 + 0.5) * (given as f32 / new as f32)).floor() as usize;
            row[nearest.min(given - 1)] = 1.0;
            continue;
        }
        let widening = if antialias { step.max(1.0) } else { 1.0 };
        let is_rounded = interpolation == Interpolation::Bicubic && !antialias;
        let place = if is_rounded {
            let (low, share) = ((centre - 0.5).floor(), (centre - 0.5).rem_euclid(1.0));
            low + (share * 1024.0).round_ties_even() / 1024.0
        } else {
            centre - 0.5
        };
        let reach = interpolation.radius() * widening;
        let first = (place - reach).ceil().max(0.0) as usize;
        let last = ((place + reach).floor().max(0.0) as usize).min(given - 1);
        let weights = (first..=last).map(|j| interpolation.weight((j as f64 - place) / widening));
        row[first.min(last)..=last].iter_mut().zip(weights).for_each(|(share, weight)| *share = weight);
        let sum: f64 = row.iter().sum();
        if sum != 0.0 {
            row.iter_mut().for_each(|share| *share /= sum);
        }
    }
    rows
}

/// The variable with `new` elements along an axis, made of the given ones.
///
/// # Errors
/// [`Error::Shape`] for an empty axis or a result too large for memory; those of the matrix product.
pub(crate) fn resample(x: &Var, axis: usize, new: usize, interpolation: Interpolation, antialias: bool) -> Result<Var> {
    let given = x.shape()[axis];
    if given == new {
        return Ok(x.clone());
    }
    let shape = Shape::new(&[new, given])?;
    mix(x, axis, Tensor::from_vec(shares(given, new, interpolation, antialias), shape, x.device())?)
}

/// The variable with its elements along an axis mixed: `shares` (new, given) says how.
pub(crate) fn mix(x: &Var, axis: usize, shares: Tensor) -> Result<Var> {
    let mut sizes = x.shape().to_vec();
    let before: usize = sizes[..axis].iter().product();
    let after: usize = sizes[axis + 1..].iter().product();
    let given = sizes[axis];
    sizes[axis] = shares.shape()[0];
    let shares = Var::constant(shares.cast(x.value().dtype())?);
    // One matrix product for each sample (rows) or row (columns).
    shares.matmul(&x.reshape([before, given, after])?)?.reshape(Shape::new(&sizes)?)
}

/// A size that a config must give as a positive integer.
pub(crate) fn positive(class: &str, key: &str, size: usize) -> Result<()> {
    if size > 0 {
        return Ok(());
    }
    Err(Error::argument(class, format!("`{key}` must be at least 1"), Value::from(size).to_string(), ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_to_one_and_keep_what_is_even() {
        use Interpolation::*;
        for interpolation in [Nearest, Bilinear, Bicubic, Lanczos3, Lanczos5] {
            for (given, new) in [(1, 4), (4, 1), (5, 7), (7, 5), (12, 3), (3, 3)] {
                for antialias in [false, true] {
                    for row in shares(given, new, interpolation, antialias).chunks(given) {
                        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{interpolation:?} {given} {new}");
                    }
                }
            }
        }
    }

    #[test]
    fn by_hand() {
        assert_eq!(shares(2, 4, Interpolation::Bilinear, false), [1.0, 0.0, 0.75, 0.25, 0.25, 0.75, 0.0, 1.0]);
        assert_eq!(shares(4, 2, Interpolation::Bilinear, false), [0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5]);
        // A tent two elements wide to either side: 1/4·(3/2, 3/2, 1/2) without what lies outside.
        let wide = shares(4, 2, Interpolation::Bilinear, true);
        let expected = [3.0 / 7.0, 3.0 / 7.0, 1.0 / 7.0, 0.0, 0.0, 1.0 / 7.0, 3.0 / 7.0, 3.0 / 7.0];
        assert!(wide.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{wide:?}");
        assert_eq!(shares(3, 2, Interpolation::Nearest, false), [1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    }
}
