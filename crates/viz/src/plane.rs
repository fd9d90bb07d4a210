//! One channel of numbers as a picture.

use crate::colours::ColourMap;
use image::{Rgb, RgbImage};
use striate_tensor::{Error, Result, Tensor};

/// Numbers in rows and columns: one channel of an activation, a heat map, a filter's response.
#[derive(Debug, Clone, PartialEq)]
pub struct Plane {
    height: usize,
    width: usize,
    values: Vec<f32>,
}

impl Plane {
    /// Numbers row by row.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there are height · width of them, and at least one.
    pub fn new(height: usize, width: usize, values: Vec<f32>) -> Result<Self> {
        if values.is_empty() || height.checked_mul(width) != Some(values.len()) {
            let received = format!("{} numbers for {height} × {width}", values.len());
            return Err(Error::shape("plane", "there must be height · width numbers, and at least one", received, ""));
        }
        Ok(Plane { height, width, values })
    }

    /// A channel of the first sample of a tensor (n, height, width, channels).
    ///
    /// # Errors
    /// [`Error::Shape`] for another rank or a channel that is not there.
    pub fn of_channel(tensor: &Tensor, channel: usize) -> Result<Self> {
        let [_, height, width, channels] = tensor.shape().as_slice() else {
            let received = tensor.shape().to_string();
            return Err(Error::shape("plane", "maps must be (n, height, width, channels)", received, ""));
        };
        if channel >= *channels {
            let rule = format!("the channel must be below {channels}");
            return Err(Error::argument("channel", rule, channel.to_string(), ""));
        }
        let all = tensor.rows(0..1)?.to_vec::<f32>()?;
        Plane::new(*height, *width, all.into_iter().skip(channel).step_by(*channels).collect())
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The numbers, row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The number at a row and a column.
    ///
    /// # Panics
    /// Outside of the plane, as a slice does.
    pub fn at(&self, row: usize, column: usize) -> f32 {
        self.values[row * self.width + column]
    }

    /// The least and the largest of the finite numbers; (0, 0) without any.
    pub fn range(&self) -> (f32, f32) {
        let finite = self.values.iter().filter(|value| value.is_finite());
        let (low, high) = finite.fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
        if low > high { (0.0, 0.0) } else { (low, high) }
    }

    /// The row and the column of the largest number, the first of several.
    pub fn peak(&self) -> (usize, usize) {
        let mut best = 0;
        for (i, value) in self.values.iter().enumerate() {
            if *value > self.values[best] {
                best = i;
            }
        }
        (best / self.width, best % self.width)
    }

    /// Every number through a function.
    pub fn map(&self, function: impl Fn(f32) -> f32) -> Plane {
        Plane { values: self.values.iter().map(|&value| function(value)).collect(), ..*self }
    }

    /// The least number at 0, the largest at 1; all 0 where they are equal.
    pub fn normalised(&self) -> Plane {
        let (low, high) = self.range();
        self.map(|value| if high > low { ((value - low) / (high - low)).clamp(0.0, 1.0) } else { 0.0 })
    }

    /// Mean and standard deviation.
    pub fn moments(&self) -> (f64, f64) {
        let n = self.values.len() as f64;
        let mean = self.values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let square = self.values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
        (mean, square.sqrt())
    }

    /// The lecture's normalisation of a channel: less its mean, over its standard deviation, times 64, plus 128, cut off at 0 and 255.
    /// A channel of one value everywhere becomes 0: nothing is there.
    pub fn as_lecture(&self) -> Plane {
        let (mean, deviation) = self.moments();
        if deviation <= 1e-12 {
            return self.map(|_| 0.0);
        }
        self.map(|value| ((f64::from(value) - mean) / deviation * 64.0 + 128.0).clamp(0.0, 255.0).floor() as f32)
    }

    /// The plane at another size, bilinear with the corners' pixels in place as image programs have it.
    ///
    /// # Errors
    /// [`Error::Argument`] for a side of 0.
    pub fn resized(&self, height: usize, width: usize) -> Result<Plane> {
        if height == 0 || width == 0 {
            return Err(Error::argument("plane", "sides must be at least 1", format!("{height} × {width}"), ""));
        }
        let place = |i: usize, to: usize, from: usize| {
            let at = ((i as f32 + 0.5) * from as f32 / to as f32 - 0.5).clamp(0.0, (from - 1) as f32);
            (at as usize, (at as usize + 1).min(from - 1), at.fract())
        };
        let columns: Vec<_> = (0..width).map(|x| place(x, width, self.width)).collect();
        let mut values = Vec::with_capacity(height * width);
        for y in 0..height {
            let (top, bottom, down) = place(y, height, self.height);
            for &(left, right, across) in &columns {
                let row = |row| self.at(row, left) * (1.0 - across) + self.at(row, right) * across;
                values.push(row(top) * (1.0 - down) + row(bottom) * down);
            }
        }
        Ok(Plane { height, width, values })
    }

    /// The plane as a picture: `low` is the map's first colour, `high` its last; each number a square of `scale` pixels.
    pub fn image(&self, map: ColourMap, (low, high): (f32, f32), scale: u32) -> RgbImage {
        let scale = scale.max(1);
        RgbImage::from_fn(self.width as u32 * scale, self.height as u32 * scale, |x, y| {
            let value = self.at((y / scale) as usize, (x / scale) as usize);
            Rgb(map.colour(if high > low { (value - low) / (high - low) } else { 0.0 }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lectures_normalisation() {
        let plane = Plane::new(1, 4, vec![1.0, 2.0, 3.0, 10.0]).unwrap();
        // Mean 4, deviation √12.5.
        let expected = [1.0, 2.0, 3.0, 10.0f64].map(|v| ((v - 4.0) / 12.5f64.sqrt() * 64.0 + 128.0).floor() as f32);
        assert_eq!(plane.as_lecture().values(), expected);
        assert_eq!(Plane::new(2, 1, vec![7.0; 2]).unwrap().as_lecture().values(), [0.0, 0.0]);
    }

    #[test]
    fn resizing_keeps_the_corners_and_the_mean() {
        let plane = Plane::new(2, 2, vec![0.0, 1.0, 2.0, 3.0]).unwrap();
        let large = plane.resized(4, 4).unwrap();
        assert_eq!((large.at(0, 0), large.at(3, 3), large.at(0, 1)), (0.0, 3.0, 0.25));
        assert!((large.moments().0 - 1.5).abs() < 1e-6);
        assert_eq!(large.peak(), (3, 3));
        assert!(plane.resized(0, 3).is_err() && Plane::new(0, 3, vec![]).is_err());
    }
}
