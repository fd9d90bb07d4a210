//! Loss and accuracy over the epochs.

use crate::axis::Axis;
use crate::picture::{check_ending, png_bytes};
use crate::render::{self, Drawing, Theme};
use image::RgbImage;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::Path;
use striate_tensor::{Error, Result, replace_file};
use striate_train::History;

/// Width and height of a panel, in pixels.
const PANEL: (u32, u32) = (460, 370);
/// The room for the title, for the row that explains the marks, and for the labels left of a panel.
const HEADING: u32 = 44;
const LEGEND: u32 = 30;
const LEFT: u32 = 56;

type Drawn<B> = std::result::Result<(), DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

/// A picture with a panel for each quantity, three in a row. Of one run training is points and validation a line, as in the
/// lecture; of several each has its colour, its validation a line and its training a thin one.
#[derive(Debug, Clone)]
pub struct Curves<'a> {
    runs: Vec<(String, &'a History)>,
    title: String,
    test: Vec<(String, f64)>,
    theme: Theme,
    only: Option<String>,
}

impl<'a> Curves<'a> {
    /// The endings that [`Curves::write`] knows.
    pub const ENDINGS: [&'static str; 2] = ["svg", "png"];

    /// The curves of a run.
    pub fn new(history: &'a History) -> Self {
        Curves::compare([("", history)])
    }

    /// The curves of several runs, each with its name, on the same axes.
    pub fn compare<S: Into<String>>(runs: impl IntoIterator<Item = (S, &'a History)>) -> Self {
        let runs = runs.into_iter().map(|(name, history)| (name.into(), history)).collect();
        Curves { runs, title: String::new(), test: Vec::new(), theme: Theme::Light, only: None }
    }

    /// A line above the panels. Default none.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Final values on test data, drawn as a dashed line: `loss`, `accuracy`.
    pub fn test(mut self, values: &[(String, f64)]) -> Self {
        self.test = values.to_vec();
        self
    }

    /// The panel of one quantity, `loss` or a metric's name, instead of all.
    pub fn only(mut self, name: impl Into<String>) -> Self {
        self.only = Some(name.into());
        self
    }

    /// Paper and inks. Default light.
    pub fn theme(mut self, theme: Theme) -> Self {
        self.theme = theme;
        self
    }

    /// The picture as SVG.
    ///
    /// # Errors
    /// [`Error::Data`] if a history is empty, or there is none.
    pub fn to_svg(&self) -> Result<String> {
        self.check()?;
        render::svg(self)
    }

    /// The picture in pixels, two for each of the SVG's.
    ///
    /// # Errors
    /// As [`Curves::to_svg`].
    pub fn to_image(&self) -> Result<RgbImage> {
        self.check()?;
        render::pixels(self)
    }

    /// Writes the picture as SVG, all of it or nothing.
    ///
    /// # Errors
    /// As [`Curves::to_svg`]; [`Error::Io`].
    pub fn write_svg(&self, path: impl AsRef<Path>) -> Result<()> {
        replace_file(path, self.to_svg()?.as_bytes())
    }

    /// Writes the picture as PNG, all of it or nothing.
    ///
    /// # Errors
    /// As [`Curves::write_svg`].
    pub fn write_png(&self, path: impl AsRef<Path>) -> Result<()> {
        replace_file(path, &png_bytes(&self.to_image()?)?)
    }

    /// Writes SVG or PNG, as the name ends.
    ///
    /// # Errors
    /// As [`check_ending`] and [`Curves::write_svg`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        check_ending(&path, &Curves::ENDINGS)?;
        match path.as_ref().extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png")) {
            true => self.write_png(path),
            false => self.write_svg(path),
        }
    }

    fn check(&self) -> Result<()> {
        let is_empty = |(_, history): &(String, &History)| history.epochs.is_empty();
        if self.panels().is_empty() || self.runs.iter().any(is_empty) {
            return Err(Error::data("curves", "there must be at least one epoch to draw", "an empty history", ""));
        }
        Ok(())
    }

