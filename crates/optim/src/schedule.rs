//! The learning rate as a function of the step.

use crate::settings::check;
use std::f64::consts::PI;
use striate_tensor::{Error, Result};

/// The learning rate by step, with Keras's formulas (<https://keras.io/api/optimizers/learning_rate_schedules/>). The first
/// step is 0. A plain number converts into [`Schedule::Constant`].
///
/// ```
/// use striate_optim::Schedule;
/// let warm = Schedule::CosineDecay { initial: 0.0, decay_steps: 100, alpha: 0.0, warmup: Some((0.1, 10)) };
/// assert_eq!((warm.at(0), warm.at(5), warm.at(10), warm.at(110)), (0.0, 0.05, 0.1, 0.0));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Schedule {
    /// The same at every step.
    Constant(f64),
    /// initial · rate^(step / decay_steps); the exponent is rounded down if `staircase`.
    ExponentialDecay {
        /// The rate at step 0.
        initial: f64,
        /// Steps in which it falls by the factor `rate`.
        decay_steps: u64,
        /// The factor.
        rate: f64,
        /// Fall at once after `decay_steps` instead of evenly.
        staircase: bool,
    },
    /// initial / (1 + rate · step / decay_steps); the quotient is rounded down if `staircase`.
    InverseTimeDecay {
        /// The rate at step 0.
        initial: f64,
        /// Steps in which the divisor grows by `rate`.
        decay_steps: u64,
        /// The growth of the divisor.
        rate: f64,
        /// Fall at once after `decay_steps` instead of evenly.
        staircase: bool,
    },
    /// `values[i]` up to and including step `boundaries[i]`, the last value after them.
    PiecewiseConstantDecay {
        /// Steps in rising order.
        boundaries: Vec<u64>,
        /// One value more than there are boundaries.
        values: Vec<f64>,
    },
    /// (initial − end) · (1 − step / decay_steps)^power + end, and end thereafter; with `cycle` decay_steps is doubled, tripled,
    /// … so that the step stays within.
    PolynomialDecay {
        /// The rate at step 0.
        initial: f64,
        /// Steps until `end`.
        decay_steps: u64,
        /// The last rate.
        end: f64,
        /// 1 falls along a line.
        power: f64,
        /// Rise again after `decay_steps`.
        cycle: bool,
    },
    /// initial · ((1 − alpha) · (1 + cos(π · step / decay_steps)) / 2 + alpha). With a warm-up the rate first rises along a line
    /// from initial to the target, and the decay starts from there.
    CosineDecay {
        /// The rate at step 0.
        initial: f64,
        /// Steps of the decay, not counting the warm-up.
        decay_steps: u64,
        /// The last rate as a fraction of the largest.
        alpha: f64,
        /// (target, steps) of the warm-up.
        warmup: Option<(f64, u64)>,
    },
    /// Rises along a line from `initial` to the first rate of another schedule, which takes over after `steps`: a warm-up for
    /// any schedule. Keras has it for [`Schedule::CosineDecay`] only.
    WarmUp {
        /// The rate at step 0.
        initial: f64,
        /// Steps of the rise.
        steps: u64,
        /// What follows, its steps counted from the end of the rise.
        then: Box<Schedule>,
    },
}

impl Schedule {
    /// One cycle over `steps` steps: up along a line from a twentieth of `peak` in the first part `rising` of them, then down
    /// along a half cosine to a thousandth of it.
    ///
    /// Source: Smith and Topin 2017, <https://arxiv.org/abs/1708.07120>, with a cosine for the fall.
    pub fn one_cycle(peak: f64, steps: u64, rising: f64) -> Self {
        let warm_steps = ((steps as f64 * rising) as u64).min(steps);
        Schedule::CosineDecay {
            initial: peak / 20.0,
            decay_steps: (steps - warm_steps).max(1),
            alpha: 0.001,
            warmup: Some((peak, warm_steps)),
        }
    }

