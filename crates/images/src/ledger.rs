//! The account of a registry: an entry for every request, with the bytes that went into the client's socket.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

/// The account. Clones are one account.
#[derive(Clone, Debug)]
pub struct Ledger {
    began: Instant,
    /// When stamps are 0.
    pub origin: SystemTime,
    state: Arc<Mutex<State>>,
}

/// One request and its answer. Stamps are microseconds from [`Ledger::origin`], by a clock that does not step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// How many requests came before.
    pub number: u64,
    /// Who asked.
    pub client: IpAddr,
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The digest of what was asked for: from the path, or for a tag from the registry's answer.
    pub digest: Option<String>,
    /// The `Range` that was asked for.
    pub range: Option<String>,
    /// The status of the answer; 0 when there was none.
    pub status: u16,
    /// Bytes of the request's body.
    pub received_bytes: u64,
    /// Bytes of the answer's body that went into the client's socket.
    pub sent_bytes: u64,
    /// Bytes that the answer said its body has.
    pub promised_bytes: Option<u64>,
    /// When its head was read.
    pub came_us: u64,
    /// When the head of the answer was ready.
    pub answered_us: Option<u64>,
    /// When the last byte of the answer went out.
    pub ended_us: u64,
    /// How it ended.
    pub ending: Ending,
    /// What was done to it: a fault that was asked for, or what went wrong with the registry.
    pub fault: Option<String>,
}

impl Entry {
    /// A request that came and has no answer yet.
    pub fn came(client: IpAddr, method: &str, path: String, came_us: u64) -> Self {
        Self {
            number: 0,
            client,
            method: method.to_owned(),
            path,
            digest: None,
            range: None,
            status: 0,
            received_bytes: 0,
            sent_bytes: 0,
            promised_bytes: None,
            came_us,
            answered_us: None,
            ended_us: came_us,
            ending: Ending::BrokenOff,
            fault: None,
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// All of the answer went out.
    Complete,
    /// The connection ended before.
    BrokenOff,
}

/// Requests and bytes of one client for one digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Requests, whatever became of them.
    pub requests: u64,
    /// Bytes of bodies that went out to the client.
    pub sent_bytes: u64,
    /// Requests that were broken off.
    pub broken_off: u64,
}

#[derive(Debug, Default)]
struct State {
    came: u64,
    open: u64,
    closed: Vec<Entry>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), origin: SystemTime::now(), state: Arc::default() }
    }

    /// What has ended, in the order in which it came.
    pub fn entries(&self) -> Vec<Entry> {
        let entries = self.state().closed.clone();
        in_order(entries)
    }

    /// Requests that have come and not ended.
    pub fn open(&self) -> u64 {
        self.state().open
    }

    /// Waits until nothing is open, and says whether that came within `limit`. Blocks its thread.
    pub fn settles_within(&self, limit: Duration) -> bool {
        const PAUSE: Duration = Duration::from_millis(2);
        let started = Instant::now();
        while self.open() > 0 {
            if started.elapsed() > limit {
                return false;
            }
            std::thread::sleep(PAUSE);
        }
        true
    }

    /// Takes out what has ended, so that the next phase begins with an empty account. A client can have its answer before the
    /// entry is closed: ask [`Self::settles_within`] first.
    pub fn take(&self) -> Vec<Entry> {
        let entries = std::mem::take(&mut self.state().closed);
        in_order(entries)
    }

    /// What each client got of each digest.
    pub fn tallies(entries: &[Entry]) -> BTreeMap<(IpAddr, String), Tally> {
        let mut tallies = BTreeMap::<_, Tally>::new();
        for entry in entries {
            let Some(digest) = &entry.digest else { continue };
            let tally = tallies.entry((entry.client, digest.clone())).or_default();
            tally.requests += 1;
            tally.sent_bytes += entry.sent_bytes;
            tally.broken_off += u64::from(entry.ending == Ending::BrokenOff);
        }
        tallies
    }

    /// The number of a request that has come.
    pub(crate) fn came(&self) -> u64 {
        let mut state = self.state();
        state.open += 1;
        state.came += 1;
        state.came - 1
    }

    pub(crate) fn close(&self, entry: Entry) {
        let mut state = self.state();
        state.open -= 1;
        state.closed.push(entry);
    }

    pub(crate) fn now_us(&self) -> u64 {
        self.began.elapsed().as_micros() as u64
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without the account's lock: who writes into it must not wait for the sorting.
fn in_order(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort_unstable_by_key(|entry| entry.number);
    entries
}
