//! The page of a run, and the pictures of answers.

use crate::process::{RUN, fail, striate, succeed};
use std::fs;
use std::path::Path;

fn page_of(folder: &Path) -> String {
    fs::read_to_string(folder.join("report.html")).unwrap()
}

#[test]
fn a_run_writes_one_page_that_holds_everything() {
    let page = page_of(&RUN.folder);
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    for part in [
        "Summary",
        "Curves",
        "Answers to the test data",
        "The worst mistakes",
        "Some answers",
        "Diary",
        "Kernels of conv2d",
        "Where it looks",
        "Network and costs",
        "93,322 parameters",
        "expected calibration error",
        "prefers-color-scheme: dark",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // Nothing is fetched: every address is inside of the page, or names the format of SVG.
    let addresses = page.split("src=\"").skip(1).chain(page.split("href=\"").skip(1)).chain(page.split("url(").skip(1));
    for address in addresses {
        assert!(address.starts_with("data:image/png;base64,"), "{}", &address[..60]);
    }
    assert!(!page.replace("http://www.w3.org/2000/svg", "").contains("http"), "an address of another page");
    assert!(page.len() < 1 << 20, "{} bytes", page.len());
    // Before training and after each of two epochs, for each of four pictures.
    for epoch in 0..=2 {
        assert!(page.matches(&format!("<ol data-epoch=\"{epoch}\"")).count() == 4, "epoch {epoch}");
    }
    let command = format!(
        "striate train mnist --epochs 2 --steps-per-epoch 30 --out {} --threads 2 --seed 0",
        RUN.folder.display()
    );
    assert!(page.contains(&command), "{command}");
    // What the table of answers says is what the run says.
    let answers = fs::read_to_string(RUN.folder.join("answers.csv")).unwrap();
    let fields = |line: &str| line.split(',').map(str::to_string).collect::<Vec<_>>();
    let right = answers.lines().skip(1).map(fields).filter(|fields| fields[1] == fields[2]).count();
    assert_eq!(answers.lines().count(), 10_001);
    assert_eq!(right as f64 / 10_000.0, RUN.report()["test_accuracy"].as_f64().unwrap());
    let wrong = (10_000 - right).to_string();
    let wrong = if wrong.len() > 3 { format!("{},{}", &wrong[..1], &wrong[1..]) } else { wrong };
    assert!(page.contains(&format!("{wrong} of 10,000 samples wrong")), "{wrong}");
}

#[test]
fn the_page_can_be_made_anew_and_a_folder_without_a_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made/anew.html");
    let mut command = striate(["report"]);
    command.arg(&RUN.folder).arg("--out").arg(&path);
    succeed(command);
    assert_eq!(fs::read_to_string(&path).unwrap(), page_of(&RUN.folder));

    let mut command = striate(["report"]);
    command.arg(folder.path());
    fail(command, 1, &["begin.json", "no such file", "striate train"]);
    // Notes that are none are told by name.
    fs::create_dir(folder.path().join("report")).unwrap();
    fs::copy(RUN.folder.join("report/begin.json"), folder.path().join("report/begin.json")).unwrap();
    fs::write(folder.path().join("report/epoch-00001.json"), "{\"epoch\": 1, ").unwrap();
    let mut command = striate(["report"]);
    command.arg(folder.path());
    fail(command, 1, &["epoch-00001.json", "JSON"]);
    // Odd ones change what is shown, not more.
    fs::write(folder.path().join("report/epoch-00001.json"), "{\"epoch\": -1, \"layers\": 5}").unwrap();
    fs::write(folder.path().join("report/pins.json"), "{\"pins\": [{\"class\": \"<script>\"}]}").unwrap();
    let mut command = striate(["report"]);
    command.arg(folder.path());
    succeed(command);
    let page = page_of(folder.path());
    assert!(page.contains("&lt;script&gt;") && page.contains("a run that is not over"));
}

#[test]
fn evaluate_draws_its_answers() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = striate(["evaluate", "--json"]);
    command.arg(RUN.model()).arg("--out").arg(folder.path().join("eval"));
    succeed(command);
    for name in ["confusion.png", "reliability.png", "worst.png"] {
        let (width, height) = image::image_dimensions(folder.path().join("eval").join(name)).unwrap();
        assert!(width > 400 && height > 400, "{name}: {width} × {height}");
    }
    assert!(fs::read_to_string(folder.path().join("eval/reliability.svg")).unwrap().contains("10000 answers"));
    let answers = |folder: &Path| fs::read_to_string(folder.join("answers.csv")).unwrap();
    assert_eq!(answers(&folder.path().join("eval")), answers(&RUN.folder));
}
