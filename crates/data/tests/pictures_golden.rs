//! Resizing, random transformations and decoders against what Pillow and Keras made; `golden/pictures.py` wrote the files.

use std::path::PathBuf;
use striate_data::augment::{FillMode, Variant};
use striate_data::image_file::{Colour, Picture, read};
use striate_data::{Filter, Fit, resize};
use striate_testkit::golden::Golden;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn golden() -> Golden {
    Golden::load(folder().join("pictures.json")).unwrap()
}

fn bytes(golden: &Golden, name: &str) -> Vec<u8> {
    golden.array(name).unwrap().1.iter().map(|&v| v as u8).collect()
}

fn picture(golden: &Golden, name: &str) -> Picture {
    let shape = golden.array(name).unwrap().0;
    let colour = if shape[2] == 1 { Colour::Grey } else { Colour::Rgb };
    Picture::new(bytes(golden, name), shape[0], shape[1], colour).unwrap()
}

#[test]
fn resizing_is_pillows_within_one_step() {
    let golden = golden();
    let mut compared = 0;
    for name in golden.names() {
        let parts: Vec<&str> = name.split('/').collect();
        let &["resize", kind, fit, filter, size] = &parts[..] else { continue };
        let filter = match filter {
            "nearest" => Filter::Nearest,
            "area" => Filter::Area,
            "bilinear" => Filter::Bilinear,
            "hamming" => Filter::Hamming,
            "bicubic" => Filter::Bicubic,
            "lanczos" => Filter::Lanczos,
            other => panic!("{other}"),
        };
        let fit = if fit == "crop" { Fit::Crop } else { Fit::Stretch };
        let (height, width) = size.split_once('x').unwrap();
        let size = (height.parse().unwrap(), width.parse().unwrap());
        let result = resize(&picture(&golden, &format!("resize/{kind}")), size, filter, fit).unwrap();
        assert_eq!(result.shape(), *golden.array(name).unwrap().0, "{name}");
        let expected = bytes(&golden, name);
        let source = golden.array(&format!("resize/{kind}")).unwrap().0;
        // Where both directions change, recent versions of Pillow choose by size which one is done, and rounded, first.
        let one_pass = fit == Fit::Stretch && (size.0 == source[0] || size.1 == source[1]);
        let bound = if filter == Filter::Nearest || one_pass { 0 } else { 1 };
        let worst = result.bytes().iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= bound, "{name}: {worst}");
        compared += 1;
    }
    assert_eq!(compared, 60);
}

#[test]
fn variants_are_keras_s() {
    let golden = golden();
    let mut compared = 0;
    for name in golden.names().filter(|name| name.ends_with("/result")) {
        let parts: Vec<&str> = name.split('/').collect();
        let (kind, mode) = (parts[1], parts[2]);
        let p = golden.array(&name.replace("/result", "/parameters")).unwrap().1;
        // 1000 stands for a parameter that is not given.
        let given = |value: f64| (value != 1000.0).then_some(value);
        let variant = Variant {
            theta: p[0],
            column_shift: p[1],
            row_shift: p[2],
            shear: p[3],
            column_zoom: p[4],
            row_zoom: p[5],
            flip_horizontal: p[6] == 1.0,
            flip_vertical: p[7] == 1.0,
            channel_shift: given(p[8]),
            brightness: given(p[9]),
            fill_mode: match mode {
                "nearest" => FillMode::Nearest,
                "constant" => FillMode::Constant,
                "reflect" => FillMode::Reflect,
                "wrap" => FillMode::Wrap,
                other => panic!("{other}"),
            },
            cval: p[10] as f32,
        };
        let result = variant.apply(&picture(&golden, &format!("transform/{kind}")));
        let expected = golden.array(name).unwrap().1;
        // Brightness rounds down to bytes, which makes a whole step of the smallest difference.
        let bound = if variant.brightness.is_some() { 1.01 } else { 0.01 };
        let apart = result.iter().zip(expected).map(|(&a, &b)| (f64::from(a) - b).abs());
        let (worst, mean) = (apart.clone().fold(0.0, f64::max), apart.sum::<f64>() / expected.len() as f64);
        assert!(worst <= bound && mean < 0.02, "{name}: {worst}, mean {mean}; {variant}");
        compared += 1;
    }
    assert_eq!(compared, 4 * 7 + 5);
}

#[test]
fn every_format_is_read() {
    let golden = golden();
    let original = picture(&golden, "files/rgb");
    for name in ["plain.bmp", "plain.webp"] {
        assert_eq!(read(folder().join(name), Colour::Rgb).unwrap(), original, "{name}");
    }
    assert_eq!(read(folder().join("moving.gif"), Colour::Rgb).unwrap(), picture(&golden, "files/gif"));
    let near = |a: &[u8], b: &[u8], bound: f64, what: &str| {
        let apart = a.iter().zip(b).map(|(&a, &b)| f64::from(a.abs_diff(b))).sum::<f64>() / a.len() as f64;
        assert!(a.len() == b.len() && apart < bound, "{what}: {apart}");
    };
    let plain = read(folder().join("plain.jpg"), Colour::Rgb).unwrap();
    near(plain.bytes(), &bytes(&golden, "files/jpg"), 0.6, "another decoder's rounding");
    // Orientation 6: the camera lay on its side, and the picture is to be turned to the right.
    let turned = read(folder().join("turned.jpg"), Colour::Rgb).unwrap();
    assert_eq!((turned.height(), turned.width()), (plain.width(), plain.height()));
    let pixel = |p: &Picture, y: usize, x: usize| p.bytes()[(y * p.width() + x) * 3..][..3].to_vec();
    for (y, x) in [(0, 0), (3, 30), (23, 5)] {
        assert_eq!(pixel(&turned, x, plain.height() - 1 - y), pixel(&plain, y, x));
    }
    let cmyk = read(folder().join("cmyk.jpg"), Colour::Rgb).unwrap();
    near(cmyk.bytes(), original.bytes(), 8.0, "CMYK");
}
