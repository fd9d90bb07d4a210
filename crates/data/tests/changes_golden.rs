//! Colours, and resizing with opacity, against what Pillow made; `golden/changes.py` wrote the file.

use std::path::PathBuf;
use striate_data::augment::Photometric;
use striate_data::image_file::{Colour, Picture};
use striate_data::{Filter, Fit, resize};
use striate_testkit::golden::Golden;

fn golden() -> Golden {
    Golden::load(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/changes.json")).unwrap()
}

fn picture(golden: &Golden, name: &str) -> Picture {
    let (shape, values) = golden.array(name).unwrap();
    let colour = match shape[2] {
        1 => Colour::Grey,
        3 => Colour::Rgb,
        _ => Colour::Rgba,
    };
    Picture::new(values.iter().map(|&v| v as u8).collect(), shape[0], shape[1], colour).unwrap()
}

fn worst(a: &Picture, b: &Picture) -> u8 {
    assert_eq!(a.shape(), b.shape());
    a.bytes().iter().zip(b.bytes()).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn colours_are_pillows() {
    let golden = golden();
    let mut compared = 0;
    for name in golden.names() {
        let parts: Vec<&str> = name.split('/').collect();
        let &["colours", kind, change, strength] = &parts[..] else { continue };
        let strength: f64 = strength.parse().unwrap();
        let change = match change {
            "brightness" => Photometric::Brightness(strength),
            "contrast" => Photometric::Contrast(strength),
            "saturation" => Photometric::Saturation(strength),
            "sharpness" => Photometric::Sharpness(strength),
            "posterize" => Photometric::Posterize(strength as u8),
            "solarize" => Photometric::Solarize(strength as u16),
            "autocontrast" => Photometric::Autocontrast,
            "equalize" => Photometric::Equalize,
            "invert" => Photometric::Invert,
            other => panic!("{other}"),
        };
        let result = change.apply(&picture(&golden, &format!("colours/{kind}")));
        let worst = worst(&result, &picture(&golden, name));
        let bound = if matches!(change, Photometric::Sharpness(_)) { 1 } else { 0 };
        assert!(worst <= bound, "{name}: {worst}");
        compared += 1;
    }
    assert_eq!(compared, 2 * (5 + 8));
}

#[test]
fn opacity_decides_how_much_a_colour_counts() {
    let golden = golden();
    let mut compared = 0;
    for name in golden.names().filter(|name| name.starts_with("rgba/")) {
        let parts: Vec<&str> = name.split('/').collect();
        let filter = match parts[1] {
            "nearest" => Filter::Nearest,
            "bilinear" => Filter::Bilinear,
            _ => Filter::Lanczos,
        };
        let (height, width) = parts[2].split_once('x').unwrap();
        let size = (height.parse().unwrap(), width.parse().unwrap());
        let result = resize(&picture(&golden, "rgba"), size, filter, Fit::Stretch).unwrap();
        let expected = picture(&golden, name);
        let seen = |p: &Picture| -> Vec<f64> {
            let pixels = p.bytes().chunks(4);
            pixels.flat_map(|p| [0, 1, 2].map(|i| f64::from(p[i]) * f64::from(p[3]) / 255.0)).collect()
        };
        // Dividing by a small opacity makes many steps of one; what is seen of the colour is within one.
        let apart = seen(&result).iter().zip(seen(&expected)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(apart <= 1.0 + 1e-9, "{name}: {apart}");
        let opacities = |p: &Picture| {
            Picture::new(p.bytes()[3..].iter().step_by(4).copied().collect(), size.0, size.1, Colour::Grey)
        };
        assert!(worst(&opacities(&result).unwrap(), &opacities(&expected).unwrap()) <= 1, "{name}");
        compared += 1;
    }
    assert_eq!(compared, 6);
}
