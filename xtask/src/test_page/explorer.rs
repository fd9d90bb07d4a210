//! The page of a model: a drawn digit is read, a cell's sum is right, keys work, and bad requests get an error.

use super::webdriver::Browser;
use super::{check, near};
use serde_json::{Value, json};
use std::path::Path;

/// A 7, in parts of the pad.
const SEVEN: [(f64, f64); 8] =
    [(0.28, 0.24), (0.42, 0.23), (0.58, 0.22), (0.70, 0.23), (0.63, 0.40), (0.55, 0.58), (0.48, 0.72), (0.44, 0.83)];

/// Runs the checks and leaves screenshots in the folder.
pub fn run(browser: &Browser, url: &str, folder: &Path) -> Result<(), String> {
    let shot = |name: &str| browser.screenshot(&folder.join(format!("{name}.png")));
    browser.open(url)?;
    browser.wait("document.documentElement.dataset.ready")?;
    draw_seven(browser)?;
    let guess = browser.script("return document.getElementById('guess').textContent")?;
    check(guess == "7", || format!("a drawn 7 is read as {guess}"))?;
    shot("light")?;
    hover_a_cell(browser)?;
    shot("light-cell")?;
    every_layer_adds_up(browser)?;
    let resources = browser.script("return performance.getEntriesByType('resource').map((entry) => entry.name)")?;
    let foreign =
        |name: &&Value| !name.as_str().unwrap_or_default().starts_with(url) && !name.to_string().starts_with("\"blob:");
    let found = resources.as_array().into_iter().flatten().find(foreign);
    check(found.is_none(), || format!("the page asked another host: {found:?}"))?;
    let errors: Vec<String> = browser.console()?.into_iter().filter(|line| line.contains("SEVERE")).collect();
    check(errors.is_empty(), || format!("the page's console says {errors:?}"))?;

    browser.script("document.getElementById('view-depth').click(); scrollTo(0, 0)")?;
    shot("light-stacks")?;
    browser.script("document.getElementById('view-maps').click()")?;
    let dark = json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
    browser.devtools("Emulation.setEmulatedMedia", dark)?;
    shot("dark")?;
    browser.devtools("Emulation.setEmulatedMedia", json!({ "features": [] }))?;
    keys_draw(browser)?;
    bad_requests_get_an_error(browser)?;
    on_a_phone(browser, url)?;
    shot("phone")?;
    browser.script("document.querySelectorAll('.layer')[3].scrollIntoView()")?;
    shot("phone-layers")?;
    browser.devtools("Emulation.clearDeviceMetricsOverride", json!({}))?;
    println!("explorer: drawn, read, hovered, summed; keys, errors, dark and phone as they should be");
    Ok(())
}

fn draw_seven(browser: &Browser) -> Result<(), String> {
    let pad = rectangle(browser, "document.getElementById('pad')")?;
    let points: Vec<(f64, f64)> = SEVEN.iter().map(|(x, y)| (pad[0] + x * pad[2], pad[1] + y * pad[3])).collect();
    browser.mouse(&points, true)?;
    settled(browser)
}

/// Waits until what was drawn last has been answered.
fn settled(browser: &Browser) -> Result<(), String> {
    std::thread::sleep(std::time::Duration::from_millis(150));
    browser.wait("document.documentElement.dataset.answered")?;
    std::thread::sleep(std::time::Duration::from_millis(150));
    Ok(())
}

/// Left, top, width and height of an element in the window.
fn rectangle(browser: &Browser, element: &str) -> Result<[f64; 4], String> {
    let found = browser.script(&format!(
        "const box = {element}.getBoundingClientRect(); return [box.x, box.y, box.width, box.height]"
    ))?;
    let number = |i: usize| found[i].as_f64().ok_or_else(|| format!("no rectangle: {found}"));
    Ok([number(0)?, number(1)?, number(2)?, number(3)?])
}

/// The mouse over a map of the first convolution: the panel shows the sum of window × kernel.
fn hover_a_cell(browser: &Browser) -> Result<(), String> {
    browser.script("document.getElementById('layer-1').scrollIntoView({ block: 'center' })")?;
    // A layer that comes into view is fetched.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let maps = rectangle(browser, "document.querySelector('#layer-1 canvas')")?;
    let mut strongest = (0.0, (0.0, 0.0));
    for step in 0..12 {
        let point = (maps[0] + 20.0 + 50.0 * f64::from(step), maps[1] + 24.0);
        browser.mouse(&[point], false)?;
        std::thread::sleep(std::time::Duration::from_millis(60));
        let value = browser.script("return Number(document.getElementById('inspector-body').dataset.value)")?;
        if let Some(value) = value.as_f64().filter(|value| *value > strongest.0) {
            strongest = (value, point);
        }
    }
    check(strongest.0 > 0.0, || "no cell in a row of the first convolution answers to a 7".into())?;
    browser.mouse(&[strongest.1], false)?;
    std::thread::sleep(std::time::Duration::from_millis(200));
    let told = browser.script(
        "const numbers = (selector) => [...document.querySelectorAll(selector)].map((cell) => Number(cell.title));
         const [window, kernel] = [...document.querySelectorAll('#inspector-body .grid')].map((grid) => [...grid.children].map((cell) => Number(cell.title)));
         const { kind, sum, bias, before, after, value } = document.getElementById('inspector-body').dataset;
         const byHand = window.reduce((total, value, i) => total + value * kernel[i], 0);
         return { kind, byHand, taps: window.length, sum: Number(sum), bias: Number(bias), before: Number(before), after: Number(after), value: Number(value),
                  text: document.querySelector('#inspector-body .result').textContent, lines: document.getElementById('lines').childElementCount }",
    )?;
    let number = |key: &str| told[key].as_f64().unwrap_or(f64::NAN);
    check(told["kind"] == "convolution" && told["taps"] == 9, || format!("hovering shows {told}"))?;
    let sum = json!(number("byHand") + number("bias"));
    check(near(&told["byHand"], &told["sum"]) && near(&sum, &told["before"]), || format!("the sum is wrong: {told}"))?;
    check(near(&told["after"], &told["value"]), || format!("the layer's value is another: {told}"))?;
    let shown = format!("{:.3}", number("value"));
    check(told["text"].as_str().is_some_and(|text| text.contains(&shown)), || format!("{shown} is not shown: {told}"))?;
    check(told["lines"].as_u64() > Some(3), || format!("no lines to the window: {told}"))
}

