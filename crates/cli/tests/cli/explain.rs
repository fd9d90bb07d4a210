//! `striate explain`, `kernels`, `curves`, `dream` and `style`.

use crate::process::{RUN, fail, json_lines, stdout, striate, succeed};
use image::{Rgb, RgbImage};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A picture of a seven, black on white.
fn seven(folder: &Path) -> PathBuf {
    let path = folder.join("seven.png");
    let ink = |x: u32, y: u32| {
        let stroke = 84i64 - (i64::from(y) - 24) / 2;
        (24..32).contains(&y) && (28..84).contains(&x) || (24..92).contains(&y) && (i64::from(x) - stroke).abs() < 5
    };
    RgbImage::from_fn(112, 112, |x, y| Rgb([if ink(x, y) { 10 } else { 245 }; 3])).save(&path).unwrap();
    path
}

fn explain(what: &str, arguments: &[&Path], more: &[&str], out: &Path) -> Command {
    let mut command = striate(["explain", what, "--json"]);
    command.args(arguments).args(more).arg("--out").arg(out);
    command
}

fn size(path: &Path) -> (u32, u32) {
    image::image_dimensions(path).unwrap()
}

#[test]
fn activations_of_the_first_layers() {
    let folder = tempfile::tempdir().unwrap();
    let (image, out) = (seven(folder.path()), folder.path().join("inside"));
    let lines = json_lines(&stdout(&succeed(explain("activations", &[&RUN.model(), &image], &[], &out))));
    let names: Vec<String> = lines
        .iter()
        .map(|line| Path::new(line["path"].as_str().unwrap()).file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(
        &names[..4],
        ["01_conv2d_channel_4.png", "01_conv2d.png", "02_max_pooling2d_channel_4.png", "02_max_pooling2d.png"]
    );
    assert_eq!(names.last().unwrap(), "08_dense_1.png");
    // 32 channels of 26 × 26 in rows of sixteen, enlarged twice.
    let (width, height) = size(&out.join("01_conv2d.png"));
    assert!(width > 16 * 52 && height > 2 * 52 && height < 250, "{width} × {height}");
    fail(explain("activations", &[&RUN.model(), &image], &["--layers", "conv9"], &out), 1, &["conv9", "conv2d_1"]);
}

#[test]
fn filters_and_their_kernels() {
    let folder = tempfile::tempdir().unwrap();
    let (one, grid, raw) = (folder.path().join("1.png"), folder.path().join("2.png"), folder.path().join("3.png"));
    let model = RUN.model();
    let few = ["--layer", "conv2d_1", "--steps", "3"];
    succeed(explain("filters", &[&model], &[&few[..], &["--filter", "5", "--size", "40"]].concat(), &one));
    assert_eq!(size(&one), (40, 40));
    succeed(explain("filters", &[&model], &[&few[..], &["--grid", "2x3", "--size", "24", "--clear"]].concat(), &grid));
    assert_eq!(size(&grid), (3 * 24 + 2 * 5, 2 * 24 + 5));
    // Several as one batch give what one at a time gives.
    let batch = folder.path().join("4.png");
    let more = ["--grid", "2x3", "--size", "24", "--clear", "--batch", "6"];
    succeed(explain("filters", &[&model], &[&few[..], &more].concat(), &batch));
    let bytes = |path: &Path| image::open(path).unwrap().into_rgb8().into_raw();
    let most = bytes(&grid).iter().zip(bytes(&batch)).map(|(a, b)| a.abs_diff(b)).max().unwrap();
    assert!(most <= 2, "{most}");
    succeed(explain("filters", &[&model], &["--layer", "conv2d", "--raw"], &raw));
    fail(explain("filters", &[&model], &["--layer", "conv2d_1", "--raw"], &raw), 1, &["conv2d_1", "first convolution"]);
    fail(explain("filters", &[&model], &["--layer", "conv2d", "--filter", "99"], &one), 1, &["32 filters"]);
    // A class is a filter too; its picture has the size that the dense layers want.
    succeed(explain("filters", &[&model], &["--layer", "dense_1", "--filter", "7", "--steps", "2"], &one));
    assert_eq!(size(&one), (28, 28));
}

#[test]
fn heat_maps_with_their_checks() {
    let folder = tempfile::tempdir().unwrap();
    let (image, out) = (seven(folder.path()), folder.path().join("heat.png"));
    for (what, more) in [
        ("gradcam", &["--layer", "conv2d_1"][..]),
        ("gradcam", &["--method", "grad-cam++", "--class", "2"]),
        ("gradcam", &["--method", "hires-cam"]),
        ("gradcam", &["--method", "layer-cam"]),
        ("gradcam", &["--method", "score-cam", "--channels", "8"]),
        ("saliency", &["--method", "saliency"]),
        ("saliency", &["--samples", "4"]),
        ("saliency", &["--method", "integrated-gradients"]),
        ("occlusion", &["--patch", "6"]),
    ] {
        let lines = json_lines(&stdout(&succeed(explain(what, &[&RUN.model(), &image], more, &out))));
        let report = lines.last().unwrap();
        let hottest = report["hottest"].as_array().unwrap();
        assert!(hottest.iter().all(|part| (0.0..=1.0).contains(&part.as_f64().unwrap())), "{report}");
        assert!(report["randomisation"]["passes"].is_boolean(), "{report}");
        assert!(report["deletion_insertion"]["deletion"].as_f64().unwrap() <= 1.0, "{report}");
        assert!(size(&out).0 > 3 * 220);
    }
    let text = stdout(&succeed({
        let mut command = striate(["explain", "gradcam"]);
        command.arg(RUN.model()).arg(&image).arg("--out").arg(&out);
        command
    }));
    assert!(text.contains("randomisation test: ") && text.contains("deletion and insertion: "), "{text}");
    fail(explain("gradcam", &[&RUN.model(), &image], &["--class", "10"], &out), 1, &["class", "10"]);
    fail(explain("gradcam", &[&RUN.model(), &image], &["--layer", "dense"], &out), 1, &["dense", "places"]);
    let far = ["--stride", "99999999999"];
    fail(explain("occlusion", &[&RUN.model(), &image], &far, &out), 1, &["stride must be 1 to 28 pixels"]);
    let other = folder.path().join("heat.jpg");
    fail(explain("saliency", &[&RUN.model(), &image], &[], &other), 1, &["must end in .png", "`.jpg`", "heat.png"]);
}

#[test]
fn kernels_curves_and_what_needs_weights() {
    let folder = tempfile::tempdir().unwrap();
    let (image, out) = (seven(folder.path()), folder.path().join("kernels"));
    let mut command = striate(["kernels"]);
    command.arg(&image).arg("--out").arg(&out);
    succeed(command);
    for name in ["kernels.png", "relu.png", "pooling.png", "sharpen.png", "edge-detect.png", "emboss.png"] {
        assert!(size(&out.join(name)).0 >= 112, "{name}");
    }
    assert!(std::fs::read(out.join("sliding.gif")).unwrap().starts_with(b"GIF89a"));

    let curves = |file: &str, more: &[&str]| {
        let mut command = striate(["curves"]);
        command.arg(&RUN.folder).args(more).arg("--out").arg(folder.path().join(file));
        command
    };
    succeed(curves("one.svg", &["--dark", "--title", "a run", "--smooth", "0.8"]));
    assert!(std::fs::read_to_string(folder.path().join("one.svg")).unwrap().contains("a run"));
    succeed(curves("two.png", &[RUN.folder.to_str().unwrap()]));
    assert_eq!(size(&folder.path().join("two.png")).0, 2 * 2 * 460);
    fail(curves("none.svg", &["nowhere"]), 1, &["nowhere"]);
    fail(curves("one.jpg", &[]), 1, &["must end in .svg or .png", "`.jpg`"]);

    let mut command = striate(["dream"]);
    command.arg(&image).args(["--data", "."]).arg("--out").arg(folder.path().join("dream.png"));
    fail(command, 1, &["vgg16"]);
}
