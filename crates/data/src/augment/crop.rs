//! Random pieces of a picture.

use super::change::PictureChange;
use crate::image_file::Picture;
use crate::resize::{Filter, check_size, resize_part};
use striate_tensor::{Error, Key, Result, Shape};

/// A random piece of the picture, brought to a fixed size: Inception's crop (Szegedy et al. 2015,
/// <https://arxiv.org/abs/1409.4842>), torchvision's `RandomResizedCrop`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomResizedCrop {
    /// (height, width) of the result.
    pub size: (usize, usize),
    /// The smallest and the largest part of the area; (0.08, 1) is usual.
    pub area: (f64, f64),
    /// The smallest and the largest width / height of the piece; (3/4, 4/3) is usual.
    pub ratio: (f64, f64),
    /// How pixels are resampled.
    pub filter: Filter,
}

/// Pieces that do not fit are drawn anew, so many times; then it is the middle.
const TRIES: usize = 10;

impl RandomResizedCrop {
    /// The usual crop to height × width: area 0.08..1, ratio 3/4..4/3, bilinear.
    pub fn new(height: usize, width: usize) -> Self {
        let size = (height, width);
        RandomResizedCrop { size, area: (0.08, 1.0), ratio: (3.0 / 4.0, 4.0 / 3.0), filter: Filter::Bilinear }
    }

    /// (top, left, height, width) of a piece.
    fn piece(&self, key: Key, height: usize, width: usize) -> (usize, usize, usize, usize) {
        let mut stream = key.fold_str("resized_crop").stream();
        for _ in 0..TRIES {
            let area = stream.uniform_in(self.area.0, self.area.1) * (height * width) as f64;
            let ratio = stream.uniform_in(self.ratio.0.ln(), self.ratio.1.ln()).exp();
            let (h, w) = ((area / ratio).sqrt().round() as usize, (area * ratio).sqrt().round() as usize);
            if (1..=height).contains(&h) && (1..=width).contains(&w) {
                let top = stream.below((height - h + 1) as u64) as usize;
                return (top, stream.below((width - w + 1) as u64) as usize, h, w);
            }
        }
        let own = width as f64 / height as f64;
        let ratio = own.clamp(self.ratio.0, self.ratio.1);
        let h = if ratio > own { (width as f64 / ratio).round() as usize } else { height }.clamp(1, height);
        let w = if ratio < own { (height as f64 * ratio).round() as usize } else { width }.clamp(1, width);
        ((height - h) / 2, (width - w) / 2, h, w)
    }
}

impl PictureChange for RandomResizedCrop {
    fn apply(&self, picture: &Picture, key: Key) -> Result<Picture> {
        let (top, left, height, width) = self.piece(key, picture.height(), picture.width());
        resize_part(picture, (top, height), (left, width), self.size, self.filter)
    }

    fn output_size(&self, _: (usize, usize)) -> (usize, usize) {
        self.size
    }

    fn check(&self) -> Result<()> {
        check_size(self.size)?;
        let refuse = |name: &str, rule: &str, range: (f64, f64)| {
            Err(Error::argument(format!("RandomResizedCrop {name}"), rule, format!("{range:?}"), ""))
        };
        let (low, high) = self.area;
        if !(low > 0.0 && low <= high && high <= 1.0) {
            return refuse("area", "must be 0 < smallest <= largest <= 1", self.area);
        }
        let (low, high) = self.ratio;
        if !(low > 0.0 && low <= high && high.is_finite()) {
            return refuse("ratio", "must be 0 < smallest <= largest", self.ratio);
        }
        Ok(())
    }
}

/// A random piece of fixed size, after the picture was given a margin: torchvision's `RandomCrop`, usual for small pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RandomCrop {
    /// (height, width) of the result; no more than the picture with its margin.
    pub size: (usize, usize),
    /// The margin's width in pixels.
    pub padding: usize,
    /// The margin's brightness.
    pub fill: u8,
}

impl RandomCrop {
    /// A piece of height × width, the picture's own size as a rule, after a black margin.
    pub fn new(height: usize, width: usize, padding: usize) -> Self {
        RandomCrop { size: (height, width), padding, fill: 0 }
    }
}