    /// The learning rate of `step`.
    pub fn at(&self, step: u64) -> f32 {
        self.rate(step) as f32
    }

    fn rate(&self, step: u64) -> f64 {
        let position = |decay_steps: u64, staircase: bool| {
            let position = step as f64 / decay_steps as f64;
            if staircase { position.floor() } else { position }
        };
        match *self {
            Schedule::Constant(rate) => rate,
            Schedule::ExponentialDecay { initial, decay_steps, rate, staircase } => {
                initial * rate.powf(position(decay_steps, staircase))
            }
            Schedule::InverseTimeDecay { initial, decay_steps, rate, staircase } => {
                initial / (1.0 + rate * position(decay_steps, staircase))
            }
            Schedule::PiecewiseConstantDecay { ref boundaries, ref values } => {
                let passed = boundaries.iter().take_while(|&&boundary| step > boundary).count();
                values.get(passed).or(values.last()).copied().unwrap_or(0.0)
            }
            Schedule::PolynomialDecay { initial, decay_steps, end, power, cycle } => {
                let rounds = if cycle { step.div_ceil(decay_steps.max(1)).max(1) } else { 1 };
                let position = (step as f64 / (decay_steps as f64 * rounds as f64)).min(1.0);
                (initial - end) * (1.0 - position).powf(power) + end
            }
            Schedule::CosineDecay { initial, decay_steps, alpha, warmup } => {
                let (target, warm_steps) = warmup.unwrap_or((initial, 0));
                if step < warm_steps {
                    initial + (target - initial) * step as f64 / warm_steps as f64
                } else {
                    let position = ((step - warm_steps) as f64 / decay_steps as f64).min(1.0);
                    target * ((1.0 - alpha) * 0.5 * (1.0 + (PI * position).cos()) + alpha)
                }
            }
            Schedule::WarmUp { initial, steps, ref then } => match step.checked_sub(steps) {
                Some(after) => then.rate(after),
                None => initial + (then.rate(0) - initial) * step as f64 / steps as f64,
            },
        }
    }

    /// Refuses values outside their ranges.
    ///
    /// # Errors
    /// [`Error::Argument`] naming the value.
    pub fn validate(&self) -> Result<()> {
        let rate = |value: f64| check("learning_rate", value, "at least 0", |rate| rate >= 0.0);
        let steps = |steps: u64| check("decay_steps", steps as f64, "at least 1", |steps| steps >= 1.0);
        match self {
            Schedule::Constant(value) => rate(*value),
            Schedule::ExponentialDecay { initial, decay_steps, rate: factor, .. }
            | Schedule::InverseTimeDecay { initial, decay_steps, rate: factor, .. } => {
                rate(*initial)?;
                steps(*decay_steps)?;
                check("decay_rate", *factor, "at least 0", |factor| factor >= 0.0)
            }
            Schedule::PiecewiseConstantDecay { boundaries, values } => {
                values.iter().try_for_each(|&value| rate(value))?;
                if values.len() != boundaries.len() + 1 || !boundaries.is_sorted_by(|a, b| a < b) {
                    return Err(Error::argument(
                        "PiecewiseConstantDecay",
                        "boundaries must rise, and there must be one value more than boundaries",
                        format!("boundaries {boundaries:?}, values {values:?}"),
                        "",
                    ));
                }
                Ok(())
            }
            Schedule::PolynomialDecay { initial, decay_steps, end, power, .. } => {
                rate(*initial)?;
                rate(*end)?;
                steps(*decay_steps)?;
                check("power", *power, "above 0", |power| power > 0.0)
            }
            Schedule::CosineDecay { initial, decay_steps, alpha, warmup } => {
                rate(*initial)?;
                rate(warmup.map_or(0.0, |(target, _)| target))?;
                steps(*decay_steps)?;
                check("alpha", *alpha, "in [0, 1]", |alpha| (0.0..=1.0).contains(&alpha))
            }
            Schedule::WarmUp { initial, then, .. } => {
                if let Schedule::WarmUp { .. } = **then {
                    let rule = "what follows a warm-up must not be another";
                    return Err(Error::argument("WarmUp", rule, "a warm-up in a warm-up", "add up their steps"));
                }
                rate(*initial)?;
                then.validate()
            }
        }
    }
}

