//! `striate train`: a recipe from data to files.

use crate::arguments::{RecipeName, TrainArguments};
use crate::output::Output;
use crate::process::peak_rss_bytes;
use crate::profile;
use crate::recipes::{self, Hooks, Outcome, Settings, Test};
use crate::serve::Live;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use striate::formats::{ModelFile, save, weights_sha256};
use striate::tensor::replace_file;
use striate::train::callback::{Callback, CsvLog, Flow, Moment};
use striate::train::{EpochRecord, Progress};
use striate::viz::report::{self, Ending, Pins};
use striate::viz::{Curves, Subject};
use striate::zoo::Architecture;
use striate::{Error, Result};

/// The state of an unfinished run, in the output folder.
const CHECKPOINT: &str = "checkpoint.safetensors";
/// What is known of a finished run, in the output folder.
const FACTS: &str = "run.json";
/// Where the results of the run before go, and what they are.
const PREVIOUS: &str = "previous";
const RESULTS: [&str; 10] = [
    FACTS,
    "model.keras",
    "history.csv",
    "answers.csv",
    "report.html",
    "report",
    "curves.svg",
    "curves.png",
    "curves-smoothed.svg",
    "curves-smoothed.png",
];
/// How much of itself a smoothed curve keeps at each epoch, as in the lecture.
const SMOOTHING: f64 = 0.8;

/// Runs the command.
pub fn run(arguments: &TrainArguments, output: &Output) -> Result<ExitCode> {
    let start = Instant::now();
    let recipe = arguments.recipe.name();
    let folder = arguments.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(&recipe));
    check_options(arguments)?;
    prepare(&folder)?;
    let checkpoint = folder.join(CHECKPOINT);
    match Found::at(&folder, &checkpoint) {
        Found::Finished(epochs) if arguments.resume => {
            if let Some(more) = arguments.epochs.filter(|&wanted| wanted > epochs) {
                return Err(Error::argument(
                    "--resume",
                    format!(
                        "the run in {} has ended after {epochs} epochs: only one that was stopped goes on",
                        folder.display()
                    ),
                    format!("--epochs {more}"),
                    "train another run with --out, or go on from its network with --weights",
                ));
            }
            output.text(format!("{} holds a finished run of {epochs} epochs: nothing is left to do", folder.display()));
            return Ok(ExitCode::SUCCESS);
        }
        Found::Unfinished if !arguments.resume => {
            return Err(Error::argument(
                "train",
                format!("{} holds a run that was stopped", folder.display()),
                "no --resume",
                format!("go on with --resume, choose another folder with --out, or delete {}", checkpoint.display()),
            ));
        }
        Found::Nothing if arguments.resume => {
            eprintln!("note: {} holds no unfinished run; starting afresh", folder.display());
        }
        _ => {}
    }
    let profile = arguments.profile.then(profile::start).transpose()?;
    let settings = Settings {
        data: arguments.data.clone(),
        epochs: arguments.epochs,
        batch_size: arguments.batch_size,
        steps_per_epoch: arguments.steps_per_epoch,
        seed: arguments.seed,
        weights: arguments.weights.clone(),
        checkpoint: checkpoint.clone(),
        resume: arguments.resume,
        skip_bad: arguments.skip_bad,
        as_lecture: arguments.as_lecture,
        side: arguments.side,
        cosine: arguments.cosine,
        ema: arguments.ema,
        mirrored: arguments.mirrored,
        base: arguments.base.as_deref().map(Architecture::from_name).transpose()?,
        progress: Progress::Auto,
    };
    let live = arguments.live.start(&recipe, output)?;
    let command =
        command_line(std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()), arguments.seed);
    let (mut pins, mut begun) = (None, Ok(()));
    let mut hooks = Hooks {
        on_model: &mut |model| {
            output.text(format!("{}\n", model.summary()));
            // Only now: the weights that training starts from may have been among them.
            begun = set_aside(&folder, output)
                .and_then(|()| report::begin(&folder, &recipe, &command, env!("CARGO_PKG_VERSION"), model));
        },
        folder: &folder,
        pins: &mut pins,
        callbacks: vec![Box::new(Reporter { output }), Box::new(CsvLog::new(folder.join("history.csv")))],
    };
    hooks.callbacks.extend(live.as_ref().map(Live::callback));
    let outcome = match arguments.recipe {
        RecipeName::Mnist => recipes::mnist::run(&settings, hooks)?,
        RecipeName::MnistBest => recipes::mnist_best::run(&settings, hooks)?,
        RecipeName::CatsDogs => recipes::cats_dogs::run(&settings, hooks)?,
        RecipeName::CatsDogsAugmented => recipes::cats_dogs::run_augmented(&settings, hooks)?,
        RecipeName::CatsDogsBest => recipes::cats_dogs_best::run(&settings, hooks)?,
        RecipeName::CatsDogsFeatures => recipes::cats_dogs_features::run(&settings, hooks)?,
        RecipeName::CatsDogsFrozen => recipes::cats_dogs_frozen::run(&settings, hooks)?,
        RecipeName::CatsDogsFinetune => recipes::cats_dogs_finetune::run(&settings, hooks)?,
        RecipeName::Transfer => recipes::transfer::run(&settings, hooks)?,
    };
    begun?;
    let facts = write_results(&folder, &recipe, arguments, &outcome, pins.as_ref(), start)?;
    // The run is finished and its results are safe: nothing is left to go on from.
    match fs::remove_file(&checkpoint) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io(&checkpoint, "removing", error));
        }
        _ => {}
    }
    if let Some(profile) = profile {
        let trace = folder.join("trace.json");
        let table = profile.finish(&trace)?;
        eprintln!("{table}\nwrote {} (open it in chrome://tracing or ui.perfetto.dev)", trace.display());
    }
    if let Some(epoch) = outcome.kept {
        output.text(format!("kept: the weights of epoch {epoch}, whose val_loss is least"));
    }
    output.text(format!("test: {}", outcome.test.evaluation));
    output.text(format!(
        "wrote {0}/model.keras, report.html, history.csv, answers.csv, curves and run.json in {1:.1} s",
        folder.display(),
        start.elapsed().as_secs_f64()
    ));
    output.object(&facts);
    live.into_iter().for_each(|live| live.finish(&facts));
    Ok(ExitCode::SUCCESS)
}

