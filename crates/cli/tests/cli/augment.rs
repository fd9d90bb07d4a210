//! `striate augment` and `striate bench augment`.

use crate::process::{fail, json_lines, stdout, striate, succeed};
use image::{Rgb, RgbImage};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn photograph(path: &Path, shade: u8) {
    RgbImage::from_fn(64, 48, |x, y| Rgb([shade, (x * 4) as u8, (y * 5) as u8])).save(path).unwrap();
}

fn sheet(image: &Path, sheet: &Path, more: &[&str]) -> Command {
    let mut command = striate(["augment", "--json"]);
    command.arg(image).arg("--preview").arg(sheet).args(more);
    command
}

#[test]
fn a_sheet_shows_variants_and_repeats_with_the_seed() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("a.png");
    photograph(&image, 90);
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    let lines = json_lines(&stdout(&succeed(sheet(&image, &path("1.png"), &["--seed", "5", "--count", "7"]))));
    assert_eq!(lines.len(), 8);
    for (i, line) in lines[..7].iter().enumerate() {
        assert_eq!((line["event"].as_str(), line["number"].as_u64()), (Some("variant"), Some(i as u64 + 1)));
        let number = |key: &str| line[key].as_f64().unwrap();
        assert!(number("theta").abs() <= 40.0 && number("shear").abs() <= 11.46, "{line}");
        assert!(number("row_shift").abs() <= 30.0 && (0.8..=1.2).contains(&number("row_zoom")), "{line}");
        assert!(line["brightness"].is_null() && line["flip_vertical"] == false, "{line}");
    }
    assert!(lines[..7].iter().any(|line| line["flip_horizontal"] == true));
    assert_eq!(lines[7]["event"], "sheet");
    let first = image::open(path("1.png")).unwrap().into_rgb8();
    assert!(first.width() > 4 * 150 && first.height() > 2 * 150, "{:?}", first.dimensions());
    // The picture as it is stands first, and below it there is ink on white.
    assert_eq!(first.get_pixel(12 + 75, 12 + 75)[0], 90);
    let row = |y: u32| (12..80).any(|x| first.get_pixel(x, y)[0] < 100);
    assert!((12 + 150 + 5..12 + 150 + 18).any(row) && !row(12 + 150 + 2));

    fail(sheet(&image, &path("1.jpg"), &[]), 1, &["must end in .png", "`.jpg`"]);
    let endless = ["--width-shift-range", "inf"];
    fail(
        sheet(&image, &path("4.png"), &endless),
        1,
        &["width_shift_range: a range must be finite", "received inf (hint"],
    );
    succeed(sheet(&image, &path("2.png"), &["--seed", "5", "--count", "7"]));
    succeed(sheet(&image, &path("3.png"), &["--seed", "6", "--count", "7"]));
    assert_eq!(fs::read(path("1.png")).unwrap(), fs::read(path("2.png")).unwrap());
    assert_ne!(fs::read(path("1.png")).unwrap(), fs::read(path("3.png")).unwrap());
}

#[test]
fn every_parameter_has_its_flag() {
    let folder = tempfile::tempdir().unwrap();
    let (image, to) = (folder.path().join("a.png"), folder.path().join("s.png"));
    photograph(&image, 90);
    let flags = "--rotation-range 0 --width-shift-range 3,6 --height-shift-range 4 --shear-range 0 --zoom-range 0.5,0.5 \
                 --channel-shift-range 20 --brightness-range 0.5,0.75 --horizontal-flip false --vertical-flip --fill-mode \
                 constant --cval 7 --size 40x50 --count 20 --policy trivial --erasing 0.5";
    let flags: Vec<&str> = flags.split_whitespace().collect();
    let lines = json_lines(&stdout(&succeed(sheet(&image, &to, &flags))));
    let variants = &lines[..20];
    let number = |line: &serde_json::Value, key: &str| line[key].as_f64().unwrap();
    for line in variants {
        assert_eq!((number(line, "theta"), number(line, "shear"), number(line, "column_zoom")), (0.0, 0.0, 0.5));
        assert!([3.0, 6.0].contains(&number(line, "column_shift").abs()));
        let row = number(line, "row_shift");
        assert!(row.fract() == 0.0 && row.abs() <= 3.0, "{line}");
        assert!(number(line, "channel_shift").abs() <= 20.0 && (0.5..0.75).contains(&number(line, "brightness")));
        assert_eq!(line["flip_horizontal"], false);
    }
    assert!(variants.iter().any(|line| line["flip_vertical"] == true));
}

#[test]
fn what_is_wrong_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (image, to) = (folder.path().join("a.png"), folder.path().join("s.png"));
    fail(sheet(&image, &to, &[]), 1, &["a.png", "no such file"]);
    photograph(&image, 1);
    fail(sheet(&image, &to, &["--rotation-range=-3"]), 1, &["rotation_range"]);
    fail(sheet(&image, &to, &["--size", "2000x2000", "--count", "200"]), 1, &["--count"]);
    fail(sheet(&image, &to, &["--zoom-range", "x"]), 2, &["--zoom-range"]);
    fail(striate(["augment", "a.png"]), 2, &["required"]);
    assert!(!to.exists());
}

#[test]
fn the_bench_counts_what_each_stage_costs() {
    let folder = tempfile::tempdir().unwrap();
    for class in ["cats", "dogs"] {
        fs::create_dir(folder.path().join(class)).unwrap();
        for i in 0..12 {
            photograph(&folder.path().join(class).join(format!("{i}.jpg")), 20 * i);
        }
    }
    let mut command = striate(["bench", "augment", "--repeat", "1", "--threads", "2", "--json", "--data"]);
    command.arg(folder.path());
    let lines = json_lines(&stdout(&succeed(command)));
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((line["workload"].as_str(), line["unit"].as_str()), (Some("augment"), Some("images/s")));
    assert!(line["median"].as_f64() > Some(0.0));
    if cfg!(target_os = "linux") {
        for stage in ["decode", "resize", "change", "float"] {
            assert!(line["stage_cpu_ms"][stage].as_f64() > Some(0.0), "{line}");
        }
    }
    fail(striate(["bench", "augment", "--json"]), 1, &["--data"]);
}
