//! What goes wrong is told in one line: who has a rule, which rule, what came instead, what to do.

use crate::process::{RUN, fail, json_lines, stdout, striate, succeed};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn wrong_usage_is_code_2() {
    let cases: [(&[&str], &str); 11] = [
        (&["train", "mnits"], "mnits"),
        (&["train", "mnist", "--epochs", "0"], "--epochs"),
        (&["train", "mnist", "--epochs", "many"], "--epochs"),
        (&["train", "mnist", "--batch-size", "0"], "--batch-size"),
        (&["train", "mnist", "--steps-per-epoch", "0"], "--steps-per-epoch"),
        (&["train", "mnist", "--seed", "-1"], "-1"),
        (&["train", "mnist", "--threads", "0"], "--threads"),
        (&["train", "mnist", "--colour"], "--colour"),
        (&["predict", "model.keras"], "required"),
        (&["bench", "mnist_fast"], "mnist_fast"),
        (&["paint"], "paint"),
    ];
    for (arguments, word) in cases {
        fail(striate(arguments), 2, &[word]);
    }
    assert_eq!(striate::<&str>([]).output().unwrap().status.code(), Some(2));
}

fn train(folder: &Path) -> Command {
    let mut command = striate(["train", "mnist", "--epochs", "1", "--steps-per-epoch", "1", "--json", "--out"]);
    command.arg(folder);
    command
}

/// A folder with the digits in which one file is another.
fn digits_with(file: &str, content: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let digits = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/mnist");
    for entry in fs::read_dir(digits).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_string();
        if name.trim_end_matches(".gz") != file.trim_end_matches(".gz") {
            fs::copy(&path, folder.path().join(name)).unwrap();
        }
    }
    fs::write(folder.path().join(file), content).unwrap();
    folder
}

#[test]
fn data_that_is_missing_or_damaged_is_named() {
    let out = tempfile::tempdir().unwrap();
    let with = |data: &Path, words: &[&str]| {
        let mut command = train(out.path());
        command.arg("--data").arg(data);
        let text = fail(command, 1, words);
        assert!(text.contains("; received ") && text.contains("(hint: "), "{text}");
        assert!(!out.path().join("model.keras").exists());
    };
    with(Path::new("/nowhere/at/all"), &["/nowhere/at/all", "must exist", "no such folder"]);
    let empty = tempfile::tempdir().unwrap();
    with(empty.path(), &["train-images-idx3-ubyte.gz", "needs this file", "striate data download mnist"]);

    let mut header = vec![0, 0, 8, 3, 0, 0, 0x27, 0x10, 0, 0, 0, 28, 0, 0, 0, 28];
    header.extend([0; 1000]);
    let cut = digits_with("t10k-images-idx3-ubyte", &header);
    with(cut.path(), &["t10k-images-idx3-ubyte", "(10000, 28, 28) asks for 7840000 elements"]);

    let labels = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/mnist/t10k-labels-idx1-ubyte.gz");
    let mut packed = fs::read(labels).unwrap();
    let middle = packed.len() / 2;
    packed[middle..middle + 20].iter_mut().for_each(|byte| *byte ^= 0xff);
    let corrupt = digits_with("t10k-labels-idx1-ubyte.gz", &packed);
    with(corrupt.path(), &["t10k-labels-idx1-ubyte.gz", "readable"]);

    let few = digits_with("t10k-labels-idx1-ubyte", &[0, 0, 8, 1, 0, 0, 0, 5, 7, 2, 1, 0, 4]);
    with(few.path(), &["t10k-labels-idx1-ubyte", "one label for each image", "labels (5,) for images (10000, 28, 28)"]);

    let other = digits_with("t10k-labels-idx1-ubyte", &[&[0, 0, 8, 1, 0, 0, 0x27, 0x10][..], &[3; 10_000]].concat());
    with(other.path(), &["t10k-labels-idx1-ubyte", "md5"]);
}

