//! Ranges, ticks and labels of an axis.

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use std::ops::Range;

/// Steps between ticks of a value axis, at most.
const MOST_TICKS: f64 = 9.0;

/// An axis with ticks at round numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axis {
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) ticks: Vec<f64>,
    step: f64,
}

impl Axis {
    /// An axis for values: a little wider than they spread, and never below 0 where none is. Without any, it is 0 to 1.
    pub(crate) fn of_values(values: impl Iterator<Item = f64>) -> Axis {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if low > high {
            return Axis::new(0.0, 1.0, round_step(1.0, MOST_TICKS));
        }
        let size = low.abs().max(high.abs());
        let spread = high - low;
        let margin = match spread > 1e-6 * size {
            true => 0.08 * spread,
            // All values are alike.
            false if size > 0.0 => 0.1 * size,
            false => 1.0,
        };
        let bottom = if low >= 0.0 { (low - margin).max(0.0) } else { low - margin };
        Axis::new(bottom, high + margin, round_step(high + margin - bottom, MOST_TICKS))
    }

    /// An axis for epochs, which are whole numbers from `first` to `last`.
    pub(crate) fn of_epochs(first: f64, last: f64) -> Axis {
        let margin = (0.02 * (last - first)).max(0.3);
        let step = round_step(last - first, 10.0).max(1.0);
        let mut axis = Axis::new(first - margin, last + margin, step);
        axis.ticks.retain(|tick| (first..=last).contains(tick));
        axis
    }

    /// An axis with given ends.
    pub(crate) fn of_range(low: f64, high: f64, step: f64) -> Axis {
        Axis::new(low, high, step)
    }

    fn new(low: f64, high: f64, step: f64) -> Axis {
        let (from, to) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
        Axis { low, high, ticks: (from..=to).map(|i| i as f64 * step).collect(), step }
    }

    /// The label of a tick: as many digits as tell it from the next one.
    pub(crate) fn label(&self, tick: f64) -> String {
        let size = self.low.abs().max(self.high.abs());
        if (1e-4..1e5).contains(&size) && self.step >= 1e-5 {
            let decimals = (-self.step.log10() - 1e-9).ceil().max(0.0) as usize;
            return format!("{:.decimals$}", tick + 0.0);
        }
        if tick.abs() < self.step / 2.0 {
            return "0".into();
        }
        let digits = (tick.abs().log10().floor() - self.step.log10().floor()).clamp(0.0, 15.0) as usize;
        format!("{tick:.digits$e}")
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        from + ((value - self.low) / (self.high - self.low) * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format(value: &f64) -> String {
        value.to_string()
    }

    fn format_ext(&self, value: &f64) -> String {
        self.label(*value)
    }
}

/// The smallest of 1, 2, 5, 10, 20 … and 0.5, 0.2, 0.1 … that goes into `length` at most `most` times.
fn round_step(length: f64, most: f64) -> f64 {
    let least = (length / most).max(f64::MIN_POSITIVE);
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0]
        .map(|digit| digit * power)
        .into_iter()
        .find(|&step| step >= least * (1.0 - 1e-9))
        .unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks.iter().map(|&tick| axis.label(tick)).collect()
    }

    #[test]
    fn ticks_are_round_and_told_apart() {
        let of = |values: &[f64]| labels(&Axis::of_values(values.iter().copied()));
        assert_eq!(of(&[0.9468, 0.9937, 0.9912]), ["0.95", "0.96", "0.97", "0.98", "0.99"]);
        assert_eq!(of(&[0.1712, 0.1004]), ["0.10", "0.11", "0.12", "0.13", "0.14", "0.15", "0.16", "0.17"]);
        assert_eq!(
            of(&[0.9912, 0.99155]),
            ["0.99120", "0.99125", "0.99130", "0.99135", "0.99140", "0.99145", "0.99150", "0.99155"]
        );
        assert_eq!(of(&[3e8, 12.0]), ["0", "5e7", "1.0e8", "1.5e8", "2.0e8", "2.5e8", "3.0e8"]);
        assert_eq!(of(&[3e-6, 1e-6]), ["1.0e-6", "1.5e-6", "2.0e-6", "2.5e-6", "3.0e-6"]);
        assert_eq!(of(&[-1.0, 1.0]), ["-1.0", "-0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(of(&[]), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        for flat in [0.0, 0.5, 1e9, -2.0] {
            let axis = Axis::of_values([flat].into_iter());
            assert!(axis.low <= flat && flat < axis.high && axis.ticks.len() >= 2, "{axis:?}");
        }
    }

    #[test]
    fn epochs_are_whole_and_only_those_there_are() {
        let of = |first: f64, last: f64| labels(&Axis::of_epochs(first, last));
        assert_eq!(of(1.0, 1.0), ["1"]);
        assert_eq!(of(1.0, 5.0), ["1", "2", "3", "4", "5"]);
        assert_eq!(of(1.0, 30.0), ["5", "10", "15", "20", "25", "30"]);
        assert_eq!(of(1.0, 500.0).last().map(String::as_str), Some("500"));
    }

    #[test]
    fn every_label_differs_from_its_neighbour() {
        for exponent in -12..=12 {
            for spread in [1.0, 0.3, 0.01, 1e-4] {
                let value = 1.234_567 * 10f64.powi(exponent);
                let labels = labels(&Axis::of_values([value, value * (1.0 + spread)].into_iter()));
                assert!((2..=10).contains(&labels.len()), "{labels:?}");
                assert!(labels.windows(2).all(|pair| pair[0] != pair[1]), "{labels:?}");
            }
        }
    }
}
