//! How weights start.

use crate::config::number;
use serde_json::{Value, json};
use striate_tensor::{DType, Device, Error, Key, Result, Shape, Stream, Tensor};

/// How a weight starts. Names and formulas are Keras's (<https://keras.io/api/layers/initializers/>).
///
/// For a kernel (spatial…, in, out) fan-in is taps·in and fan-out is taps·out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Initializer {
    /// 0.
    Zeros,
    /// 1.
    Ones,
    /// One value.
    Constant(f32),
    /// Uniform in ±√(6 / (fan-in + fan-out)). Glorot and Bengio 2010, <https://proceedings.mlr.press/v9/glorot10a.html>.
    GlorotUniform,
    /// Truncated normal of variance 2 / (fan-in + fan-out).
    GlorotNormal,
    /// Uniform in ±√(6 / fan-in). He et al. 2015, <https://arxiv.org/abs/1502.01852>.
    HeUniform,
    /// Truncated normal of variance 2 / fan-in.
    HeNormal,
    /// Uniform in ±√(3 / fan-in).
    LecunUniform,
    /// Truncated normal of variance 1 / fan-in.
    LecunNormal,
    /// Uniform between two values. Keras's default is ±0.05.
    RandomUniform {
        /// The lower end.
        low: f32,
        /// The upper end.
        high: f32,
    },
    /// Normal. Keras's default is mean 0, deviation 0.05.
    RandomNormal {
        /// The mean.
        mean: f32,
        /// The standard deviation.
        stddev: f32,
    },
    /// Normal without the tails beyond two deviations.
    TruncatedNormal {
        /// The mean.
        mean: f32,
        /// The standard deviation before truncation.
        stddev: f32,
    },
    /// Orthonormal rows or columns times a gain. Saxe et al. 2013, <https://arxiv.org/abs/1312.6120>.
    Orthogonal {
        /// The factor.
        gain: f32,
    },
}

/// The standard deviation of a normal distribution cut off at two.
const TRUNCATED_DEVIATION: f64 = 0.879_625_661_034_239_8;

