//! A training run in Keras's files: the optimizer with its state, loss and metrics, so that Keras goes on where this program stopped,
//! and the other way round.

use crate::hdf5::GroupWriter;
use crate::layer_tree::{LayerNode, Weight};
use crate::stored::{Number, StoredTensor};
use crate::weights_file::{TrainingState, WeightsFile};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use striate_nn::Model;
use striate_tensor::{DType, Error, Result, Tensor};

/// An optimizer as a file keeps it.
#[derive(Debug, Clone)]
pub struct SavedOptimizer {
    /// Keras's class: `SGD`, `RMSprop`, `Adam` or `AdamW`.
    pub class_name: String,
    /// Keras's config of it.
    pub config: Value,
    /// Steps taken.
    pub iterations: u64,
    /// The learning rate at that moment; none if a schedule decides.
    pub learning_rate: Option<f32>,
    /// What it keeps for each weight, named `slot/weight`: `velocity/conv2d/kernel`. Empty before the first step.
    pub slots: Vec<(String, Tensor)>,
}

/// What a file keeps of the training that a model was saved in.
#[derive(Debug, Clone)]
pub struct SavedTraining {
    /// The optimizer.
    pub optimizer: SavedOptimizer,
    /// The loss in Keras's words: a name, or one for each output.
    pub loss: Value,
    /// The metrics in Keras's words.
    pub metrics: Value,
}

/// The order in which an optimizer of Keras has its variables.
struct Layout {
    slots: Vec<&'static str>,
    /// All slots of the first weight, then all of the second; else each slot of all weights.
    is_by_weight: bool,
}

/// The layout of a class of optimizers; none for one that is unknown here.
fn layout(class: &str, config: &Value) -> Option<Layout> {
    let has_momentum = config["momentum"].as_f64().unwrap_or(0.0) != 0.0;
    let (slots, is_by_weight) = match class.to_lowercase().as_str() {
        "adam" | "adamw" => (vec!["momentum", "velocity"], true),
        "sgd" => (if has_momentum { vec!["momentum"] } else { Vec::new() }, false),
        "rmsprop" => {
            let mut slots = vec!["velocity"];
            slots.extend(has_momentum.then_some("momentum"));
            slots.extend((config["centered"] == true).then_some("average_gradient"));
            (slots, false)
        }
        _ => return None,
    };
    Some(Layout { slots, is_by_weight })
}

/// The slot that a variable's name speaks of, in Keras 3's words or tf.keras's.
fn slot_of(name: &str) -> Option<&'static str> {
    let plain = name.rsplit_once(':').map_or(name, |(name, _)| name);
    let of_word = |word: &str| match word {
        "m" | "momentum" => Some("momentum"),
        "v" | "rms" | "velocity" => Some("velocity"),
        "mg" | "average_gradient" => Some("average_gradient"),
        _ => None,
    };
    let mut parts = plain.split('/');
    // `Adam/conv2d/kernel/m` and `Adam/m/conv2d/kernel`.
    let (second, last) = (parts.nth(1), plain.rsplit('/').next());
    let by_place = last.and_then(of_word).or_else(|| second.and_then(of_word));
    by_place.or_else(|| {
        // `adam/model_conv2d_kernel_momentum`.
        ["average_gradient", "momentum", "velocity"].into_iter().find(|slot| plain.ends_with(&format!("_{slot}")))
    })
}

impl WeightsFile {
    /// The training that the file was saved in, for the model that it describes; none if it keeps none, or that of an optimizer
    /// which is not offered here.
    ///
    /// # Errors
    /// [`Error::Data`] if the state does not fit the model, or is damaged.
    pub fn saved_training(&self, model: &Model) -> Result<Option<SavedTraining>> {
        let Some(TrainingState { config, optimizer }) = &self.training else { return Ok(None) };
        let entry = if config["optimizer"].is_object() { &config["optimizer"] } else { &config["optimizer_config"] };
        // `package>Name` is a registered class; tf.keras writes `Custom>Adam` for some.
        let class = entry["class_name"].as_str().unwrap_or_default();
        let class = class.rsplit('>').next().unwrap_or(class);
        let options = plain_numbers(&entry["config"]);
        let Some(layout) = layout(class, &options) else { return Ok(None) };
        let (scalars, tensors): (Vec<&StoredTensor>, Vec<&StoredTensor>) =
            optimizer.iter().partition(|tensor| tensor.shape().is_empty());
        let is_whole = |tensor: &StoredTensor| matches!(tensor.number(), Number::Signed(_) | Number::Unsigned(_));
        let counter = scalars.iter().position(|tensor| is_whole(tensor)).unwrap_or(0);
        let numbers = scalars.iter().map(|tensor| tensor.to_f32()).collect::<Result<Vec<_>>>()?.concat();
        let iterations = numbers.get(counter).map_or(0, |&count| count.max(0.0) as u64);
        let learning_rate = (0..numbers.len()).find(|&i| i != counter).map(|i| numbers[i]);
        let optimizer = SavedOptimizer {
            class_name: class.to_string(),
            slots: self.slots(model, &layout, &tensors)?,
            iterations,
            learning_rate: learning_rate.filter(|_| !options["learning_rate"].is_object()),
            config: options,
        };
        Ok(Some(SavedTraining { optimizer, loss: config["loss"].clone(), metrics: config["metrics"].clone() }))
    }

