//! A virtual client: takes a request, sends it, reads the answer, records it; one at a time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use http::header::RETRY_AFTER;
use tokio_util::task::TaskTracker;

use crate::answer::Exchange;
use crate::connect::Sender;
use crate::control::Control;
use crate::credentials::Credentials;
use crate::failure::{Failed, Failure};
use crate::feed::{Clock, Feed, Job};
use crate::link::{Links, Taken};
use crate::operation::{Operation, Reads};
use crate::recorder::{Ended, Record, Recorder};
use crate::row::Objects;
use crate::tally::{Tally, Ticket};

/// Connections that may turn out to be closing, one after the other, before a request has failed.
const CONNECTIONS: usize = 3;
/// How often a list is looked at for its number of objects.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const FLOW_SCHEMA: &str = "x-kubernetes-pf-flowschema-uid";
const PRIORITY_LEVEL: &str = "x-kubernetes-pf-prioritylevel-uid";

/// What the clients of a phase share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) operations: Vec<Operation>,
    pub(crate) feed: Feed,
    pub(crate) clock: Clock,
    pub(crate) tallies: Arc<[Tally]>,
    pub(crate) recorders: Vec<Mutex<Recorder>>,
    pub(crate) links: Arc<Links>,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) timeout: Duration,
    pub(crate) max_retries: u32,
    /// When the lists of each operation are next looked at, in nanoseconds of the phase.
    pub(crate) next_look: Vec<AtomicU64>,
    /// Looks that are going on.
    pub(crate) looks: TaskTracker,
    /// Index of the phase.
    pub(crate) phase: usize,
    pub(crate) control: Control,
}

/// A virtual client.
#[derive(Debug)]
pub(crate) struct Client {
    shared: Arc<Shared>,
    index: usize,
    sender: Option<Sender>,
}

impl Shared {
    /// Records something with the recorder of client `index`.
    pub(crate) fn record<T>(&self, index: usize, what: impl FnOnce(&mut Recorder) -> T) -> T {
        what(&mut self.recorders[index % self.recorders.len()].lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a list of this operation is to be looked at now.
    fn looks_at(&self, operation: usize) -> bool {
        let now = self.clock.now().as_nanos() as u64;
        let next = &self.next_look[operation];
        let due = next.load(Relaxed);
        let later = now + LOOK_EVERY.as_nanos() as u64;
        now >= due && next.compare_exchange(due, later, Relaxed, Relaxed).is_ok()
    }
}

impl Client {
    /// A client, with a sender where its connection is open already.
    pub(crate) fn new(shared: Arc<Shared>, index: usize, sender: Option<Sender>) -> Self {
        Self { shared, index, sender }
    }

    /// Serves requests until there are no more.
    pub(crate) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut free_since = Duration::ZERO;
        while let Some(job) = shared.feed.next().await {
            let taken = shared.clock.now();
            let index = job.draw.operation as usize;
            let operation = &shared.operations[index];
            let ticket = Ticket::take(&shared.tallies, index);
            let (exchange, ended) = self.serve(operation, index, job.draw.number).await;
            let done = shared.clock.now();
            let record = Record {
                operation: index,
                intended: job.intended.unwrap_or(taken),
                slip: slip(&job, taken, free_since),
                sent: exchange.sent,
                first_byte: exchange.first_byte,
                first_object: exchange.first_object,
                last_object: exchange.last_object,
                done,
                body_bytes: exchange.body_bytes,
                objects: exchange.objects,
                ended,
            };
            operation.settled(job.draw.number, record.ended == Ended::Completed);
            shared.record(self.index, |recorder| recorder.record(&record));
            shared.control.finished(shared.phase, &operation.label, record);
            ticket.settle();
            if let Some(list) = exchange.kept {
                self.look(index, list);
            }
            free_since = shared.clock.now();
        }
    }

    /// Sends a request until it has a result that is not to be tried again.
    async fn serve(&mut self, operation: &Operation, index: usize, number: u64) -> (Exchange, Ended) {
        let timeout = self.shared.timeout;
        let mut retries = 0;
        loop {
            let mut exchange = Exchange::default();
            let one = self.exchange(operation, index, number, &mut exchange);
            let ended = match tokio::time::timeout(timeout, one).await {
                Ok(Ok(())) => Ended::Completed,
                Ok(Err(Failed { failure, message })) => Ended::Failed(failure, message),
                Err(_) => {
                    // Over HTTP/1.1 the answer would be taken for that of the next request; hyper closes the connection.
                    self.sender.take_if(|sender| matches!(sender, Sender::Http1(_)));
                    Ended::TimedOut
                }
            };
            match retry_after(operation, &ended, &exchange) {
                Some(wait) if retries < self.shared.max_retries => {
                    retries += 1;
                    self.shared.tallies[index].retried.fetch_add(1, Relaxed);
                    tokio::time::sleep(wait).await;
                }
                _ => return (exchange, ended),
            }
        }
    }

    /// One try. A connection that closes before anything was sent on it costs nothing but another connection.
    async fn exchange(
        &mut self,
        operation: &Operation,
        index: usize,
        number: u64,
        exchange: &mut Exchange,
    ) -> Result<(), Failed> {
        let mut request = operation.request(number, &self.shared.credentials.headers());
        for _ in 0..CONNECTIONS {
            let sender = match self.sender.take_if(|sender| !sender.is_closed()) {
                Some(sender) => sender,
                None => self.connect().await?,
            };
            let sender = self.sender.insert(sender);
            if !sender.ready().await {
                continue;
            }
            exchange.sent = Some(self.shared.clock.now());
            match sender.send(request).await {
                Ok(response) => {
                    exchange.first_byte = Some(self.shared.clock.now());
                    self.head(&response, exchange);
                    let keep = operation.reads == Reads::List && self.shared.looks_at(index);
                    return exchange.read(response, operation.reads, keep, self.shared.clock).await;
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) => {
                        request = unsent;
                        exchange.sent = None;
                        self.sender = None;
                    }
                    None => return Err(Failed::unanswered(error.error())),
                },
            }
        }
        Err(Failed::new(Failure::Reset, format!("{CONNECTIONS} connections closed before the request was sent")))
    }

