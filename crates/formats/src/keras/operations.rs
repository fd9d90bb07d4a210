//! Calculations between layers, such as `x * 0.5 + y`: functional models of Keras 3 keep them as operations, those of tf.keras as
//! `TFOpLambda`. Where a layer does the same, they become that layer.

use super::options::layer_name;
use serde_json::{Map, Value, json};
use striate_tensor::{Error, Result};

/// What an operation is given.
#[derive(Debug, Clone, PartialEq)]
enum Argument {
    /// A value of the model, with its number of axes where the file tells it.
    Tensor {
        layer: String,
        call: usize,
        part: usize,
        rank: Option<usize>,
    },
    Number(f64),
}

use Argument::{Number, Tensor};

/// An operation as a layer: its class, its options, and the inputs of its one call.
pub(super) struct Translated {
    pub(super) class: String,
    pub(super) options: Map<String, Value>,
    pub(super) inputs: Vec<(String, usize, usize)>,
}

/// The layer that does what an entry's operation does; none if the entry is no operation.
///
/// # Errors
/// [`Error::Model`] for an operation that is called more than once.
pub(super) fn translate(entry: &Value) -> Result<Option<Translated>> {
    let class = entry["class_name"].as_str().unwrap_or_default();
    // In `.h5` files the module is missing; a layer has a type or says whether it is trained.
    let has_arguments = entry["inbound_nodes"][0].get("args").is_some();
    let is_bare = ["trainable", "dtype", "layers", "batch_shape"].iter().all(|key| entry["config"].get(key).is_none());
    // Layers that differ from operations by capitals only.
    let is_layer = matches!(class, "ReLU" | "ELU" | "LeakyReLU");
    let is_guess = class != "TFOpLambda" && entry["module"].is_null();
    let is_new = match entry["module"].as_str() {
        Some(module) => module.starts_with("keras.src.ops."),
        None => has_arguments && is_bare && !is_layer,
    };
    let function = match class {
        "TFOpLambda" => entry["config"]["function"].as_str().unwrap_or_default(),
        _ if is_new => class,
        _ => return Ok(None),
    };
    let name = entry["name"].as_str().or_else(|| entry["config"]["name"].as_str()).unwrap_or_default();
    let calls = entry["inbound_nodes"].as_array().map_or(&[][..], Vec::as_slice);
    let [call] = calls else {
        if is_guess {
            return Ok(None);
        }
        let received = format!("`{name}` has {} calls", calls.len());
        return Err(Error::model("model_config", "an operation must be called once", received, ""));
    };
    let mut arguments = Vec::new();
    let mut named = entry["config"].as_object().cloned().unwrap_or_default();
    if is_new {
        new_arguments(&call["args"], &mut arguments);
        new_arguments(&call["kwargs"], &mut arguments);
        named.extend(call["kwargs"].as_object().cloned().unwrap_or_default());
    } else {
        old_arguments(call, &mut arguments, &mut named);
    }
    // TensorFlow's functions have names like `math.multiply` and `__operators__.add`.
    let function = function.rsplit('.').next().unwrap_or(function).to_lowercase().replace('_', "");
    let (class, mut options) = match layer(&function, &arguments, &named) {
        Some(found) => found,
        None if is_guess => return Ok(None),
        // For the list of what cannot be made.
        None => (format!("operation {function}"), Map::new()),
    };
    options.insert("name".into(), json!(layer_name(name)));
    let inputs = arguments.into_iter().filter_map(|argument| match argument {
        Tensor { layer, call, part, .. } => Some((layer_name(&layer), call, part)),
        Number(_) => None,
    });
    Ok(Some(Translated { class, options, inputs: inputs.collect() }))
}

fn integer(value: &Value) -> Option<usize> {
    value.as_u64().filter(|&n| n < 1 << 20).map(|n| n as usize)
}

/// Keras 3: tensors are objects, in lists of any depth.
fn new_arguments(value: &Value, found: &mut Vec<Argument>) {
    match value {
        Value::Array(list) => list.iter().for_each(|item| new_arguments(item, found)),
        Value::Number(number) => found.push(Number(number.as_f64().unwrap_or(f64::NAN))),
        Value::Object(object) if object.get("class_name").is_some_and(|class| class == "__keras_tensor__") => {
            let config = &value["config"];
            let history = &config["keras_history"];
            if let (Some(layer), Some(call), Some(part)) =
                (history[0].as_str(), integer(&history[1]), integer(&history[2]))
            {
                let rank = config["shape"].as_array().map(Vec::len);
                found.push(Tensor { layer: layer.to_string(), call, part, rank });
            }
        }
        // Options by name are read apart.
        Value::Object(object) if !object.contains_key("class_name") => {
            object
                .values()
                .filter(|value| value.is_object() || is_tensors(value))
                .for_each(|v| new_arguments(v, found));
        }
        _ => {}
    }
}

