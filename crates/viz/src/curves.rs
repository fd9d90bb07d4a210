//! Loss and accuracy over the epochs.

use plotters::prelude::*;
use std::path::Path;
use striate_tensor::{Error, Result, replace_file};
use striate_train::History;

/// Okabe and Ito's colours, which colour-blind readers can tell apart.
const TRAINING: RGBColor = RGBColor(0, 114, 178);
const VALIDATION: RGBColor = RGBColor(213, 94, 0);
const TEST: RGBColor = RGBColor(0, 158, 115);
const INK: RGBColor = RGBColor(60, 60, 60);
const GRID: RGBColor = RGBColor(228, 228, 228);

/// A picture with a panel for each quantity: training as points, validation as a line, as in the lecture.
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
        let size = (460 * panels.len() as u32, 360);
        let area = SVGBackend::with_string(svg, size).into_drawing_area();
        area.fill(&WHITE).map_err(|e| text(&e))?;
        let area = if self.title.is_empty() {
            area
        } else {
            area.titled(&self.title, ("sans-serif", 18).into_font().color(&INK)).map_err(|e| text(&e))?
        };
        for (panel, name) in area.split_evenly((1, panels.len())).iter().zip(panels) {
            self.panel(panel, name).map_err(|e| text(&e))?;
        }
        area.present().map_err(|e| text(&e))
    }

    fn panel<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, plotters::coord::Shift>,
        name: &str,
    ) -> std::result::Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        let points = |key: &str| -> Vec<(f64, f64)> {
            let of = |epoch: &striate_train::EpochRecord| epoch.get(key).map(|value| (epoch.epoch as f64, value));
            self.history.epochs.iter().filter_map(of).filter(|(_, value)| value.is_finite()).collect()
        };
        let training = points(name);
        let validation = points(&format!("val_{name}"));
        let test = self.test.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
        let values = || training.iter().chain(&validation).map(|(_, value)| *value).chain(test);
        let (low, high) = values().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let margin = ((high - low) * 0.08).max(1e-3);
        let (low, high) = if low > high { (0.0, 1.0) } else { (low - margin, high + margin) };
        let epochs: Vec<f64> = self.history.epochs.iter().map(|epoch| epoch.epoch as f64).collect();
        let (first, last) = (epochs[0], epochs[epochs.len() - 1]);
        let mut chart = ChartBuilder::on(area)
            .margin(14)
            .caption(name, ("sans-serif", 16).into_font().color(&INK))
            .x_label_area_size(36)
            .y_label_area_size(52)
            .build_cartesian_2d(first - 0.3..last.max(first + 1.0) + 0.3, low..high)?;
        let decimals = if high - low < 0.05 { 3 } else { 2 };
        chart
            .configure_mesh()
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(INK)
            .label_style(("sans-serif", 12).into_font().color(&INK))
            .x_labels(epochs.len().clamp(2, 11))
            .x_label_formatter(&|x| if (x - x.round()).abs() < 1e-6 { format!("{x:.0}") } else { String::new() })
            .y_label_formatter(&|y| format!("{y:.decimals$}"))
            .x_desc("epoch")
            .axis_desc_style(("sans-serif", 13).into_font().color(&INK))
            .draw()?;
        let radius = if training.len() > 40 { 2 } else { 4 };
        let thin = TRAINING.mix(0.45).stroke_width(1);
        chart.draw_series(LineSeries::new(training.iter().copied(), thin))?;
        chart
            .draw_series(training.iter().map(|&point| Circle::new(point, radius, TRAINING.filled())))?
            .label("training")
            .legend(|(x, y)| Circle::new((x + 8, y), 4, TRAINING.filled()));
        if !validation.is_empty() {
            chart
                .draw_series(LineSeries::new(validation, VALIDATION.stroke_width(2)))?
                .label("validation")
                .legend(|(x, y)| PathElement::new([(x, y), (x + 16, y)], VALIDATION.stroke_width(2)));
        }
        if let Some(value) = test {
            let line = [(first - 0.3, value), (last.max(first + 1.0) + 0.3, value)];
            chart
                .draw_series(DashedLineSeries::new(line, 6, 4, TEST.stroke_width(2)))?
                .label(format!("test {value:.4}"))
                .legend(|(x, y)| PathElement::new([(x, y), (x + 16, y)], TEST.stroke_width(2)));
        }
        let rises = training.first().zip(training.last()).is_some_and(|(a, b)| b.1 > a.1);
        let corner = if rises { SeriesLabelPosition::LowerRight } else { SeriesLabelPosition::UpperRight };
        chart
            .configure_series_labels()
            .position(corner)
            .margin(12)
            .background_style(WHITE.mix(0.85))
            .border_style(GRID)
            .label_font(("sans-serif", 12).into_font().color(&INK))
            .draw()
    }
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
