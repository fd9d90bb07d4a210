//! The main job, short: the release program trains on the real digits and writes what it should.

use crate::run::cargo_output;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// What one epoch must reach on the test digits.
const LEAST_ACCURACY: f64 = 0.975;

/// Runs it.
pub fn run(root: &Path) -> Result<(), String> {
    let out = root.join("target").join("smoke");
    let folder = out.display().to_string();
    let output = cargo_output(
        root,
        &[
            "run",
            "--release",
            "--quiet",
            "--",
            "train",
            "mnist",
            "--epochs",
            "1",
            "--seed",
            "1",
            "--json",
            "--out",
            &folder,
        ],
    )?;
    let lines: Vec<Value> = output
        .lines()
        .map(|line| serde_json::from_str(line).map_err(|error| format!("not JSON: {line}: {error}")))
        .collect::<Result<_, _>>()?;
    let last = lines.last().ok_or("the program printed nothing")?;
    let accuracy = last["test_accuracy"].as_f64().ok_or("the last line has no test_accuracy")?;
    if accuracy < LEAST_ACCURACY {
        return Err(format!("test accuracy {accuracy} after one epoch is below {LEAST_ACCURACY}"));
    }
    for file in ["model.keras", "history.csv", "curves.svg", "run.json"] {
        let length = fs::metadata(out.join(file)).map_err(|error| format!("{file}: {error}"))?.len();
        if length == 0 {
            return Err(format!("{file} is empty"));
        }
    }
    let report = fs::read_to_string(out.join("run.json")).map_err(|error| error.to_string())?;
    if serde_json::from_str::<Value>(&report).map_err(|error| error.to_string())? != *last {
        return Err("run.json differs from the last line".into());
    }
    println!(
        "one epoch: test accuracy {accuracy}, {:.0} images/s, peak memory {:.0} MB",
        last["images_per_second"].as_f64().unwrap_or(f64::NAN),
        last["peak_rss_bytes"].as_f64().unwrap_or(f64::NAN) / 1e6
    );
    Ok(())
}
