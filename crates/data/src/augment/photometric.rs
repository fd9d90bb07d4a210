//! Changes of a picture's colours that have a strength, with Pillow's arithmetic (`ImageEnhance`, `ImageOps`).

use crate::image_file::{Picture, luma};

/// A change of colours. Factors: 1 leaves the picture as it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Photometric {
    /// Between black (0) and the picture, and beyond.
    Brightness(f64),
    /// Between the picture's mean grey and itself, and beyond.
    Contrast(f64),
    /// Between a grey picture and itself, and beyond: Pillow's `Color`.
    Saturation(f64),
    /// Between a smoothed picture and itself, and beyond.
    Sharpness(f64),
    /// Turns all hues by this part of the circle, -0.5..=0.5.
    Hue(f64),
    /// Keeps this many bits of each byte, 1..=8.
    Posterize(u8),
    /// Inverts bytes from this one on; 256 leaves all.
    Solarize(u16),
    /// Stretches each channel to 0..255.
    Autocontrast,
    /// Spreads each channel's values evenly.
    Equalize,
    /// Makes a negative.
    Invert,
}

impl Photometric {
    /// The picture changed. An alpha channel stays as it is.
    ///
    /// ```
    /// use striate_data::augment::Photometric;
    /// use striate_data::image_file::{Colour, Picture};
    /// let picture = Picture::new(vec![10, 20, 30], 1, 1, Colour::Rgb)?;
    /// assert_eq!(Photometric::Brightness(1.5).apply(&picture).bytes(), [15, 30, 45]);
    /// assert_eq!(Photometric::Posterize(4).apply(&picture).bytes(), [0, 16, 16]);
    /// # Ok::<(), striate_tensor::Error>(())
    /// ```
    pub fn apply(self, picture: &Picture) -> Picture {
        let mut changed = picture.clone();
        match self {
            Photometric::Brightness(factor) => blend(&mut changed, factor, |_| [0; 3]),
            Photometric::Contrast(factor) => {
                let greys = picture.bytes().chunks_exact(picture.channels()).map(|p| u64::from(grey(p)));
                let count = (picture.height() * picture.width()) as f64;
                let mean = (greys.sum::<u64>() as f64 / count + 0.5) as u8;
                blend(&mut changed, factor, |_| [mean; 3]);
            }
            Photometric::Saturation(factor) => {
                blend(&mut changed, factor, |i| {
                    [grey(&picture.bytes()[i * picture.channels()..][..picture.channels()]); 3]
                });
            }
            Photometric::Sharpness(factor) => {
                let smooth = smoothed(picture);
                let channels = picture.channels();
                blend(&mut changed, factor, |i| {
                    let mut pixel = [0; 3];
                    let colours = channels.min(3);
                    pixel[..colours].copy_from_slice(&smooth[i * channels..][..colours]);
                    pixel
                });
            }
            Photometric::Hue(turn) => {
                if changed.channels() >= 3 {
                    let channels = changed.channels();
                    for pixel in changed.bytes_mut().chunks_exact_mut(channels) {
                        let turned = turn_hue([pixel[0], pixel[1], pixel[2]], turn);
                        pixel[..3].copy_from_slice(&turned);
                    }
                }
            }
            Photometric::Posterize(bits) => {
                let mask = 0xFFu8.checked_shl(8 - u32::from(bits.clamp(1, 8))).unwrap_or(0xFF);
                per_channel(&mut changed, |_| std::array::from_fn(|i| i as u8 & mask));
            }
            Photometric::Solarize(threshold) => {
                per_channel(&mut changed, |_| {
                    std::array::from_fn(|i| if i < usize::from(threshold) { i } else { 255 - i } as u8)
                });
            }
            Photometric::Autocontrast => per_channel(&mut changed, stretch),
            Photometric::Equalize => per_channel(&mut changed, equalize),
            Photometric::Invert => per_channel(&mut changed, |_| std::array::from_fn(|i| 255 - i as u8)),
        }
        changed
    }
}

fn grey(pixel: &[u8]) -> u8 {
    match *pixel {
        [r, g, b, ..] => luma([r, g, b, 255]),
        [grey, ..] => grey,
        [] => 0,
    }
}

/// degenerate · (1 - factor) + picture · factor, cut off at 0 and 255, fractions too: Pillow's `Image.blend`.
fn blend(picture: &mut Picture, factor: f64, degenerate: impl Fn(usize) -> [u8; 3]) {
    let (factor, channels) = (factor as f32, picture.channels());
    for (i, pixel) in picture.bytes_mut().chunks_exact_mut(channels).enumerate() {
        for (byte, from) in pixel.iter_mut().zip(degenerate(i)) {
            let from = f32::from(from);
            *byte = (from + factor * (f32::from(*byte) - from)) as u8;
        }
    }
}

