//! Where every request is, at any moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// How many requests went which way. Each that was offered is in exactly one of `completed`, `failed`, `timed_out`,
/// `cancelled` and `never_sent`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Came due, or were begun where the schedule is unlimited.
    pub offered: u64,
    /// Went out on a connection, once or more.
    pub sent: u64,
    /// Were answered with 2xx, to the end.
    pub completed: u64,
    /// Failed, by kind.
    pub failed: BTreeMap<Failure, u64>,
    /// Were not done within the phase's timeout.
    pub timed_out: u64,
    /// Were begun, and not done when the phase was over.
    pub cancelled: u64,
    /// Waited for a free client until the phase was over, or would have been one too many to wait.
    pub never_sent: u64,
    /// Were sent again; each time counts.
    pub retried: u64,
    /// Were taken up more than half a millisecond late by the generator's own fault.
    pub late: u64,
    /// Bytes of the bodies received, as they came over the wire.
    pub body_bytes: u64,
}

impl Counts {
    /// All failures.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Requests whose latency never came to be known.
    pub fn unknown(&self) -> u64 {
        self.cancelled + self.never_sent
    }

    /// Whether every request that was offered ended in exactly one way.
    pub fn is_conserved(&self) -> bool {
        self.offered == self.completed + self.failures() + self.timed_out + self.cancelled + self.never_sent
    }

    /// Adds the counts of other requests.
    pub fn add(&mut self, other: &Self) {
        self.offered += other.offered;
        self.sent += other.sent;
        self.completed += other.completed;
        other.failed.iter().for_each(|(failure, n)| *self.failed.entry(*failure).or_default() += n);
        self.timed_out += other.timed_out;
        self.cancelled += other.cancelled;
        self.never_sent += other.never_sent;
        self.retried += other.retried;
        self.late += other.late;
        self.body_bytes += other.body_bytes;
    }
}

/// The requests of one operation that are not with a recorder: before they are taken up, and while they are served.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) offered: AtomicU64,
    /// Offered, and not taken by a full backlog or by the end of the phase.
    pub(crate) never_sent: AtomicU64,
    /// Taken up by a client.
    pub(crate) taken: AtomicU64,
    /// Given back by a client, with a result.
    pub(crate) settled: AtomicU64,
    /// Given back by a client that was ended.
    pub(crate) cancelled: AtomicU64,
    pub(crate) retried: AtomicU64,
}

/// A request that a client has taken up. Dropped without a result, it counts as cancelled.
#[derive(Debug)]
pub(crate) struct Ticket {
    tallies: Arc<[Tally]>,
    operation: usize,
    settled: bool,
}

impl Ticket {
    pub(crate) fn take(tallies: &Arc<[Tally]>, operation: usize) -> Self {
        tallies[operation].taken.fetch_add(1, Relaxed);
        Self { tallies: Arc::clone(tallies), operation, settled: false }
    }

    pub(crate) fn settle(mut self) {
        self.settled = true;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let tally = &self.tallies[self.operation];
        let count = if self.settled { &tally.settled } else { &tally.cancelled };
        count.fetch_add(1, Relaxed);
    }
}

/// Sums over all operations.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) offered: u64,
    pub(crate) never_sent: u64,
    pub(crate) taken: u64,
    pub(crate) settled: u64,
}

impl Totals {
    pub(crate) fn of(tallies: &[Tally]) -> Self {
        let sum = |count: fn(&Tally) -> &AtomicU64| tallies.iter().map(|tally| count(tally).load(Relaxed)).sum();
        // What is given back was taken before, and what is taken was offered: read backwards, no difference is negative.
        let settled = sum(|tally| &tally.settled);
        let taken = sum(|tally| &tally.taken);
        let never_sent = sum(|tally| &tally.never_sent);
        Self { settled, taken, never_sent, offered: sum(|tally| &tally.offered) }
    }

    pub(crate) fn in_flight(self) -> u64 {
        self.taken.saturating_sub(self.settled)
    }

    pub(crate) fn backlog(self) -> u64 {
        self.offered.saturating_sub(self.taken + self.never_sent)
    }
}
