//! One drawing, as SVG and as pixels.

use image::{Rgb, RgbImage};
use plotters::coord::Shift;
use plotters::prelude::*;
use striate_tensor::{Error, Result};

/// Paper and inks of a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Theme {
    /// Dark on white.
    #[default]
    Light,
    /// Light on dark grey.
    Dark,
}

impl Theme {
    pub(crate) fn paper(self) -> RGBColor {
        if self == Theme::Light { RGBColor(255, 255, 255) } else { RGBColor(27, 30, 36) }
    }

    pub(crate) fn ink(self) -> RGBColor {
        if self == Theme::Light { RGBColor(60, 60, 60) } else { RGBColor(214, 216, 220) }
    }

    pub(crate) fn grid(self) -> RGBColor {
        if self == Theme::Light { RGBColor(228, 228, 228) } else { RGBColor(58, 62, 70) }
    }

    /// The colour of a series: Okabe and Ito's, lighter on dark paper.
    pub(crate) fn series(self, index: usize) -> RGBColor {
        let [r, g, b] = crate::colours::SERIES[index % crate::colours::SERIES.len()];
        match self {
            Theme::Light => RGBColor(r, g, b),
            Theme::Dark => {
                let lighter = |c: u8| (0.72 * f32::from(c) + 0.28 * 255.0) as u8;
                RGBColor(lighter(r), lighter(g), lighter(b))
            }
        }
    }
}

/// What can be drawn. All lengths are multiplied by `scale`.
pub(crate) trait Drawing {
    /// Width and height at scale 1, in pixels.
    fn size(&self) -> (u32, u32);
    fn draw<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        scale: u32,
    ) -> std::result::Result<(), DrawingAreaErrorKind<B::ErrorType>>;
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::data("chart", "drawing must succeed", error.to_string(), "")
}

pub(crate) fn svg(drawing: &impl Drawing) -> Result<String> {
    crate::labels::register();
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, drawing.size()).into_drawing_area();
        drawing.draw(&area, 1).map_err(failed)?;
        area.present().map_err(failed)?;
    }
    Ok(text)
}

/// The drawing at twice its size, for screens of today, smoothed from twice that.
pub(crate) fn pixels(drawing: &impl Drawing) -> Result<RgbImage> {
    const KEPT: u32 = 2;
    const DRAWN: u32 = 2 * KEPT;
    crate::labels::register();
    let (width, height) = drawing.size();
    let large = (width * DRAWN, height * DRAWN);
    let mut bytes = vec![0u8; large.0 as usize * large.1 as usize * 3];
    {
        let area = BitMapBackend::with_buffer(&mut bytes, large).into_drawing_area();
        drawing.draw(&area, DRAWN).map_err(failed)?;
        area.present().map_err(failed)?;
    }
    let image = RgbImage::from_raw(large.0, large.1, bytes).ok_or_else(|| failed("a canvas of another size"))?;
    // The mean of four pixels, by hand: a general filter would want a canvas of floats.
    Ok(RgbImage::from_fn(width * KEPT, height * KEPT, |x, y| {
        let four = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(dx, dy)| image.get_pixel(2 * x + dx, 2 * y + dy).0);
        Rgb([0, 1, 2].map(|c| (four.iter().map(|pixel| u16::from(pixel[c])).sum::<u16>() / 4) as u8))
    }))
}
