//! Single convolutions against PyTorch's.

use super::{Options, fair};
use serde_json::Value;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

const PASSES: [&str; 3] = ["forward", "input", "kernel"];
/// Contiguous and channels-last.
const LAYOUTS: [&str; 2] = ["torch", "torch-nhwc"];
/// PyTorch's threads look for more work for a while after their last, on the processors that are to be measured next.
const REST: Duration = Duration::from_millis(300);

/// PyTorch, which answers a layer's geometry with the rates of its passes in either layout.
struct Peer {
    child: Child,
    questions: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    fn start(root: &Path, python: &Path, options: &Options) -> Result<Peer, String> {
        let script = root.join("benches").join("peers").join("convolutions.py");
        let mut command = Command::new(python);
        command.arg(script).args([options.threads.to_string(), options.repeat.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = fair(&mut command).spawn().map_err(|error| format!("{}: {error}", python.display()))?;
        let questions = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().ok_or("the peer has no output")?).lines();
        Ok(Peer { child, questions, answers })
    }

    fn ask(&mut self, geometry: &Value) -> Result<Value, String> {
        let questions = self.questions.as_mut().ok_or("the peer has no input")?;
        writeln!(questions, "{geometry}")
            .and_then(|()| questions.flush())
            .map_err(|error| format!("the peer: {error}"))?;
        let line = self.answers.next().ok_or("the peer ended early")?.map_err(|error| format!("the peer: {error}"))?;
        serde_json::from_str(&line).map_err(|error| format!("the peer wrote {line:?}: {error}"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It ends at the end of its input.
        self.questions = None;
        let _ = self.child.wait();
    }
}

/// What `striate bench conv_micro` says of the layers with this in their names.
fn ours(program: &Path, layer: Option<&str>, options: &Options, repeat: usize) -> Result<Vec<Value>, String> {
    let (repeat, threads) = (repeat.to_string(), options.threads.to_string());
    let mut command = Command::new(program);
    command.args(["bench", "conv_micro", "--json", "--repeat", &repeat, "--threads", &threads]);
    if let Some(layer) = layer {
        command.args(["--layer", layer]);
    }
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
    lines.map_err(|error| format!("{command:?}: {error}"))
}

/// The layers and their geometries.
fn layers(program: &Path, options: &Options) -> Result<Vec<(String, Value)>, String> {
    let mut layers: Vec<(String, Value)> = Vec::new();
    for mut line in ours(program, None, options, 1)? {
        let name = line["layer"].as_str().ok_or("a line without layer")?.to_string();
        if layers.iter().all(|(known, _)| *known != name) {
            layers.push((name, line["geometry"].take()));
        }
    }
    Ok(layers)
}

/// One row for each layer and pass, of the best repetition of either side: single convolutions are so short that whatever else the
/// machine does falls on one side only.
pub fn compare(root: &Path, python: &Path, program: &Path, options: &Options) -> Result<(), String> {
    let mut peer = Peer::start(root, python, options)?;
    let (mut rows, mut slower) = (0, Vec::new());
    println!("\n| convolution | pass | striate, GFLOP/s | torch | torch-nhwc | ratio |");
    println!("|---|---|---|---|---|---|");
    for (layer, geometry) in layers(program, options)? {
        let mut own = [0.0_f64; PASSES.len()];
        let mut others = [[0.0_f64; LAYOUTS.len()]; PASSES.len()];
        for _ in 0..options.rounds {
            sleep(REST);
            for line in ours(program, Some(&layer), options, options.repeat)? {
                let pass = PASSES.iter().position(|pass| line["pass"] == **pass);
                let (pass, best) = pass.zip(line["best"].as_f64()).ok_or("a line without pass and best")?;
                own[pass] = own[pass].max(best);
            }
            let answer = peer.ask(&geometry)?;
            for (pass, rates) in PASSES.iter().zip(&mut others) {
                for (layout, rate) in LAYOUTS.iter().zip(rates) {
                    *rate = rate.max(answer[layout][pass].as_f64().ok_or("an answer without a rate")?);
                }
            }
        }
        for ((pass, own), others) in PASSES.iter().zip(own).zip(others) {
            let ratio = own / others[0].max(others[1]);
            println!("| {layer} | {pass} | {own:.1} | {:.1} | {:.1} | **{ratio:.2}** |", others[0], others[1]);
            rows += 1;
            if ratio < 1.0 {
                slower.push(format!("{layer} {pass} ({ratio:.2})"));
            }
        }
    }
    println!("\n{} of {rows} are slower than PyTorch's: {}", slower.len(), slower.join(", "));
    Ok(())
}
