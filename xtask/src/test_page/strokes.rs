//! A thousand strokes: how long each takes to be seen, and that neither the program nor the page grows.

use super::check;
use super::webdriver::Browser;
use serde_json::{Value, json};
use std::fs;

/// Strokes before the first measurement of memory: caches fill.
const WARM_UP: usize = 100;
/// Strokes that one script draws: a script's time is limited.
const AT_ONCE: usize = 20;
/// What the program may grow by, in kB.
const MOST_PROGRAM_KB: i64 = 8 << 10;
/// What the page's heap may grow by, in bytes.
const MOST_HEAP: i64 = 2 << 20;

/// Draws strokes and measures.
pub fn run(browser: &Browser, url: &str, process: u32, strokes: usize) -> Result<(), String> {
    browser.open(url)?;
    browser.wait("document.documentElement.dataset.ready")?;
    for _ in 0..WARM_UP / AT_ONCE {
        draw(browser, AT_ONCE)?;
    }
    let before = memory(browser, process)?;
    let mut times = Vec::new();
    for _ in 0..strokes / AT_ONCE {
        times.extend(draw(browser, AT_ONCE)?);
    }
    let after = memory(browser, process)?;
    let nth = |which: usize, part: f64| {
        let mut all: Vec<f64> = times.iter().map(|time| time[which].as_f64().unwrap_or(f64::NAN)).collect();
        all.sort_by(f64::total_cmp);
        all.get(((all.len() - 1) as f64 * part) as usize).copied().unwrap_or(f64::NAN)
    };
    println!(
        "{} strokes: network {:.1} ms (95 %: {:.1}), stroke to updated layers {:.1} ms (95 %: {:.1}); memory: program {} → {} kB, page's heap {} → {} bytes, nodes {} → {}",
        times.len(),
        nth(0, 0.5),
        nth(0, 0.95),
        nth(1, 0.5),
        nth(1, 0.95),
        before[0],
        after[0],
        before[1],
        after[1],
        before[2],
        after[2]
    );
    check(times.len() >= strokes / AT_ONCE * AT_ONCE, || {
        format!("{} of {strokes} strokes were answered", times.len())
    })?;
    check(after[0] - before[0] <= MOST_PROGRAM_KB, || {
        format!("the program grew from {} to {} kB", before[0], after[0])
    })?;
    check(after[1] - before[1] <= MOST_HEAP, || {
        format!("the page's heap grew from {} to {} bytes", before[1], after[1])
    })?;
    check(after[2] - before[2] <= 200, || format!("the page's nodes grew from {} to {}", before[2], after[2]))
}

/// Strokes one after the other on a cleared pad, each waited for: milliseconds of the network and of the whole way.
fn draw(browser: &Browser, count: usize) -> Result<Vec<Value>, String> {
    let times = browser.script(&format!(
        "const pad = document.getElementById('pad');
         const box = pad.getBoundingClientRect();
         const data = document.documentElement.dataset;
         const send = (type, x, y) => pad.dispatchEvent(new PointerEvent(type, {{ pointerId: 1, bubbles: true, clientX: box.x + x * box.width, clientY: box.y + y * box.height }}));
         const times = [];
         for (let i = 0; i < {count}; i++) {{
           document.getElementById('clear').click();
           const last = data.answered;
           const x = 0.3 + 0.4 * Math.random();
           send('pointerdown', x, 0.2);
           for (let y = 0.3; y < 0.85; y += 0.1) send('pointermove', x + 0.1 * Math.random(), y);
           send('pointerup', x, 0.8);
           const end = performance.now() + 5000;
           let seen = data.answered;
           // Until the newest state of the stroke is there and nothing more comes.
           for (let quiet = 0; performance.now() < end && (seen === last || quiet < 2); ) {{
             await new Promise((done) => setTimeout(done, 4));
             quiet = data.answered === seen ? quiet + 1 : 0;
             seen = data.answered;
           }}
           if (seen !== last) times.push([Number(data.ms), Number(data.trip)]);
           if (i % 10 === 0) {{
             const canvas = document.querySelectorAll('.layer canvas')[1].getBoundingClientRect();
             document.querySelectorAll('.layer canvas')[1].dispatchEvent(new PointerEvent('pointermove', {{ pointerType: 'mouse', clientX: canvas.x + 30, clientY: canvas.y + 30 }}));
           }}
         }}
         return times"
    ))?;
    times.as_array().cloned().ok_or_else(|| format!("no times: {times}"))
}

/// The program's memory in kB, the page's heap in bytes, its nodes.
fn memory(browser: &Browser, process: u32) -> Result<[i64; 3], String> {
    for _ in 0..2 {
        browser.devtools("HeapProfiler.collectGarbage", json!({}))?;
    }
    let heap = browser.devtools("Runtime.getHeapUsage", json!({}))?;
    let counters = browser.devtools("Memory.getDOMCounters", json!({}))?;
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    let resident = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0);
    let whole = |value: &Value| value.as_f64().unwrap_or(0.0) as i64;
    Ok([resident, whole(&heap["usedSize"]), whole(&counters["nodes"])])
}