impl Initializer {
    /// A tensor of starting values; a function of the key and the shape alone, the same on every device.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn tensor(&self, shape: &Shape, dtype: DType, key: Key, device: &Device) -> Result<Tensor> {
        let mut stream = key.stream();
        let n = shape.elements();
        let draw = match *self {
            Initializer::Zeros => return Tensor::full(*shape, 0.0, dtype, device),
            Initializer::Ones => return Tensor::full(*shape, 1.0, dtype, device),
            Initializer::Constant(value) => return Tensor::full(*shape, f64::from(value), dtype, device),
            Initializer::Orthogonal { gain } => {
                let columns = shape.channels().max(1);
                let values = orthogonal(n / columns, columns, f64::from(gain), &mut stream);
                return Tensor::from_vec(values, *shape, device)?.cast(dtype);
            }
            _ => self.distribution(shape),
        };
        if dtype == DType::F64 {
            return Tensor::from_vec((0..n).map(|_| draw.next(&mut stream)).collect(), *shape, device);
        }
        // Straight to float32: the largest weights are hundreds of megabytes.
        let values: Vec<f32> = (0..n).map(|_| draw.next(&mut stream) as f32).collect();
        Tensor::from_vec(values, *shape, device)?.cast(dtype)
    }

    fn distribution(&self, shape: &Shape) -> Draw {
        let (fan_in, fan_out) = fans(shape);
        let uniform = |variance: f64| {
            let limit = (3.0 * variance).sqrt();
            Draw::Uniform { low: -limit, high: limit }
        };
        let truncated = |variance: f64| Draw::Truncated { mean: 0.0, deviation: variance.sqrt() / TRUNCATED_DEVIATION };
        match *self {
            Initializer::GlorotUniform => uniform(2.0 / (fan_in + fan_out)),
            Initializer::GlorotNormal => truncated(2.0 / (fan_in + fan_out)),
            Initializer::HeUniform => uniform(2.0 / fan_in),
            Initializer::HeNormal => truncated(2.0 / fan_in),
            Initializer::LecunUniform => uniform(1.0 / fan_in),
            Initializer::LecunNormal => truncated(1.0 / fan_in),
            Initializer::RandomUniform { low, high } => Draw::Uniform { low: f64::from(low), high: f64::from(high) },
            Initializer::RandomNormal { mean, stddev } => {
                Draw::Normal { mean: f64::from(mean), deviation: f64::from(stddev) }
            }
            Initializer::TruncatedNormal { mean, stddev } => {
                Draw::Truncated { mean: f64::from(mean), deviation: f64::from(stddev) }
            }
            Initializer::Zeros | Initializer::Ones | Initializer::Constant(_) | Initializer::Orthogonal { .. } => {
                Draw::Uniform { low: 0.0, high: 0.0 }
            }
        }
    }

    /// Keras's serialized form.
    pub fn to_json(self) -> Value {
        let (class, config) = match self {
            Initializer::Zeros => ("Zeros", json!({})),
            Initializer::Ones => ("Ones", json!({})),
            Initializer::Constant(value) => ("Constant", json!({ "value": number(value) })),
            Initializer::GlorotUniform => ("GlorotUniform", json!({ "seed": null })),
            Initializer::GlorotNormal => ("GlorotNormal", json!({ "seed": null })),
            Initializer::HeUniform => ("HeUniform", json!({ "seed": null })),
            Initializer::HeNormal => ("HeNormal", json!({ "seed": null })),
            Initializer::LecunUniform => ("LecunUniform", json!({ "seed": null })),
            Initializer::LecunNormal => ("LecunNormal", json!({ "seed": null })),
            Initializer::RandomUniform { low, high } => {
                ("RandomUniform", json!({ "minval": number(low), "maxval": number(high), "seed": null }))
            }
            Initializer::RandomNormal { mean, stddev } => {
                ("RandomNormal", json!({ "mean": number(mean), "stddev": number(stddev), "seed": null }))
            }
            Initializer::TruncatedNormal { mean, stddev } => {
                ("TruncatedNormal", json!({ "mean": number(mean), "stddev": number(stddev), "seed": null }))
            }
            Initializer::Orthogonal { gain } => ("Orthogonal", json!({ "gain": number(gain), "seed": null })),
        };
        json!({ "module": "keras.initializers", "class_name": class, "config": config, "registered_name": null })
    }

    /// The initializer of Keras's serialized form: a name, or an object with `class_name` and `config`.
    ///
    /// # Errors
    /// [`Error::Model`] for an unknown one.
    pub fn from_json(value: &Value) -> Result<Initializer> {
        let name = value.as_str().or_else(|| value["class_name"].as_str()).unwrap_or_default();
        let number = |key: &str, default: f32| value["config"][key].as_f64().map_or(default, |v| v as f32);
        let plain: String = name.chars().filter(|c| *c != '_').collect::<String>().to_lowercase();
        Ok(match plain.as_str() {
            "zeros" | "zero" => Initializer::Zeros,
            "ones" | "one" => Initializer::Ones,
            "constant" => Initializer::Constant(number("value", 0.0)),
            "glorotuniform" => Initializer::GlorotUniform,
            "glorotnormal" => Initializer::GlorotNormal,
            "heuniform" => Initializer::HeUniform,
            "henormal" => Initializer::HeNormal,
            "lecununiform" => Initializer::LecunUniform,
            "lecunnormal" => Initializer::LecunNormal,
            "randomuniform" | "uniform" => {
                Initializer::RandomUniform { low: number("minval", -0.05), high: number("maxval", 0.05) }
            }
            "randomnormal" | "normal" => {
                Initializer::RandomNormal { mean: number("mean", 0.0), stddev: number("stddev", 0.05) }
            }
            "truncatednormal" => {
                Initializer::TruncatedNormal { mean: number("mean", 0.0), stddev: number("stddev", 0.05) }
            }
            "orthogonal" => Initializer::Orthogonal { gain: number("gain", 1.0) },
            "variancescaling" => {
                let uniform = value["config"]["distribution"].as_str().is_some_and(|d| d == "uniform");
                match (value["config"]["mode"].as_str(), number("scale", 1.0), uniform) {
                    (Some("fan_avg"), 1.0, true) => Initializer::GlorotUniform,
                    (Some("fan_avg"), 1.0, false) => Initializer::GlorotNormal,
                    (_, 2.0, true) => Initializer::HeUniform,
                    (_, 2.0, false) => Initializer::HeNormal,
                    (_, _, true) => Initializer::LecunUniform,
                    (_, _, false) => Initializer::LecunNormal,
                }
            }
            _ => {
                return Err(Error::model(
                    "initializer",
                    "the class must be one of Keras's",
                    format!("`{value}`"),
                    "such as glorot_uniform, he_normal or zeros",
                ));
            }
        })
    }
}

/// A distribution that weights are drawn from one by one.
#[derive(Clone, Copy)]
enum Draw {
    Uniform { low: f64, high: f64 },
    Normal { mean: f64, deviation: f64 },
    Truncated { mean: f64, deviation: f64 },
}

