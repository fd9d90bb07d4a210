//! A sentence for each layer: what it does, with its own numbers.

use super::layout::Layout;
use super::network::{Network, Node};
use serde_json::Value;

/// What a layer does.
pub fn sentence(network: &Network, node: &Node) -> String {
    let size = |key: &str| sizes(&node.config[key]);
    let text = |key: &str| node.config.get(key).and_then(Value::as_str).unwrap_or_default();
    let Layout { height, width, channels, .. } = Layout::of(&node.shape);
    let from = node.inputs.first().map(|&input| Layout::of(&network.nodes[input].shape));
    let units = node.shape.last().copied().unwrap_or(1);
    let and = activation(text("activation"), &node.config["activation"]);
    match node.class.as_str() {
        "InputLayer" => match channels {
            1 if (height, width) == (28, 28) => {
                "Your drawing as MNIST has it: the ink scaled to 20×20 and centred by its mass in 28×28.".into()
            }
            _ => format!("The picture as the network gets it: {height}×{width} pixels, {channels} channels."),
        },
        "Conv1D" | "Conv2D" => {
            let depth = from.map_or(0, |from| from.channels);
            let through = if depth > 1 { format!(", through all {depth} channels") } else { String::new() };
            format!(
                "{channels} kernels of {} slide over the input{through}; each answers where its pattern is{and}.",
                size("kernel_size")
            )
        }
        "DepthwiseConv1D" | "DepthwiseConv2D" => {
            format!("Every channel gets a kernel of {} of its own{and}.", size("kernel_size"))
        }
        "SeparableConv1D" | "SeparableConv2D" => {
            format!(
                "First a kernel of {} for each channel alone, then {channels} mixtures of the channels{and}.",
                size("kernel_size")
            )
        }
        "Conv1DTranspose" | "Conv2DTranspose" => format!(
            "Each value spreads copies of {channels} kernels of {} over a larger map, where they add up{and}.",
            size("kernel_size")
        ),
        "MaxPooling1D" | "MaxPooling2D" => format!(
            "Keeps the largest value of each {} window: smaller maps, less fuss about where.",
            size("pool_size")
        ),
        "AveragePooling1D" | "AveragePooling2D" => format!("Keeps the mean of each {} window.", size("pool_size")),
        "GlobalAveragePooling1D" | "GlobalAveragePooling2D" => {
            "One number a channel: the mean of its whole map.".into()
        }
        "GlobalMaxPooling1D" | "GlobalMaxPooling2D" => "One number a channel: the largest of its whole map.".into(),
        "Flatten" => format!("The maps written in one row of {units} numbers, position by position."),
        "Dense" => format!(
            "{units} units, each a weighted sum of all {} inputs{and}.",
            from.map_or(0, |from| from.width.max(from.channels))
        ),
        "BatchNormalization" => "Shifts and scales each channel by what training found it to be on average.".into(),
        "LayerNormalization" => {
            "Brings the mean to 0 and the spread to 1 within the sample, then scales and shifts.".into()
        }
        "Dropout" | "SpatialDropout1D" | "SpatialDropout2D" | "GaussianDropout" | "GaussianNoise" => {
            "Disturbs the values while the network trains; here it lets them through.".into()
        }
        "Activation" | "ReLU" | "LeakyReLU" | "ELU" | "PReLU" | "Softmax" => {
            "Applies its function to every value.".into()
        }
        "ZeroPadding1D" | "ZeroPadding2D" => "Adds a border of zeros.".into(),
        "Cropping1D" | "Cropping2D" => "Cuts the border off.".into(),
        "UpSampling1D" | "UpSampling2D" => "Makes the maps larger.".into(),
        "Add" => "Adds its inputs: what the block found on top of what came in.".into(),
        "Concatenate" => "Puts the channels of its inputs side by side.".into(),
        "Reshape" | "Permute" => "The same numbers in another order.".into(),
        "Rescaling" => "Multiplies and shifts every value.".into(),
        other => format!("A layer of class {other}."),
    }
}

/// `3×3` of `[3, 3]`.
fn sizes(value: &Value) -> String {
    let all: Vec<String> = value.as_array().into_iter().flatten().map(Value::to_string).collect();
    if all.is_empty() { value.to_string() } else { all.join("×") }
}

fn activation(name: &str, whole: &Value) -> &'static str {
    match name {
        "relu" => "; ReLU makes negative sums 0",
        "softmax" => "; softmax turns the sums into probabilities",
        "sigmoid" => "; the sigmoid turns a sum into a probability",
        "linear" | "" if whole.is_null() || whole.is_string() => "",
        _ => "; then comes its activation",
    }
}
