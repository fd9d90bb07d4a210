//! `striate bench`: speed on fixed workloads.

mod augment;
mod conv_micro;
mod filters;
mod mnist;
mod networks;
mod photographs;

use crate::arguments::{BenchArguments, Workload};
use crate::output::Output;
use crate::process::{peak_rss_bytes, since_start};
use crate::profile;
use clap::ValueEnum;
use photographs::Trained;
use serde_json::{Map, Value, json};
use std::process::ExitCode;
use std::time::Instant;
use striate::data::Filter;
use striate::prelude::{Tensor, device};
use striate::tensor::{Key, Shape};
use striate::{Error, Result};

/// Runs the command.
pub fn run(arguments: &BenchArguments, output: &Output) -> Result<ExitCode> {
    let workloads = if arguments.workloads.is_empty() { Workload::value_variants() } else { &arguments.workloads[..] };
    let info = device()?.info();
    output.text(format!("{} — {} kernels, {} threads", info.hardware, info.isa, info.threads));
    output.text(format!("{:<34} {:>12} {:>12}  {}", "workload", "median", "best", "unit"));
    let profile = arguments.why.then(profile::start).transpose()?;
    for workload in workloads {
        match workload {
            Workload::MnistTrain => mnist::train(arguments.repeat, output)?,
            Workload::MnistInfer => mnist::infer(arguments.repeat, output)?,
            Workload::MnistLatency => mnist::latency(arguments.repeat, output)?,
            Workload::CatsdogsTrain => photographs::cats_dogs(arguments.repeat, output)?,
            Workload::Vgg16Features => photographs::features(arguments.repeat, output)?,
            Workload::Vgg16Top1 => photographs::classify(1, arguments.repeat, output)?,
            Workload::Vgg16Top16 => photographs::classify(16, arguments.repeat, output)?,
            Workload::Vgg16FrozenTrain => photographs::transfer(Trained::Head, arguments.repeat, output)?,
            Workload::Vgg16Finetune => photographs::transfer(Trained::BlockFive, arguments.repeat, output)?,
            Workload::Vgg16FullTrain => photographs::transfer(Trained::All, arguments.repeat, output)?,
            Workload::FilterPattern => filters::pattern(arguments.repeat, output)?,
            Workload::FilterGrid => filters::grid(arguments.repeat, output)?,
            Workload::ConvMicro => {
                conv_micro::run(arguments.layer.as_deref().unwrap_or_default(), arguments.repeat, output)?
            }
            Workload::Augment => photographs_changed("augment", Filter::Nearest, arguments, output)?,
            Workload::AugmentSmooth => photographs_changed("augment_smooth", Filter::Bilinear, arguments, output)?,
        }
        if let Some(profile) = &profile {
            eprintln!("{}\n", profile.take_table());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The workloads that need a folder of photographs.
fn photographs_changed(name: &'static str, filter: Filter, arguments: &BenchArguments, output: &Output) -> Result<()> {
    match &arguments.data {
        Some(folder) => augment::run(name, filter, folder, arguments.repeat, output)?,
        None if arguments.workloads.is_empty() => output.text(format!("{name}: left out, it needs --data")),
        None => {
            let hint = "give a folder that has one of pictures for each class";
            return Err(Error::argument(name, "--data must be given", "none", hint));
        }
    }
    Ok(())
}

/// What a workload's figure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// Work divided by time: larger is better.
    Rate(&'static str),
    /// Time: smaller is better.
    Milliseconds,
    /// Time: smaller is better.
    Seconds,
}

/// What is measured.
struct Subject {
    name: &'static str,
    /// Further keys of the JSON line; texts among them are shown too.
    extra: Map<String, Value>,
    unit: Unit,
    /// Units of work in a repetition.
    work: f64,
}

impl Subject {
    fn new(name: &'static str, unit: Unit, work: f64) -> Self {
        Subject { name, extra: Map::new(), unit, work }
    }

    /// Notes that the first step is done: how long the program took to get there.
    fn first_step_done(&mut self) {
        self.extra.insert("first_step_s".into(), json!(since_start()));
    }
}

/// Times a repetition, once to warm up and then `repeat` times, and prints a line.
fn measure(subject: Subject, repeat: usize, output: &Output, mut call: impl FnMut() -> Result<()>) -> Result<()> {
    let Subject { name, extra, unit, work } = subject;
    call()?;
    let mut values = Vec::with_capacity(repeat);
    for _ in 0..repeat {
        let start = Instant::now();
        call()?;
        let seconds = start.elapsed().as_secs_f64();
        values.push(match unit {
            Unit::Rate(_) => work / seconds,
            Unit::Milliseconds => 1e3 * seconds / work,
            Unit::Seconds => seconds / work,
        });
    }
    values.sort_by(f64::total_cmp);
    let median = (values[(repeat - 1) / 2] + values[repeat / 2]) / 2.0;
    let (best, unit_name) = match unit {
        Unit::Rate(name) => (values[repeat - 1], name),
        Unit::Milliseconds => (values[0], "ms"),
        Unit::Seconds => (values[0], "s"),
    };
    let info = device()?.info();
    let mut object = json!({
        "workload": name,
        "unit": unit_name,
        "median": median,
        "best": best,
        "repeats": repeat,
        "threads": info.threads,
        "isa": info.isa,
        "peak_rss_bytes": peak_rss_bytes(),
    });
    let detail: Vec<String> = extra.values().filter_map(Value::as_str).map(str::to_string).collect();
    if let Some(object) = object.as_object_mut() {
        object.extend(extra);
    }
    output.object(&object);
    let title = format!("{name} {}", detail.join(" "));
    let digits = if median < 10.0 { 4 } else { 1 };
    output.text(format!("{title:<34} {median:>12.digits$} {best:>12.digits$}  {unit_name}"));
    Ok(())
}

/// Uniform numbers in 0..1.
fn random(shape: impl Into<Shape>, seed: u64) -> Result<Tensor> {
    let shape = shape.into();
    let mut stream = Key::new(seed).stream();
    Tensor::from_vec((0..shape.elements()).map(|_| stream.uniform() as f32).collect(), shape, &device()?)
}