    /// Gives each of the optimizer's tensors to its weight.
    fn slots(&self, model: &Model, layout: &Layout, tensors: &[&StoredTensor]) -> Result<Vec<(String, Tensor)>> {
        if tensors.is_empty() || layout.slots.is_empty() {
            return Ok(Vec::new());
        }
        let tree = LayerNode::as_listed(model, self.config.as_ref());
        let weights = tree.trained();
        let refuse = |received: String| {
            let rule = format!("the optimizer must keep {} for each trained weight", layout.slots.join(", "));
            Error::data(self.name().to_string(), rule, received, "load the model without its training")
        };
        let mut found: BTreeMap<&str, Vec<&StoredTensor>> = BTreeMap::new();
        let named: Option<Vec<&str>> = tensors.iter().map(|tensor| slot_of(tensor.name())).collect();
        let is_old = self.keras_version().is_some_and(|version| {
            let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
            (numbers.next(), numbers.next()) < (Some(2), Some(11))
        });
        match named {
            Some(slots) => {
                slots.into_iter().zip(tensors).for_each(|(slot, tensor)| found.entry(slot).or_default().push(tensor));
            }
            None => {
                for (i, tensor) in tensors.iter().enumerate() {
                    let slot = match layout.is_by_weight && !is_old {
                        true => i % layout.slots.len(),
                        false => i / weights.len().max(1),
                    };
                    let Some(slot) = layout.slots.get(slot) else { continue };
                    found.entry(slot).or_default().push(tensor);
                }
            }
        }
        let mut slots = Vec::new();
        for &slot in &layout.slots {
            let list = found.remove(slot).unwrap_or_default();
            if list.len() != weights.len() {
                return Err(refuse(format!("{} tensors of {slot} for {} weights", list.len(), weights.len())));
            }
            for (weight, tensor) in weights.iter().zip(list) {
                if tensor.shape() != weight.shape.as_slice() {
                    let received = format!("{slot} {:?} for {} {}", tensor.shape(), weight.path, weight.shape);
                    return Err(refuse(received));
                }
                slots.push((format!("{slot}/{}", weight.path), tensor.to_tensor(model.device())?));
            }
        }
        Ok(slots)
    }
}

/// tf.keras wrote numbers of NumPy as objects in places.
fn plain_numbers(config: &Value) -> Value {
    let Some(object) = config.as_object() else { return config.clone() };
    let plain = |value: &Value| match value {
        Value::Object(inner) if inner.contains_key("value") && inner.contains_key("dtype") => inner["value"].clone(),
        other => other.clone(),
    };
    let mut config: serde_json::Map<String, Value> = object.iter().map(|(k, v)| (k.clone(), plain(v))).collect();
    for (old, new) in [("lr", "learning_rate")] {
        if let Some(value) = config.shift_remove(old) {
            config.entry(new).or_insert(value);
        }
    }
    Value::Object(config)
}

/// A variable of an optimizer on its way into a file.
enum Variable {
    Count(i64),
    Tensor(Vec<usize>, Vec<f32>),
}

