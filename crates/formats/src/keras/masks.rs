//! Masks: which steps of a series say nothing. Keras hands them from layer to layer; of the layers here only a mean over time would
//! have to know them.

use super::dialect::{Entry, is_model};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use striate_tensor::{Error, Result};

fn makes_one(entry: &Entry) -> bool {
    entry.class == "Masking" || (entry.class == "Embedding" && entry.options["mask_zero"] == Value::Bool(true))
}

fn hands_on(class: &str) -> bool {
    matches!(
        class,
        "Activation"
            | "ActivityRegularization"
            | "Add"
            | "AlphaDropout"
            | "Average"
            | "BatchNormalization"
            | "Concatenate"
            | "Dense"
            | "Dropout"
            | "ELU"
            | "GaussianDropout"
            | "GaussianNoise"
            | "GroupNormalization"
            | "Identity"
            | "LayerNormalization"
            | "LeakyReLU"
            | "Masking"
            | "Maximum"
            | "Minimum"
            | "Multiply"
            | "PReLU"
            | "ReLU"
            | "Softmax"
            | "SpatialDropout1D"
            | "Subtract"
            | "TimeDistributed"
            | "UnitNormalization"
    )
}

/// Refuses a model in which a mean over time would have to leave masked steps out, naming all such layers.
///
/// # Errors
/// [`Error::Model`].
pub(super) fn check(entries: &[Entry], is_stack: bool) -> Result<()> {
    if !entries.iter().any(makes_one) {
        return Ok(());
    }
    let mut masked: BTreeSet<&str> = BTreeSet::new();
    let mut inputs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (i, entry) in entries.iter().enumerate() {
        let before = if i > 0 && is_stack { vec![entries[i - 1].name.as_str()] } else { Vec::new() };
        let calls = entry.calls.iter().flatten().map(|reference| reference.0.as_str());
        inputs.insert(&entry.name, before.into_iter().chain(calls).collect());
    }
    // Layers may be listed in any order: until nothing changes.
    loop {
        let before = masked.len();
        for entry in entries {
            let has_masked_input = inputs[entry.name.as_str()].iter().any(|input| masked.contains(input));
            if makes_one(entry) || (has_masked_input && hands_on(&entry.class)) {
                masked.insert(&entry.name);
            }
        }
        if masked.len() == before {
            break;
        }
    }
    let would_use = |entry: &&Entry| {
        (entry.class == "GlobalAveragePooling1D" || is_model(&entry.class))
            && inputs[entry.name.as_str()].iter().any(|input| masked.contains(input))
    };
    let wrong: Vec<String> =
        entries.iter().filter(would_use).map(|entry| format!("`{}` ({})", entry.name, entry.class)).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Error::model(
        "model_config",
        "no layer may need the mask of a Masking or Embedding layer",
        wrong.join(", "),
        "masks are not handed on here: use mask_zero=False, or another pooling",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::dialect::translate;
    use serde_json::json;

    #[test]
    fn a_mean_of_masked_steps_is_refused() {
        let layer = |class: &str, name: &str, more: serde_json::Value| {
            let mut config = json!({ "name": name, "batch_input_shape": [null, 5] });
            config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({ "class_name": class, "config": config })
        };
        let stack = |is_masked: bool, pooling: &str, between: &str| {
            let words = json!({ "input_dim": 4, "output_dim": 2, "mask_zero": is_masked });
            let layers = [
                layer("Embedding", "words", words),
                layer(between, "between", json!({ "filters": 2, "kernel_size": 2, "rate": 0.5 })),
                layer(pooling, "end", json!({})),
            ];
            json!({ "class_name": "Sequential", "config": layers })
        };
        let error = translate(&stack(true, "GlobalAveragePooling1D", "Dropout"), None, true).unwrap_err().to_string();
        assert!(error.contains("`end` (GlobalAveragePooling1D)"), "{error}");
        for fine in [
            stack(false, "GlobalAveragePooling1D", "Dropout"),
            stack(true, "GlobalMaxPooling1D", "Dropout"),
            stack(true, "GlobalAveragePooling1D", "Conv1D"),
        ] {
            translate(&fine, None, true).unwrap();
        }
    }
}
