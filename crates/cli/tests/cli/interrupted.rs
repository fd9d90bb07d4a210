//! A run that is killed goes on as if it had not been.

use crate::process::{RUN, fail, json_lines, read_json, stderr, stdout, succeed, training};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

#[test]
fn a_killed_run_is_resumed_to_the_same_weights() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("checkpoint.safetensors");
    let mut child = training(folder.path(), &["--json"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(json_lines(&line)[0]["epoch"], 1);
    let start = Instant::now();
    while !checkpoint.exists() && start.elapsed() < Duration::from_secs(10) {
        sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(checkpoint.exists() && !folder.path().join("run.json").exists());
    assert_eq!(fs::read_to_string(folder.path().join("history.csv")).unwrap().lines().count(), 2);
    // What the run was asked for, its pictures, and the diary so far are there.
    let mut report = crate::process::striate(["report"]);
    report.arg(folder.path());
    succeed(report);
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.contains("a run that is not over") && page.contains("data-epochs=\"0,1\""));

    // Under another seed it would not be the same run.
    let words = ["checkpoint.safetensors", "the seed it began with", "5 instead of 0", "hint"];
    fail(training(folder.path(), &["--json", "--resume", "--seed", "5"]), 1, &words);
    assert!(checkpoint.exists());

    let output = succeed(training(folder.path(), &["--json", "--resume"]));
    let lines = json_lines(&stdout(&output));
    assert_eq!(lines.len(), 2, "only the second epoch was left: {lines:?}");
    assert_eq!(lines[0]["epoch"], 2);
    assert_eq!(lines[1], read_json(&folder.path().join("run.json")));
    for key in ["weights_sha256", "epochs", "train_loss", "train_accuracy", "test_loss", "test_accuracy"] {
        assert_eq!(lines[1][key], RUN.report()[key], "{key}");
    }
    assert!(!checkpoint.exists());
    // The diary is that of a run that was never stopped, page by page.
    for name in ["pins.json", "epoch-00000.json", "epoch-00001.json", "epoch-00002.json", "end.json"] {
        let [own, whole] =
            [folder.path(), &RUN.folder].map(|folder| fs::read(folder.join("report").join(name)).unwrap());
        assert!(own == whole, "{name}");
    }
    let values = |history: String| -> Vec<String> {
        history.lines().map(|line| line.split(',').take(3).collect::<Vec<_>>().join(",")).collect()
    };
    let [own, whole] = [folder.path(), &RUN.folder].map(|f| values(fs::read_to_string(f.join("history.csv")).unwrap()));
    assert_eq!(own, whole);
}

#[test]
fn resuming_where_nothing_was_begun_starts_afresh() {
    let folder = tempfile::tempdir().unwrap();
    let mut command =
        crate::process::striate(["train", "mnist", "--epochs", "1", "--steps-per-epoch", "1", "--resume"]);
    command.arg("--out").arg(folder.path().join("a/new/folder"));
    let output = succeed(command);
    assert!(stderr(&output).contains("no unfinished run; starting afresh"), "{}", stderr(&output));
    assert!(folder.path().join("a/new/folder/run.json").exists());
}
