//! Where each node got each blob of an image: from the registry, from the mirror, or from its own store.
//!
//! Three accounts are set against each other: the registry's ledger, by the node's address; the mirror's own; and the nodes'
//! content stores before and after. What a node holds now and did not hold before has to be what the first two sent to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use images::{Entry, Ledger};
use pulls::Held;

use crate::mirror::{Bytes, Sent};

/// Where a node got a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// All of it came from the registry, directly or through a mirror that was fetching it.
    Origin,
    /// All of it came from the mirror, which had it.
    Mirror,
    /// Some of it from each.
    Both,
    /// It was there before.
    Local,
    /// It is there, and nobody has sent it.
    Unknown,
}

/// A blob, or the manifest, as one node got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    /// The node.
    pub node: IpAddr,
    /// The digest.
    pub digest: String,
    /// Its size, as the node holds it.
    pub bytes: u64,
    /// Bytes that the registry has sent to the node.
    pub from_registry: u64,
    /// Bytes that the mirror has sent to the node.
    pub from_mirror: Bytes,
    /// Whether the node held it before.
    pub held: bool,
}

/// Every blob on every node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance(Vec<Got>);

impl Got {
    /// Where it came from.
    pub fn source(&self) -> Source {
        match (self.held, self.from_origin(), self.from_peers()) {
            (true, ..) => Source::Local,
            (_, 0, 0) => Source::Unknown,
            (_, _, 0) => Source::Origin,
            (_, 0, _) => Source::Mirror,
            _ => Source::Both,
        }
    }

    /// Bytes of it that left the registry for this node's sake, also by way of the mirror.
    pub fn from_origin(&self) -> u64 {
        self.from_registry + self.from_mirror.missed
    }

    /// Bytes of it that the mirror had.
    pub fn from_peers(&self) -> u64 {
        self.from_mirror.sent - self.from_mirror.missed
    }

    /// Bytes that were sent beyond what the node holds, or that it holds and nobody sent.
    fn astray(&self) -> u64 {
        let wanted = if self.held { 0 } else { self.bytes };
        wanted.abs_diff(self.from_registry + self.from_mirror.sent)
    }
}

impl Provenance {
    /// Of what nodes held before and hold now.
    pub fn of(before: &Held, after: &Held, registry: &[Entry], mirror: &Sent) -> Self {
        let registry = Ledger::tallies(registry);
        let of_node = |(node, digests): (&IpAddr, &BTreeSet<String>)| {
            let got = |digest: &String| {
                let key = (*node, digest.clone());
                Got {
                    node: *node,
                    digest: digest.clone(),
                    bytes: after.sizes.get(digest).copied().unwrap_or(0),
                    from_registry: registry.get(&key).map_or(0, |tally| tally.sent_bytes),
                    from_mirror: mirror.get(&key).copied().unwrap_or_default(),
                    held: before.nodes.get(node).is_some_and(|held| held.contains(digest)),
                }
            };
            digests.iter().map(got).collect::<Vec<_>>()
        };
        Self(after.nodes.iter().flat_map(of_node).collect())
    }

    /// Bytes of one node, or of all, that a function of each blob says.
    fn bytes(&self, of: Option<IpAddr>, bytes: impl Fn(&Got) -> u64) -> u64 {
        self.0.iter().filter(|got| of.is_none_or(|node| got.node == node)).map(bytes).sum()
    }

    /// Whether most of what a node got was in the mirror: a pull that was fed by it.
    pub fn fed_by_mirror(&self, node: IpAddr) -> bool {
        self.bytes(Some(node), Got::from_peers) > self.bytes(Some(node), Got::from_origin)
    }

    /// Whether a node got all of it from one of both.
    pub fn is_mixed(&self, node: IpAddr) -> bool {
        self.bytes(Some(node), Got::from_peers) > 0 && self.bytes(Some(node), Got::from_origin) > 0
    }