/// Refuses options that the recipe does not heed, and sizes that cannot be.
fn check_options(arguments: &TrainArguments) -> Result<()> {
    let recipe = arguments.recipe;
    let frozen = recipe == RecipeName::CatsDogsFrozen;
    let finetune = recipe == RecipeName::CatsDogsFinetune;
    let vgg16 = frozen || finetune || recipe == RecipeName::CatsDogsFeatures;
    let digits = matches!(recipe, RecipeName::Mnist | RecipeName::MnistBest);
    let given = [
        ("--base", arguments.base.is_some(), recipe == RecipeName::Transfer, "transfer"),
        ("--as-lecture", arguments.as_lecture, vgg16, "cats-dogs-features, cats-dogs-frozen and cats-dogs-finetune"),
        ("--skip-bad", arguments.skip_bad, !digits, "recipes on photographs"),
        ("--side", arguments.side.is_some(), frozen, "cats-dogs-frozen"),
        ("--cosine", arguments.cosine, finetune, "cats-dogs-finetune"),
        ("--ema", arguments.ema.is_some(), finetune, "cats-dogs-finetune"),
        ("--mirrored", arguments.mirrored, finetune, "cats-dogs-finetune"),
    ];
    for (option, is_given, is_heeded, by) in given {
        if is_given && !is_heeded {
            return Err(Error::argument(option, format!("is an option of {by}"), recipe.name(), "leave it out"));
        }
    }
    if let Some(side) = arguments.side.filter(|side| !(32..=512).contains(side)) {
        return Err(Error::argument("--side", "must be 32 to 512 pixels", side.to_string(), ""));
    }
    match arguments.ema.filter(|share| !(0.0..1.0).contains(share)) {
        Some(share) => Err(Error::argument("--ema", "must be at least 0 and under 1", share.to_string(), "try 0.99")),
        None => Ok(()),
    }
}

