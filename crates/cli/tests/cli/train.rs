//! `striate train`.

use crate::process::{RUN, json_lines, read_json, stderr, stdout, succeed, training};
use std::fs;

/// What scripts rely on, in this order.
const KEYS: [&str; 18] = [
    "recipe",
    "seed",
    "epochs",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "test_loss",
    "test_accuracy",
    "images_per_second",
    "data_wait_share",
    "wall_s",
    "peak_rss_bytes",
    "peak_tensor_bytes",
    "threads",
    "isa",
    "device",
    "weights_sha256",
];

#[test]
fn json_output_is_an_object_a_line_and_ends_with_run_json() {
    let lines = json_lines(&RUN.stdout);
    let (report, epochs) = lines.split_last().unwrap();
    assert_eq!(*report, RUN.report());
    assert_eq!(report.as_object().unwrap().keys().collect::<Vec<_>>(), KEYS);
    assert_eq!(epochs.len(), 2);
    for (i, epoch) in epochs.iter().enumerate() {
        let keys = ["epoch", "loss", "accuracy", "seconds", "images_per_second"];
        assert_eq!(epoch.as_object().unwrap().keys().collect::<Vec<_>>(), keys);
        assert_eq!(epoch["epoch"], i + 1);
    }
    let number = |key: &str| report[key].as_f64().unwrap_or_else(|| panic!("{key} of {report}"));
    assert_eq!((report["recipe"].as_str(), number("seed"), number("epochs")), (Some("mnist"), 0.0, 2.0));
    assert_eq!(
        (number("train_loss"), number("train_accuracy")),
        (epochs[1]["loss"].as_f64().unwrap(), epochs[1]["accuracy"].as_f64().unwrap())
    );
    assert!(report["val_loss"].is_null() && report["val_accuracy"].is_null());
    assert!(number("test_accuracy") > 0.75 && number("test_loss") < 1.0, "{report}");
    assert!(number("images_per_second") > 0.0 && number("wall_s") > 0.0);
    // The pixels of 70,000 digits are 55 MB; the tensors of a step are some.
    assert!(number("peak_rss_bytes") > 55e6 && number("peak_tensor_bytes") > 1e6, "{report}");
    assert_eq!((number("threads"), report["device"].as_str()), (2.0, Some("cpu")));
    assert!(["avx512", "avx2", "portable"].contains(&report["isa"].as_str().unwrap()), "{report}");
    let digest = report["weights_sha256"].as_str().unwrap();
    assert!(digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()), "{digest}");
}

#[test]
fn the_folder_holds_the_results_and_nothing_half_done() {
    let names: Vec<String> =
        fs::read_dir(&RUN.folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    for name in [
        "model.keras",
        "history.csv",
        "curves.svg",
        "curves.png",
        "curves-smoothed.svg",
        "answers.csv",
        "report.html",
        "run.json",
    ] {
        assert!(names.iter().any(|found| found == name), "{name} is not in {names:?}");
    }
    let left = |name: &&String| name.starts_with("checkpoint") || name.starts_with('.') || name.ends_with(".tmp");
    assert_eq!(names.iter().find(left), None);
    let history = fs::read_to_string(RUN.folder.join("history.csv")).unwrap();
    let lines: Vec<&str> = history.lines().collect();
    assert_eq!((lines.len(), lines[0]), (3, "epoch,loss,accuracy,seconds,images_per_second"));
    assert!(lines[1].starts_with("1,") && lines[2].starts_with("2,"), "{history}");
    let curves = fs::read_to_string(RUN.folder.join("curves.svg")).unwrap();
    assert!(curves.starts_with("<svg") && curves.contains("accuracy"));
}

#[test]
fn one_thread_gives_the_same_weights_and_a_profile_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let output = succeed(training(folder.path(), &["--threads", "1", "--profile"]));
    let report = read_json(&folder.path().join("run.json"));
    assert_eq!(report["weights_sha256"], RUN.report()["weights_sha256"]);
    for key in ["train_loss", "train_accuracy", "test_loss", "test_accuracy"] {
        assert_eq!(report[key], RUN.report()[key], "{key}");
    }
    assert_eq!(report["threads"], 1);
    // For people there is the table of layers, and what the test digits say.
    let text = stdout(&output);
    assert!(text.contains("93,322") && text.contains("test: 10000 samples"), "{text}");
    assert!(text.contains("model.keras"), "{text}");
    let told = stderr(&output);
    assert!(told.contains("epoch 1/2 loss") && told.contains("epoch 2/2 loss"), "{told}");
    assert!(told.contains("GFLOP/s") && told.contains("conv2d_1"), "{told}");
    let trace = read_json(&folder.path().join("trace.json"));
    let events = trace.as_array().unwrap();
    assert!(events.len() > 1000, "{} events", events.len());
    for event in events {
        assert!(event["name"].is_string() && event["ph"] == "X", "{event}");
        assert!(event["ts"].as_f64() >= Some(0.0) && event["dur"].as_f64() >= Some(0.0), "{event}");
    }
    let work = |event: &serde_json::Value| event["args"]["multiply_adds"].as_u64() > Some(0);
    assert!(events.iter().any(work), "no event tells its multiply-adds");
}

#[test]
fn another_seed_gives_other_weights_and_a_run_can_start_from_weights() {
    let folder = tempfile::tempdir().unwrap();
    let model = RUN.model();
    let more = ["--seed", "1", "--epochs", "1", "--steps-per-epoch", "3", "--json", "--weights"];
    let mut command = crate::process::striate(["train", "mnist", "--batch-size", "8", "--out"]);
    command.arg(folder.path()).args(more).arg(&model);
    let lines = json_lines(&stdout(&succeed(command)));
    let report = lines.last().unwrap();
    assert_eq!(report["seed"], 1);
    assert_ne!(report["weights_sha256"], RUN.report()["weights_sha256"]);
    // Three small steps do not undo what the weights know.
    assert!(report["train_loss"].as_f64() < Some(1.5), "{report}");

    let other = tempfile::tempdir().unwrap();
    let lines = json_lines(&stdout(&succeed(training(other.path(), &["--seed", "1", "--json"]))));
    assert_ne!(lines.last().unwrap()["weights_sha256"], RUN.report()["weights_sha256"]);
}