impl PictureChange for RandomCrop {
    fn apply(&self, picture: &Picture, key: Key) -> Result<Picture> {
        let (height, width) = self.size;
        let room = |size: usize, wanted: usize| {
            (size + 2 * self.padding).checked_sub(wanted).ok_or_else(|| {
                let rule = format!("the picture with its margin must be at least {height} × {width}");
                let received = format!("{} × {}, margin {}", picture.height(), picture.width(), self.padding);
                Error::shape("RandomCrop", rule, received, "use a larger padding")
            })
        };
        let mut stream = key.fold_str("crop").stream();
        // How much farther the piece starts than the picture, which may be before it.
        let mut start = |room: usize| stream.below(room as u64 + 1) as i64 - self.padding as i64;
        let (top, left) = (start(room(picture.height(), height)?), start(room(picture.width(), width)?));
        let channels = picture.channels();
        let mut bytes = vec![self.fill; height * width * channels];
        let first = (-left).max(0) as usize;
        let last = (picture.width() as i64 - left).clamp(first as i64, width as i64) as usize;
        for (y, out) in bytes.chunks_exact_mut(width * channels).enumerate() {
            let Ok(row) = usize::try_from(top + y as i64) else { continue };
            if row < picture.height() && first < last {
                let from = (row * picture.width()) + (left + first as i64) as usize;
                let source = &picture.bytes()[from * channels..][..(last - first) * channels];
                out[first * channels..last * channels].copy_from_slice(source);
            }
        }
        Ok(Picture::with_shape(bytes, Shape::from([height, width, channels])))
    }

    fn output_size(&self, _: (usize, usize)) -> (usize, usize) {
        self.size
    }

    fn check(&self) -> Result<()> {
        check_size(self.size)?;
        check_size((self.padding.max(1), self.padding.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_file::Colour;

    fn ramp(height: usize, width: usize) -> Picture {
        let bytes = (0..height * width).map(|i| (i / width * 10 + i % width + 100) as u8).collect();
        Picture::new(bytes, height, width, Colour::Grey).unwrap()
    }

    #[test]
    fn a_crop_shows_part_of_the_picture_or_its_margin() {
        let picture = ramp(6, 8);
        let crop = RandomCrop { size: (6, 8), padding: 2, fill: 7 };
        let mut places = std::collections::BTreeSet::new();
        for i in 0..400 {
            let piece = crop.apply(&picture, Key::new(1).fold(i)).unwrap();
            // The place of the picture's pixel (2, 3), which is always inside.
            let at = piece.bytes().iter().position(|&b| b == 123).unwrap();
            let (dy, dx) = (at as i64 / 8 - 2, at as i64 % 8 - 3);
            places.insert((dy, dx));
            for (i, &byte) in piece.bytes().iter().enumerate() {
                let (y, x) = (i as i64 / 8 - dy, i as i64 % 8 - dx);
                let inside = (0..6).contains(&y) && (0..8).contains(&x);
                assert_eq!(byte, if inside { (y * 10 + x + 100) as u8 } else { 7 });
            }
        }
        assert_eq!(places.len(), 25);
        let small = RandomCrop::new(3, 4, 0);
        assert_eq!(small.output_size((6, 8)), (3, 4));
        small.apply(&picture, Key::new(1)).unwrap();
        assert!(matches!(RandomCrop::new(7, 8, 0).apply(&picture, Key::new(1)), Err(Error::Shape(_))));
    }

    #[test]
    fn resized_crops_keep_to_their_ranges() {
        let crop = RandomResizedCrop { area: (0.2, 0.8), ..RandomResizedCrop::new(5, 5) };
        crop.check().unwrap();
        let mut tops = std::collections::BTreeSet::new();
        for i in 0..500 {
            let (top, left, h, w) = crop.piece(Key::new(2).fold(i), 60, 80);
            assert!(top + h <= 60 && left + w <= 80);
            let (area, ratio) = ((h * w) as f64 / 4800.0, w as f64 / h as f64);
            assert!((0.19..0.82).contains(&area) && (0.7..1.4).contains(&ratio), "{h} {w}");
            tops.insert(top);
        }
        assert!(tops.len() > 20);
        // What never fits becomes the middle.
        let wide = RandomResizedCrop { area: (1.0, 1.0), ..RandomResizedCrop::new(5, 5) };
        assert_eq!(wide.piece(Key::new(1), 30, 90), (0, 25, 30, 40));
        assert_eq!(crop.apply(&ramp(6, 8), Key::new(5)).unwrap().shape(), Shape::from([5, 5, 1]));
        for wrong in [
            RandomResizedCrop { area: (0.0, 1.0), ..crop },
            RandomResizedCrop { ratio: (2.0, 1.0), ..crop },
            RandomResizedCrop { size: (0, 1), ..crop },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }
}
