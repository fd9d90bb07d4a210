//! A rectangle wiped out.

use striate_tensor::{Error, Key, Result, Shape};

/// What a wiped rectangle is filled with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EraseFill {
    /// One value, on the scale 0..255.
    Value(f32),
    /// Noise, uniform in 0..255, for every value anew.
    Noise,
}

/// Wipes out a random rectangle of some pictures: Zhong et al. 2020, <https://arxiv.org/abs/1708.04896>. Done after all other changes
/// and before [`crate::Standardize`].
///
/// ```
/// use striate_data::augment::RandomErasing;
/// use striate_tensor::{Key, Shape};
/// let mut values = vec![200.0; 20 * 20 * 3];
/// RandomErasing { probability: 1.0, ..RandomErasing::default() }.apply(&mut values, &Shape::from([20, 20, 3]), Key::new(1));
/// assert!(values.contains(&0.0) && values.contains(&200.0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomErasing {
    /// The part of the pictures that lose a rectangle; 0.5 unless set.
    pub probability: f64,
    /// The smallest and the largest part of the area; (0.02, 0.33) unless set.
    pub area: (f64, f64),
    /// The smallest and the largest height / width; (0.3, 3.3) unless set.
    pub ratio: (f64, f64),
    /// What is put there; black unless set.
    pub fill: EraseFill,
}

impl Default for RandomErasing {
    fn default() -> Self {
        RandomErasing { probability: 0.5, area: (0.02, 0.33), ratio: (0.3, 3.3), fill: EraseFill::Value(0.0) }
    }
}

/// Rectangles that do not fit are drawn anew, so many times.
const TRIES: usize = 10;

impl RandomErasing {
    /// Works on one picture's values, (height, width, channels), 0..255; a function of the key.
    pub fn apply(&self, values: &mut [f32], shape: &Shape, key: Key) {
        let &[height, width, channels] = shape.as_slice() else { return };
        let mut stream = key.fold_str("erasing").stream();
        if stream.uniform() >= self.probability || values.len() != shape.elements() {
            return;
        }
        for _ in 0..TRIES {
            let area = stream.uniform_in(self.area.0, self.area.1) * (height * width) as f64;
            let ratio = stream.uniform_in(self.ratio.0.ln(), self.ratio.1.ln()).exp();
            let (h, w) = ((area * ratio).sqrt().round() as usize, (area / ratio).sqrt().round() as usize);
            if h >= height || w >= width || h == 0 || w == 0 {
                continue;
            }
            let top = stream.below((height - h + 1) as u64) as usize;
            let left = stream.below((width - w + 1) as u64) as usize;
            for y in top..top + h {
                for value in &mut values[(y * width + left) * channels..][..w * channels] {
                    *value = match self.fill {
                        EraseFill::Value(fill) => fill,
                        EraseFill::Noise => (stream.uniform() * 255.0) as f32,
                    };
                }
            }
            return;
        }
    }

    /// Whether all ranges make sense.
    ///
    /// # Errors
    /// [`Error::Argument`] naming the one that does not.
    pub fn check(&self) -> Result<()> {
        let refuse = |name: &str, rule: &str, received: String| Err(Error::argument(name, rule, received, ""));
        if !(0.0..=1.0).contains(&self.probability) {
            return refuse("RandomErasing probability", "must be in 0..=1", self.probability.to_string());
        }
        let (low, high) = self.area;
        if !(low >= 0.0 && low <= high && high <= 1.0) {
            return refuse("RandomErasing area", "must be 0 <= smallest <= largest <= 1", format!("{:?}", self.area));
        }
        let (low, high) = self.ratio;
        if !(low > 0.0 && low <= high && high.is_finite()) {
            return refuse("RandomErasing ratio", "must be 0 < smallest <= largest", format!("{:?}", self.ratio));
        }
        match self.fill {
            EraseFill::Value(fill) if !fill.is_finite() => {
                refuse("RandomErasing fill", "must be finite", fill.to_string())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_rectangle_of_the_wanted_size_is_wiped() {
        let (height, width) = (40, 50);
        let shape = Shape::from([height, width, 1]);
        let erasing = RandomErasing { probability: 0.5, fill: EraseFill::Value(-1.0), ..RandomErasing::default() };
        let mut wiped = 0;
        for i in 0..400 {
            let mut values = vec![9.0; height * width];
            erasing.apply(&mut values, &shape, Key::new(4).fold(i));
            let places: Vec<(usize, usize)> =
                (0..values.len()).filter(|&i| values[i] < 0.0).map(|i| (i / width, i % width)).collect();
            let Some(&(top, left)) = places.first() else { continue };
            let &(bottom, right) = places.last().unwrap();
            wiped += 1;
            assert_eq!(places.len(), (bottom - top + 1) * (right - left + 1));
            let part = places.len() as f64 / (height * width) as f64;
            assert!((0.015..0.36).contains(&part), "{part}");
        }
        assert!((150..250).contains(&wiped), "{wiped}");
    }

    #[test]
    fn noise_differs_from_place_to_place_and_repeats_with_the_key() {
        let shape = Shape::from([30, 30, 3]);
        let erasing = RandomErasing { probability: 1.0, fill: EraseFill::Noise, ..RandomErasing::default() };
        let run = |seed| {
            let mut values = vec![300.0; 2700];
            erasing.apply(&mut values, &shape, Key::new(seed));
            values
        };
        let noise: Vec<f32> = run(1).into_iter().filter(|v| *v != 300.0).collect();
        assert!(noise.len() > 30 && noise.windows(2).all(|p| p[0] != p[1]) && noise.iter().all(|v| *v < 255.0));
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn senseless_ranges_are_refused() {
        let all = RandomErasing::default;
        all().check().unwrap();
        for wrong in [
            RandomErasing { probability: 1.5, ..all() },
            RandomErasing { area: (0.5, 0.1), ..all() },
            RandomErasing { ratio: (0.0, 1.0), ..all() },
            RandomErasing { fill: EraseFill::Value(f32::NAN), ..all() },
        ] {
            assert!(matches!(wrong.check(), Err(Error::Argument(_))), "{wrong:?}");
        }
    }
}
