//! Curves of runs as they happen. The pictures are left in the target folder's `tmp`, to be looked at.

use std::fs;
use std::path::{Path, PathBuf};
use striate_train::{EpochRecord, History};
use striate_viz::{Curves, PlotHistory};

/// A history from (name, values) with one value an epoch.
fn history(columns: &[(&str, Vec<f64>)]) -> History {
    let epochs = (0..columns[0].1.len()).map(|i| EpochRecord {
        epoch: i + 1,
        values: columns.iter().map(|(name, values)| (name.to_string(), values[i])).collect(),
        ..EpochRecord::default()
    });
    History { epochs: epochs.collect() }
}

/// Five epochs on digits.
fn digits() -> History {
    history(&[
        ("loss", vec![0.1712, 0.0478, 0.0331, 0.0257, 0.0204]),
        ("accuracy", vec![0.9468, 0.9851, 0.9899, 0.9921, 0.9937]),
    ])
}

/// Thirty epochs that overfit.
fn photographs() -> History {
    let at = |f: &dyn Fn(f64) -> f64| (0..30).map(|i| f(f64::from(i))).collect::<Vec<_>>();
    let noise = |i: f64| 0.03 * (i * 2.3).sin() + 0.02 * (i * 5.1).cos();
    history(&[
        ("loss", at(&|i| 0.69 * (-i / 11.0).exp() + 0.01)),
        ("accuracy", at(&|i| 1.0 - 0.47 * (-i / 9.0).exp())),
        ("val_loss", at(&|i| 0.55 + 0.14 * (-i / 3.0).exp() + 0.02 * i + noise(i))),
        ("val_accuracy", at(&|i| 0.74 - 0.22 * (-i / 4.0).exp() + noise(i) / 2.0)),
    ])
}

fn leave(name: &str, svg: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, svg).unwrap();
    path
}

/// The texts of a picture, trimmed.
fn texts(svg: &str) -> Vec<String> {
    svg.split("<text")
        .skip(1)
        .filter_map(|part| part.split_once('>')?.1.split_once("</text>"))
        .map(|(text, _)| text.trim().to_string())
        .collect()
}

#[test]
fn five_epochs_of_digits() {
    let history = digits();
    let test = [("loss".to_string(), 0.0276), ("accuracy".to_string(), 0.9912)];
    let svg = Curves::new(&history).title("mnist: test accuracy 99.12 %").test(&test).to_svg().unwrap();
    leave("curves-digits.svg", &svg);
    let texts = texts(&svg);
    assert!(texts.iter().any(|text| text.contains("mnist: test accuracy 99.12 %")), "{texts:?}");
    for epoch in ["1", "2", "3", "4", "5"] {
        assert_eq!(texts.iter().filter(|text| *text == epoch).count(), 2, "epoch {epoch} once a panel: {texts:?}");
    }
}

#[test]
fn thirty_epochs_of_photographs() {
    let svg = Curves::new(&photographs()).title("cats-dogs").to_svg().unwrap();
    leave("curves-photographs.svg", &svg);
    assert_eq!(svg.matches("<circle").count(), 62, "thirty points and one in the legend, twice");
    assert!(svg.matches("<polyline").count() >= 4);
}

#[test]
fn short_flat_and_broken_histories_are_drawn_too() {
    let cases = [
        ("one", history(&[("loss", vec![0.5])])),
        ("two", history(&[("loss", vec![0.5, 0.4])])),
        ("flat", history(&[("loss", vec![0.5; 12])])),
        ("zero", history(&[("accuracy", vec![0.0; 3])])),
        ("nan", history(&[("loss", vec![f64::NAN, f64::INFINITY]), ("auc", vec![f64::NAN, 0.5])])),
        ("large", history(&[("loss", vec![3e8, 2e4, 12.0])])),
        ("small", history(&[("loss", vec![3e-6, 2e-6, 1e-6])])),
        ("long", history(&[("loss", (0..500).map(|i| 1.0 / f64::from(i + 1)).collect())])),
        ("markup", history(&[("<loss> & \"more\"", vec![1.0, 2.0])])),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (name, history) in cases {
        let path = folder.path().join(name).with_extension("svg");
        history.plot(&path).unwrap();
        let svg = fs::read_to_string(&path).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>") && !svg.contains("NaN"), "{name}");
        assert!(!svg.contains("<loss>"), "{name}");
        leave(&format!("curves-{name}.svg"), &svg);
    }
    assert!(History::default().plot(folder.path().join("none.svg")).is_err());
    let text = History::default().plot(folder.path().join("c.jpg")).unwrap_err().to_string();
    assert!(text.contains("must end in .svg or .png; received `.jpg`") && text.contains("c.svg"), "{text}");
}
