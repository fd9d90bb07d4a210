//! What one client, and all together, may ask of the server.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Connections that are open at once.
pub const MAX_CONNECTIONS: usize = 32;
/// Bytes of a request's line and headers.
pub const MAX_HEAD: usize = 16 << 10;
/// Headers of a request.
pub const MAX_HEADERS: usize = 64;
/// Bytes of a request's body: a photograph in a file.
pub const MAX_BODY: usize = 16 << 20;
/// Pixels along a side of a drawing.
pub const MAX_DRAWING_SIDE: usize = 512;
/// Pixels of a photograph: those of a camera's largest.
pub const MAX_PHOTOGRAPH_PIXELS: usize = 40_000_000;
/// How long a connection may lie idle or take over a request's head.
pub const HEAD_TIME: Duration = Duration::from_secs(30);
/// How long a body may take.
pub const BODY_TIME: Duration = Duration::from_secs(20);
/// How long a connection is used; a page opens another.
pub const LIFETIME: Duration = Duration::from_secs(120);
/// How long its last answer may take then.
pub const FAREWELL: Duration = Duration::from_secs(30);
/// How long a body that is too large is listened to, so that its sender hears the answer.
pub const LINGER: Duration = Duration::from_secs(1);
/// Requests a second that a client may go on with.
const RATE: f64 = 150.0;
/// Requests that a client may make at once after a pause.
const BURST: f64 = 300.0;
/// Clients that are remembered.
const MAX_CLIENTS: usize = 1024;

/// Counts requests by client: a bucket of [`BURST`] that fills by [`RATE`] a second.
#[derive(Debug, Default)]
pub struct Rates {
    buckets: Mutex<HashMap<IpAddr, (f64, Instant)>>,
}

impl Rates {
    /// Whether the client may make a request now; if so it is counted.
    pub fn allows(&self, client: IpAddr, now: Instant) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_CLIENTS && !buckets.contains_key(&client) {
            // A bucket that has had time to fill is as good as none.
            buckets.retain(|_, (_, last)| now.duration_since(*last).as_secs_f64() < BURST / RATE);
            if buckets.len() >= MAX_CLIENTS {
                return false;
            }
        }
        let (left, last) = buckets.entry(client).or_insert((BURST, now));
        *left = (*left + RATE * now.duration_since(*last).as_secs_f64()).min(BURST);
        *last = now;
        let allowed = *left >= 1.0;
        if allowed {
            *left -= 1.0;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_its_rate_and_others_theirs() {
        let rates = Rates::default();
        let (one, other) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let start = Instant::now();
        let allowed = (0..1000).filter(|_| rates.allows(one, start)).count();
        assert_eq!(allowed, BURST as usize);
        assert!(rates.allows(other, start));
        let later = start + Duration::from_millis(100);
        assert_eq!((0..1000).filter(|_| rates.allows(one, later)).count(), (RATE / 10.0) as usize);
    }

    #[test]
    fn many_clients_do_not_fill_the_memory() {
        let rates = Rates::default();
        let start = Instant::now();
        for i in 0..5000u32 {
            rates.allows(IpAddr::from(i.to_be_bytes()), start);
        }
        assert_eq!(rates.buckets.lock().unwrap().len(), MAX_CLIENTS);
        let later = start + Duration::from_secs(10);
        assert!(rates.allows(IpAddr::from([9, 9, 9, 9]), later));
        assert_eq!(rates.buckets.lock().unwrap().len(), 1);
    }
}
