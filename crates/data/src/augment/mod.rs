//! Pictures changed at random, with the meaning that Keras's `ImageDataGenerator` gives each parameter.
//!
//! An [`Augmentation`] says what is drawn and from which range; [`Augmentation::draw`] gives a [`Variant`], one set of
//! numbers, which [`Variant::apply`] carries out: a single resampling for all geometry, then the colours.
//! [`Augmented`] does both for every sample of a data set of pictures.
//!
//! Beyond Keras's parameters, [`Augmented::first`] takes any [`PictureChange`] ([`RandomResizedCrop`], [`ColourJitter`],
//! [`TrivialAugment`], [`RandAugment`] or one's own), [`Augmented::erasing`] wipes rectangles out, and [`MixedDataset`] mixes the samples
//! of a batch.

mod augmented;
mod automatic;
mod change;
mod colour;
mod crop;
mod erasing;
mod fill;
mod geometry;
mod jitter;
mod mixing;
mod photometric;
mod resample;
mod variant;

pub use augmented::{Augmented, PictureSource};
pub use automatic::{RandAugment, TrivialAugment};
pub use change::PictureChange;
pub use crop::{RandomCrop, RandomResizedCrop};
pub use erasing::{EraseFill, RandomErasing};
pub use fill::FillMode;
pub use geometry::{Shift, Zoom};
pub use jitter::ColourJitter;
pub use mixing::{MixedDataset, Mixing};
pub use photometric::Photometric;
pub use variant::Variant;

use striate_tensor::{Error, Key, Result};

/// What is drawn for each picture, named as in Keras's `ImageDataGenerator`. By default nothing changes.
///
/// ```
/// use striate_data::augment::Augmentation;
/// use striate_tensor::Key;
/// let augmentation = Augmentation {
///     rotation_range: 40.0,
///     width_shift_range: 0.2.into(),
///     height_shift_range: 0.2.into(),
///     shear_range: 0.2,
///     zoom_range: 0.2.into(),
///     horizontal_flip: true,
///     ..Augmentation::default()
/// };
/// let variant = augmentation.draw(Key::new(42), 150, 150);
/// assert!(variant.theta.abs() <= 40.0 && variant.column_shift.abs() <= 30.0);
/// assert_eq!(variant, augmentation.draw(Key::new(42), 150, 150));
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Augmentation {
    /// Turns by up to so many degrees to either side.
    pub rotation_range: f64,
    /// Moves along the width.
    pub width_shift_range: Shift,
    /// Moves along the height.
    pub height_shift_range: Shift,
    /// Shears by up to so many degrees to either side. (0.2, as tutorials have it, is a fifth of a degree.)
    pub shear_range: f64,
    /// The factors for rows and columns, drawn independently; below 1 enlarges.
    pub zoom_range: Zoom,
    /// Adds up to so many brightness steps (of 255) or takes them away, the same in all channels.
    pub channel_shift_range: f64,
    /// The lowest and the highest factor for the brightness.
    pub brightness_range: Option<(f64, f64)>,
    /// Mirrors every second picture, left to right.
    pub horizontal_flip: bool,
    /// Turns every second picture upside down, by mirroring.
    pub vertical_flip: bool,
    /// What lies beyond the picture's border.
    pub fill_mode: FillMode,
    /// The value beyond the border for [`FillMode::Constant`], 0..255.
    pub cval: f32,
}

impl Augmentation {
    /// One set of parameters for a picture of height × width pixels: a function of the key. Each parameter has random
    /// numbers of its own, so that switching one on leaves the others as they are.
    pub fn draw(&self, key: Key, height: usize, width: usize) -> Variant {
        let stream = |name: &str| key.fold_str(name).stream();
        let within = |name: &str, range: f64| if range == 0.0 { 0.0 } else { stream(name).uniform_in(-range, range) };
        let half = |name: &str, wanted: bool| wanted && stream(name).uniform() < 0.5;
        let (row_zoom, column_zoom) = self.zoom_range.draw(&mut stream("zoom"));
        Variant {
            theta: within("rotation", self.rotation_range),
            row_shift: self.height_shift_range.draw(&mut stream("height_shift"), height),
            column_shift: self.width_shift_range.draw(&mut stream("width_shift"), width),
            shear: within("shear", self.shear_range),
            row_zoom,
            column_zoom,
            flip_horizontal: half("horizontal_flip", self.horizontal_flip),
            flip_vertical: half("vertical_flip", self.vertical_flip),
            channel_shift: (self.channel_shift_range != 0.0).then(|| within("channel_shift", self.channel_shift_range)),
            brightness: self.brightness_range.map(|(low, high)| stream("brightness").uniform_in(low, high)),
            fill_mode: self.fill_mode,
            cval: self.cval,
        }
    }

