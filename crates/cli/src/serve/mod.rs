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
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use striate::prelude::*;
use striate::viz::Subject;

/// The model that `striate train mnist` leaves.
const DEFAULT_MODEL: &str = "runs/mnist/model.keras";

/// `striate serve`.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// A model file of this program or of Keras for pictures, or a network of the zoo: vgg16, mobilenet, ... [default: runs/mnist/model.keras].
    pub model: Option<String>,
    /// The folder that holds the zoo's weights [default: $STRIATE_DATA, the cache folder, datasets/].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The address to listen on; another than the loopback lets others on the network in.
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    pub host: String,
    /// The port; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 8028)]
    pub port: u16,
}

/// Runs the command: until Ctrl-C, which ends the program at once; there is nothing to be written then.
pub fn run(arguments: &ServeArguments, output: &Output) -> Result<ExitCode> {
    let name = arguments.model.as_deref().unwrap_or(DEFAULT_MODEL);
    if arguments.model.is_none() && !Path::new(name).exists() {
        return Err(Error::argument(
            "serve",
            "a model must be there",
            format!("no {DEFAULT_MODEL}"),
            "train one with `striate train mnist`, or name a model file",
        ));
    }
    let server = Server::bind(&arguments.host, arguments.port)?;
    let network = Network::new(Subject::open(name, true, arguments.data.as_deref(), &device()?)?)?;
    // The folder tells more than `model.keras`.
    let parts: Vec<String> = Path::new(name).iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let explorer = Explorer::new(network, &parts[parts.len().saturating_sub(2)..].join("/"));
    if !server.is_local() {
        eprintln!("note: everyone who reaches this address can use the model: there is no password");
    }
    let url = server.url();
    output.text(format!("{name} is at {url} until Ctrl-C"));
    output.object(&json!({ "event": "serving", "url": url, "model": name }));
    server.run(Arc::new(explorer))
}
