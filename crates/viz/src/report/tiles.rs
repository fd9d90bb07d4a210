//! Small maps in rows and columns with clear gaps between them, so that they stand on any paper.

use crate::colours::ColourMap;
use crate::plane::Plane;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, RgbImage};
use striate_tensor::{Error, Result};

/// A tile's side in pixels, at most.
const SIDE: usize = 32;
/// Values are shown in steps of this many of 255: the eye sees no difference, and the file is half as large.
const STEP: f32 = 8.0;

/// Rows of images of one size as PNG, a clear pixel between neighbours; gives the bytes and the size.
pub(super) fn sheet(rows: &[Vec<RgbImage>]) -> Result<(Vec<u8>, (u32, u32))> {
    let Some(first) = rows.first().and_then(|row| row.first()) else {
        return Err(Error::argument("tiles", "there must be tiles", "none", ""));
    };
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0) as u32;
    let (tile_width, tile_height) = (first.width() + 1, first.height() + 1);
    let (width, height) = (columns * tile_width - 1, rows.len() as u32 * tile_height - 1);
    let mut bytes = vec![0u8; width as usize * height as usize * 4];
    for (row, tiles) in (0u32..).zip(rows) {
        for (column, tile) in (0u32..).zip(tiles) {
            for (x, y, pixel) in tile.enumerate_pixels() {
                let (left, top) = (column * tile_width + x, row * tile_height + y);
                if left < width && top < height {
                    let at = (top as usize * width as usize + left as usize) * 4;
                    bytes[at..at + 3].copy_from_slice(&pixel.0);
                    bytes[at + 3] = 255;
                }
            }
        }
    }
    let mut file = Vec::new();
    let encoder = PngEncoder::new_with_quality(&mut file, CompressionType::Best, FilterType::Adaptive);
    let written = encoder.write_image(&bytes, width, height, ExtendedColorType::Rgba8);
    written.map_err(|error| Error::data("PNG", "an image must be one that can be stored", error.to_string(), ""))?;
    Ok((file, (width, height)))
}

/// A channel as a tile, with the lecture's normalisation.
pub(super) fn tile(plane: &Plane) -> Result<RgbImage> {
    let small = reduced(plane)?.as_lecture().map(|value| (value / STEP).round() * STEP);
    Ok(small.image(ColourMap::Viridis, (0.0, 255.0), 1))
}

/// The means of squares of the plane, so many that no side is longer than [`SIDE`].
fn reduced(plane: &Plane) -> Result<Plane> {
    let by = plane.height().max(plane.width()).div_ceil(SIDE).max(1);
    let (height, width) = (plane.height().div_ceil(by), plane.width().div_ceil(by));
    let mean = |row: usize, column: usize| -> f32 {
        let rows = row * by..((row + 1) * by).min(plane.height());
        let columns = column * by..((column + 1) * by).min(plane.width());
        let count = (rows.len() * columns.len()) as f32;
        rows.flat_map(|y| columns.clone().map(move |x| (y, x))).map(|(y, x)| plane.at(y, x)).sum::<f32>() / count
    };
    let values = (0..height * width).map(|i| mean(i / width, i % width)).collect();
    Plane::new(height, width, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_planes_shrink_to_means_and_gaps_are_clear() {
        let plane = Plane::new(65, 64, (0..65 * 64).map(|i| (i / 64) as f32).collect()).unwrap();
        let small = reduced(&plane).unwrap();
        assert_eq!((small.height(), small.width()), (22, 22));
        assert_eq!((small.at(0, 0), small.at(21, 3)), (1.0, 63.5));
        let tiles = vec![vec![tile(&plane).unwrap(); 3], vec![tile(&plane).unwrap(); 2]];
        let (bytes, size) = sheet(&tiles).unwrap();
        assert_eq!(size, (68, 45));
        let image = image::load_from_memory(&bytes).unwrap().into_rgba8();
        assert_eq!(
            (image.get_pixel(22, 0).0[3], image.get_pixel(21, 0).0[3], image.get_pixel(60, 40).0[3]),
            (0, 255, 0)
        );
        assert!(sheet(&[]).is_err());
    }
}
