//! A server on one address: a thread for each connection, as many as are allowed.

use super::http::{Connection, End, Refusal, Request, Response};
use super::limits::{MAX_CONNECTIONS, Rates};
use super::origin;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use striate::{Error, Result};

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
        let listener = TcpListener::bind((host, port)).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Server { listener, host: host.to_string(), address })
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
        let shared = Arc::new(Shared { answer, host: self.host, rates: Rates::default() });
        let open = Arc::new(AtomicUsize::new(0));
        loop {
            let (stream, client) = match self.listener.accept() {
                Ok(accepted) => accepted,
                // Out of descriptors, say: others will be given back.
                Err(_) => {
                    std::thread::sleep(Duration::from_millis(50));
                    continue;
                }
            };
            let place = Place::take(&open);
            if place.number >= 2 * MAX_CONNECTIONS {
                // Not even a thread that says so.
                continue;
            }
            let shared = shared.clone();
            // Without a thread for it the connection is closed.
            let _ = std::thread::Builder::new()
                .name("connection".into())
                .spawn(move || serve(stream, client.ip(), &shared, place));
        }
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

fn serve(stream: TcpStream, client: IpAddr, shared: &Shared, place: Place) {
    let Ok(mut connection) = Connection::new(stream) else { return };
    if place.number >= MAX_CONNECTIONS {
        let refusal = Refusal::new(503, format!("at most {MAX_CONNECTIONS} connections are served at once"));
        let _ = connection.write(&refusal.into(), false, false);
        return connection.close();
    }
    loop {
        let request = match connection.read() {
            Ok(request) => request,
            Err(End::Quiet) => return,
            Err(End::Refused(refusal)) => {
                let _ = connection.write(&refusal.into(), false, false);
                return connection.close();
            }
        };
        let response = respond(&request, client, shared).unwrap_or_else(Response::from);
        let is_head = request.method == "HEAD";
        if connection.write(&response, request.keeps_alive, is_head).is_err() || !request.keeps_alive {
            return;
        }
    }
}

fn respond(request: &Request, client: IpAddr, shared: &Shared) -> Result<Response, Refusal> {
    if !shared.rates.allows(client, Instant::now()) {
        return Err(Refusal::new(429, "too many requests; wait a second"));
    }
    origin::check(request, &shared.host)?;
    shared.answer.answer(request)
}
