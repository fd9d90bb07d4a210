//! The page, section by section.

use super::embed::escape;
use super::read::Notes;
use crate::answers::Answers;
use crate::curves::Curves;
use crate::render::Theme;
use serde_json::Value;
use std::fmt::Write as _;
use striate_nn::thousands;
use striate_tensor::Result;
use striate_train::History;

/// How much of itself a smoothed curve keeps at each epoch, as in the lecture.
const SMOOTHING: f64 = 0.8;
/// Beyond so many classes the confusion matrix becomes a list of the most frequent mistakes.
const MOST_CLASSES: usize = 24;
/// Mistakes in that list.
const MOST_MISTAKES: usize = 20;

pub(super) fn page(notes: &Notes) -> Result<String> {
    let recipe = text(&notes.begin["recipe"]);
    let accuracy = notes.run["test_accuracy"].as_f64();
    let title = match accuracy {
        Some(accuracy) => format!("{recipe}: {:.2} % of the test data right", 100.0 * accuracy),
        None => format!("{recipe}: a run that is not over"),
    };
    let mut page = String::with_capacity(1 << 20);
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>\n{}</style>\n</head>\n<body>\n",
        include_str!("page.css")
    );
    let epochs = notes.history.epochs.len();
    let _ = write!(
        page,
        "<header>\n<h1>{title}</h1>\n<p>{}, {} parameters, trained for {epochs} epoch{}</p>\n</header>\n<main>\n",
        text(&notes.begin["model"]),
        thousands(notes.begin["parameters"].as_u64().unwrap_or(0)),
        if epochs == 1 { "" } else { "s" }
    );
    summary(&mut page, notes);
    curves(&mut page, notes)?;
    if let Some(answers) = &notes.answers {
        answered(&mut page, notes, answers)?;
    }
    pictures(&mut page, notes);
    diary(&mut page, notes);
    heat(&mut page, notes);
    costs(&mut page, notes);
    let version = text(&notes.begin["version"]);
    let _ = write!(
        page,
        "</main>\n<footer>Made by striate {version}. This page holds everything that it shows.</footer>\n<script>\n{}</script>\n</body>\n</html>\n",
        include_str!("page.js")
    );
    Ok(page)
}

fn summary(page: &mut String, notes: &Notes) {
    let run = &notes.run;
    let mut facts: Vec<(&str, Option<String>, bool)> = Vec::new();
    let part = |key: &str| run[key].as_f64().map(|value| format!("{:.2} %", 100.0 * value));
    let number = |key: &str| run[key].as_f64().map(|value| format!("{value:.4}"));
    let last = |key: &str| notes.history.last(key);
    if run.is_null() {
        facts.push((
            "training accuracy so far",
            last("accuracy").map(|value| format!("{:.2} %", 100.0 * value)),
            false,
        ));
        facts.push(("training loss so far", last("loss").map(|value| format!("{value:.4}")), false));
    } else {
        facts.push(("test accuracy", part("test_accuracy"), false));
        facts.push(("test loss", number("test_loss"), false));
        facts.push(("validation accuracy", part("val_accuracy"), false));
        facts.push(("training accuracy", part("train_accuracy"), false));
        facts.push(("images a second", run["images_per_second"].as_f64().map(|value| format!("{value:.0}")), false));
        facts.push(("wall time", run["wall_s"].as_f64().map(duration), false));
        facts.push(("memory of the process", run["peak_rss_bytes"].as_f64().map(bytes), false));
        facts.push(("of that, tensors", run["peak_tensor_bytes"].as_f64().map(bytes), false));
        facts.push(("waiting for data", part("data_wait_share"), true));
        facts.push(("seed", run["seed"].as_u64().map(|seed| seed.to_string()), true));
        let place = format!("{}, {}, {} threads", text(&run["device"]), text(&run["isa"]), run["threads"]);
        facts.push(("computed on", Some(place), true));
        let digest = run["weights_sha256"].as_str().map(|digest| escape(digest.get(..12).unwrap_or(digest)));
        facts.push(("SHA-256 of the weights", digest, true));
    }
    page.push_str("<section>\n<h2>Summary</h2>\n<dl class=\"facts\">\n");
    for (name, value, is_minor) in facts {
        if let Some(value) = value {
            let class = if is_minor { " class=\"minor\"" } else { "" };
            let _ = writeln!(page, "<div{class}><dt>{name}</dt><dd>{value}</dd></div>");
        }
    }
    let _ = write!(
        page,
        "</dl>\n<h3>The run again</h3>\n<div class=\"command\"><pre id=\"command\">{}</pre>\
         <button data-copy=\"command\" hidden>copy</button></div>\n</section>\n",
        text(&notes.begin["command"])
    );
}

