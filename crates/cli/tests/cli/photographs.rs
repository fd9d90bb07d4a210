//! The recipes for photographs, on a few pictures that are drawn here: cats have stripes across, dogs along.

use crate::process::{fail, json_lines, read_json, stderr, stdout, striate, succeed};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A folder with train, validation and test, with `each` pictures of both classes in each.
pub fn pictures(each: u32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (part, shade) in [("train", 0), ("validation", 40), ("test", 80)] {
        for (class, across) in [("cats", true), ("dogs", false)] {
            let place = folder.path().join(part).join(class);
            fs::create_dir_all(&place).unwrap();
            for i in 0..each {
                let (width, height) = (40 + i, 30 + 2 * i);
                let picture = image::RgbImage::from_fn(width, height, |x, y| {
                    let bright = (if across { y } else { x } + i) / 5 % 2 == 0;
                    image::Rgb([if bright { 230 } else { 20 }, 100 + (i * 9) as u8, shade])
                });
                let ending = if i % 2 == 0 { "png" } else { "jpg" };
                picture.save(place.join(format!("{i:03}.{ending}"))).unwrap();
            }
        }
    }
    folder
}

fn train(recipe: &str, data: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = striate(["train", recipe, "--batch-size", "4", "--steps-per-epoch", "3", "--json", "--data"]);
    command.arg(data).arg("--out").arg(out).args(more);
    command
}

fn report(command: Command) -> Value {
    json_lines(&stdout(&succeed(command))).pop().unwrap()
}

#[test]
fn every_recipe_for_photographs_runs_from_folder_to_files() {
    let data = pictures(5);
    for (recipe, parameters) in
        [("cats-dogs", "3,453,121"), ("cats-dogs-augmented", "3,453,121"), ("cats-dogs-best", "Total params")]
    {
        let out = tempfile::tempdir().unwrap();
        let mut command = striate(["train", recipe, "--batch-size", "4", "--epochs", "2", "--threads", "2"]);
        command.arg("--data").arg(data.path()).arg("--out").arg(out.path()).args(["--steps-per-epoch", "3"]);
        let output = succeed(command);
        let text = stdout(&output);
        assert!(text.contains(parameters) && text.contains("test: 10 samples"), "{text}");
        let told = stderr(&output);
        assert!(told.contains("epoch 2/2") && told.contains("% waiting for data"), "{told}");
        for name in ["model.keras", "history.csv", "curves.svg", "curves-smoothed.svg", "run.json"] {
            assert!(out.path().join(name).exists(), "{name}");
        }
        let report = read_json(&out.path().join("run.json"));
        assert_eq!((report["recipe"].as_str(), report["epochs"].as_u64()), (Some(recipe), Some(2)));
        for key in ["train_loss", "train_accuracy", "val_loss", "val_accuracy", "test_loss", "test_accuracy"] {
            let value = report[key].as_f64().unwrap_or_else(|| panic!("{key} of {report}"));
            assert!(value >= 0.0 && (key.ends_with("loss") || value <= 1.0), "{key} of {report}");
        }
        let share = report["data_wait_share"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&share), "{report}");
        // The same weights with another number of threads.
        let again = tempfile::tempdir().unwrap();
        let alone = self::report(train(recipe, data.path(), again.path(), &["--epochs", "2", "--threads", "1"]));
        assert_eq!(alone["weights_sha256"], report["weights_sha256"], "{recipe}");
        assert_eq!(alone["test_loss"], report["test_loss"], "{recipe}");
    }
}

#[test]
fn the_best_network_for_digits_runs_from_files_to_files() {
    let out = tempfile::tempdir().unwrap();
    let mut command = striate(["train", "mnist-best", "--batch-size", "20", "--steps-per-epoch", "2", "--epochs", "1"]);
    command.args(["--json", "--out"]).arg(out.path());
    let report = report(command);
    assert_eq!(report["recipe"], "mnist-best");
    assert!(report["val_accuracy"].as_f64() > Some(0.0) && report["test_accuracy"].as_f64() > Some(0.0), "{report}");
}

