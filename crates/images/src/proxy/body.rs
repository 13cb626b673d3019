//! Bodies on their way: counted, slowed down, cut off.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming};
use tokio::time::Instant;

use super::fault::Fault;
use super::wire::Wire;

/// Bytes that a slow body comes in.
const PIECE: usize = 16 * 1024;
/// From the last byte to the reset, so that the byte has left before.
const BEFORE_RESET: Duration = Duration::from_millis(20);

type Frames = Result<Frame<Bytes>, io::Error>;

/// The body of a request, with its bytes noted.
pub(super) fn request(
    body: Incoming,
    wire: Arc<Wire>,
) -> impl Body<Data = Bytes, Error = hyper::Error> + Send + 'static {
    body.map_frame(move |frame| {
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        wire.note(|entry| entry.received_bytes += bytes);
        frame
    })
}

/// The body of an answer as the client gets it.
pub(super) fn answer(body: Incoming, wire: Arc<Wire>, fault: Option<Fault>) -> impl Stream<Item = Frames> {
    let passing = Passing { body, wire, fault, began: Instant::now(), passed: 0, rest: Bytes::new() };
    stream::unfold(passing, |mut passing| async move {
        let frame = passing.next().await?;
        Some((frame, passing))
    })
}

struct Passing {
    body: Incoming,
    wire: Arc<Wire>,
    fault: Option<Fault>,
    began: Instant,
    passed: u64,
    /// What has come from the registry and is to go next.
    rest: Bytes,
}

impl Passing {
    async fn next(&mut self) -> Option<Frames> {
        if self.rest.is_empty() {
            match self.body.frame().await {
                None => {
                    self.wire.body_ended();
                    return None;
                }
                Some(Err(error)) => return Some(Err(self.broken(&error))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Some(Ok(trailers)),
                },
            }
        }
        let bytes = match self.fault {
            Some(Fault::Slow { bytes_per_second }) => self.when_due(bytes_per_second).await,
            Some(Fault::Reset { after_bytes }) if self.passed >= after_bytes => return Some(Err(self.reset().await)),
            Some(Fault::Reset { after_bytes }) => (after_bytes - self.passed).min(self.rest.len() as u64) as usize,
            Some(Fault::Status { .. }) | None => self.rest.len(),
        };
        let data = self.rest.split_to(bytes);
        self.passed += bytes as u64;
        self.wire.handed(bytes as u64);
        Some(Ok(Frame::data(data)))
    }

    /// Waits until the next piece is due, and says how long it is.
    async fn when_due(&self, bytes_per_second: u32) -> usize {
        let bytes = self.rest.len().min(PIECE);
        let through = (self.passed + bytes as u64) as f64 / f64::from(bytes_per_second.max(1));
        tokio::time::sleep_until(self.began + Duration::from_secs_f64(through)).await;
        bytes
    }

    async fn reset(&self) -> io::Error {
        // The HTTP library flushes what it holds while it waits.
        tokio::time::sleep(BEFORE_RESET).await;
        self.wire.reset();
        io::ErrorKind::ConnectionReset.into()
    }

    fn broken(&self, error: &hyper::Error) -> io::Error {
        self.wire.note(|entry| entry.fault = Some(format!("the registry broke off: {error}")));
        io::Error::other("the registry broke off")
    }
}
