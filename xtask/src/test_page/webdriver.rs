//! A headless Chromium, driven through chromedriver (<https://www.w3.org/TR/webdriver2/>).

use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use ureq::Agent;

/// How long a condition is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with one page.
pub struct Browser {
    driver: Child,
    base: String,
    agent: Agent,
}

/// Where a program is, if it is installed.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

impl Browser {
    /// Starts chromedriver on a free port and a browser with a fresh profile in a folder.
    pub fn start(chromedriver: &Path, profile: &Path) -> Result<Browser, String> {
        let failed = |error: std::io::Error| format!("chromedriver: {error}");
        let driver = Command::new(chromedriver).arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut driver = driver.map_err(failed)?;
        let output = driver.stdout.take().ok_or("chromedriver has no output")?;
        let mut lines = BufReader::new(output).lines();
        let port = loop {
            let line = lines.next().ok_or("chromedriver ended at once")?.map_err(failed)?;
            if let Some((_, port)) = line.split_once("successfully on port ") {
                break port.trim_end_matches('.').to_string();
            }
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(120)));
        let mut browser =
            Browser { driver, base: format!("http://127.0.0.1:{port}/session"), agent: config.build().into() };
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=1440,900",
            &format!("--user-data-dir={}", profile.display()),
        ];
        let options = json!({ "goog:chromeOptions": { "args": arguments }, "goog:loggingPrefs": { "browser": "ALL" }, "timeouts": { "script": 100_000 } });
        let session = browser.post("", &json!({ "capabilities": { "alwaysMatch": options } }))?;
        let id = session["sessionId"].as_str().ok_or_else(|| format!("no session: {session}"))?;
        browser.base = format!("{}/{id}", browser.base);
        Ok(browser)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        let url = format!("{}{path}", self.base);
        let sent = self.agent.post(&url).header("Content-Type", "application/json").send(body.to_string());
        let mut response = sent.map_err(|error| format!("{url}: {error}"))?;
        let text =
            response.body_mut().with_config().limit(64 << 20).read_to_string().map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_str(&text).map_err(|error| format!("{url}: {error}"))?;
        match &answer["value"]["error"] {
            Value::String(error) => Err(format!("{path} {body}: {error}: {}", answer["value"]["message"])),
            _ => Ok(answer["value"].clone()),
        }
    }

    /// Opens a page.
    pub fn open(&self, url: &str) -> Result<(), String> {
        self.post("/url", &json!({ "url": url })).map(|_| ())
    }

    /// What a function's body returns in the page; it may await.
    pub fn script(&self, body: &str) -> Result<Value, String> {
        self.post("/execute/sync", &json!({ "script": format!("return (async () => {{ {body} }})()"), "args": [] }))
    }

    /// Waits until an expression is true in the page.
    pub fn wait(&self, expression: &str) -> Result<(), String> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if self.script(&format!("return Boolean({expression})"))? == Value::Bool(true) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(30));
        }
        Err(format!("this did not become true: {expression}"))
    }

    /// Moves the mouse along points of the page, with its button down from the first to the last if `draws`.
    pub fn mouse(&self, points: &[(f64, f64)], draws: bool) -> Result<(), String> {
        let step =
            |&(x, y): &(f64, f64)| json!({ "type": "pointerMove", "duration": 10, "x": x as i64, "y": y as i64 });
        let mut actions: Vec<Value> = points.iter().map(step).collect();
        if draws {
            actions.insert(1, json!({ "type": "pointerDown", "button": 0 }));
            actions.push(json!({ "type": "pointerUp", "button": 0 }));
        }
        let source =
            json!({ "type": "pointer", "id": "mouse", "parameters": { "pointerType": "mouse" }, "actions": actions });
        self.post("/actions", &json!({ "actions": [source] })).map(|_| ())
    }

    /// Presses keys one after the other; the private characters are WebDriver's.
    pub fn keys(&self, keys: &str) -> Result<(), String> {
        let press = |key: char| [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })];
        let actions: Vec<Value> = keys.chars().flat_map(press).collect();
        self.post("/actions", &json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] })).map(|_| ())
    }

    /// A command of Chromium's own protocol.
    pub fn devtools(&self, command: &str, parameters: Value) -> Result<Value, String> {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// Writes what is seen as PNG.
    pub fn screenshot(&self, path: &Path) -> Result<(), String> {
        let shot = self.devtools("Page.captureScreenshot", json!({ "format": "png" }))?;
        let bytes = decode_base64(shot["data"].as_str().unwrap_or_default());
        fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Everything that the page wrote to its console since the last call.
    pub fn console(&self) -> Result<Vec<String>, String> {
        let entries = self.post("/se/log", &json!({ "type": "browser" }))?;
        Ok(entries
            .as_array()
            .into_iter()
            .flatten()
            .map(|entry| format!("{}: {}", entry["level"], entry["message"]))
            .collect())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.agent.delete(&self.base).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Base 64 as in RFC 4648; other characters are passed over.
fn decode_base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bytes, mut bits, mut count) = (Vec::with_capacity(text.len() / 4 * 3), 0u32, 0);
    for value in text.bytes().filter_map(digit) {
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::decode_base64;

    #[test]
    fn base64_is_decoded() {
        assert_eq!(decode_base64("Zm9vYmFy"), b"foobar");
        assert_eq!(decode_base64("Zm9vYg=="), b"foob");
        assert_eq!(decode_base64("+/8="), [0xFB, 0xFF]);
    }
}
