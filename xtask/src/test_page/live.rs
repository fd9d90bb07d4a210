//! The page of a run: it follows the run, and keeps the end when the program is gone.

use super::webdriver::Browser;
use super::{Program, check};
use serde_json::json;
use std::path::Path;

/// Trains for a few seconds and looks on.
pub fn run(browser: &Browser, root: &Path, folder: &Path) -> Result<(), String> {
    let out = folder.join("run").display().to_string();
    let arguments = ["train", "mnist", "--epochs", "3", "--steps-per-epoch", "200", "--live", "--json", "--out", &out];
    let mut program = Program::start(root, &arguments)?;
    let url = program.line()?["url"].as_str().unwrap_or_default().to_string();
    browser.open(&url)?;
    browser.wait(
        "document.querySelectorAll('#facts dd').length > 5 && document.querySelectorAll('#table tbody tr').length > 0",
    )?;
    browser.screenshot(&folder.join("live.png"))?;
    let mut last = json!(null);
    while let Ok(line) = program.line() {
        last = line;
    }
    // The program has ended; the page has seen the end.
    let status = program.child.wait().map_err(|error| error.to_string())?;
    check(status.success(), || format!("the run failed: {status}"))?;
    browser.wait("document.getElementById('phase').textContent === 'done'")?;
    browser.screenshot(&folder.join("live-done.png"))?;
    let told = browser.script(
        "return { rows: document.querySelectorAll('#table tbody tr').length, facts: document.getElementById('facts').textContent,
                  inked: ['loss', 'metric'].map((id) => { const c = document.getElementById(id); return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v > 0) }) }",
    )?;
    let accuracy = format!("{:.4}", last["test_accuracy"].as_f64().unwrap_or(f64::NAN));
    check(told["rows"] == 3 && told["inked"] == json!([true, true]), || format!("the page shows {told}"))?;
    check(told["facts"].as_str().is_some_and(|facts| facts.contains(&accuracy)), || {
        format!("{accuracy} is not in {told}")
    })?;
    println!("live: followed the run to its end");
    Ok(())
}
