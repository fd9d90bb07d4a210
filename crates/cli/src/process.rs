//! What the system says about this process.

use std::sync::OnceLock;
use std::time::Instant;

/// The largest resident size so far, in bytes, where the system tells.
pub fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

static START: OnceLock<Instant> = OnceLock::new();

/// Notes when the program began; called first of all.
pub fn mark_start() {
    START.get_or_init(Instant::now);
}

/// Seconds since [`mark_start`].
pub fn since_start() -> f64 {
    START.get_or_init(Instant::now).elapsed().as_secs_f64()
}
