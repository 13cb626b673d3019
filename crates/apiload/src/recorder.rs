//! What clients record, in memory that does not grow with the number of requests.

use std::time::Duration;

use http::HeaderValue;
use measure::stats::Hdr;
use measure::validity::SLIP_FLOOR;
use serde::Serialize;

use crate::failure::Failure;
use crate::row::{Objects, Row};

/// Failures that are kept with their message, so that what is unusual can be read.
const SAMPLES: usize = 100;
/// Pairs of flow schema and priority level that are told apart.
const FLOWS: usize = 64;

/// One recorder per part of the clients; they are merged at the end.
#[derive(Debug, Default)]
pub struct Recorder {
    pub(crate) rows: Vec<Row>,
    /// How late requests were taken up by the generator's own fault.
    pub(crate) slip: Hdr,
    /// Time to open a connection, and to agree on TLS.
    pub(crate) connect: Hdr,
    pub(crate) tls: Hdr,
    pub(crate) flows: Vec<FlowControl>,
    pub(crate) samples: Vec<Sample>,
    /// 429 answers that said when to come back, and the longest they said, in seconds.
    pub(crate) retry_after: RetryAfter,
    pub(crate) window: Window,
}

/// A request that is over. Times are offsets from the start of the phase.
#[derive(Clone, Debug)]
pub struct Record {
    /// Index of its operation.
    pub operation: usize,
    /// When it was due.
    pub intended: Duration,
    /// How much later it was taken up by the generator's own fault; unknown where nothing was due.
    pub slip: Option<Duration>,
    /// When it was handed to a connection, if it was.
    pub sent: Option<Duration>,
    /// When the head of the answer was there.
    pub first_byte: Option<Duration>,
    /// When the first object of a streaming list was there.
    pub first_object: Option<Duration>,
    /// When the last object of a streaming list was there.
    pub last_object: Option<Duration>,
    /// When its last byte was there, or when it was given up.
    pub done: Duration,
    /// Bytes of the body.
    pub body_bytes: u64,
    /// Objects of a streaming list.
    pub objects: Option<u64>,
    /// How it ended.
    pub ended: Ended,
}

/// How a request ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ended {
    /// With 2xx and the whole answer.
    Completed,
    /// With a failure, and what was said about it.
    Failed(Failure, String),
    /// Not in time.
    TimedOut,
}

/// A failure, in full.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Index of its operation.
    pub operation: usize,
    /// When it happened, in seconds from the start of the phase.
    pub at_s: f64,
    /// Its response time.
    pub response_ms: f64,
    /// Its kind; absent for a timeout.
    pub failure: Option<Failure>,
    /// What was said.
    pub message: String,
}

/// Answers by the flow schema and priority level that the apiserver's priority and fairness put them into.
#[derive(Clone, Debug, Serialize)]
pub struct FlowControl {
    /// `X-Kubernetes-PF-FlowSchema-UID`.
    #[serde(serialize_with = "as_text")]
    pub flow_schema_uid: HeaderValue,
    /// `X-Kubernetes-PF-PriorityLevel-UID`.
    #[serde(serialize_with = "as_text")]
    pub priority_level_uid: HeaderValue,
    /// Answers.
    pub answers: u64,
    /// Those of them with 429.
    pub rejected: u64,
}

/// `Retry-After` of answers with 429.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct RetryAfter {
    /// Answers that had it.
    pub answers: u64,
    /// The longest.
    pub max_s: u64,
}

/// What ended since a moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    pub(crate) response: Hdr,
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) timed_out: u64,
    pub(crate) body_bytes: u64,
}

impl Recorder {
    /// A recorder for this many operations.
    pub fn new(operations: usize) -> Self {
        // Not clones of one: histograms are zeroed pages until something is recorded in them.
        Self { rows: (0..operations).map(|_| Row::default()).collect(), ..Self::default() }
    }