/// One cell of every layer, asked from the page's own origin: what is computed by hand is what the layer gave.
fn every_layer_adds_up(browser: &Browser) -> Result<(), String> {
    let answers = browser.script(
        "const model = await (await fetch('/api/model')).json();
         const id = document.documentElement.dataset.answered;
         const all = [];
         for (const { index, layout: [height, width, channels], class: name } of model.layers) for (const part of [0.3, 0.5, 0.8]) {
           const at = (size) => Math.floor(part * size);
           const answer = await (await fetch(`/api/cell?id=${id}&layer=${index}&y=${at(height)}&x=${at(width)}&channel=${at(channels)}`)).json();
           all.push({ name, ...answer });
         }
         return all",
    )?;
    let answers = answers.as_array().cloned().unwrap_or_default();
    check(answers.len() >= 27, || format!("{} answers", answers.len()))?;
    for answer in &answers {
        let by_hand = match answer["kind"].as_str() {
            Some("copy") => &answer["input"],
            Some("input") => &answer["value"],
            _ => &answer["after"],
        };
        check(near(by_hand, &answer["value"]), || format!("a cell by hand is not the layer's: {answer}"))?;
    }
    Ok(())
}

/// A bar from top to bottom, drawn without a mouse, is a 1.
fn keys_draw(browser: &Browser) -> Result<(), String> {
    let (down, delete) = ('\u{E015}', '\u{E017}');
    browser.script("document.getElementById('pad').focus()")?;
    browser.keys(&delete.to_string())?;
    browser.wait("document.getElementById('guess').textContent === '–'")?;
    browser.keys(&format!(" {} ", down.to_string().repeat(16)))?;
    browser
        .wait("document.getElementById('guess').textContent === '1'")
        .map_err(|error| format!("a bar drawn by keys: {error}"))?;
    // From cell to cell.
    browser.script("document.querySelector('#layer-1 canvas').focus()")?;
    std::thread::sleep(std::time::Duration::from_millis(300));
    let (right, page_down) = ('\u{E014}', '\u{E00F}');
    browser.keys(&format!("{right}{right}{down}{page_down}"))?;
    browser.wait("document.querySelector('.cell-name')?.textContent === 'conv2d: map 2, row 15, column 15'")
}

fn bad_requests_get_an_error(browser: &Browser) -> Result<(), String> {
    let told = browser.script(
        "const ask = async (path, options) => {
           const response = await fetch(path, options);
           const type = response.headers.get('content-type');
           return [response.status, type.includes('json') ? (await response.json()).error ?? '' : ''];
         };
         const post = (type, body, query = '') => ask('/api/input' + query, { method: 'POST', headers: { 'Content-Type': type }, body });
         const png = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 1]);
         return {
           text: await post('image/png', 'no picture'), cut: await post('image/png', png), empty: await post('image/jpeg', ''),
           none: await post('text/plain', 'hello'), short: await post('application/octet-stream', 'abc', '?width=10&height=10'),
           large: await post('application/octet-stream', 'abc', '?width=100000&height=100000'), blank: await post('application/octet-stream', new Uint8Array(100).fill(255), '?width=10&height=10'),
           huge: await post('image/png', new Uint8Array(17 << 20)), layer: await ask('/api/cell?id=999999999&layer=1&y=0&x=0&channel=0'),
           path: await ask('/../etc/passwd'), method: await ask('/', { method: 'DELETE' }),
           well: await post('application/octet-stream', new Uint8Array(400).map((_, i) => (i % 20 > 8 && i % 20 < 12 ? 0 : 255)), '?width=20&height=20'),
         }",
    )?;
    let expected = [
        ("text", 422),
        ("cut", 422),
        ("empty", 422),
        ("none", 415),
        ("short", 422),
        ("large", 413),
        ("blank", 422),
        ("huge", 413),
        ("layer", 410),
        ("path", 404),
        ("method", 405),
        ("well", 200),
    ];
    for (name, status) in expected {
        let [got, error] = [&told[name][0], &told[name][1]];
        check(*got == status, || format!("{name}: {status} was expected: {told}"))?;
        check(status == 200 || error.as_str().is_some_and(|text| text.len() > 10), || {
            format!("{name}: no reason: {told}")
        })?;
    }
    Ok(())
}

/// At 360 pixels nothing is wider than the screen.
fn on_a_phone(browser: &Browser, url: &str) -> Result<(), String> {
    let phone = json!({ "width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true });
    browser.devtools("Emulation.setDeviceMetricsOverride", phone)?;
    browser.open(url)?;
    browser.wait("document.documentElement.dataset.ready")?;
    draw_seven(browser)?;
    let width = browser.script("return document.documentElement.scrollWidth")?;
    check(width.as_u64() <= Some(360), || format!("the page is {width} pixels wide on a screen of 360"))
}