    /// The quantities of any of the runs.
    fn panels(&self) -> Vec<&str> {
        let mut panels: Vec<&str> = Vec::new();
        for name in self.runs.iter().flat_map(|(_, history)| history.names()) {
            let is_wanted = self.only.as_ref().is_none_or(|only| only == name);
            if is_wanted && !name.starts_with("val_") && !panels.contains(&name) {
                panels.push(name);
            }
        }
        panels
    }

    fn heading(&self) -> u32 {
        if self.title.is_empty() { 0 } else { HEADING }
    }

    fn panel<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, name: &str, k: u32) -> Drawn<B> {
        let points = |history: &History, key: &str| -> Vec<(f64, f64)> {
            let of = |epoch: &striate_train::EpochRecord| epoch.get(key).map(|value| (epoch.epoch as f64, value));
            history.epochs.iter().filter_map(of).filter(|(_, value)| value.is_finite()).collect()
        };
        let series: Vec<[Vec<(f64, f64)>; 2]> = self
            .runs
            .iter()
            .map(|(_, history)| [points(history, name), points(history, &format!("val_{name}"))])
            .collect();
        let test = self.test.iter().find(|(known, value)| known == name && value.is_finite()).map(|(_, value)| *value);
        let y_axis = Axis::of_values(series.iter().flatten().flatten().map(|(_, value)| *value).chain(test));
        let epochs = self.runs.iter().flat_map(|(_, history)| &history.epochs).map(|epoch| epoch.epoch as f64);
        let (first, last) = epochs.fold((f64::INFINITY, 0.0f64), |(l, h), epoch| (l.min(epoch), h.max(epoch)));
        let x_axis = Axis::of_epochs(first, last);
        let ends = (x_axis.low, x_axis.high);
        let (ink, theme) = (self.theme.ink(), self.theme);
        let (plot, legend) = area.split_vertically((PANEL.1 - LEGEND) * k);
        let mut chart = ChartBuilder::on(&plot)
            .margin(14 * k)
            .margin_bottom(0)
            .caption(name, ("sans-serif", 17 * k, FontStyle::Bold).into_font().color(&ink))
            .x_label_area_size(38 * k)
            .y_label_area_size(LEFT * k)
            .build_cartesian_2d(x_axis, y_axis)?;
        chart
            .configure_mesh()
            .bold_line_style(theme.grid().stroke_width(k))
            .light_line_style(TRANSPARENT)
            .axis_style(ink.stroke_width(k))
            .set_all_tick_mark_size(4 * k)
            .label_style(("sans-serif", 13 * k).into_font().color(&ink))
            .x_desc("epoch")
            .axis_desc_style(("sans-serif", 14 * k).into_font().color(&ink))
            .draw()?;
        let line = |points: &[(f64, f64)], colour: RGBAColor, width: u32| {
            LineSeries::new(points.to_vec(), colour.stroke_width(width * k))
        };
        if let [[training, validation]] = &series[..] {
            let radius = k * if training.len() > 40 { 2 } else { 4 };
            let (colour, other) = (theme.series(0), theme.series(1));
            chart.draw_series(line(training, colour.mix(0.45), 1))?;
            chart.draw_series(training.iter().map(|&point| Circle::new(point, radius, colour.filled())))?;
            if let [point] = validation[..] {
                // A line needs two points.
                chart.draw_series([Circle::new(point, radius, other.filled())])?;
            }
            chart.draw_series(line(validation, other.mix(1.0), 2))?;
        } else {
            for (i, [training, validation]) in series.iter().enumerate() {
                let colour = theme.series(i);
                let (thin, thick) = if validation.is_empty() { (None, training) } else { (Some(training), validation) };
                if let Some(thin) = thin {
                    chart.draw_series(line(thin, colour.mix(0.5), 1))?;
                }
                if let [point] = thick[..] {
                    chart.draw_series([Circle::new(point, 4 * k, colour.filled())])?;
                }
                chart.draw_series(line(thick, colour.mix(1.0), 2))?;
            }
        }
        if let Some(value) = test {
            let line = [(ends.0, value), (ends.1, value)];
            chart.draw_series(DashedLineSeries::new(line, 6 * k, 4 * k, theme.series(2).stroke_width(2 * k)))?;
        }
        self.legend(&legend, series.iter().any(|[_, validation]| !validation.is_empty()), test, k)
    }

    /// A row below the panel, where it covers no curve.
    fn legend<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        has_validation: bool,
        test: Option<f64>,
        k: u32,
    ) -> Drawn<B> {
        let middle = (LEGEND * k) as i32 / 2;
        let at = |x: u32| (x * k) as i32;
        let (ink, left) = (self.theme.ink(), Pos::new(HPos::Left, VPos::Center));
        let style = TextStyle::from(("sans-serif", 13 * k)).color(&ink).pos(left);
        let line = |from: u32, to: u32, colour: RGBColor| {
            PathElement::new([(at(from), middle), (at(to), middle)], colour.stroke_width(2 * k))
        };
        let mut x = LEFT + 20;
        if self.runs.len() > 1 {
            let room = (PANEL.0 - x - 10) / self.runs.len() as u32;
            for (i, (name, _)) in self.runs.iter().enumerate() {
                area.draw(&line(x, x + 18, self.theme.series(i)))?;
                let shown = crate::labels::Label::default().size(13.0).fit(name, room.saturating_sub(30));
                area.draw_text(&shown, &style, (at(x + 23), middle))?;
                x += room;
            }
            return Ok(());
        }
        area.draw(&Circle::new((at(x + 10), middle), 4 * k, self.theme.series(0).filled()))?;
        area.draw_text("training", &style, (at(x + 26), middle))?;
        x += 100;
        if has_validation {
            area.draw(&line(x, x + 20, self.theme.series(1)))?;
            area.draw_text("validation", &style, (at(x + 26), middle))?;
            x += 110;
        }
        if let Some(value) = test {
            area.draw(&line(x, x + 8, self.theme.series(2)))?;
            area.draw(&line(x + 12, x + 20, self.theme.series(2)))?;
            area.draw_text(&format!("test {value:.4}"), &style, (at(x + 26), middle))?;
        }
        Ok(())
    }
}

