//! Which source pixels each target pixel is made of, and how much each counts.

use super::Filter;
use std::f64::consts::PI;

/// Binary places of a weight: 8 bits of pixel, 2 of headroom for weights that sum to more than 1.
pub(super) const PRECISION: u32 = 32 - 8 - 2;

/// A range of rows or columns of the source.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) length: usize,
}

impl Span {
    pub(super) fn whole(length: usize) -> Self {
        Span { start: 0, length }
    }
}

/// For each target pixel along one axis the source pixels and their weights.
pub(super) struct Weights {
    /// The first source pixel and the place of its weight.
    starts: Vec<(usize, usize)>,
    weights: Vec<i32>,
}

impl Weights {
    pub(super) fn new(filter: Filter, span: Span, size: usize, target: usize) -> Self {
        let step = span.length as f64 / target as f64;
        let widen = step.max(1.0);
        let reach = support(filter) * widen;
        let (mut starts, mut weights) = (Vec::with_capacity(target + 1), Vec::new());
        let mut exact = Vec::new();
        for i in 0..target {
            let centre = span.start as f64 + (i as f64 + 0.5) * step;
            let first = (centre - reach + 0.5).max(0.0) as usize;
            let last = ((centre + reach + 0.5) as usize).min(size);
            exact.clear();
            exact.extend((first..last).map(|j| value(filter, (j as f64 - centre + 0.5) / widen)));
            let sum: f64 = exact.iter().sum();
            starts.push((first, weights.len()));
            let one = f64::from(1u32 << PRECISION);
            let fixed = |w: &f64| {
                let w = if sum == 0.0 { *w } else { w / sum } * one;
                (if w < 0.0 { w - 0.5 } else { w + 0.5 }) as i32
            };
            weights.extend(exact.iter().map(fixed));
        }
        starts.push((0, weights.len()));
        Weights { starts, weights }
    }

    /// The number of target pixels.
    pub(super) fn target(&self) -> usize {
        self.starts.len() - 1
    }

    /// For each target pixel the first source pixel and the weights.
    pub(super) fn each(&self) -> impl Iterator<Item = (usize, &[i32])> {
        self.starts.windows(2).map(|pair| (pair[0].0, &self.weights[pair[0].1..pair[1].1]))
    }

    /// The range of source pixels that are read at all.
    pub(super) fn reach(&self) -> (usize, usize) {
        self.each()
            .fold((usize::MAX, 0), |(low, high), (first, weights)| (low.min(first), high.max(first + weights.len())))
    }
}

/// How far a filter reaches, in source pixels when nothing shrinks.
fn support(filter: Filter) -> f64 {
    match filter {
        Filter::Nearest | Filter::Area => 0.5,
        Filter::Bilinear | Filter::Hamming => 1.0,
        Filter::Bicubic => 2.0,
        Filter::Lanczos => 3.0,
    }
}

/// A filter's height at a distance from its centre.
fn value(filter: Filter, x: f64) -> f64 {
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) };
    let d = x.abs();
    match filter {
        Filter::Nearest | Filter::Area => f64::from(x > -0.5 && x <= 0.5),
        Filter::Bilinear => (1.0 - d).max(0.0),
        Filter::Hamming if d >= 1.0 => 0.0,
        Filter::Hamming => sinc(x) * (0.54 + 0.46 * (x * PI).cos()),
        Filter::Bicubic if d < 1.0 => (1.5 * d - 2.5) * d * d + 1.0,
        Filter::Bicubic if d < 2.0 => ((-0.5 * d + 2.5) * d - 4.0) * d + 2.0,
        Filter::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
        Filter::Bicubic | Filter::Lanczos => 0.0,
    }
}
