//! Text in pictures, and the one typeface of all of them: Inter, whose licence lies beside it in `fonts/`.

use ab_glyph::{Font, FontRef, Glyph, GlyphId, PxScale, ScaleFont, point};
use image::{Rgb, RgbImage};

/// The letters of Latin script, digits, and a few signs.
const REGULAR: &[u8] = include_bytes!("../fonts/Inter-Regular.ttf");
/// The same, heavier.
const BOLD: &[u8] = include_bytes!("../fonts/Inter-SemiBold.ttf");

/// How a line of text looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Label {
    /// The height of a line in pixels; capitals are about half as high. Default 15.
    pub size: f32,
    /// The colour. Default dark grey.
    pub colour: [u8; 3],
    /// Whether the letters are heavy. Default no.
    pub is_bold: bool,
}

impl Default for Label {
    fn default() -> Self {
        Label { size: 15.0, colour: [40, 40, 40], is_bold: false }
    }
}

impl Label {
    /// Another height.
    pub fn size(self, size: f32) -> Self {
        Label { size, ..self }
    }

    /// Another colour.
    pub fn colour(self, colour: [u8; 3]) -> Self {
        Label { colour, ..self }
    }

    /// Heavy letters.
    pub fn bold(self) -> Self {
        Label { is_bold: true, ..self }
    }

    /// From line to line, in pixels.
    pub fn line(&self) -> u32 {
        (self.size * 1.2).ceil() as u32
    }

    /// The width of a line of text, in pixels.
    pub fn width(&self, text: &str) -> u32 {
        self.layout(text).map_or(0, |(_, width)| width.ceil() as u32)
    }

    /// Draws a line whose upper left corner is at (x, y); what lies outside of the picture is left out.
    pub fn draw(&self, image: &mut RgbImage, text: &str, x: i64, y: i64) {
        let (Some(font), Some((glyphs, _))) = (self.font(), self.layout(text)) else { return };
        for glyph in glyphs {
            let Some(outline) = font.outline_glyph(glyph) else { continue };
            let (left, top) = (outline.px_bounds().min.x as i64 + x, outline.px_bounds().min.y as i64 + y);
            outline.draw(|dx, dy, part| {
                let place = (u32::try_from(left + i64::from(dx)), u32::try_from(top + i64::from(dy)));
                let (Ok(px), Ok(py)) = place else { return };
                if px < image.width() && py < image.height() {
                    let Rgb(below) = image.get_pixel_mut(px, py);
                    for (below, ink) in below.iter_mut().zip(self.colour) {
                        let part = part.clamp(0.0, 1.0);
                        *below = (f32::from(*below) * (1.0 - part) + f32::from(ink) * part + 0.5) as u8;
                    }
                }
            });
        }
    }

    /// Draws a line with its middle at x.
    pub fn draw_centred(&self, image: &mut RgbImage, text: &str, x: i64, y: i64) {
        self.draw(image, text, x - i64::from(self.width(text) / 2), y);
    }

    /// Draws a line that ends at x.
    pub fn draw_right(&self, image: &mut RgbImage, text: &str, x: i64, y: i64) {
        self.draw(image, text, x - i64::from(self.width(text)), y);
    }

    /// The text, cut with an ellipsis where it would be wider than `most` pixels.
    pub fn fit(&self, text: &str, most: u32) -> String {
        if self.width(text) <= most {
            return text.to_string();
        }
        let mut cut: Vec<char> = text.chars().collect();
        while cut.pop().is_some() {
            let shown: String = cut.iter().chain(['…'].iter()).collect();
            if self.width(&shown) <= most {
                return shown;
            }
        }
        String::new()
    }

    fn font(&self) -> Option<FontRef<'static>> {
        FontRef::try_from_slice(if self.is_bold { BOLD } else { REGULAR }).ok()
    }

    fn layout(&self, text: &str) -> Option<(Vec<Glyph>, f32)> {
        let font = self.font()?;
        let scale = PxScale::from(self.size);
        let scaled = font.as_scaled(scale);
        let mut at = 0.0;
        let mut last: Option<GlyphId> = None;
        let mut glyphs = Vec::new();
        for letter in text.chars() {
            let id = font.glyph_id(letter);
            at += last.map_or(0.0, |last| scaled.kern(last, id));
            glyphs.push(id.with_scale_and_position(scale, point(at, scaled.ascent())));
            at += scaled.h_advance(id);
            last = Some(id);
        }
        Some((glyphs, at))
    }
}

/// Makes the typeface known to plotters, once, as `sans-serif`.
pub(crate) fn register() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        use plotters::style::{FontStyle, register_font};
        // Both are read in tests, so that this cannot fail later.
        let _ = register_font("sans-serif", FontStyle::Normal, REGULAR);
        let _ = register_font("sans-serif", FontStyle::Bold, BOLD);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_the_width_that_it_is_drawn_with() {
        for label in [Label::default(), Label::default().bold().size(22.0)] {
            let width = label.width("block3_conv1 · 64 × 1,28 … 0°");
            let mut image = RgbImage::from_pixel(width + 40, 40, Rgb([255; 3]));
            label.draw(&mut image, "block3_conv1 · 64 × 1,28 … 0°", 10, 5);
            let inked: Vec<u32> =
                image.enumerate_pixels().filter(|(_, _, p)| p.0[0] < 128).map(|(x, _, _)| x).collect();
            let (left, right) = (*inked.iter().min().unwrap(), *inked.iter().max().unwrap());
            assert!((10..16).contains(&left) && right + 6 > width + 4 && right <= width + 11, "{left} {right} {width}");
        }
        assert!(Label::default().is_known("aZ09äöüßñéÑ×°−…·%"), "a letter is missing");
    }

    impl Label {
        fn is_known(&self, text: &str) -> bool {
            let fonts = [self.font().unwrap(), self.bold().font().unwrap()];
            fonts.iter().all(|font| text.chars().all(|letter| font.glyph_id(letter).0 != 0))
        }
    }

    #[test]
    fn text_outside_of_the_picture_is_left_out_and_long_text_cut() {
        let label = Label::default();
        let mut image = RgbImage::from_pixel(20, 10, Rgb([255; 3]));
        label.draw(&mut image, "a long line", -30, -8);
        let cut = label.fit("a long line", 50);
        assert!(cut.ends_with('…') && label.width(&cut) <= 50 && cut.len() > 4, "{cut}");
        assert_eq!(label.fit("short", 500), "short");
    }
}
