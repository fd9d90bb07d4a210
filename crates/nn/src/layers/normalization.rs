//! A fixed scale and offset for each channel, found from data beforehand.

use crate::config::{Config, number};
use crate::initializer::Initializer;
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, Result, Shape, Tensor};

/// What Keras divides by at least, the root of no variance at all.
const LEAST_DEVIATION: f64 = 1e-7;

/// Gives each channel the mean 0 and the variance 1 of the data that the statistics were taken of.
///
/// # Formula
/// y = (x − mean)/max(√variance, 1e-7); with `invert`, x = y·max(√variance, 1e-7) + mean.
///
/// # Shapes
/// (n, …, channels) → the same. States, unless the statistics are options: `mean`, `variance`, both (channels), and `count`, the scalar
/// that Keras keeps with them.
///
/// # Parameters
/// statistics as states that start at 0 and 1, to be loaded or set; not inverted.
///
/// # Errors
/// Statistics of other than one value or one for each channel; one without the other; an axis that is not the last.
///
/// Source: <https://keras.io/api/layers/preprocessing_layers/numerical/normalization/>.
#[derive(Debug, Clone, Default)]
pub struct Normalization {
    /// −1, or the last axis counted with the batch axis.
    axis: Option<i64>,
    statistics: Option<(Vec<f32>, Vec<f32>)>,
    invert: bool,
}

impl Normalization {
    /// A layer whose statistics are states.
    pub fn new() -> Self {
        Normalization::default()
    }

    /// A layer of the given statistics: one value for all channels, or one for each.
    pub fn of(mean: impl Into<Vec<f32>>, variance: impl Into<Vec<f32>>) -> Self {
        Normalization { statistics: Some((mean.into(), variance.into())), ..Normalization::default() }
    }

    /// Whether the layer undoes the normalisation instead. Default false.
    pub fn invert(mut self, invert: bool) -> Self {
        self.invert = invert;
        self
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        let axis =
            match config.get("axis") {
                None => None,
                Some(value) => {
                    let one = value.as_i64().or_else(|| value.as_array().filter(|list| list.len() == 1)?[0].as_i64());
                    Some(one.ok_or_else(|| {
                        Error::model(config.class(), "`axis` must be one integer", value.to_string(), "")
                    })?)
                }
            };
        let statistics = match (config.get("mean"), config.get("variance")) {
            (None, None) => None,
            (Some(mean), Some(variance)) => Some((numbers(config, mean)?, numbers(config, variance)?)),
            _ => return Err(Error::model(config.class(), "`mean` and `variance` belong together", "one of them", "")),
        };
        Ok(Arc::new(Normalization { axis, statistics, invert: config.bool("invert", Some(false))? }))
    }
}

/// A number, or numbers in lists of any depth.
fn numbers(config: &Config<'_>, value: &Value) -> Result<Vec<f32>> {
    match value {
        Value::Array(list) => {
            list.iter().map(|inner| numbers(config, inner)).collect::<Result<Vec<_>>>().map(|lists| lists.concat())
        }
        Value::Number(number) => Ok(vec![number.as_f64().unwrap_or_default() as f32]),
        other => Err(Error::model(config.class(), "statistics must be numbers", other.to_string(), "")),
    }
}

impl Layer for Normalization {
    fn class_name(&self) -> &'static str {
        "Normalization"
    }

    fn config(&self) -> Map<String, Value> {
        let list = |values: &Vec<f32>| Value::Array(values.iter().map(|&value| number(value)).collect());
        Map::from_iter([
            ("axis".into(), json!(self.axis.unwrap_or(-1))),
            ("invert".into(), json!(self.invert)),
            ("mean".into(), self.statistics.as_ref().map_or(Value::Null, |(mean, _)| list(mean))),
            ("variance".into(), self.statistics.as_ref().map_or(Value::Null, |(_, variance)| list(variance))),
        ])
    }

    fn build(&self, input: &Shape, builder: &mut Builder) -> Result<Shape> {
        let channels = input.channels();
        if input.rank() == 0 || channels == 0 {
            let received = crate::graph::batch_shape(input);
            return Err(Error::shape("Normalization", "the input must be (n, …, channels), not empty", received, ""));
        }
        if self.axis.is_some_and(|axis| axis != -1 && axis != input.rank() as i64) {
            return Err(Error::argument(
                "Normalization",
                "the axis must be the last one",
                format!("axis {:?} of {}", self.axis, crate::graph::batch_shape(input)),
                "permute the axes first",
            ));
        }
        match &self.statistics {
            None => {
                builder.state("mean", channels, Initializer::Zeros);
                builder.state("variance", channels, Initializer::Ones);
                builder.state("count", Shape::SCALAR, Initializer::Zeros);
            }
            Some((mean, variance)) => {
                if [mean, variance].iter().any(|list| list.len() != 1 && list.len() != channels) {
                    return Err(Error::shape(
                        "Normalization",
                        format!("statistics must be one value, or one for each of {channels} channels"),
                        format!("{} means, {} variances", mean.len(), variance.len()),
                        "",
                    ));
                }
            }
        }
        Ok(*input)
    }

    fn forward(&self, x: &Var, ctx: &Context<'_>) -> Result<Var> {
        let like = x.value();
        let constant = |values: &[f32]| -> Result<Var> {
            let doubles: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
            let tensor = Tensor::from_vec(doubles, [values.len()], like.device())?;
            Ok(Var::constant(tensor.cast(like.dtype())?))
        };
        let (mean, variance) = match &self.statistics {
            Some((mean, variance)) => (constant(mean)?, constant(variance)?),
            None => (ctx.weight("mean")?.clone(), ctx.weight("variance")?.clone()),
        };
        let least = Tensor::full(Shape::SCALAR, LEAST_DEVIATION, like.dtype(), like.device())?;
        let deviation = variance.sqrt()?.maximum(&Var::constant(least))?;
        if self.invert { &mean + &(x * &deviation)? } else { &(x - &mean)? / &deviation }
    }
}