fn curves(page: &mut String, notes: &Notes) -> Result<()> {
    if notes.history.epochs.is_empty() {
        return Ok(());
    }
    page.push_str("<section>\n<h2>Curves</h2>\n");
    let smoothed = notes.history.smoothed(SMOOTHING);
    let is_long = notes.history.epochs.len() > 2;
    if is_long {
        page.push_str(
            "<div class=\"group\" data-choose=\"curves\" hidden><button value=\"raw\" aria-pressed=\"true\">as measured</button>\
             <button value=\"smooth\" aria-pressed=\"false\">smoothed by 0.8</button></div>\n",
        );
    }
    let test: Vec<(String, f64)> = notes.end["test"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|pair| Some((pair[0].as_str()?.to_string(), pair[1].as_f64()?)))
        .collect();
    let mut plots = |history: &History, which: &str, hidden: &str| -> Result<()> {
        let _ = writeln!(page, "<div class=\"plots\" data-curves=\"{which}\"{hidden}>");
        for name in history.names().into_iter().filter(|name| !name.starts_with("val_")) {
            let drawn = |theme: Theme| Curves::new(history).only(name).test(&test).theme(theme).to_svg();
            two_themes(page, &format!("{} over the epochs", escape(name)), drawn)?;
        }
        page.push_str("</div>\n");
        Ok(())
    };
    plots(&notes.history, "raw", "")?;
    if is_long {
        plots(&smoothed, "smooth", " hidden")?;
    }
    page.push_str("</section>\n");
    Ok(())
}

/// A chart for light pages and one for dark ones, of which one is seen.
fn two_themes(page: &mut String, alt: &str, drawn: impl Fn(Theme) -> Result<String>) -> Result<()> {
    let _ = write!(page, "<div class=\"plot\" role=\"img\" aria-label=\"{alt}\">");
    for (theme, class) in [(Theme::Light, "light"), (Theme::Dark, "dark")] {
        let svg = drawn(theme)?;
        // Line ends and indents say nothing here.
        let svg: Vec<&str> = svg.lines().map(str::trim).collect();
        let _ = write!(page, "<div class=\"{class}\">{}</div>", svg.join("\n"));
    }
    page.push_str("</div>\n");
    Ok(())
}

