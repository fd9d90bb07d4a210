//! One layer's class and options, from any Keras's words to those of Keras 3.

use serde_json::{Map, Value, json};
use striate_nn::Initializer;

/// A class under the name that Keras 3 has for it.
pub(super) fn class_of(class: &str, options: &Map<String, Value>) -> String {
    // `package>Name` is a registered class.
    let plain = class.rsplit('>').next().unwrap_or(class);
    let renamed = match plain {
        "Convolution1D" | "AtrousConvolution1D" => "Conv1D",
        "Convolution2D" | "AtrousConvolution2D" => "Conv2D",
        "Convolution3D" => "Conv3D",
        "Deconvolution2D" | "Convolution2DTranspose" => "Conv2DTranspose",
        "Deconvolution3D" | "Convolution3DTranspose" => "Conv3DTranspose",
        "Convolution1DTranspose" => "Conv1DTranspose",
        "SeparableConvolution1D" => "SeparableConv1D",
        "SeparableConvolution2D" => "SeparableConv2D",
        "DepthwiseConvolution2D" => "DepthwiseConv2D",
        "BatchNormalizationV1" | "BatchNormalizationV2" | "SyncBatchNormalization" => "BatchNormalization",
        "MaxPool1D" => "MaxPooling1D",
        "MaxPool2D" => "MaxPooling2D",
        "MaxPool3D" => "MaxPooling3D",
        "AvgPool1D" => "AveragePooling1D",
        "AvgPool2D" => "AveragePooling2D",
        "AvgPool3D" => "AveragePooling3D",
        "GlobalMaxPool1D" => "GlobalMaxPooling1D",
        "GlobalMaxPool2D" => "GlobalMaxPooling2D",
        "GlobalMaxPool3D" => "GlobalMaxPooling3D",
        "GlobalAvgPool1D" => "GlobalAveragePooling1D",
        "GlobalAvgPool2D" => "GlobalAveragePooling2D",
        "GlobalAvgPool3D" => "GlobalAveragePooling3D",
        "ThresholdedReLU" => "ReLU",
        // A scale for each channel.
        "Rescaling" if options.get("scale").is_some_and(Value::is_array) => "Normalization",
        "Model" => "Functional",
        "Merge" => match options.get("mode").and_then(Value::as_str) {
            Some("sum") => "Add",
            Some("mul") => "Multiply",
            Some("concat") => "Concatenate",
            Some("ave") => "Average",
            Some("max") => "Maximum",
            Some("dot" | "cos") => "Dot",
            _ => "Merge",
        },
        other => other,
    };
    renamed.to_string()
}

/// Keras 1's words for options and Keras 3's.
const RENAMED: &[(&str, &str)] = &[
    ("nb_filter", "filters"),
    ("subsample", "strides"),
    ("subsample_length", "strides"),
    ("border_mode", "padding"),
    ("bias", "use_bias"),
    ("init", "kernel_initializer"),
    ("W_regularizer", "kernel_regularizer"),
    ("b_regularizer", "bias_regularizer"),
    ("output_dim", "units"),
    ("sigma", "stddev"),
    ("pool_length", "pool_size"),
    ("stride", "strides"),
    ("filter_length", "kernel_size"),
    ("atrous_rate", "dilation_rate"),
    ("gamma_init", "gamma_initializer"),
    ("beta_init", "beta_initializer"),
    ("concat_axis", "axis"),
    ("batch_input_shape", "batch_shape"),
];

