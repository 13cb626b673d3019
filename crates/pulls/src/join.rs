//! One row for each pull: what the kubelet, containerd and the registry each say of it, joined.
//!
//! | column | source |
//! | --- | --- |
//! | queue wait | the kubelet's event: the pull with its wait for others, less the pull |
//! | resolve | containerd's log (when the pull began) to the registry's ledger (the first blob that was asked for) |
//! | fetch | the ledger: from that request to the last byte of the last blob |
//! | unpack | the ledger to containerd's log (when the pull ended): what is left to unpack after the last byte |
//! | bytes | the ledger, by the node's address, within the pull |
//!
//! A pull that fetched no blob has no split: all of it is resolve. What no source gives stays empty.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use cluster::KindNode;
use harness::Result;
use images::{Entry, Kind, Ledger};

use crate::containerd::{Span, spans};
use crate::events::Pulled;
use crate::micros;

/// A pull.
#[derive(Clone, Debug, PartialEq)]
pub struct Pull {
    /// The kubelet's event.
    pub event: Pulled,
    /// containerd's log; none when it told of another number of pulls on the node than the kubelet.
    pub span: Option<Span>,
    /// The stages, in microseconds, when blobs were fetched.
    pub stages: Option<Stages>,
    /// Bytes that the registry sent to the node meanwhile.
    pub bytes: u64,
    /// Requests of the node meanwhile.
    pub requests: usize,
}

/// Where the time of a pull went, in microseconds. They follow each other without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stages {
    /// Until the first blob was asked for.
    pub resolve_us: u64,
    /// Until the last byte of the last blob.
    pub fetch_us: u64,
    /// Until it was unpacked.
    pub unpack_us: u64,
}

/// What is known of one node.
#[derive(Clone, Debug, Default)]
pub struct NodeAccount {
    /// Its kubelet's events.
    pub events: Vec<Pulled>,
    /// Its containerd's log.
    pub spans: Vec<Span>,
}

/// An account of the registry whose stamps begin at a time, in microseconds since 1970.
#[derive(Clone, Debug)]
pub struct Account {
    /// The requests.
    pub entries: Vec<Entry>,
    /// When their stamps are 0.
    pub origin_us: u64,
}

impl Account {
    /// Entries that were taken out of a ledger.
    pub fn new(ledger: &Ledger, entries: Vec<Entry>) -> Self {
        Self { entries, origin_us: micros(ledger.origin) }
    }

    /// The requests of both, with the stamps of this one: of a registry and of a mirror before it.
    #[must_use]
    pub fn beside(mut self, other: Self) -> Self {
        let shift = other.origin_us as i64 - self.origin_us as i64;
        let shifted = |us: u64| us.saturating_add_signed(shift);
        self.entries.extend(other.entries.into_iter().map(|entry| Entry {
            came_us: shifted(entry.came_us),
            answered_us: entry.answered_us.map(shifted),
            ended_us: shifted(entry.ended_us),
            ..entry
        }));
        self
    }
}

impl Pull {
    /// The wait for other pulls on the node.
    pub fn queue_wait(&self) -> Option<Duration> {
        Some(self.event.with_waiting?.saturating_sub(self.event.pull))
    }

    /// By how much the stages, which are of the registry's and containerd's stamps, and the kubelet's own figure differ, as a
    /// share of the latter.
    pub fn disagreement(&self) -> Option<f64> {
        let Stages { resolve_us, fetch_us, unpack_us } = self.stages?;
        let kubelet = self.event.pull.as_secs_f64();
        let sum = (resolve_us + fetch_us + unpack_us) as f64 / 1e6;
        (kubelet > 0.0).then(|| (sum - kubelet).abs() / kubelet)
    }
}

