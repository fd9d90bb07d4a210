//! `striate data`: list, download from a mirror, verify.

use crate::process::{stdout, striate};
use std::fs;
use std::path::Path;
use std::process::Output;

fn run(arguments: &[&str]) -> Output {
    striate(arguments).output().unwrap()
}

#[test]
fn a_mirror_is_copied_and_damage_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().to_str().unwrap();
    let mirror = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    let output = run(&["data", "download", "mnist", "--to", to, "--from", mirror.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    let output = run(&["--json", "data", "verify", "mnist", "--data", to]);
    assert!(output.status.success(), "{output:?}");
    let lines: Vec<serde_json::Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() == 4 && lines.iter().all(|line| line["state"] == "whole"), "{lines:?}");
    let labels = folder.path().join("mnist/t10k-labels-idx1-ubyte.gz");
    fs::copy(folder.path().join("mnist/train-labels-idx1-ubyte.gz"), &labels).unwrap();
    let output = run(&["data", "verify", "mnist", "--data", to]);
    assert!(
        !output.status.success() && stdout(&output).contains("wrong: a25bea736e30d166cdddb491f175f624"),
        "{output:?}"
    );
}

#[test]
fn the_list_and_the_errors_name_what_there_is() {
    let text = stdout(&run(&["data", "list"]));
    for word in ["mnist", "cats-dogs", "kaggle", "vgg16-notop", "58.9 MB", "MIT"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let output = run(&["data", "download", "cats-dogs", "--to", "."]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("kaggle.com") && text.contains("--from FILE"), "{text}");
    let output = run(&["data", "download", "vgg17"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("vgg16-notop"), "{text}");
}
