//! Colours that are a little off, as different lights and cameras make them.

use super::change::PictureChange;
use super::photometric::Photometric;
use crate::image_file::Picture;
use striate_tensor::{Error, Key, Result};

/// Random brightness, contrast, saturation and hue, in random order; torchvision's `ColorJitter`. By default nothing changes.
///
/// ```
/// use striate_data::augment::{ColourJitter, PictureChange};
/// use striate_data::image_file::{Colour, Picture};
/// use striate_tensor::Key;
/// let jitter = ColourJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 };
/// let picture = Picture::new(vec![10, 120, 230, 90, 80, 70], 1, 2, Colour::Rgb)?;
/// assert_eq!(jitter.apply(&picture, Key::new(1))?, jitter.apply(&picture, Key::new(1))?);
/// # Ok::<(), striate_tensor::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ColourJitter {
    /// Factors in 1 ± this, not below 0.
    pub brightness: f64,
    /// Factors in 1 ± this, not below 0.
    pub contrast: f64,
    /// Factors in 1 ± this, not below 0.
    pub saturation: f64,
    /// Turns of the hue in ± this part of the circle, up to 0.5.
    pub hue: f64,
}

impl PictureChange for ColourJitter {
    fn apply(&self, picture: &Picture, key: Key) -> Result<Picture> {
        let key = key.fold_str("colour_jitter");
        let mut stream = key.fold_str("strengths").stream();
        let mut factor = |range: f64| stream.uniform_in((1.0 - range).max(0.0), 1.0 + range);
        let all = [
            (self.brightness, Photometric::Brightness(factor(self.brightness))),
            (self.contrast, Photometric::Contrast(factor(self.contrast))),
            (self.saturation, Photometric::Saturation(factor(self.saturation))),
            (self.hue, Photometric::Hue(stream.uniform_in(-self.hue, self.hue))),
        ];
        let mut changed = picture.clone();
        for i in key.fold_str("order").permutation(all.len()) {
            if all[i].0 > 0.0 {
                changed = all[i].1.apply(&changed);
            }
        }
        Ok(changed)
    }

    fn check(&self) -> Result<()> {
        for (name, range, most) in [
            ("brightness", self.brightness, f64::MAX),
            ("contrast", self.contrast, f64::MAX),
            ("saturation", self.saturation, f64::MAX),
            ("hue", self.hue, 0.5),
        ] {
            if !(range >= 0.0 && range <= most) {
                let rule = if most < 1.0 { "must be in 0..=0.5" } else { "must be finite and not negative" };
                return Err(Error::argument(format!("ColourJitter {name}"), rule, range.to_string(), ""));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_file::Colour;

    #[test]
    fn strengths_vary_within_their_range_and_zero_leaves_out() {
        let picture = Picture::new(vec![100; 12], 2, 2, Colour::Rgb).unwrap();
        let bright = ColourJitter { brightness: 0.2, ..ColourJitter::default() };
        let drawn: Vec<u8> =
            (0..300).map(|i| bright.apply(&picture, Key::new(8).fold(i)).unwrap().bytes()[0]).collect();
        assert!(drawn.iter().all(|b| (79..=120).contains(b)));
        assert!(drawn.iter().min().unwrap() < &83 && drawn.iter().max().unwrap() > &117);
        assert_eq!(ColourJitter::default().apply(&picture, Key::new(1)).unwrap(), picture);
        for wrong in [
            ColourJitter { hue: 0.6, ..bright },
            ColourJitter { contrast: -0.1, ..bright },
            ColourJitter { saturation: f64::NAN, ..bright },
        ] {
            assert!(matches!(wrong.check(), Err(Error::Argument(_))));
        }
    }
}