impl Draw {
    fn next(self, stream: &mut Stream) -> f64 {
        match self {
            Draw::Uniform { low, high } => stream.uniform_in(low, high),
            Draw::Normal { mean, deviation } => mean + deviation * stream.normal(),
            Draw::Truncated { mean, deviation } => mean + deviation * stream.truncated_normal(),
        }
    }
}

fn fans(shape: &Shape) -> (f64, f64) {
    match shape.as_slice() {
        [] => (1.0, 1.0),
        [n] => (*n as f64, *n as f64),
        [spatial @ .., fan_in, fan_out] => {
            let taps: f64 = spatial.iter().map(|&n| n as f64).product();
            (taps * *fan_in as f64, taps * *fan_out as f64)
        }
    }
}

/// An orthonormal matrix by Gram and Schmidt on normal draws, each vector projected twice for accuracy.
fn orthogonal(rows: usize, columns: usize, gain: f64, stream: &mut Stream) -> Vec<f64> {
    let (count, length) = (rows.min(columns), rows.max(columns));
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(count);
    while basis.len() < count {
        let mut v: Vec<f64> = (0..length).map(|_| stream.normal()).collect();
        for _ in 0..2 {
            for b in &basis {
                let dot: f64 = v.iter().zip(b).map(|(x, y)| x * y).sum();
                v.iter_mut().zip(b).for_each(|(x, y)| *x -= dot * y);
            }
        }
        let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        if norm > 1e-9 {
            v.iter_mut().for_each(|x| *x /= norm);
            basis.push(v);
        }
    }
    (0..rows * columns)
        .map(|i| {
            let (row, column) = (i / columns, i % columns);
            gain * if rows <= columns { basis[row][column] } else { basis[column][row] }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(initializer: Initializer, shape: impl Into<Shape>) -> Vec<f64> {
        let device = striate_testkit::reference::device();
        initializer.tensor(&shape.into(), DType::F64, Key::new(1), &device).unwrap().to_vec().unwrap()
    }

    #[test]
    fn moments_are_those_of_the_papers() {
        let shape = [3, 3, 64, 128]; // fan-in 576, fan-out 1152
        for (initializer, variance) in [
            (Initializer::GlorotUniform, 2.0 / 1728.0),
            (Initializer::GlorotNormal, 2.0 / 1728.0),
            (Initializer::HeUniform, 2.0 / 576.0),
            (Initializer::HeNormal, 2.0 / 576.0),
            (Initializer::LecunUniform, 1.0 / 576.0),
            (Initializer::LecunNormal, 1.0 / 576.0),
            (Initializer::RandomNormal { mean: 0.0, stddev: 0.05 }, 0.0025),
        ] {
            let v = draws(initializer, shape);
            let mean = v.iter().sum::<f64>() / v.len() as f64;
            let found = v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / v.len() as f64;
            assert!((found / variance - 1.0).abs() < 0.03, "{initializer:?}: {found} instead of {variance}");
            assert!(mean.abs() < 0.02 * variance.sqrt(), "{initializer:?}: mean {mean}");
        }
    }

    #[test]
    fn orthogonal_columns_are_orthonormal() {
        for (rows, columns) in [(6, 4), (4, 6), (5, 5)] {
            let q = draws(Initializer::Orthogonal { gain: 2.0 }, [rows, columns]);
            let short = rows.min(columns);
            let at = |i: usize, k: usize| if rows >= columns { q[k * columns + i] } else { q[i * columns + k] };
            for (i, j) in (0..short).flat_map(|i| (0..short).map(move |j| (i, j))) {
                let dot: f64 = (0..rows.max(columns)).map(|k| at(i, k) * at(j, k)).sum();
                assert!((dot - if i == j { 4.0 } else { 0.0 }).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn json_round_trips() {
        for initializer in [
            Initializer::Zeros,
            Initializer::Constant(0.5),
            Initializer::GlorotUniform,
            Initializer::HeNormal,
            Initializer::RandomUniform { low: -0.5, high: 0.25 },
            Initializer::TruncatedNormal { mean: 0.0, stddev: 0.5 },
            Initializer::Orthogonal { gain: 1.5 },
        ] {
            assert_eq!(Initializer::from_json(&initializer.to_json()).unwrap(), initializer);
        }
        assert_eq!(Initializer::from_json(&json!("he_uniform")).unwrap(), Initializer::HeUniform);
        assert!(Initializer::from_json(&json!("his_uniform")).is_err());
    }
}
