//! `--profile`: spans of the library turned into a table of layers and a Chrome trace.

use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use striate::cpu::{CpuOptions, Peak, measure_peak};
use striate::tensor::replace_file;
use striate::{Error, Result};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

/// Events kept for the trace file; the table counts all of them.
const MAX_EVENTS: usize = 200_000;

/// Spans of these names carry work of their own; the others group it.
const GROUPS: [&str; 2] = ["epoch", "step"];

#[derive(Debug)]
struct Event {
    name: String,
    layer: String,
    start: Duration,
    length: Duration,
    multiply_adds: u64,
}

#[derive(Debug, Default, Clone)]
struct Total {
    calls: u64,
    time: Duration,
    multiply_adds: u64,
    bytes: u64,
    algorithm: String,
}

#[derive(Debug, Default)]
struct Records {
    totals: BTreeMap<(String, String), Total>,
    /// Layers in the order they were first seen.
    order: Vec<String>,
    events: Vec<Event>,
    dropped: u64,
}

/// What a span says about itself.
#[derive(Debug, Default)]
struct Facts {
    /// A layer's name.
    name: String,
    /// What a kernel computes.
    pass: String,
    algorithm: String,
    multiply_adds: u64,
    /// Read and written at least.
    bytes: u64,
    entered: Option<Instant>,
}

impl Visit for Facts {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "multiply_adds" => self.multiply_adds = value,
            "bytes" => self.bytes = value,
            _ => {}
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "name" => self.name = value.to_string(),
            "pass" => self.pass = value.to_string(),
            "algorithm" => self.algorithm = value.to_string(),
            _ => {}
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn std::fmt::Debug) {}
}

struct Collector {
    begin: Instant,
    records: Arc<Mutex<Records>>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Collector {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.is_span() && metadata.target().starts_with("striate")
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut facts = Facts::default();
            attributes.record(&mut facts);
            span.extensions_mut().insert(facts);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(facts) = span.extensions_mut().get_mut::<Facts>()
        {
            facts.entered = Some(Instant::now());
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if span.name() == "layer" {
            return;
        }
        let mut extensions = span.extensions_mut();
        let Some(facts) = extensions.get_mut::<Facts>() else { return };
        let Some(entered) = facts.entered.take() else { return };
        let (multiply_adds, bytes, algorithm) = (facts.multiply_adds, facts.bytes, facts.algorithm.clone());
        let name = if facts.pass.is_empty() { span.name().to_string() } else { facts.pass.clone() };
        drop(extensions);
        let length = entered.elapsed();
        let layer = span
            .scope()
            .skip(1)
            .find(|outer| outer.name() == "layer")
            .and_then(|outer| outer.extensions().get::<Facts>().map(|facts| facts.name.clone()))
            .unwrap_or_default();
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if !records.order.contains(&layer) {
            records.order.push(layer.clone());
        }
        let total = records.totals.entry((layer.clone(), name.clone())).or_default();
        total.calls += 1;
        total.time += length;
        total.multiply_adds += multiply_adds;
        total.bytes += bytes;
        total.algorithm = algorithm;
        if records.events.len() < MAX_EVENTS {
            records.events.push(Event { name, layer, start: entered - self.begin, length, multiply_adds });
        } else {
            records.dropped += 1;
        }
    }
}

/// A profile under way.
pub struct Profile {
    records: Arc<Mutex<Records>>,
    peak: Peak,
}

/// Measures the processor's peak and begins to collect.
pub fn start() -> Result<Profile> {
    let threads = striate::device()?.info().threads;
    let options = CpuOptions { threads: Some(threads), ..CpuOptions::default() };
    let peak = measure_peak(options)?;
    let records = Arc::new(Mutex::new(Records::default()));
    let collector = Collector { begin: Instant::now(), records: records.clone() };
    tracing::subscriber::set_global_default(Registry::default().with(collector))
        .map_err(|error| Error::argument("--profile", "one profile at a time", error.to_string(), ""))?;
    Ok(Profile { records, peak })
}

impl Profile {
    /// Writes the trace and gives the table.
    pub fn finish(self, trace: &Path) -> Result<String> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        write_trace(&records, trace)?;
        Ok(table(&records, &self.peak))
    }

