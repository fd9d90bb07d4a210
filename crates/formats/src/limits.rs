//! What a file may make this program do: read a bounded file, allocate in proportion to its size, walk a bounded tree.

use std::fs;
use std::io;
use std::path::Path;
use striate_tensor::{Error, Result};

/// A file's numbers may take at most so many times its own size in memory, all together and as float32 at least.
const EXPANSION: usize = 16;

/// Opens a regular file; gives its size too.
///
/// # Errors
/// [`Error::Data`] if it is missing or no regular file, [`Error::Io`] if the system refuses.
pub(crate) fn open_file(path: &Path) -> Result<(fs::File, usize)> {
    let refuse = |rule: &str, received: &str| {
        Error::data(path.display().to_string(), rule, received, "give the path of a model or weights file")
    };
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => refuse("the file must exist", "no such file"),
        _ => Error::io(path, "reading", error),
    };
    // A device or a pipe may never end.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(refuse("the file must be a regular file", "a folder or a device"));
    }
    let file = fs::File::open(path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    let len = usize::try_from(len).map_err(|_| refuse("the file must fit into memory", &format!("{len} bytes")))?;
    Ok((file, len))
}

/// The bytes that a file of a given size may still ask for.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    name: String,
    limit: usize,
    left: usize,
}

impl Budget {
    /// For a file of so many bytes.
    pub(crate) fn of_file(name: &str, bytes: usize) -> Self {
        let limit = bytes.saturating_mul(EXPANSION);
        Budget { name: name.to_string(), limit, left: limit }
    }

    /// All that may be asked for at once.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Takes what a tensor of this shape needs, as stored or as float32, whichever is more; gives its number of elements.
    ///
    /// # Errors
    /// [`Error::Data`] if it is more than what is left.
    pub(crate) fn take_tensor(&mut self, name: &str, shape: &[u64], size: usize) -> Result<usize> {
        let elements = shape.iter().try_fold(1usize, |product, &n| product.checked_mul(usize::try_from(n).ok()?));
        let bytes = elements.and_then(|n| n.checked_mul(size.max(size_of::<f32>())));
        match (elements, bytes.and_then(|bytes| self.left.checked_sub(bytes))) {
            (Some(elements), Some(left)) => {
                self.left = left;
                Ok(elements)
            }
            _ => Err(self.refuse(format!("`{name}` of shape {shape:?}, {size} bytes a number"))),
        }
    }

    /// Takes a number of bytes.
    ///
    /// # Errors
    /// [`Error::Data`] if it is more than what is left.
    pub(crate) fn take(&mut self, what: &str, bytes: u64) -> Result<usize> {
        let taken = usize::try_from(bytes).ok().and_then(|bytes| Some((bytes, self.left.checked_sub(bytes)?)));
        let (bytes, left) = taken.ok_or_else(|| self.refuse(format!("{bytes} bytes for {what}")))?;
        self.left = left;
        Ok(bytes)
    }

    fn refuse(&self, received: String) -> Error {
        Error::data(
            self.name.clone(),
            format!("a file's content must not take more than {EXPANSION} times its size, {} bytes", self.limit),
            received,
            "the file is damaged, or was made to exhaust the memory",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_ends() {
        let mut budget = Budget::of_file("f", 10);
        assert_eq!(budget.take_tensor("a", &[5, 4], 1).unwrap(), 20, "counted as float32");
        assert_eq!(budget.take_tensor("b", &[5], 8).unwrap(), 5);
        assert!(budget.take_tensor("c", &[u64::MAX, u64::MAX], 4).is_err());
        assert!(budget.take_tensor("c", &[11], 4).is_err());
        assert_eq!(budget.take("d", 40).unwrap(), 40);
        assert!(budget.take("e", 1).unwrap_err().to_string().contains("16 times"));
    }
}