fn answered(page: &mut String, notes: &Notes, answers: &Answers) -> Result<()> {
    let names: Vec<String> = notes.end["class_names"].as_array().into_iter().flatten().map(text).collect();
    let name = |class: usize| names.get(class).cloned().unwrap_or_else(|| class.to_string());
    let matrix = answers.confusion()?;
    let wrong = answers.all().iter().filter(|answer| !answer.is_right()).count();
    let _ = write!(
        page,
        "<section>\n<h2>Answers to the test data</h2>\n<p>{} of {} samples wrong.</p>\n<div class=\"sides\">\n<div>\n",
        thousands(wrong as u64),
        thousands(answers.all().len() as u64)
    );
    if matrix.classes() <= MOST_CLASSES {
        page.push_str("<h3>Which class is taken for which</h3>\n<div class=\"scroll\"><table class=\"confusion\"><thead><tr><th></th>");
        for class in 0..matrix.classes() {
            let _ = write!(page, "<th scope=\"col\">{}</th>", name(class));
        }
        page.push_str("<th scope=\"col\">found</th></tr></thead>\n<tbody>\n");
        for (actual, row) in matrix.rows().enumerate() {
            let total = row.iter().sum::<u64>().max(1);
            let _ = write!(page, "<tr><th scope=\"row\">{}</th>", name(actual));
            for (predicted, &count) in row.iter().enumerate() {
                // A few mistakes among many samples shall be seen: the root spreads small shares.
                let share = (count as f64 / total as f64).sqrt() * 100.0;
                let strong = if share > 55.0 { " strong" } else { "" };
                let diagonal = if actual == predicted { " diagonal" } else { "" };
                let shown = if count > 0 { count.to_string() } else { String::new() };
                let _ = write!(page, "<td class=\"{strong}{diagonal}\" style=\"--share:{share:.0}\">{shown}</td>");
            }
            let _ =
                writeln!(page, "<td style=\"--share:0\">{:.1} %</td></tr>", 100.0 * row[actual] as f64 / total as f64);
        }
        page.push_str("<tr><th scope=\"row\">right</th>");
        for predicted in 0..matrix.classes() {
            let given: u64 = matrix.rows().map(|row| row[predicted]).sum();
            let right = 100.0 * matrix.count(predicted, predicted) as f64 / given.max(1) as f64;
            let _ = write!(page, "<td style=\"--share:0\">{right:.1}</td>");
        }
        page.push_str(
            "<td style=\"--share:0\"></td></tr>\n</tbody></table></div>\n<p class=\"quiet\">A row for each actual class, a column for each predicted one. \
             <i>found</i>: how much of a class was recognised (recall). <i>right</i>: how many percent of the answers with this class are right (precision).</p>\n",
        );
    } else {
        let mut mistakes: Vec<(u64, usize, usize)> = Vec::new();
        for (actual, row) in matrix.rows().enumerate() {
            let off = row.iter().enumerate().filter(|(predicted, count)| *predicted != actual && **count > 0);
            mistakes.extend(off.map(|(predicted, &count)| (count, actual, predicted)));
        }
        mistakes.sort_by(|a, b| b.0.cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        page.push_str("<h3>The most frequent mistakes</h3>\n<div class=\"scroll\"><table><thead><tr><th>actual</th><th class=\"text\">predicted</th><th>samples</th></tr></thead><tbody>\n");
        for (count, actual, predicted) in mistakes.into_iter().take(MOST_MISTAKES) {
            let _ = writeln!(
                page,
                "<tr><td>{}</td><td class=\"text\">{}</td><td>{count}</td></tr>",
                name(actual),
                name(predicted)
            );
        }
        page.push_str("</tbody></table></div>\n");
    }
    page.push_str("</div>\n<div>\n<h3>Whether probabilities mean what they say</h3>\n");
    let reliability = answers.reliability()?.title("");
    two_themes(page, "Reliability diagram", |theme| reliability.clone().theme(theme).to_svg())?;
    page.push_str("<p class=\"quiet\">On the dashed line, of the answers given with 80 % probability 80 % are right.</p>\n</div>\n</div>\n</section>\n");
    Ok(())
}

fn pictures(page: &mut String, notes: &Notes) {
    let list = |key: &str| notes.end[key].as_array().filter(|list| !list.is_empty());
    let sections = [
        ("worst", "The worst mistakes", "Wrong answers that gave the sample's own class the least."),
        ("shown", "Some answers", "Samples from all over the test data."),
    ];
    for (key, title, told) in sections {
        let Some(list) = list(key) else { continue };
        let _ = write!(page, "<section>\n<h2>{title}</h2>\n<p>{told}</p>\n<div class=\"pictures\">\n");
        for entry in list {
            let is_right = entry["is_right"] == true;
            let percent = |key: &str| percent(entry[key].as_f64());
            let _ = write!(page, "<figure>{}<figcaption>", image(entry, &format!("test sample {}", entry["sample"])));
            if is_right {
                let _ = write!(page, "<b class=\"good\">{}</b> {}", text(&entry["predicted"]), percent("probability"));
            } else {
                let _ = write!(
                    page,
                    "<b class=\"bad\">{}</b> {}<br>is {}, {}",
                    text(&entry["predicted"]),
                    percent("probability"),
                    text(&entry["actual"]),
                    percent("actual_probability")
                );
            }
            let name =
                entry["name"].as_str().map_or_else(|| format!("no. {}", entry["sample"]), |_| text(&entry["name"]));
            let _ = writeln!(page, "<br><span class=\"quiet\">{name}</span></figcaption></figure>");
        }
        page.push_str("</div>\n</section>\n");
    }
}

fn diary(page: &mut String, notes: &Notes) {
    let pins = notes.pins["pins"].as_array().cloned().unwrap_or_default();
    let (Some(last), false) = (notes.pages.last(), pins.is_empty()) else { return };
    let epoch_of = |entry: &Value| entry["epoch"].as_u64().unwrap_or(0);
    let last_epoch = epoch_of(last);
    let epochs: Vec<String> = notes.pages.iter().map(|entry| epoch_of(entry).to_string()).collect();
    let _ = write!(
        page,
        "<section>\n<h2>Diary</h2>\n<p>What the network makes of {} pinned picture{} as it learns.</p>\n<div class=\"diary\">\n\
         <div class=\"when\" hidden><button id=\"play\">play</button><label for=\"epoch\" class=\"quiet\">epoch</label>\
         <input id=\"epoch\" type=\"range\" min=\"0\" max=\"{}\" value=\"{}\" step=\"1\" data-epochs=\"{}\">\
         <output id=\"epoch-told\" for=\"epoch\"></output></div>\n<div class=\"pins\">\n",
        pins.len(),
        if pins.len() == 1 { "" } else { "s" },
        epochs.len() - 1,
        epochs.len() - 1,
        epochs.join(",")
    );
    let hidden = |entry: &Value| if epoch_of(entry) == last_epoch { "" } else { " hidden" };
    for (i, pin) in pins.iter().enumerate() {
        let class = text(&pin["class"]);
        let _ = write!(
            page,
            "<div class=\"pin\">{}<div><b>{class}</b></div><div>",
            image(pin, &format!("pinned picture of class {class}"))
        );
        for entry in &notes.pages {
            let answer = &entry["answers"][i];
            let _ = write!(page, "<ol data-epoch=\"{}\"{}>", epoch_of(entry), hidden(entry));
            for (place, top) in answer["top"].as_array().into_iter().flatten().enumerate() {
                let mark = match (place, answer["is_right"] == true) {
                    (0, true) => " class=\"good\"",
                    (0, false) => " class=\"bad\"",
                    _ => " class=\"quiet\"",
                };
                let _ = write!(page, "<li{mark}>{} {}</li>", text(&top[0]), percent(top[1].as_f64()));
            }
            page.push_str("</ol>");
        }
        page.push_str("</div>");
        // The probability of the picture's own class over the epochs.
        let points: Vec<String> = notes
            .pages
            .iter()
            .filter_map(|entry| {
                let value = entry["answers"][i]["actual"].as_f64()?;
                let x = 100.0 * epoch_of(entry) as f64 / last_epoch.max(1) as f64;
                Some(format!("{x:.1} {:.1}", 40.0 - 38.0 * value.clamp(0.0, 1.0)))
            })
            .collect();
        let _ = writeln!(
            page,
            "<svg viewBox=\"0 0 100 42\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"Probability of {class} over the epochs\">\
             <line x1=\"0\" x2=\"100\" y1=\"2\" y2=\"2\"/><line x1=\"0\" x2=\"100\" y1=\"40\" y2=\"40\"/>\
             <line class=\"now\" x1=\"100\" x2=\"100\" y1=\"2\" y2=\"40\"/><path d=\"M{}\"/></svg></div>",
            points.join("L")
        );
    }
    page.push_str("</div>\n<p class=\"quiet\">The line: the probability of the picture's own class, from 0 to 1, over the epochs.</p>\n");
    if !last["layers"].as_array().is_none_or(Vec::is_empty) {
        page.push_str("<h3>Responses</h3>\n<p class=\"quiet\">A row for each picture, a column for each of some channels; each channel less its mean and over its deviation.</p>\n<div class=\"responses\">\n");
        for (i, layer) in last["layers"].as_array().into_iter().flatten().enumerate() {
            let shape: Vec<String> = layer["shape"].as_array().into_iter().flatten().map(Value::to_string).collect();
            page.push_str("<figure>");
            for entry in &notes.pages {
                let alt = format!("responses of {} at epoch {}", text(&layer["path"]), epoch_of(entry));
                let _ = write!(
                    page,
                    "<div data-epoch=\"{}\"{}>{}</div>",
                    epoch_of(entry),
                    hidden(entry),
                    image(&entry["layers"][i], &alt)
                );
            }
            let _ = writeln!(
                page,
                "<figcaption><b>{}</b> <span class=\"quiet\">{}, {} of {} channels</span></figcaption></figure>",
                text(&layer["path"]),
                escape(&shape.join(" × ")),
                layer["shown"],
                shape.last().map_or("", String::as_str)
            );
        }
        page.push_str("</div>\n");
    }
    if !last["kernels"].is_null() {
        let kernels = &last["kernels"];
        let width = 9 * kernels["width"].as_u64().unwrap_or(0).min(1000);
        let _ = write!(
            page,
            "<h3>Kernels of {}</h3>\n<p class=\"quiet\">Grey is 0, all on one scale; {} kernels.</p>\n<figure class=\"kernels\" style=\"max-width:{width}px\">",
            text(&kernels["path"]),
            kernels["count"]
        );
        for entry in &notes.pages {
            let picture = image(&entry["kernels"], &format!("kernels at epoch {}", epoch_of(entry)));
            let picture = picture.replacen("<img ", "<img style=\"width:100%\" ", 1);
            let _ = write!(page, "<div data-epoch=\"{}\"{}>{picture}</div>", epoch_of(entry), hidden(entry));
        }
        page.push_str("</figure>\n");
    }
    page.push_str("</div>\n</section>\n");
}

fn heat(page: &mut String, notes: &Notes) {
    let heat = &notes.end["heat"];
    let Some(maps) = heat["maps"].as_array().filter(|maps| !maps.is_empty()) else { return };
    let _ = write!(
        page,
        "<section>\n<h2>Where it looks</h2>\n<p>{} of <code>{}</code> for the class that was found most probable. Each map is tested: it must not look like that of a network with shuffled weights \
         (randomisation), and the places that it names must matter more than others (deletion and insertion).</p>\n<div class=\"pictures large\">\n",
        text(&heat["method"]),
        text(&heat["layer"])
    );
    for map in maps {
        let class = text(&map["class"]);
        let mark = if map["is_right"] == true { "good" } else { "bad" };
        let _ = write!(
            page,
            "<figure>{}<figcaption><b class=\"{mark}\">{class}</b> {}",
            image(map, &format!("heat map of {class}")),
            percent(map["probability"].as_f64())
        );
        if map["is_right"] != true {
            let _ = write!(page, ", is {}", text(&map["actual"]));
        }
        let word = |check: &Value| {
            if check["passes"] == true {
                "<span class=\"good\">passes</span>"
            } else {
                "<span class=\"bad\">fails</span>"
            }
        };
        let random = &map["randomisation"];
        if let Some(similarity) = random["similarity"].as_f64() {
            let _ = write!(page, "<br>randomisation {} <span class=\"quiet\">({similarity:.2})</span>", word(random));
        }
        let scores = &map["deletion_insertion"];
        if let (Some(deletion), Some(insertion)) = (scores["deletion"].as_f64(), scores["insertion"].as_f64()) {
            let _ = write!(
                page,
                "<br>deletion, insertion {} <span class=\"quiet\">({deletion:.2}, {insertion:.2})</span>",
                word(scores)
            );
        }
        page.push_str("</figcaption></figure>\n");
    }
    page.push_str("</div>\n</section>\n");
}

fn costs(page: &mut String, notes: &Notes) {
    let Some(layers) = notes.begin["layers"].as_array() else { return };
    let _ = write!(
        page,
        "<section>\n<h2>Network and costs</h2>\n<p>{} parameters, {} of them trained; {} multiply-adds for a sample's forward pass; {} of weights. \
         The receptive field: how many pixels of the input one number of the output depends on.</p>\n<div class=\"scroll\"><table class=\"wide\"><thead><tr>\
         <th>layer</th><th class=\"text\">class</th><th class=\"text\">output</th><th class=\"text\">size</th><th>parameters</th><th>multiply-adds</th><th>output bytes</th><th>field</th></tr></thead><tbody>\n",
        thousands(notes.begin["parameters"].as_u64().unwrap_or(0)),
        thousands(notes.begin["trainable"].as_u64().unwrap_or(0)),
        short(notes.begin["multiply_adds"].as_f64().unwrap_or(0.0)),
        bytes(notes.begin["weight_bytes"].as_f64().unwrap_or(0.0))
    );
    for layer in layers {
        let field = match layer["receptive_field"].as_array() {
            Some(sides) => sides
                .iter()
                .map(Value::to_string)
                .map(|side| side.trim_end_matches(".0").to_string())
                .collect::<Vec<_>>()
                .join("×"),
            None => "all".into(),
        };
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td class=\"text\">{}</td><td class=\"text\">{}</td><td class=\"text quiet\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            text(&layer["path"]),
            text(&layer["class"]),
            text(&layer["shape"]),
            text(&layer["arithmetic"]),
            thousands(layer["parameters"].as_u64().unwrap_or(0)),
            short(layer["multiply_adds"].as_f64().unwrap_or(0.0)),
            bytes(layer["activation_bytes"].as_f64().unwrap_or(0.0)),
            escape(&field)
        );
    }
    page.push_str("</tbody></table></div>\n</section>\n");
}