    /// A sender on this client's connection, opened if need be.
    async fn connect(&self) -> Result<Sender, Failed> {
        let Taken { sender, opened } = self.shared.links.sender(self.index).await?;
        if let Some((connect, tls)) = opened {
            self.shared.record(self.index, |recorder| recorder.opened(connect, tls));
        }
        Ok(sender)
    }

    /// Notes what the head of an answer says about flow control.
    fn head<B>(&self, response: &http::Response<B>, exchange: &mut Exchange) {
        let headers = response.headers();
        let rejected = response.status() == StatusCode::TOO_MANY_REQUESTS;
        let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        exchange.retry_after = seconds.map(Duration::from_secs);
        let flow = headers.get(FLOW_SCHEMA).zip(headers.get(PRIORITY_LEVEL));
        if flow.is_none() && !rejected {
            return;
        }
        self.shared.record(self.index, |recorder| {
            if let Some((schema, level)) = flow {
                recorder.flow(schema, level, rejected);
            }
            if let Some(seconds) = seconds.filter(|_| rejected) {
                recorder.retry_after.answers += 1;
                recorder.retry_after.max_s = recorder.retry_after.max_s.max(seconds);
            }
        });
    }

    /// Counts the objects of a list on a thread where it delays no request.
    fn look(&self, operation: usize, list: Vec<u8>) {
        let (shared, index) = (Arc::clone(&self.shared), self.index);
        self.shared.looks.spawn_blocking(move || {
            if let Some(items) = crate::skim::items(&list) {
                shared.record(index, |recorder| recorder.rows[operation].objects.add(Objects::one(items)));
            }
        });
    }
}

/// How much later a request was taken up than it could have been. While all clients wait for the server, it could not have
/// been taken up before one was free: that wait is the server's doing. The pacing thread has no such excuse.
fn slip(job: &Job, taken: Duration, free_since: Duration) -> Option<Duration> {
    let intended = job.intended?;
    Some(job.behind.max(taken.saturating_sub(intended.max(free_since))))
}

/// How long to wait before a request is sent again, if it may be: as client-go does, after an answer that says when, and
/// at once after a lost connection where the request changes nothing.
fn retry_after(operation: &Operation, ended: &Ended, exchange: &Exchange) -> Option<Duration> {
    match ended {
        Ended::Failed(Failure::Status(429 | 500..=599), _) => exchange.retry_after,
        Ended::Failed(Failure::Reset | Failure::GoAway, _) if operation.reads_only => Some(Duration::ZERO),
        _ => None,
    }
}
