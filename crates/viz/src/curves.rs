//! Loss and accuracy over the epochs.

use crate::axis::Axis;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::Path;
use striate_tensor::{Error, Result, replace_file};
use striate_train::History;

/// Okabe and Ito's colours, which colour-blind readers can tell apart.
const TRAINING: RGBColor = RGBColor(0, 114, 178);
const VALIDATION: RGBColor = RGBColor(213, 94, 0);
const TEST: RGBColor = RGBColor(0, 158, 115);
const INK: RGBColor = RGBColor(60, 60, 60);
const GRID: RGBColor = RGBColor(228, 228, 228);

/// Width and height of a panel, in pixels.
const PANEL: (u32, u32) = (460, 370);
/// The room for the title, for the row that explains the marks, and for the labels left of a panel.
const HEADING: u32 = 40;
const LEGEND: u32 = 30;
const LEFT: u32 = 56;

/// A picture with a panel for each quantity, three in a row: training as points, validation as a line, as in the lecture.
#[derive(Debug, Clone)]
pub struct Curves<'a> {
    history: &'a History,
    title: String,
    test: Vec<(String, f64)>,
}

impl<'a> Curves<'a> {
    /// The curves of a run.
    pub fn new(history: &'a History) -> Self {
        Curves { history, title: String::new(), test: Vec::new() }
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

    /// The picture as SVG.
    ///
    /// # Errors
    /// [`Error::Data`] if the history is empty.
    pub fn to_svg(&self) -> Result<String> {
        let names = self.history.names();
        let panels: Vec<&str> = names.iter().copied().filter(|name| !name.starts_with("val_")).collect();
        if panels.is_empty() || self.history.epochs.is_empty() {
            return Err(Error::data("curves", "there must be at least one epoch to draw", "an empty history", ""));
        }
        let mut svg = String::new();
        self.draw(&panels, &mut svg).map_err(|error| Error::data("curves", "drawing must succeed", error, ""))?;
        Ok(svg)
    }

    /// Writes the picture, all of it or nothing.
    ///
    /// # Errors
    /// As [`Curves::to_svg`]; [`Error::Io`].
    pub fn write_svg(&self, path: impl AsRef<Path>) -> Result<()> {
        replace_file(path, self.to_svg()?.as_bytes())
    }

    fn draw(&self, panels: &[&str], svg: &mut String) -> std::result::Result<(), String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let columns = panels.len().min(3);
        let rows = panels.len().div_ceil(columns);
        let heading = if self.title.is_empty() { 0 } else { HEADING };
        let size = (PANEL.0 * columns as u32, PANEL.1 * rows as u32 + heading);
        let area = SVGBackend::with_string(svg, size).into_drawing_area();
        area.fill(&WHITE).map_err(|e| text(&e))?;
        let (head, body) = area.split_vertically(heading);
        if heading > 0 {
            let centre = Pos::new(HPos::Center, VPos::Center);
            let style = TextStyle::from(("sans-serif", 18)).color(&INK).pos(centre);
            head.draw_text(&self.title, &style, (size.0 as i32 / 2, heading as i32 / 2 + 4)).map_err(|e| text(&e))?;
        }
        for (panel, name) in body.split_evenly((rows, columns)).iter().zip(panels) {
            self.panel(panel, name).map_err(|e| text(&e))?;
        }
        area.present().map_err(|e| text(&e))
    }

    fn panel<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        name: &str,
    ) -> std::result::Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        let points = |key: &str| -> Vec<(f64, f64)> {
            let of = |epoch: &striate_train::EpochRecord| epoch.get(key).map(|value| (epoch.epoch as f64, value));
            self.history.epochs.iter().filter_map(of).filter(|(_, value)| value.is_finite()).collect()
        };
        let training = points(name);
        let validation = points(&format!("val_{name}"));
        let test = self.test.iter().find(|(known, value)| known == name && value.is_finite()).map(|(_, value)| *value);
        let values = training.iter().chain(&validation).map(|(_, value)| *value).chain(test);
        let y_axis = Axis::of_values(values);
        let epochs = self.history.epochs.iter().map(|epoch| epoch.epoch as f64);
        let (first, last) = epochs.fold((f64::INFINITY, 0.0f64), |(l, h), epoch| (l.min(epoch), h.max(epoch)));
        let x_axis = Axis::of_epochs(first, last);
        let ends = (x_axis.low, x_axis.high);
        let (plot, legend) = area.split_vertically(PANEL.1 - LEGEND);
        let mut chart = ChartBuilder::on(&plot)
            .margin(14)
            .margin_bottom(0)
            .caption(name, ("sans-serif", 16).into_font().color(&INK))
            .x_label_area_size(36)
            .y_label_area_size(LEFT)
            .build_cartesian_2d(x_axis, y_axis)?;
        chart
            .configure_mesh()
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(INK)
            .label_style(("sans-serif", 12).into_font().color(&INK))
            .x_desc("epoch")
            .axis_desc_style(("sans-serif", 13).into_font().color(&INK))
            .draw()?;
        let radius = if training.len() > 40 { 2 } else { 4 };
        chart.draw_series(LineSeries::new(training.iter().copied(), TRAINING.mix(0.45).stroke_width(1)))?;
        chart.draw_series(training.iter().map(|&point| Circle::new(point, radius, TRAINING.filled())))?;
        if let [point] = validation[..] {
            // A line needs two points.
            chart.draw_series([Circle::new(point, radius, VALIDATION.filled())])?;
        }
        chart.draw_series(LineSeries::new(validation.iter().copied(), VALIDATION.stroke_width(2)))?;
        if let Some(value) = test {
            let line = [(ends.0, value), (ends.1, value)];
            chart.draw_series(DashedLineSeries::new(line, 6, 4, TEST.stroke_width(2)))?;
        }
        draw_legend(&legend, !validation.is_empty(), test)
    }
}

/// A row below the panel, where it covers no curve.
fn draw_legend<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    has_validation: bool,
    test: Option<f64>,
) -> std::result::Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    const MIDDLE: i32 = LEGEND as i32 / 2;
    let style = TextStyle::from(("sans-serif", 12)).color(&INK).pos(Pos::new(HPos::Left, VPos::Center));
    let line =
        |from: i32, to: i32, colour: RGBColor| PathElement::new([(from, MIDDLE), (to, MIDDLE)], colour.stroke_width(2));
    let mut x = LEFT as i32 + 20;
    area.draw(&Circle::new((x + 10, MIDDLE), 4, TRAINING.filled()))?;
    area.draw_text("training", &style, (x + 26, MIDDLE))?;
    x += 100;
    if has_validation {
        area.draw(&line(x, x + 20, VALIDATION))?;
        area.draw_text("validation", &style, (x + 26, MIDDLE))?;
        x += 110;
    }
    if let Some(value) = test {
        area.draw(&line(x, x + 8, TEST))?;
        area.draw(&line(x + 12, x + 20, TEST))?;
        area.draw_text(&format!("test {value:.4}"), &style, (x + 26, MIDDLE))?;
    }
    Ok(())
}

/// Drawing a history in one call.
pub trait PlotHistory {
    /// Writes the curves as SVG.
    ///
    /// # Errors
    /// As [`Curves::write_svg`].
    fn plot(&self, path: impl AsRef<Path>) -> Result<()>;
}

impl PlotHistory for History {
    fn plot(&self, path: impl AsRef<Path>) -> Result<()> {
        Curves::new(self).write_svg(path)
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
