//! What can be done to a picture's bytes before the geometry of an [`Augmentation`](super::Augmentation).

use crate::image_file::Picture;
use std::fmt::Debug;
use striate_tensor::{Key, Result};

/// A random change of a picture; all its choices come from the key.
///
/// ```
/// use striate_data::augment::PictureChange;
/// use striate_data::image_file::{Colour, Picture};
/// use striate_tensor::{Key, Result};
///
/// /// Makes every second picture a negative.
/// #[derive(Debug)]
/// struct Negative;
///
/// impl PictureChange for Negative {
///     fn apply(&self, picture: &Picture, key: Key) -> Result<Picture> {
///         if key.fold_str("negative").stream().uniform() < 0.5 {
///             return Ok(picture.clone());
///         }
///         Picture::new(picture.bytes().iter().map(|b| 255 - b).collect(), picture.height(), picture.width(), picture.colour())
///     }
/// }
/// let picture = Picture::new(vec![0, 200], 1, 2, Colour::Grey)?;
/// let changed = Negative.apply(&picture, Key::new(3))?;
/// assert!([[0, 200], [255, 55]].contains(&[changed.bytes()[0], changed.bytes()[1]]));
/// # Ok::<(), striate_tensor::Error>(())
/// ```
pub trait PictureChange: Debug + Send + Sync {
    /// The picture changed: a function of picture and key.
    ///
    /// # Errors
    /// What the change finds wrong with the picture.
    fn apply(&self, picture: &Picture, key: Key) -> Result<Picture>;

    /// The size, (height, width), of what comes from a picture of this size.
    fn output_size(&self, size: (usize, usize)) -> (usize, usize) {
        size
    }

    /// Whether all parameters make sense.
    ///
    /// # Errors
    /// [`striate_tensor::Error::Argument`] naming the one that does not.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}