/// The pulls of an image on these nodes since a moment: what kubelets told of them, joined with containerds' logs and the
/// registry's account.
///
/// # Errors
/// When a node does not run.
pub fn of_nodes(
    nodes: &[KindNode],
    image: &str,
    events: &[Pulled],
    since: SystemTime,
    account: &Account,
) -> Result<Vec<Pull>> {
    let mut accounts = BTreeMap::new();
    for node in nodes {
        let events = events.iter().filter(|event| event.node == node.name).cloned().collect();
        accounts.insert(node.address, NodeAccount { events, spans: spans(node, image, since)? });
    }
    Ok(join(&accounts, account))
}

/// Joins what is known of each node with the registry's account. Pulls of a node come one after the other, a setting of their
/// kubelets which the fixture has checked, so the order in which they were told is that in which they were made. (How long each
/// waited is not: a pod that came later has waited less for the same pull.)
pub fn join(nodes: &BTreeMap<IpAddr, NodeAccount>, account: &Account) -> Vec<Pull> {
    let mut pulls = Vec::new();
    for (address, node) in nodes {
        let mut events = node.events.clone();
        events.sort_by_key(|event| event.told_ns);
        let known = events.len() == node.spans.len();
        for (number, event) in events.into_iter().enumerate() {
            let span = node.spans.get(number).filter(|_| known).copied();
            pulls.push(pull(event, span, *address, account));
        }
    }
    pulls
}

fn pull(event: Pulled, span: Option<Span>, node: IpAddr, account: &Account) -> Pull {
    let Some(span) = span else { return Pull { event, span, stages: None, bytes: 0, requests: 0 } };
    let within = |entry: &&Entry| {
        let came = account.origin_us + entry.came_us;
        entry.client == node && (span.began_us..=span.ended_us).contains(&came)
    };
    let entries: Vec<&Entry> = account.entries.iter().filter(within).collect();
    let blobs = entries.iter().filter(|entry| Kind::of(&entry.path) == Kind::Blob && entry.sent_bytes > 0);
    let first = blobs.clone().map(|entry| account.origin_us + entry.came_us).min();
    let last = blobs.map(|entry| account.origin_us + entry.ended_us).max();
    let stages = first.zip(last).map(|(first, last)| Stages {
        resolve_us: first - span.began_us,
        fetch_us: last - first,
        unpack_us: span.ended_us.saturating_sub(last),
    });
    let bytes = entries.iter().map(|entry| entry.sent_bytes).sum();
    Pull { event, span: Some(span), stages, bytes, requests: entries.len() }
}

/// The table, a row each, in the order in which they began.
pub fn csv(pulls: &[Pull]) -> String {
    let mut csv = String::from(
        "pod,node,queue_wait_ms,resolve_ms,fetch_ms,unpack_ms,pull_ms,kubelet_pull_ms,bytes,requests,image_bytes\n",
    );
    let mut pulls: Vec<&Pull> = pulls.iter().collect();
    pulls.sort_by_key(|pull| pull.span.map(|span| span.began_us));
    let ms = |us: u64| format!("{:.3}", us as f64 / 1e3);
    for pull in pulls {
        let stage = |of: fn(&Stages) -> u64| pull.stages.as_ref().map_or(String::new(), |stages| ms(of(stages)));
        let fields = [
            pull.event.pod.clone(),
            pull.event.node.clone(),
            pull.queue_wait().map_or(String::new(), |wait| wait.as_millis().to_string()),
            stage(|stages| stages.resolve_us),
            stage(|stages| stages.fetch_us),
            stage(|stages| stages.unpack_us),
            pull.span.map_or(String::new(), |span| ms(span.ended_us - span.began_us)),
            pull.event.pull.as_millis().to_string(),
            pull.bytes.to_string(),
            pull.requests.to_string(),
            pull.event.image_bytes.map_or(String::new(), |bytes| bytes.to_string()),
        ];
        // Writing to a String cannot fail.
        let _ = writeln!(csv, "{}", fields.join(","));
    }
    csv
}

#[cfg(test)]
mod tests {
    use images::Ending;

    use super::*;

