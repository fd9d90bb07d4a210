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
            eprintln!("{} {step}/{} {values}  {speed}  {left:.0} s left", self.title, self.steps);
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

/// `154 images/s  0.4 % waiting for data`.
fn speed(rate: f64, wait_share: f64) -> String {
    format!("{rate:.0} images/s  {:.1} % waiting for data", 100.0 * wait_share)
}

/// `loss 0.0423  accuracy 0.9871`.
pub(crate) fn describe(values: &[(String, f64)]) -> String {
    values.iter().map(|(name, value)| format!("{name} {value:.4}")).collect::<Vec<_>>().join("  ")
}