    /// The figures of a step, without the phase's name.
    pub fn figures(&self) -> BTreeMap<&'static str, f64> {
        let received = self.bytes(None, |got| if got.held { 0 } else { got.bytes });
        let [origin, mirror] = [Got::from_origin, Got::from_peers].map(|of| self.bytes(None, of));
        let count = |source| self.0.iter().filter(|got| got.source() == source).count() as f64;
        let percent = |bytes: u64| (received > 0).then(|| bytes as f64 * 100.0 / received as f64);
        let mut figures = BTreeMap::from([
            ("received_bytes", received as f64),
            ("received_from_origin_bytes", origin as f64),
            ("received_from_mirror_bytes", mirror as f64),
            ("blobs_from_origin", count(Source::Origin)),
            ("blobs_from_mirror", count(Source::Mirror)),
            ("blobs_from_both", count(Source::Both)),
            ("blobs_held_before", count(Source::Local)),
            ("blobs_unattributed", count(Source::Unknown)),
        ]);
        figures.extend(percent(mirror).map(|share| ("hit_percent", share)));
        figures.extend(percent(self.bytes(None, Got::astray)).map(|share| ("provenance_off_percent", share)));
        figures
    }

    /// The table, a row for each blob on each node.
    pub fn csv(&self) -> String {
        let mut csv =
            String::from("node,digest,bytes,from_registry_bytes,from_mirror_bytes,mirror_missed_bytes,source\n");
        for got in &self.0 {
            let source = match got.source() {
                Source::Origin => "origin",
                Source::Mirror => "mirror",
                Source::Both => "both",
                Source::Local => "local",
                Source::Unknown => "unknown",
            };
            let Got { node, digest, bytes, from_registry, from_mirror: Bytes { sent, missed }, .. } = got;
            // Writing to a String cannot fail.
            let _ = writeln!(csv, "{node},{digest},{bytes},{from_registry},{sent},{missed},{source}");
        }
        csv
    }
}

#[cfg(test)]
mod tests {
    use images::Ending;

    use super::*;

    const NODES: [IpAddr; 2] = [IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)];

    fn held(nodes: [&[&str]; 2]) -> Held {
        let sizes = [("a", 1_000_u64), ("b", 10)].map(|(digest, size)| (digest.to_owned(), size)).into();
        let of = |node: usize| -> (IpAddr, BTreeSet<String>) {
            (NODES[node], nodes[node].iter().map(|digest| (*digest).to_owned()).collect())
        };
        Held { sizes, nodes: [of(0), of(1)].into() }
    }

    fn entry(node: usize, digest: &str, sent_bytes: u64) -> Entry {
        let (came, digest) = (Entry::came(NODES[node], "GET", String::new(), 0), Some(digest.to_owned()));
        Entry { digest, status: 200, sent_bytes, ending: Ending::Complete, ..came }
    }

    fn sent(node: usize, digest: &str, sent: u64, missed: u64) -> ((IpAddr, String), Bytes) {
        ((NODES[node], digest.to_owned()), Bytes { sent, missed })
    }

    #[test]
    fn every_blob_has_a_source_and_the_bytes_add_up() {
        let registry = [entry(0, "a", 1_000), entry(1, "b", 4)];
        let mirror = Sent::from([sent(0, "b", 10, 10), sent(1, "a", 1_000, 0), sent(1, "b", 6, 0)]);
        let provenance = Provenance::of(&held([&[], &[]]), &held([&["a", "b"], &["a", "b"]]), &registry, &mirror);
        let sources: Vec<Source> = provenance.0.iter().map(Got::source).collect();
        assert_eq!(sources, [Source::Origin, Source::Origin, Source::Mirror, Source::Both]);
        let figures = provenance.figures();
        assert_eq!((figures["received_bytes"], figures["provenance_off_percent"]), (2_020.0, 0.0));
        assert_eq!((figures["received_from_origin_bytes"], figures["received_from_mirror_bytes"]), (1_014.0, 1_006.0));
        assert!(!provenance.fed_by_mirror(NODES[0]) && provenance.fed_by_mirror(NODES[1]));
        assert!(!provenance.is_mixed(NODES[0]) && provenance.is_mixed(NODES[1]));
    }

    #[test]
    fn what_nobody_sent_and_what_was_there_before_are_told_apart() {
        let provenance = Provenance::of(&held([&["a"], &[]]), &held([&["a", "b"], &[]]), &[], &Sent::new());
        let figures = provenance.figures();
        assert_eq!((figures["blobs_held_before"], figures["blobs_unattributed"]), (1.0, 1.0));
        assert_eq!(figures["provenance_off_percent"] as u64, 100);
        assert!(provenance.csv().ends_with(",b,10,0,0,0,unknown\n"), "{}", provenance.csv());
    }

    #[test]
    fn bytes_that_were_sent_twice_are_astray() {
        let registry = [entry(0, "a", 1_000), entry(0, "a", 500)];
        let provenance = Provenance::of(&held([&[], &[]]), &held([&["a"], &[]]), &registry, &Sent::new());
        assert_eq!(provenance.figures()["provenance_off_percent"] as u64, 50);
    }
}