/// Replaces each colour channel's bytes by a table that is made from how often each value comes.
fn per_channel(picture: &mut Picture, table: impl Fn(&[u32; 256]) -> [u8; 256]) {
    let channels = picture.channels();
    for channel in 0..channels.min(3) {
        let mut counts = [0u32; 256];
        picture.bytes().iter().skip(channel).step_by(channels).for_each(|&b| counts[usize::from(b)] += 1);
        let table = table(&counts);
        picture.bytes_mut().iter_mut().skip(channel).step_by(channels).for_each(|b| *b = table[usize::from(*b)]);
    }
}

fn stretch(counts: &[u32; 256]) -> [u8; 256] {
    let low = counts.iter().position(|&n| n > 0).unwrap_or(0);
    let high = counts.iter().rposition(|&n| n > 0).unwrap_or(255);
    if high <= low {
        return std::array::from_fn(|i| i as u8);
    }
    let scale = 255.0 / (high - low) as f64;
    let offset = -(low as f64) * scale;
    std::array::from_fn(|i| (i as f64 * scale + offset) as u8)
}

fn equalize(counts: &[u32; 256]) -> [u8; 256] {
    let used: Vec<u32> = counts.iter().copied().filter(|&n| n > 0).collect();
    let step = (used.iter().sum::<u32>() - used.last().copied().unwrap_or(0)) / 255;
    if used.len() <= 1 || step == 0 {
        return std::array::from_fn(|i| i as u8);
    }
    let mut n = step / 2;
    std::array::from_fn(|i| {
        let value = (n / step).min(255) as u8;
        n += counts[i];
        value
    })
}

/// Pillow's `SMOOTH` filter, 3 × 3 with weight 5 in the middle; the border stays as it is.
fn smoothed(picture: &Picture) -> Vec<u8> {
    let (height, width, channels) = (picture.height(), picture.width(), picture.channels());
    let bytes = picture.bytes();
    let mut result = bytes.to_vec();
    for y in 1..height.saturating_sub(1) {
        for i in channels..(width * channels).saturating_sub(channels) {
            let at =
                |dy: usize, dx: usize| u32::from(bytes[(y + dy - 1) * width * channels + i + dx * channels - channels]);
            let around: u32 = (0..9).map(|k| at(k / 3, k % 3)).sum();
            result[y * width * channels + i] = ((around + 4 * at(1, 1)) as f32 / 13.0 + 0.5) as u8;
        }
    }
    result
}

/// Through hue, saturation and value.
fn turn_hue([r, g, b]: [u8; 3], turn: f64) -> [u8; 3] {
    let [r, g, b] = [r, g, b].map(f64::from);
    let (high, low) = (r.max(g).max(b), r.min(g).min(b));
    let chroma = high - low;
    if chroma == 0.0 {
        return [r, g, b].map(|v| v as u8);
    }
    let sixths = if high == r {
        (g - b) / chroma
    } else if high == g {
        2.0 + (b - r) / chroma
    } else {
        4.0 + (r - g) / chroma
    };
    let sixths = (sixths + 6.0 * turn).rem_euclid(6.0);
    let value = |n: f64| {
        let k = (n + sixths).rem_euclid(6.0);
        high - chroma * k.min(4.0 - k).clamp(0.0, 1.0)
    };
    [value(5.0), value(3.0), value(1.0)].map(|v| v.round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_file::Colour;

    #[test]
    fn hues_go_round() {
        let colour = |pixel: [u8; 3], turn| turn_hue(pixel, turn);
        assert_eq!(colour([200, 10, 10], 1.0 / 3.0), [10, 200, 10]);
        assert_eq!(colour([200, 10, 10], -1.0 / 3.0), [10, 10, 200]);
        assert_eq!(colour([200, 10, 10], 0.5), [10, 200, 200]);
        assert_eq!(colour([70, 70, 70], 0.3), [70; 3]);
        for pixel in [[1, 2, 3], [250, 128, 7], [9, 200, 100]] {
            assert_eq!(colour(pixel, 0.0), pixel);
        }
    }

    #[test]
    fn neutral_strengths_change_nothing_and_alpha_is_left_alone() {
        let bytes: Vec<u8> = (0..5 * 4 * 4).map(|i| (i * 37 % 256) as u8).collect();
        let picture = Picture::new(bytes, 5, 4, Colour::Rgba).unwrap();
        for neutral in [
            Photometric::Brightness(1.0),
            Photometric::Contrast(1.0),
            Photometric::Saturation(1.0),
            Photometric::Sharpness(1.0),
            Photometric::Hue(0.0),
            Photometric::Posterize(8),
            Photometric::Solarize(256),
        ] {
            assert_eq!(neutral.apply(&picture), picture, "{neutral:?}");
        }
        for strong in [Photometric::Brightness(0.3), Photometric::Invert, Photometric::Hue(0.4)] {
            let changed = strong.apply(&picture);
            assert_ne!(changed, picture);
            let alpha = |p: &Picture| p.bytes().iter().skip(3).step_by(4).copied().collect::<Vec<u8>>();
            assert_eq!(alpha(&changed), alpha(&picture), "{strong:?}");
        }
    }
}
