//! Weight files by name, as the catalogue of `striate data` has them.

use std::path::{Path, PathBuf};
use striate_data::catalog::{Entry, Kind, entries, entry};
use striate_tensor::{Error, Result};

/// The file with the weights of this name, as `vgg16-notop`: the one that Keras publishes, or one that is as good.
///
/// Looked for in the subfolder `weights` of `data` and in `data` itself, if it is given, and then in the subfolder `weights` of
/// `$STRIATE_DATA`, of the user's cache folder and of `datasets/`.
///
/// # Errors
/// [`Error::Argument`] listing the names if there is none such; [`Error::Data`] naming the places and the command that fetches
/// the file if it is on none of them.
///
/// ```
/// use striate_zoo::catalog::find_weights;
/// match find_weights("squeezenet-notop", None) {
///     Ok(path) => println!("{}", path.display()),
///     Err(error) => assert!(error.to_string().contains("striate data download squeezenet-notop")),
/// }
/// ```
pub fn find_weights(name: &str, data: Option<&Path>) -> Result<PathBuf> {
    weights(name)?.find(data)
}

/// The catalogue's entry of weights.
///
/// # Errors
/// [`Error::Argument`] listing the names if there is none such.
pub fn weights(name: &str) -> Result<&'static Entry> {
    let found = entry(name).ok().filter(|entry| entry.kind == Kind::Weights);
    let Some(found) = found else {
        let weights = entries()?.iter().filter(|entry| entry.kind == Kind::Weights);
        let names: Vec<&str> = weights.map(|entry| entry.name.as_str()).collect();
        let rule = format!("weights must be one of {}", names.join(", "));
        return Err(Error::argument(name, rule, format!("`{name}`"), "striate data list shows what each is"));
    };
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_weights_are_weights() {
        assert_eq!(weights("vgg16").unwrap().name, "vgg16");
        for name in ["mnist", "vgg17"] {
            let text = find_weights(name, None).unwrap_err().to_string();
            assert!(text.contains("resnet50-notop") && !text.contains("cats-dogs"), "{text}");
        }
    }

    #[test]
    fn a_missing_file_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        // This one has no alternative that could lie on a developer's machine.
        match find_weights("xception", Some(folder.path())) {
            Ok(path) => assert!(path.ends_with("xception_weights_tf_dim_ordering_tf_kernels.h5")),
            Err(error) => assert!(error.to_string().contains("striate data download xception"), "{error}"),
        }
        let file = folder.path().join("vgg16_imagenet_notop.safetensors");
        std::fs::write(&file, b"").unwrap();
        assert_eq!(find_weights("vgg16-notop", Some(folder.path())).unwrap(), file);
    }
}
