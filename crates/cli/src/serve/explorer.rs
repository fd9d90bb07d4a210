//! The page on which a model is watched: its files, and what it asks.

use super::cell;
use super::http::{Refusal, Request, Response};
use super::layout::Cell;
use super::limits::{MAX_DRAWING_SIDE, MAX_PHOTOGRAPH_PIXELS};
use super::network::Network;
use super::page;
use super::planes;
use super::server::Answer;
use super::snapshots::{Snapshot, Snapshots};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use striate::data::image_file::{Colour, Picture, inspect_bytes, read_bytes};
use striate::data::{Photograph, Preparation};
use striate::tensor::Tensor;

/// Classes that are named for a picture.
const TOP: usize = 10;

/// A model and the last outputs of its layers.
pub struct Explorer {
    network: Network,
    description: Value,
    snapshots: Snapshots,
    /// One picture at a time: the pass uses all threads already.
    turn: Mutex<()>,
}

impl Explorer {
    /// Shows a network from the file of that name.
    pub fn new(network: Network, label: &str) -> Self {
        let description = network.to_json(label);
        Explorer { network, description, snapshots: Snapshots::default(), turn: Mutex::new(()) }
    }

    /// A picture through the network: classes, and the maps that the page wants.
    fn input(&self, request: &Request) -> Result<Response, Refusal> {
        let start = Instant::now();
        let wanted = planes::wanted(request.value("want").unwrap_or_default(), &self.network)?;
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let input = self.tensor(request)?;
        let prepared = start.elapsed();
        let values = self.network.forward(&input)?;
        drop(turn);
        let passed = start.elapsed();
        let snapshot = self.snapshots.keep(values);
        let head = json!({
            "id": snapshot.id,
            "top": self.top(&snapshot)?,
            "prepare_ms": 1e3 * prepared.as_secs_f64(),
            "ms": 1e3 * passed.as_secs_f64(),
        });
        let packed = planes::pack(head, &wanted, &self.network, &snapshot)?;
        Ok(Response::ok("application/octet-stream", packed))
    }

    /// The picture in a request's body, prepared.
    fn tensor(&self, request: &Request) -> Result<Tensor, Refusal> {
        let device = self.network.subject.model.device();
        let colour = match &self.network.subject.preparation {
            Preparation::Digit => Colour::Rgba,
            Preparation::Photograph(Photograph { colour, .. }) => *colour,
        };
        let picture = match request.content_type.split(';').next().unwrap_or_default().trim() {
            "application/octet-stream" => {
                let (width, height) = (request.number("width")?, request.number("height")?);
                if width > MAX_DRAWING_SIDE || height > MAX_DRAWING_SIDE {
                    return Err(Refusal::new(
                        413,
                        format!("a drawing may have at most {MAX_DRAWING_SIDE} pixels a side"),
                    ));
                }
                if colour == Colour::Rgb {
                    return Err(Refusal::new(415, "this model takes photographs, not drawings"));
                }
                Picture::new(request.body.to_vec(), height, width, Colour::Grey)?
            }
            kind if kind.starts_with("image/") => {
                let name = "the picture";
                let (height, width) = inspect_bytes(name, &request.body)?;
                if height.saturating_mul(width) > MAX_PHOTOGRAPH_PIXELS {
                    return Err(Refusal::new(
                        413,
                        format!("a picture may have at most {MAX_PHOTOGRAPH_PIXELS} pixels"),
                    ));
                }
                read_bytes(name, &request.body, colour)?
            }
            _ => {
                return Err(Refusal::new(
                    415,
                    "send a picture (image/…) or a drawing's grey bytes (application/octet-stream)",
                ));
            }
        };
        Ok(self.network.subject.preparation.apply_to(&picture, device)?)
    }

    /// The most probable classes, as index, name and probability.
    fn top(&self, snapshot: &Snapshot) -> Result<Value, Refusal> {
        let Some(output) = snapshot.values.get(&self.network.nodes[self.network.last()].path) else {
            return Ok(json!([]));
        };
        let values = output.to_vec::<f32>()?;
        // One number is the probability of the second of two classes.
        let values = if let [p] = values[..] { vec![1.0 - p, p] } else { values };
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        let class = |&i: &usize| json!([i, self.network.class_name(i), values[i]]);
        Ok(order.iter().take(TOP).map(class).collect())
    }

    fn snapshot(&self, request: &Request) -> Result<Arc<Snapshot>, Refusal> {
        let gone = || Refusal::new(410, "the values of that picture are not kept any more; send it again");
        self.snapshots.get(request.number("id")?).ok_or_else(gone)
    }

    /// More maps of a picture that was sent before.
    fn planes(&self, request: &Request) -> Result<Response, Refusal> {
        let snapshot = self.snapshot(request)?;
        let wanted = planes::wanted(request.value("want").unwrap_or_default(), &self.network)?;
        let packed = planes::pack(json!({ "id": snapshot.id }), &wanted, &self.network, &snapshot)?;
        Ok(Response::ok("application/octet-stream", packed))
    }

    /// How a cell came about.
    fn cell(&self, request: &Request) -> Result<Response, Refusal> {
        let snapshot = self.snapshot(request)?;
        let cell = Cell { y: request.number("y")?, x: request.number("x")?, channel: request.number("channel")? };
        cell::explain(&self.network, &snapshot, request.number("layer")?, cell).map(|answer| Response::json(&answer))
    }
}

impl Answer for Explorer {
    fn answer(&self, request: &Request) -> Result<Response, Refusal> {
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/api/input") => self.input(request),
            ("GET", "/api/model") => Ok(Response::json(&self.description)),
            ("GET", "/api/planes") => self.planes(request),
            ("GET", "/api/cell") => self.cell(request),
            _ => page::file(request, page::EXPLORER),
        }
    }
}
