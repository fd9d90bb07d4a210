//! The one error type of the workspace.

use std::fmt;
use std::path::{Path, PathBuf};

/// What every fallible function of the workspace returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A broken rule: who found it, the rule, what was received, and one hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The operation, layer, file or flag that has the rule.
    pub subject: String,
    /// The rule, with the symbols the documentation uses.
    pub rule: String,
    /// What was received instead.
    pub received: String,
    /// What to do about it; empty where there is nothing better to say than the rule.
    pub hint: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; received {}", self.subject, self.rule, self.received)?;
        if !self.hint.is_empty() {
            write!(f, " (hint: {})", self.hint)?;
        }
        Ok(())
    }
}

/// Everything that can go wrong, sorted by what a caller may want to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Shapes, ranks or sizes do not fit together.
    #[error("{0}")]
    Shape(Violation),
    /// An element type that the operation or the device does not take.
    #[error("{0}")]
    DType(Violation),
    /// An option, a flag or a hyperparameter outside its range.
    #[error("{0}")]
    Argument(Violation),
    /// The content of a file, an image or a data set breaks its format or is empty.
    #[error("{0}")]
    Data(Violation),
    /// A model or weight file does not fit the network.
    #[error("{0}")]
    Model(Violation),
    /// A device is missing, or tensors lie on different devices.
    #[error("{0}")]
    Device(Violation),
    /// A loss or a gradient is NaN or infinite.
    #[error("{0}")]
    NonFinite(Violation),
    /// A buffer of this many bytes could not be had.
    #[error("{device}: out of memory; asked for {bytes} bytes (hint: a smaller batch or image needs less)")]
    OutOfMemory {
        /// The device's name.
        device: String,
        /// The size of the refused buffer in bytes.
        bytes: usize,
    },
    /// Reading or writing a file failed.
    #[error("{}: {action} failed: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, as a noun: "reading", "writing".
        action: &'static str,
        /// The system's answer.
        source: std::io::Error,
    },
    /// An error with the path of the layer in whose work it came up.
    #[error("{path}: {source}")]
    Layer {
        /// The layer's path in the model, as `block3/conv2`.
        path: String,
        /// The error itself.
        source: Box<Error>,
    },
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $variant:ident;)*) => {
        impl Error {
            $(
                $(#[$doc])*
                pub fn $name(
                    subject: impl Into<String>,
                    rule: impl Into<String>,
                    received: impl Into<String>,
                    hint: impl Into<String>,
                ) -> Self {
                    Error::$variant(Violation {
                        subject: subject.into(),
                        rule: rule.into(),
                        received: received.into(),
                        hint: hint.into(),
                    })
                }
            )*
        }
    };
}

constructors! {
    /// A [`Error::Shape`] from (subject, rule, received, hint).
    shape => Shape;
    /// A [`Error::DType`] from (subject, rule, received, hint).
    dtype => DType;
    /// A [`Error::Argument`] from (subject, rule, received, hint).
    argument => Argument;
    /// A [`Error::Data`] from (subject, rule, received, hint).
    data => Data;
    /// A [`Error::Model`] from (subject, rule, received, hint).
    model => Model;
    /// A [`Error::Device`] from (subject, rule, received, hint).
    device => Device;
    /// A [`Error::NonFinite`] from (subject, rule, received, hint).
    non_finite => NonFinite;
}

impl Error {
    /// Wraps a system error with the path it concerns and what was tried ("reading", "writing", …).
    pub fn io(path: impl AsRef<Path>, action: &'static str, source: std::io::Error) -> Self {
        Error::Io { path: path.as_ref().to_path_buf(), action, source }
    }

    /// Adds a layer's path; nested calls build `outer/inner`.
    pub fn at(self, layer: &str) -> Self {
        match self {
            Error::Layer { path, source } => Error::Layer { path: format!("{layer}/{path}"), source },
            other => Error::Layer { path: layer.to_string(), source: Box::new(other) },
        }
    }

    /// The error below any layer path.
    pub fn root(&self) -> &Error {
        match self {
            Error::Layer { source, .. } => source.root(),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_names_layer_rule_received_and_hint() {
        let error = Error::shape(
            "Conv2D",
            "kernel size must not exceed the padded input",
            "kernel (5, 5) for input (4, 4) with padding valid",
            "use padding same or an input of at least 5",
        )
        .at("conv2")
        .at("block3");
        assert_eq!(
            error.to_string(),
            "block3/conv2: Conv2D: kernel size must not exceed the padded input; received kernel (5, 5) for input \
             (4, 4) with padding valid (hint: use padding same or an input of at least 5)"
        );
        assert!(matches!(error.root(), Error::Shape(_)));
    }
}
