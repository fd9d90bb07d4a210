//! `striate evaluate` and `striate predict`.

use crate::process::{RUN, json_lines, stderr, stdout, striate, succeed};
use image::{GrayImage, Luma};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use striate::data::Mnist;

#[test]
fn evaluating_the_model_gives_what_the_run_told() {
    let mut command = striate(["evaluate", "--json"]);
    command.arg(RUN.model()).args(["--data", "../../datasets"]);
    let lines = json_lines(&stdout(&succeed(command)));
    let [result] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!(result["samples"], 10_000);
    for key in ["test_loss", "test_accuracy"] {
        assert_eq!(result[key], RUN.report()[key], "{key}");
    }
}

/// The first test digits as pictures four times as large, and what they are.
fn pictures(folder: &Path, count: usize, paper: u8) -> Vec<(PathBuf, String)> {
    let mnist = Mnist::load_from(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets")).unwrap();
    let device = striate::device().unwrap();
    let samples: Vec<usize> = (0..count).collect();
    let pixels = mnist.test.inputs()[0].gather(&samples, &device).unwrap().to_vec::<f32>().unwrap();
    let digits = mnist.test.targets()[0].gather(&samples, &device).unwrap().argmax().unwrap();
    let digits = digits.to_vec::<i32>().unwrap();
    digits
        .iter()
        .enumerate()
        .map(|(i, digit)| {
            let image = GrayImage::from_fn(112, 112, |x, y| {
                let ink = 255.0 * pixels[784 * i + 28 * (y as usize / 4) + x as usize / 4];
                Luma([if paper == 0 { ink as u8 } else { paper - ink as u8 }])
            });
            let path = folder.join(format!("{paper}-{i}.png"));
            image.save(&path).unwrap();
            (path, digit.to_string())
        })
        .collect()
}

fn predict(images: &[&Path]) -> Command {
    let mut command = striate(["predict", "--json"]);
    command.arg(RUN.model()).args(images);
    command
}

#[test]
fn pictures_of_either_shade_are_told_mostly_right() {
    let folder = tempfile::tempdir().unwrap();
    let expected = [pictures(folder.path(), 25, 0), pictures(folder.path(), 25, 255)].concat();
    let images: Vec<&Path> = expected.iter().map(|(path, _)| path.as_path()).collect();
    let lines = json_lines(&stdout(&succeed(predict(&images))));
    assert_eq!(lines.len(), 50);
    let mut right = [0, 0];
    for (i, (line, (path, digit))) in lines.iter().zip(&expected).enumerate() {
        assert_eq!(line["image"].as_str(), path.to_str());
        let top = line["top"].as_array().unwrap();
        assert_eq!((top.len(), &top[0]["class"], &top[0]["probability"]), (3, &line["class"], &line["probability"]));
        let of = |entry: &Value| entry["probability"].as_f64().unwrap();
        assert!(of(&top[0]) >= of(&top[1]) && of(&top[1]) >= of(&top[2]) && of(&top[0]) <= 1.0, "{line}");
        right[i / 25] += u32::from(line["class"].as_str() == Some(digit));
    }
    assert!(right.iter().all(|&right| right >= 18), "{right:?} of 25 are right");
}

#[test]
fn a_bad_picture_does_not_keep_the_others_from_their_answers() {
    let folder = tempfile::tempdir().unwrap();
    let good = pictures(folder.path(), 2, 255);
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    GrayImage::from_pixel(30, 30, Luma([255])).save(folder.path().join("blank.png")).unwrap();
    let whole = fs::read(&good[0].0).unwrap();
    let bad = [
        (file("letter", b"Dear model, this is no picture."), "known format"),
        (file("letter.png", b"Dear model, this is no picture."), "damaged"),
        (file("empty.png", b""), "received"),
        (file("cut.png", &whole[..whole.len() / 2]), "damaged"),
        (file("huge.png", &png_header(100_000, 100_000)), "at most 16384 pixels a side"),
        (folder.path().join("blank.png"), "stands out from its background"),
        (folder.path().join("absent.png"), "no such file"),
        (folder.path().to_path_buf(), "regular file"),
    ];
    let mut images: Vec<&Path> = vec![&good[0].0];
    images.extend(bad.iter().map(|(path, _)| path.as_path()));
    images.push(&good[1].0);
    let output = predict(&images).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let lines = json_lines(&stdout(&output));
    assert_eq!(lines.len(), images.len());
    assert!(lines[0]["class"].is_string() && lines[9]["class"].is_string(), "{lines:?}");
    let told = stderr(&output);
    assert_eq!(told.lines().filter(|line| line.starts_with("error: ")).count(), 8, "{told}");
    assert!(!told.contains("panicked"), "{told}");
    for ((path, word), line) in bad.iter().zip(&lines[1..]) {
        assert_eq!(line["image"].as_str(), path.to_str());
        let text = line["error"].as_str().unwrap();
        assert!(text.starts_with(path.to_str().unwrap()) && text.contains(word), "{text}");
        assert!(told.contains(&format!("error: {text}")), "{told}");
    }
}

#[test]
fn top_says_how_many_classes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = pictures(folder.path(), 1, 0).remove(0);
    let mut command = striate(["predict", "--top", "99"]);
    command.arg(RUN.model()).arg(&path);
    let text = stdout(&succeed(command));
    assert_eq!((text.lines().count(), text.matches(" %").count()), (1, 10), "{text}");
    assert!(text.starts_with(path.to_str().unwrap()), "{text}");
}

#[cfg(unix)]
#[test]
fn names_need_not_be_unicode() {
    use std::os::unix::ffi::OsStrExt;
    let name = Path::new(std::ffi::OsStr::from_bytes(b"/nowhere/\xff.png"));
    let output = predict(&[name]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(json_lines(&stdout(&output))[0]["error"].as_str().unwrap().contains("no such file"));
    let mut command = striate(["evaluate", "--json"]);
    command.arg(name);
    crate::process::fail(command, 1, &["no such file"]);
}

/// The beginning of a PNG file of these dimensions.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(width.to_be_bytes());
    chunk.extend(height.to_be_bytes());
    // Eight bits of grey.
    chunk.extend([8, 0, 0, 0, 0]);
    let mut crc = u32::MAX;
    for &byte in &chunk {
        crc ^= u32::from(byte);
        (0..8).for_each(|_| crc = (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)));
    }
    [&b"\x89PNG\r\n\x1a\n\0\0\0\x0d"[..], &chunk, &(!crc).to_be_bytes(), b"\0\0\0\0IDAT\x35\xaf\x06\x1e"].concat()
}
