//! The kernels of a first layer as they are.

use super::filter_grid;
use crate::labels::Label;
use crate::picture::put;
use image::{Rgb, RgbImage};
use striate_nn::Model;
use striate_tensor::{Error, Result};

/// The kernels of a convolution on pictures, (h, w, 1 or 3, filters): grey or in colour, 0 at middle grey, all on one scale; each weight a square
/// of `scale` pixels. `is_bgr` reverses the channels.
///
/// # Errors
/// [`Error::Argument`] for a layer without such a kernel.
pub fn kernel_images(model: &Model, layer: &str, scale: u32, is_bgr: bool) -> Result<Vec<RgbImage>> {
    let kernel = model.weight(&format!("{layer}/kernel"));
    let Some((kernel, &[height, width, channels @ (1 | 3), filters])) = kernel.map(|k| (k, k.shape().as_slice()))
    else {
        let received = kernel.map_or("no kernel".to_string(), |kernel| kernel.shape().to_string());
        return Err(Error::argument(
            layer,
            "kernels as they are can be shown of a convolution of pictures, (height, width, 1 or 3, filters)",
            received,
            "choose the first convolution, or let a filter draw what it responds to",
        ));
    };
    let values = kernel.to_vec::<f32>()?;
    let most = values.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
    let scale = scale.max(1);
    let image = |filter: usize| {
        RgbImage::from_fn(width as u32 * scale, height as u32 * scale, |x, y| {
            let (row, column) = ((y / scale) as usize, (x / scale) as usize);
            let channel = |c: usize| {
                let c = if channels == 1 {
                    0
                } else if is_bgr {
                    2 - c
                } else {
                    c
                };
                let value = values[((row * width + column) * channels + c) * filters + filter];
                (127.5 + 127.5 * value / most) as u8
            };
            Rgb([channel(0), channel(1), channel(2)])
        })
    };
    Ok((0..filters).map(image).collect())
}

/// All kernels of a layer in a grid with a title.
///
/// # Errors
/// As [`kernel_images`].
pub fn kernel_sheet(model: &Model, layer: &str, is_bgr: bool) -> Result<RgbImage> {
    let images = kernel_images(model, layer, 18, is_bgr)?;
    let columns = if images.len() >= 48 { 16 } else { 8 };
    let (width, height) = images.first().map_or((0, 0), |first| (first.width() / 18, first.height() / 18));
    let subtitle = format!("{} kernels of {height} × {width}; grey is 0, all on one scale", images.len());
    titled(&white_gaps(&images, columns)?, layer, &subtitle)
}

fn white_gaps(images: &[RgbImage], columns: usize) -> Result<RgbImage> {
    let framed: Vec<RgbImage> = images
        .iter()
        .map(|image| {
            let mut cell = RgbImage::from_pixel(image.width() + 6, image.height() + 6, Rgb([255; 3]));
            put(&mut cell, image, 3, 3);
            cell
        })
        .collect();
    filter_grid(&framed, columns, 0)
}

/// An image on white with a title and a line below that.
///
/// # Errors
/// None today.
pub(crate) fn titled(image: &RgbImage, title: &str, subtitle: &str) -> Result<RgbImage> {
    let (heading, small) = (Label::default().bold().size(20.0), Label::default().size(15.0));
    let top = 14 + heading.line() + small.line() + 12;
    let width = image.width().max(heading.width(title)).max(small.width(subtitle)) + 28;
    let mut canvas = RgbImage::from_pixel(width, top + image.height() + 14, Rgb([255; 3]));
    heading.draw(&mut canvas, title, 14, 14);
    small.draw(&mut canvas, subtitle, 14, 14 + i64::from(heading.line()));
    put(&mut canvas, image, 14, top);
    Ok(canvas)
}