/// What an output folder holds of an earlier run.
enum Found {
    Nothing,
    Unfinished,
    /// After so many epochs.
    Finished(usize),
}

impl Found {
    fn at(folder: &Path, checkpoint: &Path) -> Found {
        if checkpoint.exists() {
            return Found::Unfinished;
        }
        // What cannot be read, or another program left there, is no run of ours.
        let facts = fs::read_to_string(folder.join(FACTS)).ok();
        let facts = facts.and_then(|text| serde_json::from_str::<Value>(&text).ok());
        facts
            .and_then(|facts| facts["epochs"].as_u64())
            .map_or(Found::Nothing, |epochs| Found::Finished(epochs as usize))
    }
}

/// Moves the results of a finished run into a folder beside them: nothing is lost, and a run that is stopped leaves no mixture of two.
fn set_aside(folder: &Path, output: &Output) -> Result<()> {
    if !matches!(Found::at(folder, &folder.join(CHECKPOINT)), Found::Finished(_)) {
        return Ok(());
    }
    let aside = folder.join(PREVIOUS);
    match fs::remove_dir_all(&aside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io(&aside, "removing", error));
        }
        _ => fs::create_dir(&aside).map_err(|error| Error::io(&aside, "making", error))?,
    }
    for name in RESULTS {
        let (from, to) = (folder.join(name), aside.join(name));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io(&from, "moving", error));
            }
            _ => {}
        }
    }
    output.text(format!("note: the results of the run before are in {}", aside.display()));
    Ok(())
}

/// Makes the folder, and fails before training rather than after it if nothing can be written there.
fn prepare(folder: &Path) -> Result<()> {
    if let Some(file) = folder.ancestors().find(|above| above.exists() && !above.is_dir()) {
        return Err(Error::argument(
            folder.display().to_string(),
            "the output folder must be a folder",
            format!("{} is a file", file.display()),
            "choose another folder with --out",
        ));
    }
    fs::create_dir_all(folder).map_err(|error| Error::io(folder, "making the output folder", error))?;
    let probe = folder.join(format!(".writable.{}", std::process::id()));
    replace_file(&probe, b"")?;
    fs::remove_file(&probe).map_err(|error| Error::io(&probe, "removing", error))
}