    /// Gives the table of what was collected since the last call.
    pub fn take_table(&self) -> String {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let text = table(&records, &self.peak);
        *records = Records::default();
        text
    }
}

fn write_trace(records: &Records, path: &Path) -> Result<()> {
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let mut text = String::from("[\n");
    for (i, event) in records.events.iter().enumerate() {
        let object = json!({
            "name": if event.layer.is_empty() { event.name.clone() } else { format!("{} {}", event.layer, event.name) },
            "cat": event.name,
            "ph": "X",
            "ts": micros(event.start),
            "dur": micros(event.length),
            "pid": 1,
            "tid": 1,
            "args": { "multiply_adds": event.multiply_adds },
        });
        let _ = write!(text, "{}{object}", if i == 0 { "" } else { ",\n" });
    }
    text.push_str("\n]\n");
    replace_file(path, text.as_bytes())
}

/// A row for each layer and kernel: its time, its rates, and which limit of the machine it is nearer to.
fn table(records: &Records, peak: &Peak) -> String {
    let work = |name: &str| !GROUPS.contains(&name);
    let all: Duration = records.totals.iter().filter(|((_, name), _)| work(name)).map(|(_, total)| total.time).sum();
    let mut text = format!(
        "measured limits: {:.0} GFLOP/s in multiply-adds, {:.0} GB/s to memory, {} threads\n",
        peak.gflops, peak.triad_gb_s, peak.threads
    );
    let _ = writeln!(
        text,
        "{:<20} {:<22} {:<9} {:>7} {:>9} {:>7} {:>8} {:>7} {:>6}  limit",
        "layer", "kernel", "algorithm", "calls", "time ms", "share", "GFLOP/s", "of peak", "GB/s"
    );
    for layer in &records.order {
        let mut rows: Vec<(&str, &Total)> = records
            .totals
            .iter()
            .filter(|((known, name), _)| known == layer && work(name))
            .map(|((_, name), total)| (name.as_str(), total))
            .collect();
        rows.sort_by_key(|(_, total)| std::cmp::Reverse(total.time));
        for (name, total) in rows {
            let seconds = total.time.as_secs_f64().max(1e-12);
            let rate = 2.0 * total.multiply_adds as f64 / seconds / 1e9;
            let memory = total.bytes as f64 / seconds / 1e9;
            let (of_peak, of_memory) = (rate / peak.gflops, memory / peak.triad_gb_s);
            let shown = |known: bool, text: String| if known { text } else { String::new() };
            let limit = match (total.multiply_adds > 0, total.bytes > 0) {
                (true, _) if of_peak >= of_memory => "arithmetic",
                (_, true) => "memory",
                _ => "",
            };
            let _ = writeln!(
                text,
                "{:<20} {:<22} {:<9} {:>7} {:>9.1} {:>5.1} % {:>8} {:>7} {:>6}  {}",
                if layer.is_empty() { "(no layer)" } else { layer },
                name,
                total.algorithm,
                total.calls,
                1e3 * seconds,
                100.0 * seconds / all.as_secs_f64().max(1e-12),
                shown(total.multiply_adds > 0, format!("{rate:.1}")),
                shown(total.multiply_adds > 0, format!("{:.0} %", 100.0 * of_peak)),
                shown(total.bytes > 0, format!("{memory:.1}")),
                limit
            );
        }
    }
    if records.dropped > 0 {
        let _ =
            writeln!(text, "the trace holds the first {MAX_EVENTS} events; {} more are in the table", records.dropped);
    }
    text.push_str("Winograd's rates count the direct algorithm's operations, and may exceed the peak.");
    text
}