    /// Records a request that is over.
    pub fn record(&mut self, record: &Record) {
        let row = &mut self.rows[record.operation];
        if let Some(slip) = record.slip {
            self.slip.record(slip);
            row.counts.late += u64::from(slip > SLIP_FLOOR);
        }
        row.counts.sent += u64::from(record.sent.is_some());
        row.counts.body_bytes += record.body_bytes;
        self.window.body_bytes += record.body_bytes;
        let response = record.done.saturating_sub(record.intended);
        self.window.response.record(response);
        let times = match &record.ended {
            Ended::Completed => {
                row.counts.completed += 1;
                self.window.completed += 1;
                &mut row.completed
            }
            Ended::Failed(failure, _) => {
                *row.counts.failed.entry(*failure).or_default() += 1;
                self.window.failed += 1;
                &mut row.failed
            }
            Ended::TimedOut => {
                row.counts.timed_out += 1;
                self.window.timed_out += 1;
                &mut row.failed
            }
        };
        times.response.record(response);
        let Some(sent) = record.sent else {
            return self.sample(record, response);
        };
        times.service.record(record.done.saturating_sub(sent));
        if record.ended != Ended::Completed {
            return self.sample(record, response);
        }
        let stages = [
            (&mut row.first_byte, record.first_byte),
            (&mut row.first_object, record.first_object),
            (&mut row.last_object, record.last_object),
        ];
        for (latency, at) in stages {
            if let Some(at) = at {
                latency.record(at.saturating_sub(sent));
            }
        }
        if let Some(objects) = record.objects {
            row.objects.add(Objects::one(objects));
        }
    }

    /// Records a connection that was opened.
    pub(crate) fn opened(&mut self, connect: Duration, tls: Option<Duration>) {
        self.connect.record(connect);
        if let Some(tls) = tls {
            self.tls.record(tls);
        }
    }

    /// Records the flow-control headers of an answer.
    pub(crate) fn flow(&mut self, schema: &HeaderValue, level: &HeaderValue, rejected: bool) {
        let known =
            self.flows.iter_mut().find(|flow| flow.flow_schema_uid == schema && flow.priority_level_uid == level);
        if let Some(flow) = known {
            flow.answers += 1;
            flow.rejected += u64::from(rejected);
        } else if self.flows.len() < FLOWS {
            self.flows.push(FlowControl {
                flow_schema_uid: schema.clone(),
                priority_level_uid: level.clone(),
                answers: 1,
                rejected: u64::from(rejected),
            });
        }
    }

    /// Adds what another recorder has.
    pub(crate) fn add(&mut self, other: &Self) {
        self.rows.iter_mut().zip(&other.rows).for_each(|(row, other)| row.add(other));
        self.slip.merge(&other.slip);
        self.connect.merge(&other.connect);
        self.tls.merge(&other.tls);
        for flow in &other.flows {
            match self.flows.iter_mut().find(|known| known.is_of(flow)) {
                Some(known) => {
                    known.answers += flow.answers;
                    known.rejected += flow.rejected;
                }
                None => self.flows.push(flow.clone()),
            }
        }
        self.samples.extend_from_slice(&other.samples);
        self.samples.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
        self.samples.truncate(SAMPLES);
        self.retry_after.answers += other.retry_after.answers;
        self.retry_after.max_s = self.retry_after.max_s.max(other.retry_after.max_s);
    }

    fn sample(&mut self, record: &Record, response: Duration) {
        if self.samples.len() >= SAMPLES {
            return;
        }
        let (failure, message) = match &record.ended {
            Ended::Failed(failure, message) => (Some(*failure), message.clone()),
            Ended::TimedOut => (None, "timed out".to_owned()),
            Ended::Completed => return,
        };
        let response_ms = measure::stats::millis(response);
        self.samples.push(Sample {
            operation: record.operation,
            at_s: record.done.as_secs_f64(),
            response_ms,
            failure,
            message,
        });
    }
}

impl FlowControl {
    fn is_of(&self, other: &Self) -> bool {
        self.flow_schema_uid == other.flow_schema_uid && self.priority_level_uid == other.priority_level_uid
    }
}

impl Window {
    /// Takes what another window has, and leaves it empty.
    pub(crate) fn drain(&mut self, other: &mut Self) {
        self.response.merge(&other.response);
        other.response.clear();
        self.completed += std::mem::take(&mut other.completed);
        self.failed += std::mem::take(&mut other.failed);
        self.timed_out += std::mem::take(&mut other.timed_out);
        self.body_bytes += std::mem::take(&mut other.body_bytes);
    }

    pub(crate) fn clear(&mut self) {
        self.response.clear();
        (self.completed, self.failed, self.timed_out, self.body_bytes) = (0, 0, 0, 0);
    }
}

fn as_text<S: serde::Serializer>(value: &HeaderValue, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(value.as_bytes()))
}
