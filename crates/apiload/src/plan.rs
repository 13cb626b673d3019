//! What is asked of the engine: phases, one after the other, each with its own connections, rate and content type.

use std::collections::BTreeMap;
use std::time::Duration;

use measure::Schedule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, PlanError, Result};
use crate::request::Request;

/// A whole load: its phases in order.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The phases, run one after the other.
    pub phases: Vec<Phase>,
    /// Seed of every random choice: which request, which object. Phase `i` draws from `seed + i`.
    pub seed: u64,
    /// The `User-Agent`, by which an apiserver's audit log and metrics tell this load apart.
    pub user_agent: String,
    /// First part of the names of created objects; two loads in one namespace need different ones.
    pub prefix: String,
    /// Labels of created objects, by which they can be swept.
    pub labels: BTreeMap<String, String>,
}

/// One phase of a load.
#[derive(Clone, Debug)]
pub struct Phase {
    /// When requests are due.
    pub schedule: Schedule,
    /// What is sent, and how often each.
    pub mix: Vec<Share>,
    /// Transports. Over HTTP/2 each is one connection that its clients share; over HTTP/1.1, which carries one request at
    /// a time, every client has a connection of its own, as a Go transport would open for it.
    pub connections: usize,
    /// Virtual clients, each with one request in flight at most. Client `i` is on transport `i mod connections`.
    pub clients: usize,
    /// The protocol; a server that does not speak it is an error, not a fallback.
    pub protocol: Protocol,
    /// The representation that is asked for.
    pub content: Content,
    /// Whether answers may be compressed. client-go allows it unless it is told otherwise; bytes are then those on the wire.
    pub gzip: bool,
    /// How long one try of a request may take, waiting for a connection included. Sent along as `timeout`, as client-go does.
    pub timeout: Duration,
    /// How often a request is sent again after 429, or 5xx with `Retry-After`, or after a lost connection where it only
    /// reads. Each is counted, and the response time still starts at the first intention.
    pub max_retries: u32,
    /// Requests that may wait for a free client; one more is never sent, and counted so.
    pub backlog: usize,
    /// How long after the last due time unfinished requests are waited for before they are cancelled.
    pub drain: Duration,
    /// HTTP/2 settings.
    pub http2: Http2,
}

/// A request of a mix, and how often it is sent in relation to the others.
#[derive(Clone, Debug)]
pub struct Share {
    /// The weight. Zero is never sent.
    pub shares: u32,
    /// The request.
    pub request: Request,
}

/// The protocol of a phase.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Protocol {
    /// HTTP/1.1.
    #[serde(rename = "HTTP/1.1")]
    Http1,
    /// HTTP/2; without TLS by prior knowledge.
    #[serde(rename = "HTTP/2")]
    Http2,
}

/// The representation that is asked for. Both name a fallback, as client-go's `Accept` does: custom resources have no
/// Protobuf.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// `application/json`.
    Json,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
}

/// Settings of HTTP/2 that change what is measured. The defaults are those of Go's client as client-go sets it up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Http2 {
    /// Flow-control window of a stream.
    pub stream_window_bytes: u32,
    /// Flow-control window of a connection.
    pub connection_window_bytes: u32,
    /// Largest frame that is accepted.
    pub max_frame_bytes: u32,
    /// Streams that may be open before the server has said how many; its word holds after that.
    pub max_streams: usize,
    /// Silence after which a connection is pinged.
    pub keep_alive_s: f64,
    /// Silence after a ping that ends a connection.
    pub keep_alive_timeout_s: f64,
}

impl Default for Http2 {
    fn default() -> Self {
        Self {
            stream_window_bytes: 4 << 20,
            connection_window_bytes: 1 << 30,
            max_frame_bytes: 16 << 10,
            max_streams: 100,
            keep_alive_s: 30.0,
            keep_alive_timeout_s: 15.0,
        }
    }
}

impl Plan {
    /// A plan with this project's `User-Agent` and no labels.
    pub fn new(phases: Vec<Phase>, seed: u64) -> Self {
        let user_agent = concat!("kubedyno-apiload/", env!("CARGO_PKG_VERSION")).to_owned();
        Self { phases, seed, user_agent, prefix: format!("apiload-{seed:x}"), labels: BTreeMap::new() }
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.phases.is_empty() {
            return Err(Error::Plan { phase: 0, source: PlanError::Nothing("phases") });
        }
        let check = |(phase, spec): (usize, &Phase)| spec.check().map_err(|source| Error::Plan { phase, source });
        self.phases.iter().enumerate().try_for_each(check)
    }
}

impl Phase {
    /// A phase with one HTTP/2 connection, one client, JSON, a timeout of 60 s and no retries.
    pub fn new(schedule: Schedule, mix: Vec<Share>) -> Self {
        Self {
            schedule,
            mix,
            connections: 1,
            clients: 1,
            protocol: Protocol::Http2,
            content: Content::Json,
            gzip: false,
            timeout: Duration::from_secs(60),
            max_retries: 0,
            backlog: 1 << 16,
            drain: Duration::from_secs(60),
            http2: Http2::default(),
        }
    }

    /// Connections that are opened: see [`Phase::connections`].
    pub fn sockets(&self) -> usize {
        match self.protocol {
            Protocol::Http1 => self.clients,
            Protocol::Http2 => self.connections.min(self.clients),
        }
    }

    fn check(&self) -> Result<(), PlanError> {
        for (what, count) in [("connections", self.connections), ("clients", self.clients), ("backlog", self.backlog)] {
            if count == 0 {
                return Err(PlanError::Nothing(what));
            }
        }
        if self.timeout.is_zero() {
            return Err(PlanError::Nothing("timeout"));
        }
        if self.mix.iter().all(|share| share.shares == 0) {
            return Err(PlanError::Nothing("shares"));
        }
        self.mix.iter().enumerate().try_for_each(|(entry, share)| share.request.check(entry))
    }
}

impl Content {
    /// The `Accept` of client-go for this content type.
    pub(crate) fn accept(self) -> &'static str {
        match self {
            Self::Json => "application/json, */*",
            Self::Protobuf => "application/vnd.kubernetes.protobuf, */*",
        }
    }
}
