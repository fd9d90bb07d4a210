//! A heat map on its photograph.

use crate::colours::ColourMap;
use crate::plane::Plane;
use image::{Rgb, RgbImage};
use striate_tensor::Result;

/// How much of the hottest place is heat and not photograph.
const STRENGTH: f32 = 0.75;

/// The map over the image: cold places show the photograph, a little darker and greyer, hot ones the colours of
/// [`ColourMap::Inferno`]. The map is brought to the image's size.
///
/// # Errors
/// None today; a map always has numbers.
pub fn overlay(image: &RgbImage, map: &Plane) -> Result<RgbImage> {
    let heat = map.resized(image.height() as usize, image.width() as usize)?.normalised();
    Ok(RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let hot = heat.at(y as usize, x as usize);
        let Rgb(pixel) = *image.get_pixel(x, y);
        let grey = 0.299 * f32::from(pixel[0]) + 0.587 * f32::from(pixel[1]) + 0.114 * f32::from(pixel[2]);
        // The dark end of the map would only hide the photograph.
        let colour = ColourMap::Inferno.colour(0.25 + 0.75 * hot);
        let part = STRENGTH * hot.sqrt().min(1.0) * hot.clamp(0.0, 1.0).powf(0.25);
        let channel = |c: usize| {
            let ground = 0.5 * grey + 0.5 * f32::from(pixel[c]);
            (ground * 0.85 * (1.0 - part) + f32::from(colour[c]) * part + 0.5) as u8
        };
        Rgb([channel(0), channel(1), channel(2)])
    }))
}

/// The map alone, at a size in pixels.
///
/// # Errors
/// As [`Plane::resized`].
pub fn heat_image(map: &Plane, width: u32, height: u32) -> Result<RgbImage> {
    Ok(map.resized(height as usize, width as usize)?.normalised().image(ColourMap::Inferno, (0.0, 1.0), 1))
}
