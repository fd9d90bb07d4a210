//! Pages on the loopback: a model that one draws for (`striate serve`), and a run in progress (`striate train --live`).

mod cell;
mod describe;
mod explorer;
mod http;
mod layout;
mod limits;
mod live;
mod network;
mod origin;
mod page;
mod planes;
mod server;
mod snapshots;

pub use live::{Live, LiveArguments};

use crate::output::Output;
use clap::Args;
use explorer::Explorer;
use network::Network;
use serde_json::json;
use server::Server;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use striate::formats::load;
use striate::prelude::*;

/// The model that `striate train mnist` leaves.
const DEFAULT_MODEL: &str = "runs/mnist/model.keras";

/// `striate serve`.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// A model file of this program or of Keras for pictures [default: runs/mnist/model.keras].
    pub model: Option<PathBuf>,
    /// The address to listen on; another than the loopback lets others on the network in.
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    pub host: String,
    /// The port; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 8028)]
    pub port: u16,
}

/// Runs the command: until Ctrl-C, which ends the program at once; there is nothing to be written then.
pub fn run(arguments: &ServeArguments, output: &Output) -> Result<ExitCode> {
    let path = arguments.model.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_MODEL));
    if arguments.model.is_none() && !path.exists() {
        return Err(Error::argument("serve", "a model must be there", format!("no {DEFAULT_MODEL}"), "train one with `striate train mnist`, or name a model file"));
    }
    let server = Server::bind(&arguments.host, arguments.port)?;
    let network = Network::new(load(&path, &Registry::default(), &device()?)?)?;
    // The folder tells more than `model.keras`.
    let parts: Vec<String> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let explorer = Explorer::new(network, &parts[parts.len().saturating_sub(2)..].join("/"));
    if !server.is_local() {
        eprintln!("note: everyone who reaches this address can use the model: there is no password");
    }
    let url = server.url();
    output.text(format!("{} is at {url} until Ctrl-C", path.display()));
    output.object(&json!({ "event": "serving", "url": url, "model": path.display().to_string() }));
    server.run(Arc::new(explorer))
}