fn is_tensors(value: &Value) -> bool {
    value.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_object))
}

/// tf.keras: `["layer", call, part, {options}]`, where options may name tensors and `_CONSTANT_VALUE` stands for a number.
fn old_arguments(value: &Value, found: &mut Vec<Argument>, named: &mut Map<String, Value>) {
    let Some(list) = value.as_array() else { return };
    let Some(layer) = list.first().and_then(Value::as_str) else {
        return list.iter().for_each(|item| old_arguments(item, found, named));
    };
    match (layer, list.get(1).and_then(integer), list.get(2).and_then(integer)) {
        ("_CONSTANT_VALUE", ..) => found.push(Number(list.get(2).and_then(Value::as_f64).unwrap_or(f64::NAN))),
        (layer, Some(call), Some(part)) => {
            found.push(Tensor { layer: layer.to_string(), call, part, rank: None });
        }
        _ => return,
    }
    for (key, value) in list.get(3).and_then(Value::as_object).into_iter().flatten() {
        match value {
            Value::Array(reference) if reference.first().is_some_and(Value::is_string) => {
                old_arguments(value, found, named);
            }
            Value::Number(number) if key == "y" => found.push(Number(number.as_f64().unwrap_or(f64::NAN))),
            _ => _ = named.insert(key.clone(), value.clone()),
        }
    }
}

type Layer = (String, Map<String, Value>);

fn made(class: &str, options: Value) -> Option<Layer> {
    Some((class.to_string(), options.as_object().cloned().unwrap_or_default()))
}

