//! Names of one program, as those of another: a mapping with gaps.

/// Rules that turn the names of a file into paths of a model's weights, the first that fits.
///
/// A `*` in a pattern stands for any text without a slash or a point, and each `*` of the replacement for the next of these
/// texts. What no rule fits keeps its name.
///
/// ```
/// use striate_formats::Renaming;
/// let mobilenet = Renaming::new()
///     .rule("MobilenetV1/Conv2d_0/weights", "conv1/kernel")
///     .rule("MobilenetV1/Conv2d_*_depthwise/BatchNorm/*", "conv_dw_*_bn/*");
/// assert_eq!(mobilenet.apply("MobilenetV1/Conv2d_3_depthwise/BatchNorm/gamma"), "conv_dw_3_bn/gamma");
/// assert_eq!(mobilenet.apply("global_step"), "global_step");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Renaming {
    rules: Vec<(String, String)>,
}

impl Renaming {
    /// No rules: all names as they are.
    pub fn new() -> Self {
        Renaming::default()
    }

    /// Adds a rule.
    pub fn rule(mut self, pattern: impl Into<String>, replacement: impl Into<String>) -> Self {
        self.rules.push((pattern.into(), replacement.into()));
        self
    }

    /// The new name of a name.
    pub fn apply(&self, name: &str) -> String {
        let renamed = self.rules.iter().find_map(|(pattern, replacement)| {
            let mut gaps = fill(pattern, name)?.into_iter();
            let parts: Vec<&str> = replacement.split('*').collect();
            let mut out = parts[0].to_string();
            for part in &parts[1..] {
                out += gaps.next().unwrap_or_default();
                out += part;
            }
            Some(out)
        });
        renamed.unwrap_or_else(|| name.to_string())
    }
}

/// The texts that the gaps of a pattern stand for; `None` if it does not fit. Each gap takes as little as it can.
fn fill<'a>(pattern: &str, name: &'a str) -> Option<Vec<&'a str>> {
    let mut parts = pattern.split('*');
    let mut rest = name.strip_prefix(parts.next()?)?;
    let mut gaps = Vec::new();
    let parts: Vec<&str> = parts.collect();
    for (i, part) in parts.iter().enumerate() {
        let end = if i + 1 == parts.len() {
            rest.len().checked_sub(part.len()).filter(|&end| rest.is_char_boundary(end) && &rest[end..] == *part)?
        } else {
            rest.find(part)?
        };
        let gap = &rest[..end];
        if gap.contains(['/', '.']) {
            return None;
        }
        gaps.push(gap);
        rest = &rest[end + part.len()..];
    }
    rest.is_empty().then_some(gaps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_stand_for_parts_of_a_name() {
        assert_eq!(fill("a_*_b/*", "a_12_b/gamma").unwrap(), ["12", "gamma"]);
        assert_eq!(fill("features.*.weight", "features.0.weight").unwrap(), ["0"]);
        assert_eq!(fill("*", "x").unwrap(), ["x"]);
        assert_eq!(fill("x", "x").unwrap(), Vec::<&str>::new());
        for (pattern, name) in [("a/*", "a/b/c"), ("a*c", "ab"), ("x", "xy"), ("*.weight", "0.bias"), ("ab*b", "ab")] {
            assert_eq!(fill(pattern, name), None, "{pattern} {name}");
        }
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let renaming = Renaming::new().rule("features.0.*", "conv1.*").rule("features.*.*", "fire*.*");
        assert_eq!(renaming.apply("features.0.weight"), "conv1.weight");
        assert_eq!(renaming.apply("features.3.bias"), "fire3.bias");
        assert_eq!(renaming.apply("classifier"), "classifier");
    }
}
