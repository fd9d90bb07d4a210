//! Policies that draw from a fixed list of changes: RandAugment and TrivialAugment.

use super::change::PictureChange;
use super::fill::FillMode;
use super::geometry::{Matrix, about_centre, rotation, translation};
use super::photometric::Photometric;
use super::resample::{Flips, affine};
use crate::image_file::Picture;
use striate_tensor::{Error, Key, Result, Stream};

/// Strengths are one of so many steps.
const STEPS: u64 = 31;

/// Several changes from the list, all of the same strength: Cubuk et al. 2020, <https://arxiv.org/abs/1909.13719>.
///
/// List and ranges are torchvision's. Turned, sheared and shifted pictures are resampled bilinearly, and sheared about their centre.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandAugment {
    /// Changes for each picture; 2 unless set.
    pub count: usize,
    /// Their strength, 0..=30; 9 unless set.
    pub magnitude: u64,
    /// What lies beyond the border; [`RandAugment::cval`] unless set.
    pub fill_mode: FillMode,
    /// The value beyond the border for [`FillMode::Constant`]; 0 unless set.
    pub cval: f32,
}

impl Default for RandAugment {
    fn default() -> Self {
        RandAugment { count: 2, magnitude: 9, fill_mode: FillMode::Constant, cval: 0.0 }
    }
}

impl PictureChange for RandAugment {
    fn apply(&self, picture: &Picture, key: Key) -> Result<Picture> {
        let mut stream = key.fold_str("rand_augment").stream();
        let mut changed = picture.clone();
        for _ in 0..self.count {
            let change = Change::draw(&mut stream, self.magnitude as f64 / (STEPS - 1) as f64, &NARROW, &changed);
            changed = change.apply(&changed, (self.fill_mode, self.cval));
        }
        Ok(changed)
    }

    fn check(&self) -> Result<()> {
        if self.magnitude < STEPS && self.count <= 100 {
            return Ok(());
        }
        let received = format!("magnitude {}, count {}", self.magnitude, self.count);
        Err(Error::argument("RandAugment", "magnitude must be in 0..=30 and count at most 100", received, ""))
    }
}

/// One change from the list, of any strength: Müller and Hutter 2021, <https://arxiv.org/abs/2103.10158>.
///
/// List and ranges are those of torchvision's `TrivialAugmentWide`, resampling as for [`RandAugment`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrivialAugment {
    /// What lies beyond the border; [`TrivialAugment::cval`] unless set.
    pub fill_mode: FillMode,
    /// The value beyond the border for [`FillMode::Constant`]; 0 unless set.
    pub cval: f32,
}

impl Default for TrivialAugment {
    fn default() -> Self {
        TrivialAugment { fill_mode: FillMode::Constant, cval: 0.0 }
    }
}

impl PictureChange for TrivialAugment {
    fn apply(&self, picture: &Picture, key: Key) -> Result<Picture> {
        let mut stream = key.fold_str("trivial_augment").stream();
        let strength = stream.below(STEPS) as f64 / (STEPS - 1) as f64;
        let change = Change::draw(&mut stream, strength, &WIDE, picture);
        Ok(change.apply(picture, (self.fill_mode, self.cval)))
    }
}

/// How far the full strength goes.
struct Ranges {
    /// Pixels beside for each pixel down.
    shear: f64,
    /// Pixels for a picture of this size.
    shift: fn(usize) -> f64,
    /// Degrees.
    turn: f64,
    /// What is added to a factor of 1 or taken away.
    factor: f64,
    /// Bits that are dropped.
    bits: f64,
}

const NARROW: Ranges =
    Ranges { shear: 0.3, shift: |size| 150.0 / 331.0 * size as f64, turn: 30.0, factor: 0.9, bits: 4.0 };
const WIDE: Ranges = Ranges { shear: 0.99, shift: |_| 32.0, turn: 135.0, factor: 0.99, bits: 6.0 };

/// One of the list.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Change {
    Nothing,
    Geometry(Matrix),
    Colours(Photometric),
}

/// How many there are to draw from.
const LIST: u64 = 14;