#[test]
fn a_killed_run_is_resumed_to_the_same_weights() {
    let data = pictures(3);
    for recipe in ["cats-dogs-augmented", "cats-dogs-best"] {
        let [whole, killed] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let expected = report(train(recipe, data.path(), whole.path(), &["--epochs", "3"]));
        let checkpoint = killed.path().join("checkpoint.safetensors");
        let mut command = train(recipe, data.path(), killed.path(), &["--epochs", "3"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(json_lines(&line)[0]["epoch"], 1);
        let start = Instant::now();
        while !checkpoint.exists() && start.elapsed() < Duration::from_secs(10) {
            sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(checkpoint.exists() && !killed.path().join("run.json").exists());
        // Neither without a word over it, nor with other photographs of the same number.
        fail(train(recipe, data.path(), killed.path(), &[]), 1, &["holds a run that was stopped", "--resume", "--out"]);
        let other = pictures(3);
        let cats = other.path().join("train/cats");
        fs::rename(fs::read_dir(&cats).unwrap().next().unwrap().unwrap().path(), cats.join("another.png")).unwrap();
        let words = ["a run goes on with the data it began with", "other samples of the same number"];
        fail(train(recipe, other.path(), killed.path(), &["--epochs", "3", "--resume"]), 1, &words);
        let resumed = report(train(recipe, data.path(), killed.path(), &["--epochs", "3", "--resume"]));
        for key in ["weights_sha256", "epochs", "train_loss", "val_accuracy", "test_loss", "test_accuracy"] {
            assert_eq!(resumed[key], expected[key], "{key} of {recipe}");
        }
        assert!(!checkpoint.exists());
        // A finished run is not begun again by going on with it, and another run in its folder puts it aside.
        let model = fs::read(killed.path().join("model.keras")).unwrap();
        let output = succeed(train(recipe, data.path(), killed.path(), &["--epochs", "3", "--resume"]));
        assert!(!stdout(&output).contains("weights_sha256"));
        fail(train(recipe, data.path(), killed.path(), &["--epochs", "4", "--resume"]), 1, &["ended after 3 epochs"]);
        assert_eq!(fs::read(killed.path().join("model.keras")).unwrap(), model);
        report(train(recipe, data.path(), killed.path(), &["--epochs", "1"]));
        assert_eq!(fs::read(killed.path().join("previous/model.keras")).unwrap(), model);
        assert_ne!(fs::read(killed.path().join("model.keras")).unwrap(), model);
    }
}

#[test]
fn bad_files_are_named_or_left_out() {
    let data = pictures(3);
    let out = tempfile::tempdir().unwrap();
    let bad: PathBuf = data.path().join("train/cats/notes.jpg");
    fs::write(&bad, "this is no picture").unwrap();
    let run = |more: &[&str]| train("cats-dogs", data.path(), out.path(), &[&["--epochs", "1"][..], more].concat());
    let output = run(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("every picture must be readable; received 1 bad of 7 files"), "{text}");
    assert!(text.contains("notes.jpg") && text.contains("--skip-bad"), "{text}");
    let output = succeed(run(&["--skip-bad"]));
    let text = stderr(&output);
    assert!(text.contains("note: left out") && text.contains("notes.jpg"), "{text}");
}

#[test]
fn data_that_is_not_there_is_named() {
    let (data, out) = (pictures(2), tempfile::tempdir().unwrap());
    fs::remove_dir_all(data.path().join("validation")).unwrap();
    let words = ["validation", "the folders train, validation and test", "striate data download cats-dogs"];
    fail(train("cats-dogs", data.path(), out.path(), &[]), 1, &words);
    fs::remove_dir_all(data.path().join("train/dogs")).unwrap();
    fail(train("cats-dogs-best", data.path(), out.path(), &[]), 1, &["at least two classes", "only cats"]);
    fail(train("cats-dogs", Path::new("/nowhere"), out.path(), &[]), 1, &["/nowhere", "no such folder"]);
}

/// One short epoch on the real photographs, where they are.
#[test]
fn real_photographs_are_learnt_from() {
    let Some(data) = std::env::var_os("STRIATE_DATA").map(PathBuf::from) else {
        eprintln!("skipped: STRIATE_DATA is not set");
        return;
    };
    let out = tempfile::tempdir().unwrap();
    let mut command = striate(["train", "cats-dogs-augmented", "--steps-per-epoch", "5", "--epochs", "1", "--json"]);
    command.arg("--data").arg(&data).arg("--out").arg(out.path());
    let report = report(command);
    // An untrained network knows log 2; five small steps change little.
    let near = |key: &str| report[key].as_f64().is_some_and(|loss| (loss - 2f64.ln()).abs() < 0.1);
    assert!(near("train_loss") && near("val_loss") && near("test_loss"), "{report}");
    assert!(report["peak_rss_bytes"].as_u64() < Some(500_000_000), "{report}");
}
