//! `striate summary` and `striate doctor`.

use crate::process::{RUN, json_lines, stdout, striate, succeed};
use serde_json::Value;

#[test]
fn the_recipe_s_network_has_93_322_parameters() {
    let text = stdout(&succeed(striate(["summary", "mnist"])));
    for part in ["conv2d_2", "max_pooling2d_1", "flatten", "dense_1", "(None, 26, 26, 32)", "93,322"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let lines = json_lines(&stdout(&succeed(striate(["summary", "mnist", "--json"]))));
    let [summary] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((summary["parameters"].as_u64(), summary["trainable"].as_u64()), (Some(93_322), Some(93_322)));
    let layers = summary["layers"].as_array().unwrap();
    let parameters = |layer: &Value| layer["parameters"].as_u64().unwrap();
    assert_eq!(layers.iter().map(parameters).sum::<u64>(), 93_322);
    let of = |name: &str| parameters(layers.iter().find(|layer| layer["name"] == name).unwrap());
    assert_eq!(["conv2d", "conv2d_1", "conv2d_2", "dense", "dense_1"].map(of), [320, 18_496, 36_928, 36_928, 650]);
}

#[test]
fn a_model_file_has_the_summary_of_its_network() {
    let mut command = striate(["summary", "--json"]);
    command.arg(RUN.model());
    let of_file = json_lines(&stdout(&succeed(command)));
    assert_eq!(of_file, json_lines(&stdout(&succeed(striate(["summary", "mnist", "--json"])))));
}

#[test]
fn doctor_tells_what_it_found() {
    let lines = json_lines(&stdout(&succeed(striate(["doctor", "--json", "--threads", "2"]))));
    let [found] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!(found["threads"], 2);
    assert!(found["isa"].is_string() && found["hardware"].is_string() && found["version"].is_string(), "{found}");
    assert!(found["data"]["mnist"].as_str().unwrap().ends_with("mnist"), "{found}");
    let mut portable = striate(["doctor", "--json"]);
    portable.env("STRIATE_ISA", "portable");
    assert_eq!(json_lines(&stdout(&succeed(portable)))[0]["isa"], "portable");
    let text = stdout(&succeed(striate(["doctor"])));
    for word in ["kernels", "threads", "mnist"] {
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn help_and_version_are_no_errors() {
    for arguments in [&["--help"][..], &["train", "--help"], &["--version"]] {
        assert!(stdout(&succeed(striate(arguments))).contains(if arguments[0] == "--version" {
            "striate"
        } else {
            "Usage"
        }));
    }
}