/// Writes every result; gives what run.json holds.
fn write_results(
    folder: &Path,
    recipe: &str,
    arguments: &TrainArguments,
    outcome: &Outcome,
    pins: Option<&Pins>,
    start: Instant,
) -> Result<Value> {
    let Outcome {
        model, class_names, preprocessing, history, test: Test { evaluation: test, answers, pictures }, ..
    } = outcome;
    let file =
        ModelFile { model: model.clone(), class_names: class_names.clone(), preprocessing: preprocessing.clone() };
    save(&file, folder.join("model.keras"))?;
    history.write_csv(folder.join("history.csv"))?;
    let title = format!("{recipe}: test accuracy {:.2} %", 100.0 * test.get("accuracy").unwrap_or(f64::NAN));
    draw(&Curves::new(history).title(&title).test(&test.values), folder, "curves")?;
    let smoothed = history.smoothed(SMOOTHING);
    let title = format!("{title}, smoothed");
    draw(&Curves::new(&smoothed).title(title).test(&test.values), folder, "curves-smoothed")?;
    let subject = Subject::of_file(file)?;
    report::end(folder, &Ending { subject: &subject, pins, pictures: pictures.as_ref(), answers, test })?;
    // The epoch whose weights the model has.
    let kept = outcome.kept.unwrap_or(history.epochs.len());
    let of_kept =
        |name: &str| history.epochs.iter().find(|epoch| epoch.epoch == kept).and_then(|epoch| epoch.get(name));
    let seconds: f64 = history.epochs.iter().map(|epoch| epoch.seconds).sum();
    let weighted = |of: fn(&EpochRecord) -> f64| -> f64 {
        history.epochs.iter().map(|epoch| epoch.seconds * of(epoch)).sum::<f64>() / seconds.max(1e-9)
    };
    let (device, info) = (model.device(), model.device().info());
    let mut facts = json!({
        "recipe": recipe,
        "seed": arguments.seed,
        "epochs": history.epochs.len(),
        "train_loss": of_kept("loss"),
        "train_accuracy": of_kept("accuracy"),
        "val_loss": of_kept("val_loss"),
        "val_accuracy": of_kept("val_accuracy"),
        "test_loss": test.get("loss"),
        "test_accuracy": test.get("accuracy"),
        "images_per_second": weighted(|epoch| epoch.images_per_second),
        "data_wait_share": weighted(|epoch| epoch.data_wait_share),
        "wall_s": start.elapsed().as_secs_f64(),
        "peak_rss_bytes": peak_rss_bytes(),
        "peak_tensor_bytes": device.memory().peak,
        "threads": info.threads,
        "isa": info.isa,
        "device": device.name(),
        "weights_sha256": weights_sha256(model)?,
    });
    if outcome.kept.is_some() {
        facts["kept_epoch"] = json!(kept);
    }
    replace_file(folder.join(FACTS), format!("{facts:#}\n").as_bytes())?;
    report::write_report(folder)?;
    Ok(facts)
}

/// The curves as SVG and as PNG.
fn draw(curves: &Curves<'_>, folder: &Path, name: &str) -> Result<()> {
    curves.write_svg(folder.join(name).with_extension("svg"))?;
    curves.write_png(folder.join(name).with_extension("png"))
}

/// The command that repeats the run from its beginning: what was asked for, without what only looks on, and with the seed.
fn command_line(arguments: impl Iterator<Item = String>, seed: u64) -> String {
    const LOOKS_ON: [&str; 4] = ["--resume", "--live", "--json", "--profile"];
    let mut words = vec!["striate".to_string()];
    let mut arguments = arguments.peekable();
    let mut has_seed = false;
    while let Some(word) = arguments.next() {
        if word == "--live-port" {
            arguments.next();
        } else if !LOOKS_ON.contains(&word.as_str()) && !word.starts_with("--live-port=") {
            has_seed |= word == "--seed" || word.starts_with("--seed=");
            words.push(quoted(&word));
        }
    }
    if !has_seed {
        words.push(format!("--seed {seed}"));
    }
    words.join(" ")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,+@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_string()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Prints each epoch for programs.
struct Reporter<'a> {
    output: &'a Output,
}

impl Callback for Reporter<'_> {
    fn on_epoch_end(&mut self, moment: &mut Moment<'_>) -> Result<Flow> {
        if let Some(record) = moment.history.epochs.last() {
            self.output.object(&epoch_object(record));
        }
        Ok(Flow::Continue)
    }
}

fn epoch_object(record: &EpochRecord) -> Value {
    let mut object = json!({ "epoch": record.epoch });
    for (name, value) in &record.values {
        object[name] = json!(value);
    }
    object["seconds"] = json!(record.seconds);
    object["images_per_second"] = json!(record.images_per_second);
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_repeats_a_run_is_what_was_asked_for() {
        let line = |words: &str| command_line(words.split(' ').map(str::to_string), 7);
        assert_eq!(
            line("train mnist --resume --live --live-port 80 --json --epochs 2"),
            "striate train mnist --epochs 2 --seed 7"
        );
        assert_eq!(line("train mnist --seed=3 --live-port=80"), "striate train mnist --seed=3");
        assert_eq!(quoted("a b's"), "'a b'\\''s'");
    }
}
