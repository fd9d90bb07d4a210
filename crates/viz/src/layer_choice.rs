//! Layers by name, pattern or number.

use striate_nn::{LayerInfo, Model};
use striate_tensor::{Error, Result, known_names};

/// The layers that a choice names: `first:8` and `last:2` count the model's own layers, inputs left out; else paths as `conv2d`
/// or `vgg16/block1_conv1`, with `*` for any letters and `?` for one; several with commas between them.
///
/// # Errors
/// [`Error::Argument`] if a part of the choice names no layer.
///
/// ```
/// use striate_nn::{BuildOptions, Sequential, layers::*};
/// let device = striate_testkit::reference::device();
/// let model = Sequential::new([28, 28, 1]).add(Conv2D::new(4, 3)).add(MaxPooling2D::new(2)).add(Conv2D::new(8, 3));
/// let model = model.build_on(&BuildOptions::on(&device))?;
/// let paths = |choice| striate_viz::choose_layers(&model, choice).map(|l| l.into_iter().map(|l| l.path).collect::<Vec<_>>());
/// assert_eq!(paths("first:2")?, ["conv2d", "max_pooling2d"]);
/// assert_eq!(paths("conv*")?, ["conv2d", "conv2d_1"]);
/// assert!(paths("dense").is_err());
/// # Ok::<(), striate_tensor::Error>(())
/// ```
pub fn choose_layers(model: &Model, choice: &str) -> Result<Vec<LayerInfo>> {
    let layers: Vec<LayerInfo> =
        model.graph().layers().into_iter().filter(|layer| layer.class != "InputLayer").collect();
    let own: Vec<&LayerInfo> = layers.iter().filter(|layer| !layer.path.contains('/')).collect();
    let mut chosen: Vec<LayerInfo> = Vec::new();
    for part in choice.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let count = |text: &str| text.parse::<usize>().ok().filter(|&count| count > 0);
        let found: Vec<&LayerInfo> = match part.split_once(':') {
            Some(("first", n)) if count(n).is_some() => own.iter().take(count(n).unwrap_or(0)).copied().collect(),
            Some(("last", n)) if count(n).is_some() => {
                own.iter().skip(own.len().saturating_sub(count(n).unwrap_or(0))).copied().collect()
            }
            _ => layers.iter().filter(|layer| matches(part.as_bytes(), layer.path.as_bytes())).collect(),
        };
        if found.is_empty() {
            let known: Vec<&str> = layers.iter().map(|layer| layer.path.as_str()).collect();
            return Err(Error::argument(
                "layers",
                "must be first:N, last:N, or names of layers, * and ? allowed",
                format!("`{part}`"),
                known_names("layers", part, &known),
            ));
        }
        for layer in found {
            if !chosen.contains(layer) {
                chosen.push(layer.clone());
            }
        }
    }
    if chosen.is_empty() {
        return Err(Error::argument("layers", "at least one layer must be named", format!("`{choice}`"), ""));
    }
    Ok(chosen)
}

/// Whether a pattern with `*` and `?` fits a whole text.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on if what follows the last star does not fit.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p).is_some_and(|&c| c != b'*' && (c == b'?' || c == text[t])) {
            (p, t) = (p + 1, t + 1);
        } else if pattern.get(p) == Some(&b'*') {
            retry = Some((p, t));
            p += 1;
        } else if let Some((star, from)) = retry {
            (p, t) = (star + 1, from + 1);
            retry = Some((star, from + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("conv2d", "conv2d", true),
            ("conv2d", "conv2d_1", false),
            ("block?_conv1", "block3_conv1", true),
            ("*conv1", "vgg16/block3_conv1", true),
            ("*_conv*", "block3_conv1", true),
            ("*a*b", "aab_ab", true),
            ("*a*b", "aab_a", false),
            ("", "a", false),
            ("***", "", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), fits, "{pattern} {text}");
        }
    }
}
