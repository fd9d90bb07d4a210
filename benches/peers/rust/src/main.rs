//! Burn and Candle on the training workloads of `striate bench`.
//!
//! `rust-peers PEER WORKLOAD THREADS REPEAT`: PEER is burn (its `flex` back end) or candle. Prints one JSON line as `peers.py` does.
#![forbid(unsafe_code)]

mod burn_peer;
mod candle_peer;

use std::error::Error;
use std::time::Instant;

/// A network of 3×3 convolutions and two dense layers, and how it is trained.
struct Plan {
    name: &'static str,
    /// Of the pictures.
    channels: usize,
    side: usize,
    /// Filters of the convolutions.
    widths: &'static [usize],
    /// How many of the convolutions, from the first, have a 2×2 maximum pooling behind them.
    pooled: usize,
    /// Values that the convolutions leave of a picture.
    features: usize,
    hidden: usize,
    /// 10 classes, or 1 for yes and no.
    outputs: usize,
    /// Before the dense layers; 0 for none.
    dropout: f64,
    batch: usize,
    /// In a repetition.
    steps: usize,
    rate: f64,
}

/// The rest of RMSprop's settings.
const RHO: f64 = 0.9;
const EPSILON: f64 = 1e-7;

const PLANS: [Plan; 2] = [
    Plan {
        name: "mnist_train",
        channels: 1,
        side: 28,
        widths: &[32, 64, 64],
        pooled: 2,
        features: 576,
        hidden: 64,
        outputs: 10,
        dropout: 0.0,
        batch: 64,
        steps: 20,
        rate: 1e-3,
    },
    Plan {
        name: "catsdogs_train",
        channels: 3,
        side: 150,
        widths: &[32, 64, 128, 128],
        pooled: 4,
        features: 6272,
        hidden: 512,
        outputs: 1,
        dropout: 0.5,
        batch: 20,
        steps: 3,
        rate: 1e-4,
    },
];

impl Plan {
    fn images(&self) -> usize {
        self.batch * self.steps
    }

    /// A class for every picture of a repetition.
    fn labels(&self) -> Vec<u32> {
        let classes = self.outputs.max(2) as u32;
        (0..self.images() as u32).map(|i| (i.wrapping_mul(0x9E37_79B9) >> 8) % classes).collect()
    }
}

/// Trains for the steps of one repetition.
type Repetition = Box<dyn FnMut() -> Result<(), Box<dyn Error>>>;

/// The largest resident size, where the system says it.
fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kilobytes| kilobytes * 1024)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [peer, workload, threads, repeat] = &arguments[..] else {
        return Err("usage: rust-peers burn|candle mnist_train|catsdogs_train THREADS REPEAT".into());
    };
    let repeat: usize = repeat.parse()?;
    // Both share their work out with rayon, which reads this when its threads start.
    std::env::set_var("RAYON_NUM_THREADS", threads);
    let plan = PLANS.iter().find(|plan| plan.name == workload).ok_or("no such workload")?;
    let mut run: Repetition = match peer.as_str() {
        "burn" => burn_peer::training(plan),
        "candle" => candle_peer::training(plan)?,
        _ => return Err("the peers are burn and candle".into()),
    };
    run()?;
    let mut rates = Vec::new();
    for _ in 0..repeat.max(1) {
        let start = Instant::now();
        run()?;
        rates.push(plan.images() as f64 / start.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    let median = (rates[(rates.len() - 1) / 2] + rates[rates.len() / 2]) / 2.0;
    let best = rates[rates.len() - 1];
    println!(
        r#"{{"peer": "{peer}", "workload": "{workload}", "unit": "images/s", "median": {median}, "best": {best}, "peak_rss_bytes": {}}}"#,
        peak_rss_bytes()
    );
    Ok(())
}
