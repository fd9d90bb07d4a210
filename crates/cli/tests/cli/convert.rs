//! `striate convert`.

use crate::process::{RUN, json_lines, stderr, stdout, striate, succeed};
use std::fs;

#[test]
fn a_model_goes_through_every_format_and_keeps_its_weights() {
    let folder = tempfile::tempdir().unwrap();
    let mut source = RUN.model();
    let mut digests = Vec::new();
    for name in ["a.h5", "b.keras", "c.safetensors", "d.keras"] {
        let target = folder.path().join(name);
        let mut command = striate(["convert", "--json"]);
        command.args([&source, &target]);
        let lines = json_lines(&stdout(&succeed(command)));
        assert_eq!(lines[0]["parameters"], 93_322);
        digests.push(lines[0]["weights_sha256"].as_str().unwrap().to_string());
        source = target;
    }
    digests.dedup();
    assert_eq!(digests.len(), 1);
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert!(read("b.keras") == read("d.keras"), "the same model gives the same bytes");
    let mut summary = striate(["summary", "--json"]);
    summary.arg(folder.path().join("a.h5"));
    assert_eq!(json_lines(&stdout(&succeed(summary)))[0]["parameters"], 93_322);
}

#[test]
fn a_format_that_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for (name, word) in [("m.onnx", "not there yet"), ("m.pkl", "`.pkl`"), ("m", "no ending")] {
        let mut command = striate(["convert"]);
        command.args([&RUN.model(), &folder.path().join(name)]);
        let output = command.output().unwrap();
        assert!(!output.status.success());
        assert!(stderr(&output).contains(word), "{}", stderr(&output));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
