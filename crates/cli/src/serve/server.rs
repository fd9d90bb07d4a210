//! A server on one address: hyper on one thread, which hands what takes long to others.

use super::http::{Refusal, Request, Response, receive};
use super::limits::{FAREWELL, HEAD_TIME, LIFETIME, MAX_CONNECTIONS, MAX_HEAD, MAX_HEADERS, Rates};
use super::origin;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use striate::{Error, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};

/// Requests whose answers are computed at once; the others wait.
const ANSWERED_AT_ONCE: usize = 8;

/// Answers requests that have passed every check.
pub trait Answer: Send + Sync + 'static {
    /// The response to a request.
    ///
    /// # Errors
    /// A refusal, which the client gets as JSON.
    fn answer(&self, request: &Request) -> Result<Response, Refusal>;
}

/// A bound address that nobody is served on yet.
#[derive(Debug)]
pub struct Server {
    runtime: Runtime,
    listener: TcpListener,
    host: String,
    address: SocketAddr,
}

impl Server {
    /// Binds to a host's port; 0 takes a free one.
    ///
    /// # Errors
    /// [`Error::Argument`] if the system refuses.
    pub fn bind(host: &str, port: u16) -> Result<Server> {
        let refused = |error: io::Error| {
            Error::argument(
                "--host, --port",
                "the address must be free and this machine's",
                format!("{host}:{port}: {error}"),
                "--port 0 takes a free port",
            )
        };
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(ANSWERED_AT_ONCE)
            .build()
            .map_err(|error| Error::io(host, "starting the server", error))?;
        let listener = runtime.block_on(TcpListener::bind((host, port))).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Server { runtime, listener, host: host.to_string(), address })
    }

    /// Whether only this machine can reach it.
    pub fn is_local(&self) -> bool {
        self.address.ip().is_loopback()
    }

    /// Where a browser on this machine finds it.
    pub fn url(&self) -> String {
        let SocketAddr::V4(_) = self.address else {
            return format!("http://[{}]:{}/", self.reachable(), self.address.port());
        };
        format!("http://{}:{}/", self.reachable(), self.address.port())
    }

    /// The address itself, or this machine's own if it stands for all.
    fn reachable(&self) -> IpAddr {
        match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from(std::net::Ipv6Addr::LOCALHOST),
            ip => ip,
        }
    }

    /// Serves until the program ends.
    pub fn run(self, answer: Arc<dyn Answer>) -> ! {
        let Server { runtime, listener, host, .. } = self;
        let shared = Arc::new(Shared { answer, host, rates: Rates::default() });
        let open = Arc::new(AtomicUsize::new(0));
        runtime.block_on(async {
            loop {
                let Ok((stream, client)) = listener.accept().await else {
                    // Out of descriptors, say: others will be given back.
                    sleep(Duration::from_millis(50)).await;
                    continue;
                };
                let place = Place::take(&open);
                if place.number < 2 * MAX_CONNECTIONS {
                    tokio::spawn(serve(stream, client.ip(), shared.clone(), place));
                }
            }
        })
    }
}

/// What all connections use.
struct Shared {
    answer: Arc<dyn Answer>,
    host: String,
    rates: Rates,
}

/// One of the connections that may be open.
struct Place {
    open: Arc<AtomicUsize>,
    number: usize,
}

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Place {
        Place { open: open.clone(), number: open.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves a connection until it lies idle, or is old.
async fn serve(stream: TcpStream, client: IpAddr, shared: Arc<Shared>, place: Place) {
    let _ = stream.set_nodelay(true);
    let is_one_too_many = place.number >= MAX_CONNECTIONS;
    let service = service_fn(|request| {
        let shared = shared.clone();
        async move {
            let response = respond(request, client, shared, is_one_too_many).await.unwrap_or_else(Response::from);
            Ok::<_, Infallible>(response.into_hyper())
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .half_close(true)
        .keep_alive(!is_one_too_many)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // A client that does not read its answer has its place so long and no longer.
    if timeout(LIFETIME, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(FAREWELL, connection).await;
    }
}

async fn respond(
    request: hyper::Request<Incoming>,
    client: IpAddr,
    shared: Arc<Shared>,
    is_one_too_many: bool,
) -> Result<Response, Refusal> {
    if is_one_too_many {
        return Err(Refusal::new(503, format!("at most {MAX_CONNECTIONS} connections are served at once")));
    }
    if !shared.rates.allows(client, Instant::now()) {
        return Err(Refusal::new(429, "too many requests; wait a second"));
    }
    let request = receive(request).await?;
    origin::check(&request, &shared.host)?;
    let answered = tokio::task::spawn_blocking(move || shared.answer.answer(&request)).await;
    answered.unwrap_or_else(|_| Err(Refusal::new(500, "the answer could not be computed")))
}
