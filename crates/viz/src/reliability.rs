//! Whether probabilities mean what they say.

use crate::axis::Axis;
use crate::picture::png_bytes;
use crate::render::{self, Drawing, Theme};
use image::RgbImage;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::Path;
use striate_tensor::{Error, Result, replace_file};

/// Bins of confidence.
const BINS: usize = 10;
const SIZE: (u32, u32) = (480, 500);
const HEADING: u32 = 66;

/// How often answers were right that were given with a certain confidence: Guo et al. 2017, <https://arxiv.org/abs/1706.04599>.
///
/// ```
/// use striate_viz::Reliability;
/// // Four answers at 0.75, three of them right.
/// let answers = [(0.75, true), (0.75, true), (0.75, true), (0.75, false)];
/// let reliability = Reliability::of(answers)?;
/// assert_eq!(reliability.error(), 0.0);
/// # Ok::<(), striate_tensor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Reliability {
    /// Of each tenth of confidence: answers, the sum of their confidences, how many were right.
    bins: Vec<(u64, f64, u64)>,
    title: String,
    theme: Theme,
}

impl Reliability {
    /// From answers, each with the probability it was given with, 0 to 1, and whether it was right.
    ///
    /// # Errors
    /// [`Error::Argument`] for a probability outside of 0 to 1; [`Error::Data`] without answers.
    pub fn of(answers: impl IntoIterator<Item = (f64, bool)>) -> Result<Self> {
        let mut bins = vec![(0, 0.0, 0); BINS];
        for (confidence, is_right) in answers {
            if !(0.0..=1.0).contains(&confidence) {
                let received = confidence.to_string();
                return Err(Error::argument("reliability", "probabilities must be in 0..=1", received, ""));
            }
            let bin = &mut bins[((confidence * BINS as f64) as usize).min(BINS - 1)];
            *bin = (bin.0 + 1, bin.1 + confidence, bin.2 + u64::from(is_right));
        }
        if bins.iter().all(|bin| bin.0 == 0) {
            return Err(Error::data("reliability", "there must be answers", "none", ""));
        }
        Ok(Reliability { bins, title: "Reliability".into(), theme: Theme::Light })
    }

    /// The line above; empty for none. Default `Reliability`.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Paper and inks. Default light.
    pub fn theme(mut self, theme: Theme) -> Self {
        self.theme = theme;
        self
    }

    /// The expected calibration error: |confidence − accuracy| averaged over the answers, bin by bin.
    pub fn error(&self) -> f64 {
        let total: u64 = self.bins.iter().map(|bin| bin.0).sum();
        self.bins.iter().map(|(_, confidence, right)| (confidence - *right as f64).abs()).sum::<f64>() / total as f64
    }

    fn heading(&self) -> u32 {
        if self.title.is_empty() { HEADING - 32 } else { HEADING }
    }

    /// The picture as SVG.
    ///
    /// # Errors
    /// [`Error::Data`] if it could not be drawn.
    pub fn to_svg(&self) -> Result<String> {
        render::svg(self)
    }

    /// The picture in pixels, two for each of the SVG's.
    ///
    /// # Errors
    /// As [`Reliability::to_svg`].
    pub fn to_image(&self) -> Result<RgbImage> {
        render::pixels(self)
    }

    /// Writes PNG if the name ends so, else SVG.
    ///
    /// # Errors
    /// As [`Reliability::to_svg`]; [`Error::Io`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        match path.as_ref().extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png")) {
            true => replace_file(path, &png_bytes(&self.to_image()?)?),
            false => replace_file(path, self.to_svg()?.as_bytes()),
        }
    }
}

impl Drawing for Reliability {
    fn size(&self) -> (u32, u32) {
        (SIZE.0, SIZE.1 - HEADING + self.heading())
    }

    fn draw<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        k: u32,
    ) -> std::result::Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        let (ink, theme) = (self.theme.ink(), self.theme);
        area.fill(&theme.paper())?;
        let (head, body) = area.split_vertically(self.heading() * k);
        let left = Pos::new(HPos::Left, VPos::Top);
        let style = |size: u32, weight| TextStyle::from(("sans-serif", size * k, weight)).color(&ink).pos(left);
        let at = |x: u32, y: u32| ((x * k) as i32, (y * k) as i32);
        if !self.title.is_empty() {
            head.draw_text(&self.title, &style(19, FontStyle::Bold), at(20, 14))?;
        }
        let total: u64 = self.bins.iter().map(|bin| bin.0).sum();
        let line = format!("{total} answers, expected calibration error {:.3}", self.error());
        let below = if self.title.is_empty() { 10 } else { 42 };
        head.draw_text(&line, &style(14, FontStyle::Normal), at(20, below))?;
        let axis = || Axis::of_range(0.0, 1.0, 0.2);
        let mut chart = ChartBuilder::on(&body)
            .margin(14 * k)
            .margin_right(22 * k)
            .x_label_area_size(40 * k)
            .y_label_area_size(54 * k)
            .build_cartesian_2d(axis(), axis())?;
        chart
            .configure_mesh()
            .bold_line_style(theme.grid().stroke_width(k))
            .light_line_style(TRANSPARENT)
            .axis_style(ink.stroke_width(k))
            .set_all_tick_mark_size(4 * k)
            .label_style(("sans-serif", 13 * k).into_font().color(&ink))
            .x_desc("probability given")
            .y_desc("part that was right")
            .axis_desc_style(("sans-serif", 14 * k).into_font().color(&ink))
            .draw()?;
        let width = 1.0 / BINS as f64;
        let bars = self.bins.iter().enumerate().filter(|(_, bin)| bin.0 > 0).map(|(i, (count, _, right))| {
            let (from, height) = (i as f64 * width, *right as f64 / *count as f64);
            Rectangle::new([(from + 0.006, 0.0), (from + width - 0.006, height)], theme.series(0).mix(0.75).filled())
        });
        chart.draw_series(bars)?;
        let points = self.bins.iter().filter(|bin| bin.0 > 0);
        chart.draw_series(points.map(|(count, confidence, right)| {
            let place = (confidence / *count as f64, *right as f64 / *count as f64);
            Circle::new(place, 5 * k, theme.series(1).filled())
        }))?;
        let diagonal = [(0.0, 0.0), (1.0, 1.0)];
        chart.draw_series(DashedLineSeries::new(diagonal, 6 * k, 4 * k, ink.stroke_width(k)))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_the_mean_distance_of_confidence_from_truth() {
        // Ten answers at 0.95, five right; ten at 0.55, all right.
        let sure = (0..10).map(|i| (0.95, i < 5));
        let unsure = (0..10).map(|_| (0.55, true));
        let reliability = Reliability::of(sure.chain(unsure)).unwrap();
        assert!((reliability.error() - (0.45 + 0.45) / 2.0).abs() < 1e-12);
        assert!(reliability.to_svg().unwrap().contains("0.450"));
        assert_eq!(reliability.to_image().unwrap().dimensions(), (960, 1000));
        assert!(Reliability::of([(1.1, true)]).is_err() && Reliability::of([]).is_err());
    }
}
