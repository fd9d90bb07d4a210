//! Progress for people: a bar on a terminal, lines elsewhere.

use crate::history::EpochRecord;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How `fit` and `evaluate` show progress, always on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Progress {
    /// A bar if standard error is a terminal, else lines.
    #[default]
    Auto,
    /// A bar for each epoch with loss, metrics, images/s and time left.
    Bar,
    /// One line when an epoch ends, and one every ten seconds within it.
    Lines,
    /// Nothing.
    Silent,
}

impl Progress {
    pub(crate) fn resolve(self) -> Progress {
        match self {
            Progress::Auto if std::io::stderr().is_terminal() => Progress::Bar,
            Progress::Auto => Progress::Lines,
            other => other,
        }
    }
}

/// The display of one pass over the data.
pub(crate) struct Display {
    title: String,
    steps: usize,
    samples: usize,
    waited: Duration,
    bar: Option<ProgressBar>,
    lines: bool,
    start: Instant,
    last_line: Instant,
    last_draw: Instant,
}

impl Display {
    pub(crate) fn new(progress: Progress, title: String, steps: usize) -> Display {
        let progress = progress.resolve();
        let bar = (progress == Progress::Bar).then(|| {
            let bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stderr_with_hz(10));
            let template = "{prefix} {bar:24.cyan/white.dim} {pos:>4}/{len} {msg} {eta:>4}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("━╸─"));
            }
            bar.set_prefix(title.clone());
            bar
        });
        let now = Instant::now();
        let lines = progress == Progress::Lines;
        Display {
            title,
            steps,
            samples: 0,
            waited: Duration::ZERO,
            bar,
            lines,
            start: now,
            last_line: now,
            last_draw: now,
        }
    }

    /// Notes a finished step and how long data was waited for so far; `values` is asked only when something is drawn.
    pub(crate) fn step(
        &mut self,
        step: usize,
        samples: usize,
        waited: Duration,
        values: impl FnOnce() -> Vec<(String, f64)>,
    ) {
        self.samples += samples;
        self.waited = waited;
        if let Some(bar) = &self.bar {
            if self.last_draw.elapsed() >= Duration::from_millis(100) || step == self.steps {
                self.last_draw = Instant::now();
                bar.set_message(format!("{}  {}", describe(&values()), self.speed()));
                bar.set_position(step as u64);
            }
        } else if self.lines && self.last_line.elapsed() >= Duration::from_secs(10) && step < self.steps {
            self.last_line = Instant::now();
            let left = self.start.elapsed().as_secs_f64() / step.max(1) as f64 * (self.steps - step) as f64;
            let (values, speed) = (describe(&values()), self.speed());
            eprintln!("{} {step}/{} {values}  {speed}  {}", self.title, self.steps, time_left(left));
        }
    }

    fn speed(&self) -> String {
        let seconds = self.start.elapsed().as_secs_f64().max(1e-9);
        speed(self.samples as f64 / seconds, self.waited.as_secs_f64() / seconds)
    }

    /// Ends the display with the pass's final values.
    pub(crate) fn finish(self, record: &EpochRecord) {
        let values = describe(&record.values);
        let speed = speed(record.images_per_second, record.data_wait_share);
        let line = format!("{} {values}  {speed}  {:.1} s", self.title, record.seconds);
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
            eprintln!("{line}");
        } else if self.lines {
            eprintln!("{line}");
        }
    }
}

/// `45 s left`, `12 min left`, `3 h 20 min left`, `5 days left`.
fn time_left(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round();
    let hours = (minutes / 60.0).floor();
    let days = (hours / 24.0).round();
    if seconds < 99.5 {
        format!("{seconds:.0} s left")
    } else if minutes < 90.0 {
        format!("{minutes:.0} min left")
    } else if hours < 48.0 {
        format!("{hours:.0} h {:.0} min left", minutes - 60.0 * hours)
    } else if days < 365.0 {
        format!("{days:.0} days left")
    } else {
        "more than a year left".into()
    }
}

/// `154 images/s  0.4 % waiting for data`.
fn speed(rate: f64, wait_share: f64) -> String {
    format!("{rate:.0} images/s  {:.1} % waiting for data", 100.0 * wait_share)
}

/// `loss 0.0423  accuracy 0.9871`.
pub(crate) fn describe(values: &[(String, f64)]) -> String {
    values.iter().map(|(name, value)| format!("{name} {value:.4}")).collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_told_as_people_do() {
        for (seconds, text) in [
            (0.4, "0 s left"),
            (45.2, "45 s left"),
            (99.4, "99 s left"),
            (100.0, "2 min left"),
            (720.0, "12 min left"),
            (5400.0, "1 h 30 min left"),
            (12_010.0, "3 h 20 min left"),
            (432_000.0, "5 days left"),
            (9e15, "more than a year left"),
            (f64::NAN, "more than a year left"),
        ] {
            assert_eq!(time_left(seconds), text);
        }
    }
}
