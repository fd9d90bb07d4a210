//! A training run, watched from a page while it goes on.

use super::http::{Refusal, Request, Response};
use super::page;
use super::server::{Answer, Server};
use crate::output::Output;
use clap::Args;
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use striate::Result;
use striate::train::EpochRecord;
use striate::train::callback::{Callback, Flow, Moment, StepEnd};

/// Points of the curves within epochs; when there are more, neighbours are joined.
const MOST_POINTS: usize = 1000;
/// How often metrics are asked for.
const BETWEEN: Duration = Duration::from_millis(100);
/// How long a run that is over waits for an open page to see its end.
const FAREWELL: Duration = Duration::from_secs(3);
/// A page that asked so long ago is taken for closed.
const OPEN: Duration = Duration::from_secs(4);

/// `--live` and where its page is.
#[derive(Debug, Args)]
pub struct LiveArguments {
    /// Show the run on a page of this machine while it goes on; what the page shows then stays in the browser.
    #[arg(long)]
    pub live: bool,
    /// The port of that page; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 0, requires = "live")]
    pub live_port: u16,
}

impl LiveArguments {
    /// Serves the page of a run, if it is wanted, and tells its address on standard error.
    ///
    /// # Errors
    /// As [`Server::bind`].
    pub fn start(&self, recipe: &str, output: &Output) -> Result<Option<Live>> {
        if !self.live {
            return Ok(None);
        }
        let server = Server::bind("127.0.0.1", self.live_port)?;
        let url = server.url();
        let state = State { recipe: recipe.to_string(), phase: "preparing", ..State::default() };
        let live = Live { state: Arc::new(Mutex::new(state)) };
        let answer = Arc::new(Page { state: live.state.clone() });
        // The thread ends with the program.
        let spawned = std::thread::Builder::new().name("live page".into()).spawn(move || server.run(answer));
        spawned.map_err(|error| striate::Error::io("live page", "starting a thread", error))?;
        eprintln!("live: {url}");
        output.object(&json!({ "event": "live", "url": url }));
        Ok(Some(live))
    }
}

/// The run as its page shows it.
pub struct Live {
    state: Arc<Mutex<State>>,
}

impl Live {
    /// What looks on while the model trains.
    pub fn callback(&self) -> Box<dyn Callback> {
        Box::new(Watcher { state: self.state.clone(), last: None, losses: (0.0, 0), speed: Speed::default() })
    }