impl From<f64> for Schedule {
    fn from(rate: f64) -> Self {
        Schedule::Constant(rate)
    }
}

impl From<f32> for Schedule {
    /// The shortest decimal that means this number, so that 0.1 stays 0.1 in configs.
    fn from(rate: f32) -> Self {
        Schedule::Constant(rate.to_string().parse().unwrap_or(f64::from(rate)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_schedule_can_be_warmed_up() {
        let steps = Schedule::PiecewiseConstantDecay { boundaries: vec![2], values: vec![0.5, 0.25] };
        let warm = Schedule::WarmUp { initial: 0.1, steps: 4, then: Box::new(steps) };
        warm.validate().unwrap();
        let rates: Vec<f32> = (0..9).map(|step| warm.at(step)).collect();
        assert_eq!(rates, [0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5, 0.25, 0.25]);
        assert_eq!(Schedule::from_config(&warm.config()).unwrap(), warm);
        let at_once = Schedule::WarmUp { initial: 0.1, steps: 0, then: Box::new(0.5.into()) };
        assert_eq!(at_once.at(0), 0.5);
        let twice = Schedule::WarmUp { initial: 0.1, steps: 4, then: Box::new(warm) };
        assert!(twice.validate().unwrap_err().to_string().contains("must not be another"));
    }

    #[test]
    fn one_cycle_rises_and_falls() {
        let cycle = Schedule::one_cycle(0.2, 100, 0.2);
        cycle.validate().unwrap();
        let near = |step: u64, rate: f32| (cycle.at(step) - rate).abs() < 1e-6;
        assert!(near(0, 0.01) && near(20, 0.2) && near(60, 0.2 * 0.5005) && near(100, 0.0002), "{cycle:?}");
        assert!((1..=20).all(|step| cycle.at(step) > cycle.at(step - 1)));
        assert!((21..=100).all(|step| cycle.at(step) < cycle.at(step - 1)));
        Schedule::one_cycle(0.2, 0, 0.5).validate().unwrap();
        Schedule::one_cycle(0.2, 3, 2.0).validate().unwrap();
    }

    #[test]
    fn values_outside_their_ranges_are_named() {
        let piecewise = |boundaries: &[u64], values: &[f64]| Schedule::PiecewiseConstantDecay {
            boundaries: boundaries.to_vec(),
            values: values.to_vec(),
        };
        let cases = [
            (Schedule::Constant(-0.1), "learning_rate"),
            (Schedule::Constant(f64::NAN), "learning_rate"),
            (Schedule::ExponentialDecay { initial: 0.1, decay_steps: 0, rate: 0.9, staircase: false }, "decay_steps"),
            (piecewise(&[1, 2], &[0.1, 0.2]), "boundaries"),
            (piecewise(&[2, 2], &[0.1, 0.2, 0.3]), "boundaries"),
            (Schedule::CosineDecay { initial: 0.1, decay_steps: 5, alpha: 1.5, warmup: None }, "alpha"),
            (
                Schedule::CosineDecay { initial: 0.1, decay_steps: 5, alpha: 0.0, warmup: Some((-1.0, 2)) },
                "learning_rate",
            ),
        ];
        for (schedule, name) in cases {
            let error = schedule.validate().unwrap_err();
            assert!(matches!(error, Error::Argument(_)) && error.to_string().contains(name), "{error}");
        }
        piecewise(&[], &[0.1]).validate().unwrap();
    }

    #[test]
    fn single_precision_numbers_keep_their_decimals() {
        assert_eq!(Schedule::from(0.1f32), Schedule::Constant(0.1));
        assert_eq!(Schedule::from(1e-4f32), Schedule::Constant(1e-4));
    }
}
