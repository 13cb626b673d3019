//! A hand on a load that runs: it can be watched and stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use async_channel::{Receiver, Sender};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::recorder::Record;

/// Watches and stops a load. Clones are the same hand.
#[derive(Clone, Debug, Default)]
pub struct Control {
    stop: CancellationToken,
    live: watch::Sender<Live>,
    stream: Option<Sender<Finished>>,
    lost: Arc<AtomicU64>,
}

/// A request that is over, for whoever wants to see each.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Index of its phase.
    pub phase: usize,
    /// Verb, path and query, with `:name` where the name changes.
    pub label: Arc<str>,
    /// What happened to it.
    pub record: Record,
}

/// How a load is doing, once a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Live {
    /// Index of the phase.
    pub phase: usize,
    /// Since the start of the phase.
    pub elapsed: Duration,
    /// Requests that came due in it so far.
    pub offered: u64,
    /// Requests of it that are over.
    pub done: u64,
    /// Requests of it that failed or timed out.
    pub errors: u64,
    /// Requests that were dropped from a full backlog.
    pub never_sent: u64,
    /// Requests in flight.
    pub in_flight: u64,
    /// Requests waiting for a client.
    pub backlog: u64,
    /// Requests that ended in the last interval, per second.
    pub per_second: f64,
    /// 99th percentile of their response times; needs 100.
    pub p99: Option<Duration>,
}

impl Control {
    /// A hand on a load that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// A hand, and a stream of every request that is over. No client waits for whoever reads it: when `room` of them have
    /// not been read, the next are lost, and counted.
    pub fn streaming(room: usize) -> (Self, Receiver<Finished>) {
        let (stream, finished) = async_channel::bounded(room);
        (Self { stream: Some(stream), ..Self::default() }, finished)
    }

    /// Requests that the stream had no room for.
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Ends the load: nothing more comes due, what is in flight is cancelled and counted, and the outcome is what was had.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Whether the load was stopped.
    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// How the load is doing. It never waits for whoever reads it.
    pub fn live(&self) -> watch::Receiver<Live> {
        self.live.subscribe()
    }

    pub(crate) async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Streams a request that is over, where somebody wants to see it.
    pub(crate) fn finished(&self, phase: usize, label: &Arc<str>, record: Record) {
        let Some(stream) = &self.stream else { return };
        if stream.try_send(Finished { phase, label: Arc::clone(label), record }).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn show(&self, live: Live) {
        self.live.send_replace(live);
    }
}