#[test]
fn an_output_folder_that_cannot_be_one_is_found_before_training() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("taken");
    fs::write(&file, "mine").unwrap();
    for out in [file.clone(), file.join("below")] {
        let text = fail(train(&out), 1, &[out.to_str().unwrap(), "must be a folder", "taken is a file"]);
        assert!(text.contains("(hint: "), "{text}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    // A folder where a result belongs: the error comes after training, but it comes.
    fs::create_dir_all(folder.path().join("out/run.json")).unwrap();
    fail(train(&folder.path().join("out")), 1, &["run.json", "writing failed"]);
}

#[test]
fn options_that_a_recipe_does_not_heed_are_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    for option in ["--as-lecture", "--skip-bad", "--side=100", "--mirrored", "--base=vgg16"] {
        let mut command = striate(["train", "mnist", option, "--out"]);
        command.arg(folder.path().join("out"));
        fail(command, 1, &[option.split('=').next().unwrap(), "is an option of", "mnist", "leave it out"]);
    }
    assert!(!folder.path().join("out").exists());
}

#[test]
#[cfg(target_os = "linux")]
fn output_that_cannot_be_written_is_a_failure_and_a_closed_pipe_is_none() {
    let mut command = striate(["doctor", "--json"]);
    command.stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    fail(command, 1, &["standard output", "writing failed"]);
    let mut command = striate(["doctor"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output =
        command.stdout(writer).stderr(std::process::Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn models_that_are_none_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(RUN.model()).unwrap();
    let file = |name: &str, bytes: &[u8]| -> PathBuf {
        fs::write(folder.path().join(name), bytes).unwrap();
        folder.path().join(name)
    };
    let cases = [
        (folder.path().join("absent.safetensors"), "no such file"),
        (folder.path().to_path_buf(), "regular file"),
        (file("empty.safetensors", b""), "an empty file"),
        (file("noise.safetensors", &[0xA5; 4096]), "received"),
        (
            file("letter.safetensors", b"Dear program, this is no model at all."),
            "text, which begins with `Dear program",
        ),
        (file("cut.safetensors", &whole[..whole.len() - 100]), "received"),
    ];
    let picture = folder.path().join("digit.png");
    for (model, word) in &cases {
        for command in ["evaluate", "summary", "predict"] {
            let mut command = striate([command, "--json"]);
            command.arg(model);
            if command.get_args().next() == Some("predict".as_ref()) {
                command.arg(&picture);
            }
            let text = fail(command, 1, &[model.to_str().unwrap(), word, "; received "]);
            assert!(text.contains("(hint: "), "{text}");
        }
    }
    let mut command = striate(["predict", "mobilenett"]);
    command.arg(&picture);
    fail(command, 1, &["mobilenett", "no such file or network", "did you mean mobilenet?"]);
    let mut command = train(&folder.path().join("out"));
    command.arg("--weights").arg(&cases[0].0);
    fail(command, 1, &["absent.safetensors", "no such file"]);
    // A checkpoint is no model, and a model whose pictures nobody can prepare says so.
    let mut command = train(&folder.path().join("out"));
    fs::create_dir_all(folder.path().join("out")).unwrap();
    let mut convert = striate(["convert"]);
    convert.args([&RUN.model(), &folder.path().join("out/checkpoint.safetensors")]);
    succeed(convert);
    command.arg("--resume");
    fail(command, 1, &["checkpoint.safetensors", "must hold a run's state", "hint"]);
}

#[test]
fn devices_and_instruction_sets_that_are_not_there_are_refused() {
    // Where there is a GPU the driver hides it then.
    let mut doctor = striate(["doctor", "--device", "cuda:0", "--json"]);
    doctor.env("CUDA_VISIBLE_DEVICES", "");
    fail(doctor, 1, &["cuda:0", "CUDA", "hint"]);
    fail(striate(["doctor", "--device", "cuda:one"]), 1, &["cuda:one", "number N"]);
    fail(striate(["doctor", "--device", "abacus"]), 1, &["abacus", "cpu or cuda:N"]);
    for precision in ["tf32", "bf16", "f16"] {
        let received = format!("received {precision}");
        fail(striate(["doctor", "--precision", precision]), 1, &["cpu: ", "float32", &received, "hint"]);
    }
    fail(striate(["doctor", "--cuda-graphs"]), 1, &["cpu: ", "received --cuda-graphs", "hint"]);
    let mut command = striate(["summary", "mnist"]);
    command.env("STRIATE_ISA", "nonsense");
    fail(command, 1, &["STRIATE_ISA", "avx512, avx2 or portable", "nonsense"]);
    fail(striate(["doctor", "--threads", "99999999"]), 1, &["threads", "99999999"]);
}

#[test]
fn a_closed_pipe_is_no_panic() {
    use std::process::Stdio;
    let mut child = striate(["summary", "mnist"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(json_lines(&stdout(&output)).is_empty());
}
