//! Names near to one that is not there, for messages.

/// More names than this are not listed.
const LISTED: usize = 8;
/// So many of the nearest ones are.
const NEAREST: usize = 4;

/// What a message says of the names there are: all if they are few, else how many and which are nearest to the one that was wanted.
///
/// ```
/// use striate_tensor::known_names;
/// assert_eq!(known_names("layers", "conv", &["conv2d", "dense"]), "the layers are conv2d, dense");
/// let many: Vec<String> = (1..=80).map(|i| format!("block_{i}")).collect();
/// assert_eq!(known_names("layers", "blok_7", &many), "the nearest of 80 layers are block_7, block_1, block_2, block_3");
/// ```
pub fn known_names(what: &str, wanted: &str, known: &[impl AsRef<str>]) -> String {
    let mut names: Vec<&str> = known.iter().map(AsRef::as_ref).collect();
    let count = names.len();
    if count == 0 {
        return format!("there are no {what}");
    }
    if count > LISTED {
        // Stable, so that equally near ones stay in their order.
        names.sort_by_key(|name| distance(wanted, name));
        names.truncate(NEAREST);
    }
    let list = names.join(", ");
    if count > LISTED { format!("the nearest of {count} {what} are {list}") } else { format!("the {what} are {list}") }
}

/// The known name that was probably meant: at most a third of its letters are others.
///
/// ```
/// use striate_tensor::meant_name;
/// assert_eq!(meant_name("mobilenett", ["vgg16", "mobilenet"]), Some("mobilenet"));
/// assert_eq!(meant_name("photo.png", ["vgg16", "mobilenet"]), None);
/// ```
pub fn meant_name<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.into_iter().map(|name| (distance(wanted, name), name)).min_by_key(|&(distance, _)| distance);
    near.filter(|&(distance, name)| 3 * distance <= name.chars().count()).map(|(_, name)| name)
}

/// How many letters must be put in, taken out or replaced; case and the models around a layer's name count nothing.
fn distance(wanted: &str, name: &str) -> usize {
    let plain = |text: &str| text.to_lowercase().chars().collect::<Vec<char>>();
    let own = |text: &str| text.rsplit('/').next().unwrap_or(text).to_string();
    edits(&plain(wanted), &plain(name)).min(edits(&plain(&own(wanted)), &plain(&own(name))))
}

/// Levenshtein's distance, row by row.
fn edits(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = before + usize::from(x != y);
            before = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(before + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_numbers_of_changes() {
        for (a, b, wanted) in [
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("Conv", "conv", 0),
            ("block5_conv3", "vgg16/block5_conv3", 0),
            ("resnet50", "resnet101", 2),
        ] {
            assert_eq!((distance(a, b), distance(b, a)), (wanted, wanted), "{a} {b}");
        }
        assert_eq!(known_names("layers", "a", &[""; 0]), "there are no layers");
    }
}