    /// The run is over: shows its report, and gives a page that is open the time to fetch it.
    pub fn finish(self, report: &Value) {
        let mut state = lock(&self.state);
        state.phase = "done";
        state.report = report.clone();
        state.version += 1;
        let version = state.version;
        drop(state);
        let end = Instant::now() + FAREWELL;
        loop {
            let state = lock(&self.state);
            let is_open = state.asked.is_some_and(|asked| asked.elapsed() < OPEN);
            if !is_open || state.told >= version || Instant::now() >= end {
                break;
            }
            drop(state);
            std::thread::sleep(Duration::from_millis(20));
        }
        // What was told last is still on its way.
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What the callback writes and the page reads.
#[derive(Default)]
struct State {
    recipe: String,
    /// `preparing`, `training`, `validating`, `testing`, `done`.
    phase: &'static str,
    epoch: usize,
    epochs: usize,
    step: usize,
    steps: usize,
    images_per_second: f64,
    seconds_left: Option<f64>,
    elapsed: f64,
    values: Map<String, Value>,
    /// Position in epochs, then the means over the last steps of the batch's loss and of the other values.
    points: Vec<Point>,
    epochs_done: Vec<Value>,
    report: Value,
    /// Counts changes.
    version: u64,
    /// The last version that a page was given.
    told: u64,
    asked: Option<Instant>,
}

/// The curves between epochs: where, the batch losses' mean, how many steps it is of.
#[derive(Clone, Copy)]
struct Point {
    at: f64,
    loss: f64,
    steps: usize,
}

impl State {
    fn add(&mut self, point: Point) {
        self.points.push(point);
        if self.points.len() > MOST_POINTS {
            let joined = self.points.chunks(2).map(|pair| {
                let steps: usize = pair.iter().map(|point| point.steps).sum();
                let loss = pair.iter().map(|point| point.loss * point.steps as f64).sum::<f64>() / steps.max(1) as f64;
                Point { at: pair[pair.len() - 1].at, loss, steps }
            });
            self.points = joined.collect();
        }
    }

    fn to_json(&self) -> Value {
        let rounded = |value: f64| (value * 1e5).round() / 1e5;
        json!({
            "version": self.version,
            "recipe": self.recipe,
            "phase": self.phase,
            "epoch": self.epoch,
            "epochs": self.epochs,
            "step": self.step,
            "steps": self.steps,
            "images_per_second": self.images_per_second,
            "seconds_left": self.seconds_left,
            "elapsed": self.elapsed,
            "values": self.values,
            "points": self.points.iter().map(|point| json!([rounded(point.at), rounded(point.loss)])).collect::<Vec<_>>(),
            "history": self.epochs_done,
            "report": self.report,
        })
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Steps and samples since the run began here.
#[derive(Default)]
struct Speed {
    start: Option<Instant>,
    epoch_start: Option<Instant>,
    epoch_samples: usize,
    steps: usize,
}

/// Writes the state.
struct Watcher {
    state: Arc<Mutex<State>>,
    last: Option<Instant>,
    /// The batch losses since the last point, and how many.
    losses: (f64, usize),
    speed: Speed,
}

impl Callback for Watcher {
    fn on_train_begin(&mut self, moment: &mut Moment<'_>) -> Result<()> {
        self.speed.start = Some(Instant::now());
        let mut state = lock(&self.state);
        state.phase = "training";
        // A run that goes on from a checkpoint shows what came before.
        state.epochs_done = moment.history.epochs.iter().map(epoch_json).collect();
        state.version += 1;
        Ok(())
    }

    fn on_step_end(&mut self, end: &StepEnd<'_>) -> Result<()> {
        let now = Instant::now();
        let speed = &mut self.speed;
        if end.step == 1 {
            // The first step's own time is not known.
            (speed.epoch_start, speed.epoch_samples) = (Some(now), 0);
        } else {
            speed.epoch_samples += end.samples;
        }
        speed.steps += 1;
        self.losses = (self.losses.0 + end.loss, self.losses.1 + 1);
        let is_due = self.last.is_none_or(|last| now.duration_since(last) >= BETWEEN);
        if !is_due && end.step != end.steps {
            return Ok(());
        }
        self.last = Some(now);
        let since = |start: Option<Instant>| start.map_or(0.0, |start| now.duration_since(start).as_secs_f64());
        let elapsed = since(speed.start);
        let steps_left = (end.steps - end.step) + end.steps * end.epochs.saturating_sub(end.epoch);
        let (sum, count) = std::mem::take(&mut self.losses);
        let values = (end.values)();
        let mut state = lock(&self.state);
        state.phase = if end.step == end.steps { "validating" } else { "training" };
        (state.epoch, state.epochs, state.step, state.steps) = (end.epoch, end.epochs, end.step, end.steps);
        if speed.epoch_samples > 0 {
            state.images_per_second = speed.epoch_samples as f64 / since(speed.epoch_start).max(1e-9);
        }
        state.seconds_left = Some(elapsed / speed.steps as f64 * steps_left as f64);
        state.elapsed = elapsed;
        state.values = values.into_iter().map(|(name, value)| (name, json!(value))).collect();
        let at = (end.epoch - 1) as f64 + end.step as f64 / end.steps.max(1) as f64;
        state.add(Point { at, loss: sum / count.max(1) as f64, steps: count });
        state.version += 1;
        Ok(())
    }

    fn on_epoch_end(&mut self, moment: &mut Moment<'_>) -> Result<Flow> {
        let mut state = lock(&self.state);
        state.epochs_done.extend(moment.history.epochs.last().map(epoch_json));
        state.phase = "training";
        state.version += 1;
        Ok(Flow::Continue)
    }

    fn on_train_end(&mut self, _moment: &mut Moment<'_>) -> Result<()> {
        let mut state = lock(&self.state);
        state.phase = "testing";
        state.seconds_left = None;
        state.version += 1;
        Ok(())
    }
}

fn epoch_json(record: &EpochRecord) -> Value {
    let mut object =
        json!({ "epoch": record.epoch, "seconds": record.seconds, "images_per_second": record.images_per_second });
    for (name, value) in &record.values {
        object[name] = json!(value);
    }
    object
}

/// Answers the page.
struct Page {
    state: Arc<Mutex<State>>,
}

impl Answer for Page {
    fn answer(&self, request: &Request) -> Result<Response, Refusal> {
        if (request.method.as_str(), request.path.as_str()) != ("GET", "/api/run") {
            return page::file(request, page::LIVE);
        }
        let known = request.value("version").and_then(|text| text.parse().ok());
        let mut state = lock(&self.state);
        state.asked = Some(Instant::now());
        state.told = state.version;
        if known == Some(state.version) {
            return Ok(Response::json(&json!({ "version": state.version })));
        }
        Ok(Response::json(&state.to_json()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_keep_their_ends_and_mean_however_long_the_run() {
        let mut state = State::default();
        for i in 1..=10_000 {
            state.add(Point { at: f64::from(i), loss: f64::from(i % 2), steps: 1 });
        }
        assert!(state.points.len() <= MOST_POINTS && state.points.len() > MOST_POINTS / 4);
        assert_eq!(state.points.last().map(|point| point.at), Some(10_000.0));
        let steps: usize = state.points.iter().map(|point| point.steps).sum();
        let mean = state.points.iter().map(|point| point.loss * point.steps as f64).sum::<f64>() / steps as f64;
        assert!(steps == 10_000 && (mean - 0.5).abs() < 1e-9, "{steps} {mean}");
    }
}
