//! What came of a load.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use measure::stats::Hdr;
use measure::{Schedule, invalid_by_slip};
use serde::{Serialize, Serializer};

use crate::plan::{Content, Http2, Phase, Protocol};
use crate::recorder::{FlowControl, RetryAfter, Sample};
use crate::row::Row;
use crate::series::Interval;
use crate::summary::Summary;

/// What came of a load: of every phase that was begun.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// URL of the apiserver.
    pub target: String,
    /// Seed of every random choice.
    pub seed: u64,
    /// Whether it was stopped before its end.
    pub stopped: bool,
    /// The phases, in order.
    pub phases: Vec<PhaseOutcome>,
}

/// What came of a phase.
#[derive(Clone, Debug, Serialize)]
pub struct PhaseOutcome {
    /// What was to be sent when.
    pub schedule: Schedule,
    /// How it was sent.
    pub setup: Setup,
    /// When it began, in seconds of the Unix epoch.
    #[serde(serialize_with = "as_unix_seconds")]
    pub started_unix_s: SystemTime,
    /// From its start to its last request.
    #[serde(rename = "elapsed_s", serialize_with = "as_seconds")]
    pub elapsed: Duration,
    /// Why its latencies cannot be trusted; absent where they can. Counts stand in any case.
    pub invalid: Option<String>,
    /// All operations together.
    pub total: Row,
    /// Each operation.
    pub rows: Vec<Row>,
    /// How late requests were taken up by the generator's own fault.
    #[serde(serialize_with = "as_summary")]
    pub slip: Hdr,
    /// The connections.
    pub connections: Connections,
    /// Answers by flow schema and priority level.
    pub flow_control: Vec<FlowControl>,
    /// `Retry-After` of answers with 429.
    pub retry_after: RetryAfter,
    /// The first failures, in full.
    pub failures: Vec<Sample>,
    /// Second by second.
    pub series: Vec<Interval>,
}

/// How a phase was sent: what its figures depend on.
#[derive(Clone, Debug, Serialize)]
pub struct Setup {
    /// Virtual clients.
    pub clients: usize,
    /// Connections that they shared or had.
    pub sockets: usize,
    /// Protocol.
    pub protocol: Protocol,
    /// Representation.
    pub content: Content,
    /// Whether answers could be compressed.
    pub gzip: bool,
    /// Timeout of a request, in seconds.
    pub timeout_s: f64,
    /// How often a request was tried again at most.
    pub max_retries: u32,
    /// Requests that could wait for a client.
    pub backlog: usize,
    /// HTTP/2 settings, where it was spoken.
    pub http2: Option<Http2>,
}

/// What happened to the connections of a phase.
#[derive(Clone, Debug, Serialize)]
pub struct Connections {
    /// Those that were opened, the first ones among them.
    pub opened: u64,
    /// Those that were opened again.
    pub reconnects: u64,
    /// GOAWAY frames received.
    pub goaways: u64,
    /// RST_STREAM frames received.
    pub resets: u64,
    /// Bytes received, with heads and frames; after TLS.
    pub received_bytes: u64,
    /// Bytes written, with heads and frames; before TLS.
    pub written_bytes: u64,
    /// Time for TCP, and for the proxy's answer where there is one.
    #[serde(serialize_with = "as_summary")]
    pub connect: Hdr,
    /// Time for the TLS handshake after it.
    #[serde(serialize_with = "as_summary")]
    pub tls: Hdr,
}

impl Setup {
    pub(crate) fn of(phase: &Phase) -> Self {
        Self {
            clients: phase.clients,
            sockets: phase.sockets(),
            protocol: phase.protocol,
            content: phase.content,
            gzip: phase.gzip,
            timeout_s: phase.timeout.as_secs_f64(),
            max_retries: phase.max_retries,
            backlog: phase.backlog,
            http2: (phase.protocol == Protocol::Http2).then_some(phase.http2),
        }
    }
}

/// Why the latencies of these requests cannot be trusted, if so.
pub(crate) fn invalid(slip: &Hdr, total: &Row) -> Option<String> {
    let median = total.times().response.quantile(0.5)?;
    // With fewer samples than a 99th percentile needs, the largest has to do.
    let slip = slip.quantile(0.99).or_else(|| slip.quantile(1.0))?;
    invalid_by_slip(slip, median)
}

fn as_summary<S: Serializer>(latencies: &Hdr, serializer: S) -> Result<S::Ok, S::Error> {
    Summary::of(latencies, 0).serialize(serializer)
}

fn as_seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

fn as_unix_seconds<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64())
}
