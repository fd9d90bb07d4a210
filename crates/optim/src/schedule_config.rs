//! Schedules from and to Keras's config.

use crate::config::Fields;
use crate::schedule::Schedule;
use serde_json::{Value, json};
use striate_tensor::{Error, Result};

impl Schedule {
    /// Keras's config: a number if constant, else class name and config. [`Schedule::WarmUp`], which Keras has not, is written
    /// alike.
    pub fn config(&self) -> Value {
        let (class, config) = match self {
            Schedule::Constant(rate) => return json!(rate),
            Schedule::ExponentialDecay { initial, decay_steps, rate, staircase } => {
                ("ExponentialDecay", decay(*initial, *decay_steps, *rate, *staircase))
            }
            Schedule::InverseTimeDecay { initial, decay_steps, rate, staircase } => {
                ("InverseTimeDecay", decay(*initial, *decay_steps, *rate, *staircase))
            }
            Schedule::PiecewiseConstantDecay { boundaries, values } => {
                ("PiecewiseConstantDecay", json!({"boundaries": boundaries, "values": values}))
            }
            Schedule::PolynomialDecay { initial, decay_steps, end, power, cycle } => (
                "PolynomialDecay",
                json!({
                    "initial_learning_rate": initial, "decay_steps": decay_steps, "end_learning_rate": end,
                    "power": power, "cycle": cycle,
                }),
            ),
            Schedule::CosineDecay { initial, decay_steps, alpha, warmup } => (
                "CosineDecay",
                json!({
                    "initial_learning_rate": initial, "decay_steps": decay_steps, "alpha": alpha,
                    "warmup_target": warmup.map(|(target, _)| target),
                    "warmup_steps": warmup.map_or(0, |(_, steps)| steps),
                }),
            ),
            Schedule::WarmUp { initial, steps, then } => {
                ("WarmUp", json!({"initial_learning_rate": initial, "warmup_steps": steps, "then": then.config()}))
            }
        };
        let mut config = config;
        config["name"] = class.into();
        json!({
            "module": "keras.optimizers.schedules", "class_name": class, "config": config, "registered_name": null,
        })
    }

    /// The schedule of a Keras config: a number, or class name and config.
    ///
    /// # Errors
    /// [`Error::Model`] for an unknown schedule or a value of the wrong kind; [`Error::Argument`] for one outside its range.
    pub fn from_config(config: &Value) -> Result<Self> {
        let schedule = Schedule::parse(config)?;
        schedule.validate()?;
        Ok(schedule)
    }

    fn parse(config: &Value) -> Result<Self> {
        if let Some(rate) = config.as_f64() {
            return Ok(Schedule::Constant(rate));
        }
        let class = config["class_name"].as_str().unwrap_or_default();
        let fields = Fields { subject: class, config: &config["config"] };
        let (initial, steps) = ("initial_learning_rate", "decay_steps");
        Ok(match class {
            "ExponentialDecay" => Schedule::ExponentialDecay {
                initial: fields.number(initial, None)?,
                decay_steps: fields.count(steps, None)?,
                rate: fields.number("decay_rate", None)?,
                staircase: fields.flag("staircase", false)?,
            },
            "InverseTimeDecay" => Schedule::InverseTimeDecay {
                initial: fields.number(initial, None)?,
                decay_steps: fields.count(steps, None)?,
                rate: fields.number("decay_rate", None)?,
                staircase: fields.flag("staircase", false)?,
            },
            "PiecewiseConstantDecay" => Schedule::PiecewiseConstantDecay {
                boundaries: fields.list("boundaries", Fields::as_count)?,
                values: fields.list("values", Value::as_f64)?,
            },
            "PolynomialDecay" => Schedule::PolynomialDecay {
                initial: fields.number(initial, None)?,
                decay_steps: fields.count(steps, None)?,
                end: fields.number("end_learning_rate", Some(1e-4))?,
                power: fields.number("power", Some(1.0))?,
                cycle: fields.flag("cycle", false)?,
            },
            "CosineDecay" => {
                let target = fields.optional("warmup_target")?;
                let warm_steps = fields.count("warmup_steps", Some(0))?;
                Schedule::CosineDecay {
                    initial: fields.number(initial, None)?,
                    decay_steps: fields.count(steps, None)?,
                    alpha: fields.number("alpha", Some(0.0))?,
                    warmup: target.map(|target| (target, warm_steps)),
                }
            }
            "WarmUp" => Schedule::WarmUp {
                initial: fields.number(initial, None)?,
                steps: fields.count("warmup_steps", None)?,
                then: Box::new(Schedule::parse(&fields.config["then"])?),
            },
            _ => {
                return Err(Error::model(
                    "learning_rate",
                    "must be a number or one of ExponentialDecay, InverseTimeDecay, PiecewiseConstantDecay, PolynomialDecay, \
                     CosineDecay, WarmUp",
                    config.to_string(),
                    "",
                ));
            }
        })
    }
}

fn decay(initial: f64, decay_steps: u64, rate: f64, staircase: bool) -> Value {
    json!({
        "initial_learning_rate": initial, "decay_steps": decay_steps, "decay_rate": rate, "staircase": staircase,
    })
}