impl Drawing for Curves<'_> {
    fn size(&self) -> (u32, u32) {
        let panels = self.panels().len().max(1) as u32;
        let columns = panels.min(3);
        (PANEL.0 * columns, PANEL.1 * panels.div_ceil(columns) + self.heading())
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>, k: u32) -> Drawn<B> {
        let panels = self.panels();
        let columns = panels.len().clamp(1, 3);
        area.fill(&self.theme.paper())?;
        let (head, body) = area.split_vertically(self.heading() * k);
        if !self.title.is_empty() {
            let centre = Pos::new(HPos::Center, VPos::Center);
            let font = ("sans-serif", 20 * k, FontStyle::Bold);
            let ink = self.theme.ink();
            let style = TextStyle::from(font).color(&ink).pos(centre);
            let middle = ((self.size().0 * k) as i32 / 2, ((HEADING * k) as i32) / 2 + 4 * k as i32);
            head.draw_text(&self.title, &style, middle)?;
        }
        for (panel, name) in body.split_evenly((panels.len().div_ceil(columns), columns)).iter().zip(&panels) {
            self.panel(panel, name, k)?;
        }
        Ok(())
    }
}

/// Drawing a history in one call.
pub trait PlotHistory {
    /// Writes the curves, SVG or PNG as the name ends.
    ///
    /// # Errors
    /// As [`Curves::write`].
    fn plot(&self, path: impl AsRef<Path>) -> Result<()>;
}

impl PlotHistory for History {
    fn plot(&self, path: impl AsRef<Path>) -> Result<()> {
        Curves::new(self).write(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use striate_train::EpochRecord;

    #[test]
    fn a_run_becomes_panels_with_points_and_lines() {
        let epochs = (1..=3)
            .map(|epoch| EpochRecord {
                epoch,
                values: vec![("loss".into(), 1.0 / epoch as f64), ("val_loss".into(), 1.2 / epoch as f64)],
                ..EpochRecord::default()
            })
            .collect();
        let svg = Curves::new(&History { epochs }).test(&[("loss".into(), 0.4)]).to_svg().unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        assert_eq!(svg.matches("<circle").count(), 4, "three points and one in the legend");
        for label in ["training", "validation", "test 0.4000", "epoch"] {
            assert!(svg.contains(label), "{label}");
        }
        assert!(Curves::new(&History::default()).to_svg().is_err());
    }
}