    /// Whether all ranges make sense.
    ///
    /// # Errors
    /// [`Error::Argument`] naming the parameter that is not finite, or negative where it may not be, or has its ends
    /// the wrong way round.
    pub fn check(&self) -> Result<()> {
        let hint = |name: &str| match name {
            "rotation_range" | "shear_range" => "degrees to either side, as 40",
            "channel_shift_range" => "steps of brightness, of 255",
            "zoom_range" => "0.2 stands for factors from 0.8 to 1.2",
            "brightness_range" => "as 0.8 and 1.2",
            "cval" => "a brightness of 0 to 255",
            _ => "a part of the side, as 0.2, or pixels",
        };
        let refuse = |name: &str, rule: &str, received: String| Err(Error::argument(name, rule, received, hint(name)));
        for (name, range) in [
            ("rotation_range", self.rotation_range),
            ("shear_range", self.shear_range),
            ("channel_shift_range", self.channel_shift_range),
        ] {
            if !(range.is_finite() && range >= 0.0) {
                return refuse(name, "must be finite and not negative", range.to_string());
            }
        }
        for (name, shift) in
            [("width_shift_range", &self.width_shift_range), ("height_shift_range", &self.height_shift_range)]
        {
            if let Some(received) = shift.flaw() {
                let rule = "a range must be finite and not negative, and a list finite and not empty";
                return refuse(name, rule, received);
            }
        }
        let Zoom(low, high) = self.zoom_range;
        if !(low > 0.0 && low <= high && high.is_finite()) {
            return refuse("zoom_range", "must be factors 0 < lowest <= highest", format!("({low}, {high})"));
        }
        if let Some((low, high)) = self.brightness_range
            && !(low >= 0.0 && low <= high && high.is_finite())
        {
            return refuse("brightness_range", "must be factors 0 <= lowest <= highest", format!("({low}, {high})"));
        }
        if !self.cval.is_finite() {
            return refuse("cval", "must be finite", self.cval.to_string());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_fill_their_ranges_and_do_not_disturb_each_other() {
        let all = Augmentation {
            rotation_range: 30.0,
            width_shift_range: 0.25.into(),
            height_shift_range: Shift::Pixels(3),
            shear_range: 10.0,
            zoom_range: (0.5, 2.0).into(),
            channel_shift_range: 20.0,
            brightness_range: Some((0.5, 1.5)),
            horizontal_flip: true,
            vertical_flip: true,
            ..Augmentation::default()
        };
        all.check().unwrap();
        let drawn: Vec<Variant> = (0..2000).map(|i| all.draw(Key::new(1).fold(i), 50, 100)).collect();
        let span = |f: &dyn Fn(&Variant) -> f64| {
            drawn.iter().map(f).fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)))
        };
        let fills = |(low, high): (f64, f64), from: f64, to: f64| {
            let slack = (to - from) * 0.02;
            low >= from && low < from + slack && high <= to && high > to - slack
        };
        assert!(fills(span(&|v| v.theta), -30.0, 30.0));
        assert!(fills(span(&|v| v.column_shift), -25.0, 25.0));
        assert_eq!(span(&|v| v.row_shift), (-2.0, 2.0));
        assert!(fills(span(&|v| v.shear), -10.0, 10.0));
        assert!(fills(span(&|v| v.row_zoom), 0.5, 2.0) && fills(span(&|v| v.column_zoom), 0.5, 2.0));
        assert!(drawn.iter().any(|v| (v.row_zoom - v.column_zoom).abs() > 0.5));
        assert!(fills(span(&|v| v.channel_shift.unwrap()), -20.0, 20.0));
        assert!(fills(span(&|v| v.brightness.unwrap()), 0.5, 1.5));
        let flipped = drawn.iter().filter(|v| v.flip_horizontal).count();
        let both = drawn.iter().filter(|v| v.flip_horizontal && v.flip_vertical).count();
        assert!((900..1100).contains(&flipped) && (400..600).contains(&both), "{flipped} {both}");
        let one = Augmentation { rotation_range: 30.0, ..Augmentation::default() };
        assert_eq!(one.draw(Key::new(9), 5, 5).theta, all.draw(Key::new(9), 5, 5).theta);
    }

    #[test]
    fn senseless_ranges_are_named() {
        let none = Augmentation::default;
        for (wrong, name) in [
            (Augmentation { rotation_range: -1.0, ..none() }, "rotation_range"),
            (Augmentation { shear_range: f64::NAN, ..none() }, "shear_range"),
            (Augmentation { zoom_range: 1.0.into(), ..none() }, "zoom_range"),
            (Augmentation { width_shift_range: Shift::Choices(vec![]), ..none() }, "width_shift_range"),
            (Augmentation { height_shift_range: f64::INFINITY.into(), ..none() }, "height_shift_range"),
            (Augmentation { brightness_range: Some((1.0, 0.5)), ..none() }, "brightness_range"),
            (Augmentation { cval: f32::NAN, ..none() }, "cval"),
        ] {
            let error = wrong.check().unwrap_err();
            assert!(matches!(error, Error::Argument(_)) && error.to_string().starts_with(name), "{error}");
        }
        none().check().unwrap();
        assert!(none().draw(Key::new(1), 4, 4).is_identity());
    }
}