/// The options of a layer in Keras 3's words. `class` is Keras 3's, `original` what the file says.
pub(super) fn options_of(original: &str, class: &str, options: &Map<String, Value>) -> Map<String, Value> {
    let mut new: Map<String, Value> = options.iter().map(|(key, value)| (key.clone(), plain(value))).collect();
    for &(old, name) in RENAMED {
        let name = match (class, name) {
            // What Keras 1 called so elsewhere, it means here.
            ("Embedding", "units") => continue,
            ("Embedding", "kernel_initializer") => "embeddings_initializer",
            ("Embedding", "kernel_regularizer") => "embeddings_regularizer",
            (_, name) => name,
        };
        if let Some(value) = new.shift_remove(old)
            && !new.contains_key(name)
        {
            new.insert(name.to_string(), value);
        }
    }
    if let Some(name) = new.get_mut("name")
        && let Some(text) = name.as_str()
    {
        *name = json!(layer_name(text));
    }
    kernel_size(&mut new);
    match new.shift_remove("dim_ordering").as_ref().and_then(Value::as_str) {
        Some("th") => _ = new.insert("data_format".into(), json!("channels_first")),
        Some(_) => _ = new.insert("data_format".into(), json!("channels_last")),
        None => {}
    }
    let renamed = |new: &mut Map<String, Value>, old: &str, name: &str| {
        if let Some(value) = new.shift_remove(old) {
            new.entry(name).or_insert(value);
        }
    };
    match class {
        "Dropout" | "SpatialDropout1D" | "SpatialDropout2D" | "SpatialDropout3D" | "GaussianDropout" => {
            renamed(&mut new, "p", "rate");
        }
        "Dot" => {
            renamed(&mut new, "dot_axes", "axes");
            if new.get("mode").and_then(Value::as_str) == Some("cos") {
                new.insert("normalize".into(), json!(true));
            }
        }
        "LeakyReLU" => renamed(&mut new, "alpha", "negative_slope"),
        "ReLU" if original == "ThresholdedReLU" => renamed(&mut new, "theta", "threshold"),
        "TimeDistributed" | "SpectralNormalization" => inner_layer(&mut new),
        "Normalization" if original.ends_with("Rescaling") => statistics_of_scales(&mut new),
        "UpSampling1D" => renamed(&mut new, "length", "size"),
        "ZeroPadding2D" => four_sides(&mut new, "padding"),
        // Keras 1's way of normalizing; there is only one now.
        "BatchNormalization" => _ = new.shift_remove("mode"),
        _ => {}
    }
    for (key, value) in &mut new {
        if key.ends_with("_regularizer") {
            regularizer(value);
        }
    }
    // The weights come from the file: how they once started need not be known.
    new.retain(|key, value| !key.ends_with("_initializer") || value.is_null() || Initializer::from_json(value).is_ok());
    new
}

/// s·x + o as a normalisation: mean −o/s, variance 1/s². A negative scale has none, and keeps its options for the layer to refuse.
fn statistics_of_scales(options: &mut Map<String, Value>) {
    let numbers = |value: Option<&Value>, count: usize| match value {
        Some(Value::Array(list)) => list.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>(),
        Some(one) => one.as_f64().map(|one| vec![one; count]),
        None => Some(vec![0.0; count]),
    };
    let Some(scales) = numbers(options.get("scale"), 0) else { return };
    let Some(offsets) = numbers(options.get("offset"), scales.len()) else { return };
    if scales.iter().any(|&scale| scale <= 0.0 || !scale.is_finite()) || offsets.len() != scales.len() {
        options.insert("mean".into(), json!("scales must be positive"));
        options.insert("variance".into(), Value::Null);
        return;
    }
    options.shift_remove("scale");
    options.shift_remove("offset");
    options.insert("axis".into(), json!(-1));
    options.insert("mean".into(), scales.iter().zip(&offsets).map(|(scale, offset)| -offset / scale).collect());
    options.insert("variance".into(), scales.iter().map(|scale| 1.0 / (scale * scale)).collect());
}

/// The layer inside a wrapper, if it is no model.
fn inner_layer(options: &mut Map<String, Value>) {
    let Some(inner) = options.get_mut("layer") else { return };
    let (Some(original), Some(given)) = (inner["class_name"].as_str(), inner["config"].as_object()) else { return };
    let class = class_of(original, given);
    if super::dialect::is_model(&class) {
        return;
    }
    // A wrapper of wrappers is no layer here.
    let translated = if class == "TimeDistributed" { given.clone() } else { options_of(original, &class, given) };
    *inner = json!({ "class_name": class, "config": translated });
}

/// A layer's name: what has a slash in a file cannot have one in a path of weights.
pub(crate) fn layer_name(name: &str) -> String {
    name.replace('/', "_")
}

/// Arrays of NumPy that an older Keras wrote as objects.
fn plain(value: &Value) -> Value {
    match value.as_object() {
        Some(object) if object.get("type").and_then(Value::as_str) == Some("ndarray") => {
            object.get("value").cloned().unwrap_or(Value::Null)
        }
        _ => value.clone(),
    }
}

fn kernel_size(options: &mut Map<String, Value>) {
    for keys in [&["nb_row", "nb_col"][..], &["kernel_dim1", "kernel_dim2", "kernel_dim3"]] {
        let sizes: Option<Vec<Value>> = keys.iter().map(|key| options.get(*key).cloned()).collect();
        if let Some(sizes) = sizes {
            keys.iter().for_each(|key| _ = options.shift_remove(*key));
            options.insert("kernel_size".into(), Value::Array(sizes));
        }
    }
}

