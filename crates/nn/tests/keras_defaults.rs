//! What a config leaves out means what it means in Keras 3.

use serde_json::{Value, json};
use striate_nn::Registry;

/// The options that a layer has when only `given` is written.
fn read(class: &str, given: &Value, input: &Value) -> Value {
    let model = json!({
        "class_name": "Sequential",
        "config": {
            "name": "one",
            "layers": [
                {"class_name": "InputLayer", "config": {"batch_shape": input, "name": "input"}},
                {"class_name": class, "config": given},
            ],
        },
    });
    let graph = Registry::default().graph_from_json(&model).unwrap_or_else(|error| panic!("{class}: {error}"));
    graph.to_json()["config"]["layers"][1]["config"].clone()
}

#[test]
fn absent_keys() {
    let vector = json!([null, 4]);
    let series = json!([null, 8, 2]);
    let image = json!([null, 8, 8, 2]);
    let volume = json!([null, 4, 4, 4, 2]);
    let conv = json!({"filters": 2, "kernel_size": 2});
    for (class, input, given, expected) in [
        (
            "Conv2D",
            &image,
            conv.clone(),
            json!({
                "strides": [1, 1], "padding": "valid", "data_format": "channels_last", "dilation_rate": [1, 1],
                "groups": 1, "activation": "linear", "use_bias": true, "kernel_regularizer": null,
            }),
        ),
        (
            "Conv2DTranspose",
            &image,
            conv.clone(),
            json!({
                "strides": [1, 1], "padding": "valid", "output_padding": null, "dilation_rate": [1, 1],
                "activation": "linear", "use_bias": true,
            }),
        ),
        (
            "DepthwiseConv2D",
            &image,
            json!({"kernel_size": 2}),
            json!({"strides": [1, 1], "padding": "valid", "depth_multiplier": 1, "use_bias": true}),
        ),
        (
            "SeparableConv1D",
            &series,
            conv.clone(),
            json!({"strides": [1], "padding": "valid", "depth_multiplier": 1, "use_bias": true}),
        ),
        ("Dense", &vector, json!({"units": 3}), json!({"activation": "linear", "use_bias": true})),
        (
            "BatchNormalization",
            &vector,
            json!({}),
            json!({"axis": -1, "momentum": 0.99, "epsilon": 0.001, "center": true, "scale": true}),
        ),
        (
            "LayerNormalization",
            &vector,
            json!({}),
            json!({"axis": -1, "epsilon": 0.001, "center": true, "scale": true}),
        ),
        ("ReLU", &vector, json!({}), json!({"max_value": null, "negative_slope": 0.0, "threshold": 0.0})),
        ("LeakyReLU", &vector, json!({}), json!({"negative_slope": 0.3})),
        ("ELU", &vector, json!({}), json!({"alpha": 1.0})),
        ("PReLU", &vector, json!({}), json!({"shared_axes": null})),
        ("MaxPooling2D", &image, json!({}), json!({"pool_size": [2, 2], "strides": [2, 2], "padding": "valid"})),
        ("AveragePooling1D", &series, json!({"pool_size": 3}), json!({"strides": [3]})),
        ("GlobalAveragePooling2D", &image, json!({}), json!({"keepdims": false})),
        ("UpSampling1D", &series, json!({}), json!({"size": 2})),
        ("UpSampling2D", &image, json!({}), json!({"size": [2, 2], "interpolation": "nearest"})),
        ("UpSampling3D", &volume, json!({}), json!({"size": [2, 2, 2]})),
        ("Cropping1D", &series, json!({}), json!({"cropping": [1, 1]})),
        ("Cropping2D", &image, json!({}), json!({"cropping": [[0, 0], [0, 0]]})),
        ("Cropping3D", &volume, json!({}), json!({"cropping": [[1, 1], [1, 1], [1, 1]]})),
        ("ZeroPadding1D", &series, json!({}), json!({"padding": [1, 1]})),
        ("ZeroPadding2D", &image, json!({}), json!({"padding": [[1, 1], [1, 1]]})),
        ("Rescaling", &vector, json!({"scale": 0.5}), json!({"offset": 0.0})),
        ("Dropout", &vector, json!({"rate": 0.3}), json!({"rate": 0.3})),
    ] {
        let options = read(class, &given, input);
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(&options[key], value, "{class}: {key}");
        }
    }
}

#[test]
fn initializers() {
    let conv = read("Conv2D", &json!({"filters": 2, "kernel_size": 2}), &json!([null, 4, 4, 1]));
    assert_eq!(conv["kernel_initializer"]["class_name"], "GlorotUniform");
    assert_eq!(conv["bias_initializer"]["class_name"], "Zeros");
    let norm = read("BatchNormalization", &json!({}), &json!([null, 4]));
    for (key, class) in [
        ("gamma_initializer", "Ones"),
        ("beta_initializer", "Zeros"),
        ("moving_mean_initializer", "Zeros"),
        ("moving_variance_initializer", "Ones"),
    ] {
        assert_eq!(norm[key]["class_name"], class, "{key}");
    }
}

#[test]
fn forms_of_older_files() {
    let series = json!([null, 8, 2]);
    assert_eq!(read("LeakyReLU", &json!({"alpha": 0.1}), &series)["negative_slope"], json!(0.1));
    assert_eq!(read("BatchNormalization", &json!({"axis": [2]}), &series)["axis"], json!(2));
    assert_eq!(read("Conv1D", &json!({"filters": 1, "kernel_size": [3]}), &series)["kernel_size"], json!([3]));
    let activation = json!({"units": 1, "activation": {"class_name": "LeakyReLU", "config": {"negative_slope": 0.1}}});
    let dense = read("Dense", &activation, &series);
    assert_eq!(dense["activation"]["config"]["negative_slope"], json!(0.1));
    let plain = json!({"units": 1, "activation": {"class_name": "function", "config": "tanh"}});
    assert_eq!(read("Dense", &plain, &series)["activation"], json!("tanh"));
    // Numbers are written as people write them.
    assert_eq!(read("Dropout", &json!({"rate": 0.3}), &series)["rate"].to_string(), "0.3");
}
