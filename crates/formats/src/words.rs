//! The many words for one weight: `conv2d_1_W:0`, `conv2d_1/kernel:0`, `conv.weight`.

/// For each of Keras 3's words for a weight the words that files have for it, the best first.
const WORDS: &[(&str, &[&str])] = &[
    ("kernel", &["kernel", "weights", "weight", "W", "depthwise_kernel", "depthwise_weights"]),
    ("depthwise_kernel", &["depthwise_kernel", "depthwise_weights", "kernel_0"]),
    ("pointwise_kernel", &["pointwise_kernel", "pointwise_weights", "kernel_1"]),
    ("bias", &["bias", "biases", "b"]),
    ("gamma", &["gamma", "weight", "scale"]),
    ("beta", &["beta", "bias", "offset"]),
    ("moving_mean", &["moving_mean", "running_mean", "mean"]),
    ("moving_variance", &["moving_variance", "running_var", "running_variance", "running_std", "variance"]),
    ("alpha", &["alpha", "alphas", "weight"]),
];

/// The words that a file may have for a weight of a model.
pub(crate) fn words_for(word: &str) -> Vec<&str> {
    match WORDS.iter().find(|(known, _)| *known == word) {
        Some((_, words)) => words.to_vec(),
        None => vec![word],
    }
}

/// Whether a name is PyTorch's, whose kernels have their filters first.
pub(crate) fn is_torch(word: &str) -> bool {
    word == "weight"
}

/// The parts of a name, without TensorFlow's `:0`, divided at slashes, or at points where there is no slash.
pub(crate) fn parts(name: &str) -> Vec<&str> {
    let name = name.split_once(':').map_or(name, |(plain, _)| plain);
    if name.contains('/') { name.split('/').collect() } else { name.split('.').collect() }
}

/// Whether the last part of a name means a word: it is the word, or ends in it as Keras 1 wrote it, `dense_1_W`.
pub(crate) fn means(part: &str, word: &str) -> bool {
    part == word
        || (matches!(word, "W" | "b" | "gamma" | "beta" | "running_mean" | "running_std" | "alphas")
            && part.strip_suffix(word).is_some_and(|rest| rest.ends_with('_')))
}