/// The layer for a function of these arguments.
fn layer(function: &str, arguments: &[Argument], named: &Map<String, Value>) -> Option<Layer> {
    let rescaling = |scale: f64, offset: f64| {
        let is_finite = scale.is_finite() && offset.is_finite();
        if is_finite { made("Rescaling", json!({ "scale": scale, "offset": offset })) } else { None }
    };
    let activation = |name: &str| made("Activation", json!({ "activation": name }));
    let axis = named.get("axis").unwrap_or(&Value::Null);
    match (function, arguments) {
        ("add" | "addv2", [Tensor { .. }, Tensor { .. }]) => made("Add", json!({})),
        ("subtract" | "sub", [Tensor { .. }, Tensor { .. }]) => made("Subtract", json!({})),
        ("multiply" | "mul", [Tensor { .. }, Tensor { .. }]) => made("Multiply", json!({})),
        ("maximum", [Tensor { .. }, Tensor { .. }]) => made("Maximum", json!({})),
        ("minimum", [Tensor { .. }, Tensor { .. }]) => made("Minimum", json!({})),
        ("add" | "addv2", [Tensor { .. }, Number(c)] | [Number(c), Tensor { .. }]) => rescaling(1.0, *c),
        ("subtract" | "sub", [Tensor { .. }, Number(c)]) => rescaling(1.0, -c),
        ("subtract" | "sub", [Number(c), Tensor { .. }]) => rescaling(-1.0, *c),
        ("multiply" | "mul", [Tensor { .. }, Number(c)] | [Number(c), Tensor { .. }]) => rescaling(*c, 0.0),
        ("truediv" | "truedivide" | "divide" | "realdiv", [Tensor { .. }, Number(c)]) => rescaling(1.0 / c, 0.0),
        ("negative" | "neg", [Tensor { .. }]) => rescaling(-1.0, 0.0),
        ("concatenate" | "concat", [Tensor { .. }, ..]) => made("Concatenate", json!({ "axis": axis })),
        ("softmax", [Tensor { .. }]) => made("Softmax", json!({ "axis": axis })),
        ("leakyrelu", [Tensor { .. }]) => {
            let slope = ["negative_slope", "alpha"].iter().find_map(|key| named.get(*key)?.as_f64()).unwrap_or(0.2);
            made("LeakyReLU", json!({ "negative_slope": slope }))
        }
        ("mean" | "reducemean" | "max" | "amax" | "reducemax", [Tensor { rank: Some(rank), .. }]) => {
            let axes: Vec<u64> = axis.as_array()?.iter().map(Value::as_u64).collect::<Option<_>>()?;
            let axes_of_space: Vec<u64> = (1..*rank as u64 - 1).collect();
            if axes != axes_of_space || !(3..=5).contains(rank) {
                return None;
            }
            let kind = if function.contains("mean") { "Average" } else { "Max" };
            let keepdims = named.get("keepdims").unwrap_or(&Value::Bool(false));
            made(&format!("Global{kind}Pooling{}D", rank - 2), json!({ "keepdims": keepdims }))
        }
        ("reshape", [Tensor { .. }, ..]) => {
            let shape = named.get("newshape").or_else(|| named.get("shape"))?.as_array()?;
            made("Reshape", json!({ "target_shape": shape.get(1..)? }))
        }
        ("transpose", [Tensor { .. }]) => {
            let axes = named.get("axes")?.as_array()?;
            if axes.first()? == 0 { made("Permute", json!({ "dims": axes.get(1..)? })) } else { None }
        }
        ("identity", [Tensor { .. }]) => made("Identity", json!({})),
        (name, [Tensor { .. }]) => activation(match name {
            "relu" => "relu",
            "relu6" => "relu6",
            "sigmoid" => "sigmoid",
            "tanh" => "tanh",
            "silu" | "swish" => "silu",
            "elu" => "elu",
            "selu" => "selu",
            "gelu" if named.get("approximate").is_some_and(|flag| flag == false) => "gelu",
            "softplus" => "softplus",
            "softsign" => "softsign",
            "exp" => "exponential",
            "hardsigmoid" => "hard_sigmoid",
            "hardsilu" | "hardswish" => "hard_silu",
            "mish" => "mish",
            "logsoftmax" => "log_softmax",
            "logsigmoid" => "log_sigmoid",
            _ => return None,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(entry: Value) -> (String, Value, Vec<(String, usize, usize)>) {
        let found = translate(&entry).unwrap().unwrap();
        (found.class, Value::Object(found.options), found.inputs)
    }

    #[test]
    fn calculations_of_keras_3() {
        let tensor = |name: &str, part: usize| {
            json!({ "class_name": "__keras_tensor__",
                    "config": { "shape": [null, 4, 4, 2], "keras_history": [name, 0, part] } })
        };
        let entry = |class: &str, args: Value, kwargs: Value| {
            json!({ "module": "keras.src.ops.numpy", "class_name": class, "name": "op", "config": { "name": "op" },
                    "inbound_nodes": [{ "args": args, "kwargs": kwargs }] })
        };
        let a = || vec![("a".to_string(), 0, 0)];
        let expected = json!({ "scale": -1.0, "offset": 2.0, "name": "op" });
        let found = translated(entry("Subtract", json!([2.0, tensor("a", 0)]), json!({})));
        assert_eq!(found, ("Rescaling".into(), expected, a()));
        let (class, _, inputs) = translated(entry("Add", json!([tensor("a", 0), tensor("b", 1)]), json!({})));
        assert_eq!((class.as_str(), inputs), ("Add", vec![("a".into(), 0, 0), ("b".into(), 0, 1)]));
        let (class, options, _) = translated(entry("Mean", json!([tensor("a", 0)]), json!({ "axis": [1, 2] })));
        assert_eq!((class.as_str(), &options["keepdims"]), ("GlobalAveragePooling2D", &json!(false)));
        let mut bare = entry("Add", json!([tensor("a", 0), 1.5]), json!({}));
        bare.as_object_mut().unwrap().remove("module");
        assert_eq!(translated(bare).1["offset"], 1.5, "as in .h5");
        let (class, ..) = translated(entry("Mean", json!([tensor("a", 0)]), json!({ "axis": [3] })));
        assert_eq!(class, "operation mean");
        let list = json!([[tensor("a", 0), tensor("b", 0)]]);
        let (class, options, inputs) = translated(entry("Concatenate", list, json!({ "axis": -1 })));
        assert_eq!((class.as_str(), &options["axis"], inputs.len()), ("Concatenate", &json!(-1), 2));
        assert!(translate(&json!({ "module": "keras.layers", "class_name": "Add" })).unwrap().is_none());
    }

    #[test]
    fn calculations_of_tf_keras() {
        let entry = |function: &str, nodes: Value| {
            json!({ "class_name": "TFOpLambda", "name": "op", "inbound_nodes": nodes,
                    "config": { "name": "op", "function": function } })
        };
        let found = translated(entry("math.multiply", json!([["a", 0, 0, { "y": 0.5, "name": null }]])));
        assert_eq!((found.0.as_str(), &found.1["scale"]), ("Rescaling", &json!(0.5)));
        let (class, _, inputs) = translated(entry("__operators__.add", json!([["a", 0, 0, { "y": ["b", 1, 0] }]])));
        assert_eq!((class.as_str(), inputs), ("Add", vec![("a".into(), 0, 0), ("b".into(), 1, 0)]));
        let left = json!([["_CONSTANT_VALUE", -1, 3.0, { "y": ["a", 0, 0] }]]);
        let (class, options, _) = translated(entry("math.subtract", left));
        assert_eq!((class.as_str(), &options["offset"]), ("Rescaling", &json!(3.0)));
    }
}
