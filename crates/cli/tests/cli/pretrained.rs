//! Networks with published weights. The weights lie outside of the repository: `STRIATE_DATA` names their folder, and without it these
//! tests say that they skip.

use crate::photographs::pictures;
use crate::process::{fail, json_lines, read_json, stderr, stdout, striate, succeed};
use std::path::{Path, PathBuf};
use std::process::Command;

fn published() -> Option<PathBuf> {
    let data = std::env::var_os("STRIATE_DATA").map(PathBuf::from).filter(|data| data.join("weights").is_dir());
    if data.is_none() {
        eprintln!("skipped: STRIATE_DATA names no folder with weights/");
    }
    data
}

/// The program with that folder in its environment.
fn with_data<'a>(data: &Path, arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = striate(arguments);
    command.env("STRIATE_DATA", data);
    command
}

#[test]
fn the_networks_of_the_lecture_have_its_parameters() {
    for (arguments, counts) in [
        (&["vgg16", "--no-top", "--input", "150x150x3"][..], [14_714_688, 14_714_688]),
        (&["cats-dogs-frozen"], [16_812_353, 2_097_665]),
        (&["mobilenet"], [4_253_864, 4_231_976]),
    ] {
        let text = stdout(&succeed(striate(["summary", "--json"].iter().chain(arguments))));
        let summary = json_lines(&text).remove(0);
        let found = ["parameters", "trainable"].map(|name| summary[name].as_u64().unwrap());
        assert_eq!(found, counts, "{arguments:?}");
    }
    let text = stdout(&succeed(striate(["summary", "cats-dogs-frozen"])));
    assert!(text.contains("vgg16 (Functional)") && text.contains("Non-trainable params: 14,714,688"), "{text}");
    fail(striate(["summary", "vgg16", "--no-top", "--input", "20x20x3"]), 1, &["vgg16", "32x32", "20x20x3"]);
}

#[test]
fn missing_weights_are_an_error_that_says_what_to_do() {
    let data = pictures(2);
    let out = tempfile::tempdir().unwrap();
    let mut command = striate(["train", "cats-dogs-features", "--data"]);
    command.arg(data.path()).arg("--out").arg(out.path()).env("XDG_CACHE_HOME", data.path());
    fail(command, 1, &["vgg16", "striate data download vgg16-notop"]);
    let mut command = striate(["train", "cats-dogs-finetune", "--weights", "none.keras", "--data"]);
    command.arg(data.path()).arg("--out").arg(out.path());
    fail(command, 1, &["none.keras", "cats-dogs-frozen"]);
    let mut command = striate(["train", "transfer", "--out"]);
    command.arg(out.path());
    fail(command, 1, &["--data"]);
}

#[test]
fn mobilenet_names_what_photographs_show() {
    let Some(data) = published() else { return };
    let [cat, dog] = ["photos/cats/cat.1.jpg", "photos/dogs/dog.1.jpg"].map(|name| data.join(name));
    let mut command = with_data(&data, ["predict", "mobilenet", "--json"]);
    command.arg(&cat).arg(&dog);
    let answers = json_lines(&stdout(&succeed(command)));
    let classes: Vec<&str> = answers.iter().map(|answer| answer["class"].as_str().unwrap()).collect();
    assert_eq!(classes, ["tabby", "Chesapeake_Bay_retriever"]);
    // Other values than those it was trained on make it less sure.
    let mut command = with_data(&data, ["predict", "mobilenet", "--json", "--pixels", "rescale=1/255"]);
    command.arg(&dog);
    let answer = json_lines(&stdout(&succeed(command))).remove(0);
    assert!(answer["probability"].as_f64() < answers[1]["probability"].as_f64(), "{answer}");
}

#[test]
fn features_frozen_and_fine_tuned_run_one_after_the_other() {
    let Some(data) = published() else { return };
    let pictures = pictures(3);
    let out = tempfile::tempdir().unwrap();
    let folder = |recipe: &str| out.path().join(recipe);
    let train = |recipe: &str, more: &[&str]| {
        let mut command = with_data(&data, ["train", recipe, "--epochs", "2", "--batch-size", "3", "--threads", "2"]);
        command.arg("--data").arg(pictures.path()).arg("--out").arg(folder(recipe)).args(more);
        let told = stderr(&succeed(command));
        (told, read_json(&folder(recipe).join("run.json")))
    };
    let (told, report) = train("cats-dogs-features", &[]);
    assert!(told.contains("BGR") && told.contains("features of vgg16") && told.contains("epoch 2/2"), "{told}");
    assert!(report["test_accuracy"].as_f64().is_some() && report["val_loss"].as_f64().is_some(), "{report}");
    let (told, _) = train("cats-dogs-features", &["--as-lecture"]);
    assert!(told.contains("divided by 255"), "{told}");

    let (_, frozen) = train("cats-dogs-frozen", &["--steps-per-epoch", "2"]);
    let head = folder("cats-dogs-frozen").join("model.keras");
    let (_, tuned) = train("cats-dogs-finetune", &["--steps-per-epoch", "1", "--weights", head.to_str().unwrap()]);
    assert_ne!(frozen["weights_sha256"], tuned["weights_sha256"]);

    // The written model is the whole network, and knows how its pictures are read.
    let model = folder("cats-dogs-finetune").join("model.keras");
    let mut command = striate(["evaluate", "--json"]);
    command.arg(&model).arg("--data").arg(pictures.path());
    let test = json_lines(&stdout(&succeed(command))).remove(0);
    let close = (test["test_loss"].as_f64().unwrap() - tuned["test_loss"].as_f64().unwrap()).abs();
    assert!(close < 1e-4, "{test} {tuned}");
    let mut command = striate(["predict", "--json"]);
    command.arg(&model).arg(pictures.path().join("test/cats/000.png"));
    let answer = json_lines(&stdout(&succeed(command))).remove(0);
    assert!(["cats", "dogs"].contains(&answer["class"].as_str().unwrap()), "{answer}");
}

#[test]
fn any_folder_of_pictures_gets_advice_and_a_model_with_its_class_names() {
    let Some(data) = published() else { return };
    let pictures = pictures(8);
    // No parts: the folder with the classes themselves.
    let folder = pictures.path().join("train");
    let mut command = with_data(&data, ["advise", "--base", "squeezenet", "--json", "--data"]);
    command.arg(&folder);
    let advice = json_lines(&stdout(&succeed(command))).remove(0);
    assert_eq!(advice["is_large"].as_bool(), Some(false));
    assert!(advice["separation"].as_f64().is_some_and(|share| share <= 1.0), "{advice}");
    let out = tempfile::tempdir().unwrap();
    let mut command = with_data(&data, ["train", "transfer", "--base", "squeezenet", "--epochs", "3", "--data"]);
    command.arg(&folder).arg("--out").arg(out.path());
    let told = stderr(&succeed(command));
    assert!(told.contains("2 classes: cats, dogs") && told.contains("parted 70, 15 and 15 %"), "{told}");
    let mut command = striate(["predict", "--json"]);
    command.arg(out.path().join("model.keras")).arg(folder.join("dogs/002.png"));
    let answer = json_lines(&stdout(&succeed(command))).remove(0);
    assert!(["cats", "dogs"].contains(&answer["class"].as_str().unwrap()), "{answer}");
}
