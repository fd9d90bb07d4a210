//! Optimizers from Keras's config.

use crate::clip::Clip;
use crate::optimizer::Optimizer;
use crate::schedule::Schedule;
use crate::settings::Settings;
use crate::{Adam, AdamW, RmsProp, Sgd};
use serde_json::Value;
use striate_tensor::{Error, Result};

/// The optimizer of a Keras class name (in any case) and its config. Missing keys have Keras's defaults.
///
/// # Errors
/// [`Error::Model`] for an unknown class, a value of the wrong kind, or a setting that is not offered (moving averages
/// of weights, gradient accumulation, loss scaling, AMSGrad); [`Error::Argument`] for a value outside its range.
///
/// ```
/// let optimizer = striate_optim::from_config("RMSprop", &serde_json::json!({"learning_rate": 1e-4}))?;
/// assert_eq!(optimizer.settings().learning_rate.at(0), 1e-4);
/// assert_eq!(optimizer.config()["rho"], 0.9);
/// # Ok::<(), striate_tensor::Error>(())
/// ```
pub fn from_config(class_name: &str, config: &Value) -> Result<Box<dyn Optimizer>> {
    let fields = Fields { subject: class_name, config };
    let number = |key, default| fields.number(key, Some(default));
    let optimizer: Box<dyn Optimizer> = match class_name.to_ascii_lowercase().as_str() {
        "sgd" => {
            let sgd = Sgd::default().momentum(number("momentum", 0.0)?).nesterov(fields.flag("nesterov", false)?);
            Box::new(sgd.with_settings(fields.settings(0.01, None)?))
        }
        "rmsprop" => {
            let rmsprop = RmsProp::default()
                .rho(number("rho", 0.9)?)
                .momentum(number("momentum", 0.0)?)
                .epsilon(number("epsilon", 1e-7)?)
                .centered(fields.flag("centered", false)?);
            Box::new(rmsprop.with_settings(fields.settings(0.001, None)?))
        }
        "adam" => {
            fields.refuse("amsgrad", &[Value::Null, false.into()])?;
            let adam = Adam::default()
                .beta_1(number("beta_1", 0.9)?)
                .beta_2(number("beta_2", 0.999)?)
                .epsilon(number("epsilon", 1e-7)?);
            Box::new(adam.with_settings(fields.settings(0.001, None)?))
        }
        "adamw" => {
            fields.refuse("amsgrad", &[Value::Null, false.into()])?;
            let adamw = AdamW::default()
                .beta_1(number("beta_1", 0.9)?)
                .beta_2(number("beta_2", 0.999)?)
                .epsilon(number("epsilon", 1e-7)?);
            Box::new(adamw.with_settings(fields.settings(0.001, Some(0.004))?))
        }
        _ => {
            return Err(Error::model(
                "optimizer",
                "must be one of SGD, RMSprop, Adam, AdamW",
                class_name,
                "load the model without its optimizer",
            ));
        }
    };
    optimizer.validate()?;
    Ok(optimizer)
}

/// The values of a config, read with their kinds checked.
pub(crate) struct Fields<'a> {
    /// For messages.
    pub(crate) subject: &'a str,
    pub(crate) config: &'a Value,
}

impl Fields<'_> {
    fn wrong(&self, key: &str, rule: &str) -> Error {
        let received = if self.config[key].is_null() { "nothing".into() } else { self.config[key].to_string() };
        Error::model(self.subject, format!("{key} must be {rule}"), received, "")
    }

    /// A value by `read`, or the default if there is none; without a default it must be there.
    fn value<T>(&self, key: &str, rule: &str, default: Option<T>, read: impl Fn(&Value) -> Option<T>) -> Result<T> {
        match &self.config[key] {
            Value::Null => default,
            value => read(value),
        }
        .ok_or_else(|| self.wrong(key, rule))
    }

    pub(crate) fn number(&self, key: &str, default: Option<f64>) -> Result<f64> {
        self.value(key, "a number", default, Value::as_f64)
    }

    pub(crate) fn optional(&self, key: &str) -> Result<Option<f64>> {
        self.value(key, "a number or null", Some(None), |value| value.as_f64().map(Some))
    }

    pub(crate) fn count(&self, key: &str, default: Option<u64>) -> Result<u64> {
        self.value(key, "a whole number", default, Fields::as_count)
    }

    pub(crate) fn flag(&self, key: &str, default: bool) -> Result<bool> {
        self.value(key, "true or false", Some(default), Value::as_bool)
    }

    pub(crate) fn list<T>(&self, key: &str, read: impl Fn(&Value) -> Option<T>) -> Result<Vec<T>> {
        self.value(key, "a list of numbers", None, |value| value.as_array()?.iter().map(&read).collect())
    }

    /// A whole number, also one written as 100.0.
    pub(crate) fn as_count(value: &Value) -> Option<u64> {
        value.as_u64().or_else(|| {
            let number = value.as_f64()?;
            (number >= 0.0 && number.fract() == 0.0 && number < 9e15).then_some(number as u64)
        })
    }

    /// Refuses a setting that is not offered unless it has one of the values that mean "off".
    fn refuse(&self, key: &str, off: &[Value]) -> Result<()> {
        if off.contains(&self.config[key]) { Ok(()) } else { Err(self.wrong(key, "off: it is not offered")) }
    }

    fn settings(&self, learning_rate: f64, weight_decay: Option<f64>) -> Result<Settings> {
        self.refuse("use_ema", &[Value::Null, false.into()])?;
        self.refuse("gradient_accumulation_steps", &[Value::Null, 1.into()])?;
        self.refuse("loss_scale_factor", &[Value::Null])?;
        let clips = [
            self.optional("clipvalue")?.map(|most| ("clipvalue", Clip::Value(most))),
            self.optional("clipnorm")?.map(|most| ("clipnorm", Clip::Norm(most))),
            self.optional("global_clipnorm")?.map(|most| ("global_clipnorm", Clip::GlobalNorm(most))),
        ];
        let mut clips = clips.into_iter().flatten();
        let (first, clip) = clips.next().unwrap_or_default();
        if let Some((second, _)) = clips.next() {
            return Err(Error::model(
                self.subject,
                "only one of clipnorm, clipvalue and global_clipnorm may be set",
                format!("{first} and {second}"),
                "leave one out",
            ));
        }
        let learning_rate = match &self.config["learning_rate"] {
            Value::Null => Schedule::Constant(learning_rate),
            value => Schedule::from_config(value)?,
        };
        Ok(Settings { learning_rate, weight_decay: self.optional("weight_decay")?.or(weight_decay), clip })
    }
}