    const NODE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(172, 18, 0, 3));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(172, 18, 0, 4));

    fn event(pod: &str, told_ns: u64, pull_ms: u64, with_waiting_ms: u64) -> Pulled {
        Pulled {
            pod: pod.to_owned(),
            node: "worker".to_owned(),
            told_ns: Some(told_ns),
            pull: Duration::from_millis(pull_ms),
            with_waiting: Some(Duration::from_millis(with_waiting_ms)),
            image_bytes: None,
        }
    }

    fn entry(client: IpAddr, path: &str, came_us: u64, ended_us: u64, sent_bytes: u64) -> Entry {
        let came = Entry::came(client, "GET", path.to_owned(), came_us);
        Entry { status: 200, sent_bytes, ended_us, ending: Ending::Complete, ..came }
    }

    /// A cold pull of two layers beside another node's, and one behind it that finds everything there.
    fn account() -> (BTreeMap<IpAddr, NodeAccount>, Account) {
        let (manifest, blob) = ("/v2/a/manifests/1", "/v2/a/blobs/sha256:1");
        let entries = vec![
            entry(NODE, manifest, 20_000, 30_000, 500),
            entry(NODE, blob, 50_000, 900_000, 1_000),
            entry(OTHER, blob, 60_000, 990_000, 7_000),
            entry(NODE, blob, 60_000, 800_000, 2_000),
            entry(NODE, manifest, 1_120_000, 1_130_000, 0),
        ];
        let spans =
            vec![Span { began_us: 1_010_000, ended_us: 2_010_000 }, Span { began_us: 2_100_000, ended_us: 2_140_000 }];
        let events = vec![event("second", 9, 40, 990), event("first", 8, 1_000, 1_000)];
        (BTreeMap::from([(NODE, NodeAccount { events, spans })]), Account { entries, origin_us: 1_000_000 })
    }

    #[test]
    fn a_pull_has_its_stages_and_its_own_nodes_bytes() {
        let (nodes, account) = account();
        let pulls = join(&nodes, &account);
        assert_eq!(pulls[0].event.pod, "first");
        assert_eq!(pulls[0].stages, Some(Stages { resolve_us: 40_000, fetch_us: 850_000, unpack_us: 110_000 }));
        assert_eq!((pulls[0].bytes, pulls[0].requests), (3_500, 3));
        assert_eq!(pulls[0].disagreement(), Some(0.0));
        assert_eq!(pulls[1].event.pod, "second");
        assert_eq!((pulls[1].stages, pulls[1].bytes, pulls[1].requests), (None, 0, 1));
        assert_eq!(pulls[1].queue_wait(), Some(Duration::from_millis(950)));
    }

    #[test]
    fn accounts_of_two_clocks_are_one_by_the_first_ones() {
        let at =
            |origin_us, came_us| Account { entries: vec![entry(NODE, "/v2/", came_us, came_us + 5, 0)], origin_us };
        let both = at(1_000, 10).beside(at(1_200, 20)).beside(at(400, 900));
        let stamps: Vec<_> = both.entries.iter().map(|entry| (entry.came_us, entry.ended_us)).collect();
        assert_eq!(stamps, [(10, 15), (220, 225), (300, 305)]);
    }

    #[test]
    fn where_containerd_tells_of_another_number_nothing_is_guessed() {
        let (mut nodes, account) = account();
        nodes.get_mut(&NODE).unwrap().spans.pop();
        assert!(join(&nodes, &account).iter().all(|pull| pull.span.is_none() && pull.bytes == 0));
    }

    #[test]
    fn the_table_leaves_empty_what_no_source_gives() {
        let (nodes, account) = account();
        let csv = csv(&join(&nodes, &account));
        let rows: Vec<&str> = csv.lines().skip(1).collect();
        assert_eq!(rows[0], "first,worker,0,40.000,850.000,110.000,1000.000,1000,3500,3,");
        assert_eq!(rows[1], "second,worker,950,,,,40.000,40,0,1,");
    }
}