/// An image of the notes; small ones keep their pixels. Nothing but a PNG inside of the page is let in.
fn image(entry: &Value, alt: &str) -> String {
    let is_plain = |address: &str| {
        let coded = address.strip_prefix("data:image/png;base64,");
        coded.is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)))
    };
    let Some(address) = entry["image"].as_str().filter(|address| is_plain(address)) else { return String::new() };
    // Tiles and digits are enlarged pixel by pixel.
    let pixels = if entry["width"].as_u64().is_some_and(|width| width < 100)
        || entry["shown"].is_u64()
        || entry["count"].is_u64()
    {
        "class=\"pixels\" "
    } else {
        ""
    };
    format!("<img {pixels}alt=\"{}\" src=\"{address}\">", escape(alt))
}

fn text(value: &Value) -> String {
    escape(value.as_str().unwrap_or_default())
}

fn percent(part: Option<f64>) -> String {
    match part {
        Some(part) if (0.0005..0.9995).contains(&part) => format!("{:.1} %", 100.0 * part),
        Some(part) if part > 0.5 => "100 %".into(),
        Some(part) if part > 0.0 => "&lt; 0.1 %".into(),
        Some(_) => "0 %".into(),
        None => "–".into(),
    }
}

/// A large number in three digits.
fn short(number: f64) -> String {
    match number {
        n if n >= 1e9 => format!("{:.2} G", n / 1e9),
        n if n >= 1e6 => format!("{:.2} M", n / 1e6),
        n if n >= 1e4 => format!("{:.1} k", n / 1e3),
        n => format!("{n:.0}"),
    }
}

fn bytes(number: f64) -> String {
    match number {
        n if n >= 1e9 => format!("{:.2} GB", n / 1e9),
        n if n >= 1e6 => format!("{:.1} MB", n / 1e6),
        n if n >= 1e3 => format!("{:.1} kB", n / 1e3),
        n => format!("{n:.0} B"),
    }
}

fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_short_and_images_are_what_they_say() {
        assert_eq!(
            (duration(59.2), duration(61.0), duration(7260.0)),
            ("59.2 s".into(), "1 min 01 s".into(), "2 h 01 min".into())
        );
        assert_eq!(
            (percent(Some(0.9999)), percent(Some(0.5)), percent(Some(1e-9))),
            ("100 %".into(), "50.0 %".into(), "&lt; 0.1 %".into())
        );
        assert!(
            image(&json!({ "image": "data:image/png;base64,AAAA", "width": 28 }), "a\"b").contains("alt=\"a&quot;b\"")
        );
        for bad in ["https://elsewhere/x.png", "data:image/png;base64,\" onerror=\"x", "data:text/html;base64,AAAA"] {
            assert_eq!(image(&json!({ "image": bad }), ""), "");
        }
    }
}