impl Change {
    fn draw(stream: &mut Stream, strength: f64, ranges: &Ranges, picture: &Picture) -> Change {
        let which = stream.below(LIST);
        let signed = if stream.below(2) == 0 { strength } else { -strength };
        let moved = |x: f64, y: f64| Change::Geometry(translation(x, y));
        let centred = |matrix: Matrix| Change::Geometry(about_centre(&matrix, picture.height(), picture.width()));
        let (shear, factor) = (signed * ranges.shear, 1.0 + signed * ranges.factor);
        match which {
            0 => Change::Nothing,
            1 => centred([[1.0, shear, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
            2 => centred([[1.0, 0.0, 0.0], [shear, 1.0, 0.0], [0.0, 0.0, 1.0]]),
            3 => moved((signed * (ranges.shift)(picture.width())).trunc(), 0.0),
            4 => moved(0.0, (signed * (ranges.shift)(picture.height())).trunc()),
            5 => centred(rotation(signed * ranges.turn)),
            6 => Change::Colours(Photometric::Brightness(factor)),
            7 => Change::Colours(Photometric::Saturation(factor)),
            8 => Change::Colours(Photometric::Contrast(factor)),
            9 => Change::Colours(Photometric::Sharpness(factor)),
            10 => Change::Colours(Photometric::Posterize(8 - (strength * ranges.bits).round() as u8)),
            11 => Change::Colours(Photometric::Solarize((255.0 * (1.0 - strength)) as u16)),
            12 => Change::Colours(Photometric::Autocontrast),
            _ => Change::Colours(Photometric::Equalize),
        }
    }

    fn apply(self, picture: &Picture, fill: (FillMode, f32)) -> Picture {
        match self {
            Change::Nothing => picture.clone(),
            Change::Colours(change) => change.apply(picture),
            Change::Geometry(matrix) => {
                let mut values = vec![0.0; picture.bytes().len()];
                affine(picture, &matrix, fill, Flips { horizontal: false, vertical: false }, &mut values);
                // A conversion to u8 saturates.
                Picture::with_shape(values.iter().map(|v| (v + 0.5) as u8).collect(), picture.shape())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_file::Colour;

    fn picture() -> Picture {
        let bytes = (0..24 * 30 * 3).map(|i| (i * i % 253) as u8).collect();
        Picture::new(bytes, 24, 30, Colour::Rgb).unwrap()
    }

    #[test]
    fn every_change_of_the_list_comes_up_and_works() {
        let picture = picture();
        let mut kinds = std::collections::BTreeMap::new();
        let mut stream = Key::new(3).stream();
        for i in 0..1400 {
            let change = Change::draw(&mut stream, f64::from(i % 31) / 30.0, &WIDE, &picture);
            let name = match change {
                Change::Geometry([[a, b, x], [c, d, y], _]) => match (b != 0.0, c != 0.0, x != 0.0, y != 0.0) {
                    (true, true, ..) => "turn".to_string(),
                    (true, false, ..) => "shear x".to_string(),
                    (false, true, ..) => "shear y".to_string(),
                    (_, _, x, y) => format!("shift {x} {y} {}", a == 1.0 && d == 1.0),
                },
                other => format!("{other:?}").split(['.', '0', '1', '2']).next().unwrap().to_string(),
            };
            *kinds.entry(name).or_insert(0) += 1;
            assert_eq!(change.apply(&picture, (FillMode::Constant, 0.0)).shape(), picture.shape());
        }
        assert!(kinds.len() >= 14, "{kinds:?}");
    }

    #[test]
    fn policies_are_functions_of_the_key() {
        let picture = picture();
        let (rand, trivial) = (RandAugment::default(), TrivialAugment::default());
        let policies: [&dyn PictureChange; 2] = [&rand, &trivial];
        for policy in policies {
            policy.check().unwrap();
            let run = |i| policy.apply(&picture, Key::new(4).fold(i)).unwrap();
            assert_eq!(run(1), run(1));
            let changed = (0..50).filter(|&i| run(i) != picture).count();
            assert!((25..50).contains(&changed), "{policy:?}: {changed}");
        }
        assert!(RandAugment { magnitude: 31, ..rand }.check().is_err());
        assert_eq!(RandAugment { count: 0, ..rand }.apply(&picture, Key::new(1)).unwrap(), picture);
    }

    #[test]
    fn a_shift_moves_whole_pixels_and_fills_the_rest() {
        let picture = picture();
        let moved = Change::Geometry(translation(5.0, 0.0)).apply(&picture, (FillMode::Constant, 9.0));
        for y in 0..24 {
            let (row, source) = (&moved.bytes()[y * 90..][..90], &picture.bytes()[y * 90..][..90]);
            assert_eq!(row[..75], source[15..]);
            assert!(row[75..].iter().all(|&b| b == 9));
        }
    }
}
