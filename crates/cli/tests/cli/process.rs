//! Running the program, and the one training run that most tests look at.

use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

/// The program in the repository, where it finds the digits in `datasets/`.
pub fn striate<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_striate"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    ["STRIATE_ISA", "STRIATE_DATA", "RUST_BACKTRACE"].iter().for_each(|name| _ = command.env_remove(name));
    command
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs a command that must succeed.
#[track_caller]
pub fn succeed(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{command:?}\n{}", stderr(&output));
    assert!(!stderr(&output).contains("error:"), "{}", stderr(&output));
    output
}

/// Runs a command that must fail with `code` and one line `error: …` that holds all words; gives that line.
#[track_caller]
pub fn fail(mut command: Command, code: i32, words: &[&str]) -> String {
    let output = command.output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{command:?}\n{text}");
    assert!(!text.contains("panicked"), "{text}");
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error:")).collect();
    let [error] = errors[..] else { panic!("one error line, not\n{text}") };
    for word in words {
        assert!(error.contains(word), "{word:?} is not in\n{error}");
    }
    json_lines(&stdout(&output));
    error.to_string()
}

/// Every line as JSON; another line is a failure.
#[track_caller]
pub fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"))).collect()
}

#[track_caller]
pub fn read_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// `train mnist` of two epochs of 30 steps, into `folder`.
pub fn training(folder: &Path, more: &[&str]) -> Command {
    let mut command = striate(["train", "mnist", "--epochs", "2", "--steps-per-epoch", "30", "--out"]);
    command.arg(folder).args(more);
    command
}

/// A finished run.
pub struct Run {
    pub folder: PathBuf,
    pub stdout: String,
}

impl Run {
    pub fn model(&self) -> PathBuf {
        self.folder.join("model.keras")
    }

    pub fn report(&self) -> Value {
        read_json(&self.folder.join("run.json"))
    }
}

/// The run with seed 0, two threads and `--json`, made once.
pub static RUN: LazyLock<Run> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("striate-cli-run");
    let _ = fs::remove_dir_all(&folder);
    let output = succeed(training(&folder, &["--threads", "2", "--json"]));
    Run { folder, stdout: stdout(&output) }
});