impl SavedTraining {
    /// The optimizer's variables with names, in Keras's order.
    fn variables(&self, model: &Model) -> Result<Vec<(String, Variable)>> {
        let SavedOptimizer { class_name, config, iterations, slots, .. } = &self.optimizer;
        let layout = layout(class_name, config).ok_or_else(|| {
            let rule = "the optimizer must be SGD, RMSprop, Adam or AdamW";
            Error::argument("optimizer", rule, format!("`{class_name}`"), "save the model without its training")
        })?;
        let prefix = config["name"].as_str().unwrap_or("optimizer");
        let mut variables =
            vec![(format!("{prefix}/iteration"), Variable::Count(i64::try_from(*iterations).unwrap_or(i64::MAX)))];
        if !config["learning_rate"].is_object() {
            let rate = self.optimizer.learning_rate.or(config["learning_rate"].as_f64().map(|rate| rate as f32));
            let rate = Variable::Tensor(Vec::new(), vec![rate.unwrap_or(0.001)]);
            variables.push((format!("{prefix}/learning_rate"), rate));
        }
        let known: BTreeMap<&str, &Tensor> = slots.iter().map(|(name, value)| (name.as_str(), value)).collect();
        let tree = LayerNode::as_keras_orders(model);
        let weights = tree.trained();
        let one = |weight: &Weight, slot: &str| -> Result<(String, Variable)> {
            let values = match known.get(format!("{slot}/{}", weight.path).as_str()) {
                Some(value) if *value.shape() == weight.shape => value.cast(DType::F32)?.to_vec::<f32>()?,
                Some(value) => {
                    let rule = format!("{slot} of {} must have its shape {}", weight.path, weight.shape);
                    return Err(Error::shape("optimizer", rule, value.shape().to_string(), ""));
                }
                // Before its first step an optimizer's slots are zero.
                None => vec![0.0; weight.shape.elements()],
            };
            let name = format!("{prefix}/{}_{slot}", weight.path.replace('/', "_"));
            Ok((name, Variable::Tensor(weight.shape.to_vec(), values)))
        };
        if layout.is_by_weight {
            for weight in &weights {
                for slot in &layout.slots {
                    variables.push(one(weight, slot)?);
                }
            }
        } else {
            for slot in &layout.slots {
                for weight in &weights {
                    variables.push(one(weight, slot)?);
                }
            }
        }
        Ok(variables)
    }

    /// The config of `compile`, as `.keras` files have it.
    pub(crate) fn compile_config(&self) -> Value {
        let SavedOptimizer { class_name, config, .. } = &self.optimizer;
        json!({
            "optimizer": {
                "module": "keras.optimizers", "class_name": class_name, "config": config, "registered_name": null,
            },
            "loss": self.loss,
            "loss_weights": null,
            "metrics": self.metrics,
            "weighted_metrics": null,
            "run_eagerly": false,
            "steps_per_execution": 1,
            "jit_compile": false,
        })
    }

    /// The same as `.h5` files have it.
    fn training_config(&self) -> Value {
        let mut config = self.compile_config();
        let SavedOptimizer { class_name, config: options, .. } = &self.optimizer;
        if let Some(object) = config.as_object_mut() {
            object.shift_remove("optimizer");
            object.insert("optimizer_config".into(), json!({ "class_name": class_name, "config": options }));
        }
        config
    }

    /// Puts the variables where `.keras` files have them.
    pub(crate) fn put_vars(&self, root: &mut GroupWriter, model: &Model) -> Result<()> {
        let name = self.optimizer.config["name"].as_str().unwrap_or("optimizer");
        root.group("optimizer/vars").set_text("name", name);
        for (i, (_, variable)) in self.variables(model)?.into_iter().enumerate() {
            put(root, &format!("optimizer/vars/{i}"), variable);
        }
        Ok(())
    }

    /// Puts config and variables where `.h5` files have them.
    pub(crate) fn put_h5(&self, root: &mut GroupWriter, model: &Model) -> Result<()> {
        root.set_text("training_config", &self.training_config().to_string());
        let variables = self.variables(model)?;
        let names: Vec<String> = variables.iter().map(|(name, _)| name.clone()).collect();
        root.group("optimizer_weights").set_list("weight_names", &names);
        for (name, variable) in variables {
            put(root, &format!("optimizer_weights/{name}"), variable);
        }
        Ok(())
    }
}

fn put(root: &mut GroupWriter, path: &str, variable: Variable) {
    match variable {
        Variable::Count(count) => root.set_count(path, count),
        Variable::Tensor(shape, values) => root.set_tensor(path, &shape, values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_by_their_names() {
        for (name, slot) in [
            ("adam/model_conv2d_kernel_momentum", Some("momentum")),
            ("rm_sprop/dense_kernel_average_gradient", Some("average_gradient")),
            ("Adam/conv2d/kernel/v:0", Some("velocity")),
            ("RMSprop/dense/bias/rms:0", Some("velocity")),
            ("Adam/m/dense/kernel:0", Some("momentum")),
            ("training/Adam/Variable_3:0", None),
            ("4", None),
        ] {
            assert_eq!(slot_of(name), slot, "{name}");
        }
    }
}