/// Keras 1 could write (top, bottom, left, right).
fn four_sides(options: &mut Map<String, Value>, key: &str) {
    let four = options.get(key).and_then(Value::as_array).filter(|list| list.len() == 4 && list[0].is_number());
    if let Some(four) = four {
        let pairs = json!([[four[0], four[1]], [four[2], four[3]]]);
        options.insert(key.into(), pairs);
    }
}

/// Keras 1 wrote a regularizer with its factors beside its name.
fn regularizer(value: &mut Value) {
    let Some(object) = value.as_object() else { return };
    if object.contains_key("class_name") || !object.contains_key("name") {
        return;
    }
    let factor = |key: &str| object.get(key).cloned().unwrap_or(json!(0.0));
    *value = json!({ "class_name": "L1L2", "config": { "l1": factor("l1"), "l2": factor("l2") } });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(class: &str, value: Value) -> Value {
        let map = value.as_object().unwrap();
        Value::Object(options_of(class, &class_of(class, map), map))
    }

    #[test]
    fn keras_1_words() {
        let old = json!({
            "name": "block/conv", "nb_filter": 4, "nb_row": 3, "nb_col": 2, "subsample": [1, 2], "border_mode": "same",
            "dim_ordering": "th", "bias": false, "init": "glorot_uniform", "activation": "relu",
            "W_regularizer": {"name": "WeightRegularizer", "l1": 0.0, "l2": 0.5}, "b_regularizer": null,
            "batch_input_shape": [null, 8, 8, 3],
        });
        assert_eq!(class_of("Convolution2D", old.as_object().unwrap()), "Conv2D");
        assert_eq!(
            options("Convolution2D", old),
            json!({
                "name": "block_conv", "filters": 4, "kernel_size": [3, 2], "strides": [1, 2], "padding": "same",
                "data_format": "channels_first", "use_bias": false, "kernel_initializer": "glorot_uniform",
                "activation": "relu", "kernel_regularizer": {"class_name": "L1L2", "config": {"l1": 0.0, "l2": 0.5}},
                "bias_regularizer": null, "batch_shape": [null, 8, 8, 3],
            })
        );
        assert_eq!(options("Dense", json!({"output_dim": 2})), json!({"units": 2}));
        assert_eq!(options("Dropout", json!({"p": 0.5})), json!({"rate": 0.5}));
        assert_eq!(
            options("MaxPooling1D", json!({"pool_length": 2, "stride": 3})),
            json!({"pool_size": 2, "strides": 3})
        );
        assert_eq!(options("ZeroPadding2D", json!({"padding": [1, 2, 3, 4]})), json!({"padding": [[1, 2], [3, 4]]}));
        assert_eq!(class_of("Merge", json!({"mode": "concat"}).as_object().unwrap()), "Concatenate");
        assert_eq!(options("Merge", json!({"mode": "concat", "concat_axis": 3}))["axis"], 3);
    }

    #[test]
    fn a_scale_for_each_channel() {
        let scales = json!({ "name": "s", "scale": [2.0, 4.0], "offset": 1.0 });
        assert_eq!(class_of("Rescaling", scales.as_object().unwrap()), "Normalization");
        let expected = json!({ "name": "s", "axis": -1, "mean": [-0.5, -0.25], "variance": [0.25, 0.0625] });
        assert_eq!(options("Rescaling", scales), expected);
        assert_eq!(class_of("Rescaling", json!({ "scale": 2.0 }).as_object().unwrap()), "Rescaling");
    }

    #[test]
    fn keras_2_words() {
        assert_eq!(
            options("LeakyReLU", json!({"alpha": {"type": "ndarray", "value": 0.25}})),
            json!({"negative_slope": 0.25})
        );
        assert_eq!(options("ThresholdedReLU", json!({"theta": 1.5})), json!({"threshold": 1.5}));
        assert_eq!(class_of("keras_cv>MaxPool2D", &Map::new()), "MaxPooling2D");
        let odd = json!({"kernel_initializer": {"class_name": "MyOwn", "config": {}}, "bias_initializer": "zeros"});
        assert_eq!(options("Dense", odd), json!({"bias_initializer": "zeros"}), "weights come from the file");
    }
}
