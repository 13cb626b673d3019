//! The pull-through cache of the CNCF distribution project.
//!
//! What it serves is counted before it, as before the registry. A request that it answers while it fetches the same digest from
//! the registry is a miss: it passes on what it gets. Two nodes that ask for a digest at once are two fetches, because it does
//! not let the second wait for the first.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Instant;

use cluster::{Component, KindNode, Process};
use futures_util::future::LocalBoxFuture;
use harness::{Result, Trial};
use images::{Entry, Faults};
use origin::{Cache, Origin};
use pulls::{Account, broken};

use super::{COMPONENT, Mirror, Sent, Served};

/// The cache.
#[derive(Debug)]
pub struct PullThrough {
    cache: Cache,
    process: Process,
}

impl PullThrough {
    pub(super) async fn start(trial: &mut Trial, origin: &Origin, workers: &[KindNode], mbit: u32) -> Result<Self> {
        let started = Instant::now();
        let cache = Cache::start(origin).await.map_err(broken)?;
        trial.metric("mirror_ready_s", started.elapsed().as_secs_f64());
        let process = cache.process().await.map_err(broken)?;
        let args = process.command_line().into_iter().skip(1).collect();
        let (name, log) = (COMPONENT.to_owned(), PathBuf::new());
        trial.observe(&Component { name, process, metrics_url: None, log, args });
        cache.shape(mbit).await.map_err(broken)?;
        let address = cache.proxy().address;
        origin.mirrored(workers, |_| Some(address)).map_err(broken)?;
        Ok(Self { cache, process })
    }
}

impl Mirror for PullThrough {
    fn served<'a>(&'a self, registry: &'a Account) -> LocalBoxFuture<'a, Result<Served>> {
        Box::pin(async move {
            let entries = self.cache.account().await.map_err(broken)?;
            let requests = Account::new(&self.cache.proxy().ledger, entries);
            let sent = sent(&requests, registry, self.cache.address().ip());
            Ok(Served { sent, requests: Some(requests), ..Served::default() })
        })
    }

    fn faults(&self) -> Option<&Faults> {
        Some(&self.cache.proxy().faults)
    }

    fn end<'a>(&'a self, trial: &'a Trial) -> LocalBoxFuture<'a, Result<()>> {
        // Its container goes with this value.
        trial.expect_death(self.process);
        Box::pin(async { Ok(()) })
    }
}

/// What a cache has sent, by its own account and by the registry's, which knows it by its address.
fn sent(requests: &Account, registry: &Account, cache: IpAddr) -> Sent {
    let fetched = registry.entries.iter().filter(|entry| entry.client == cache && entry.sent_bytes > 0);
    let fetched: Vec<(&Option<String>, [u64; 2])> =
        fetched.map(|entry| (&entry.digest, span(registry, entry))).collect();
    let mut sent = Sent::new();
    for entry in requests.entries.iter().filter(|entry| entry.sent_bytes > 0) {
        let Some(digest) = &entry.digest else { continue };
        let [began, ended] = span(requests, entry);
        let missed = fetched
            .iter()
            .any(|(of, [from, to])| of.as_deref() == Some(digest.as_str()) && *from <= ended && began <= *to);
        let bytes = sent.entry((entry.client, digest.clone())).or_default();
        bytes.sent += entry.sent_bytes;
        bytes.missed += if missed { entry.sent_bytes } else { 0 };
    }
    sent
}

/// When a request came and when it ended, in microseconds since 1970.
fn span(account: &Account, entry: &Entry) -> [u64; 2] {
    [account.origin_us + entry.came_us, account.origin_us + entry.ended_us]
}

#[cfg(test)]
mod tests {
    use images::Ending;

    use super::*;
    use crate::mirror::Bytes;

    const fn address(last: u8) -> IpAddr {
        IpAddr::V4(std::net::Ipv4Addr::new(172, 18, 0, last))
    }

    const CACHE: IpAddr = address(9);
    const NODES: [IpAddr; 2] = [address(3), address(4)];

    fn entry(client: IpAddr, came_us: u64, ended_us: u64, sent_bytes: u64) -> Entry {
        let came = Entry::came(client, "GET", "/v2/a/blobs/sha256:1".to_owned(), came_us);
        let digest = Some("sha256:1".to_owned());
        Entry { digest, status: 200, sent_bytes, ended_us, ending: Ending::Complete, ..came }
    }

    #[test]
    fn what_the_cache_was_fetching_meanwhile_is_a_miss() {
        let registry = Account { entries: vec![entry(CACHE, 110, 190, 50)], origin_us: 1_000 };
        let nodes = vec![entry(NODES[0], 1_100, 1_200, 50), entry(NODES[1], 1_300, 1_400, 50)];
        let requests = Account { entries: nodes, origin_us: 0 };
        let sent = sent(&requests, &registry, CACHE);
        let of = |node: usize| sent[&(NODES[node], "sha256:1".to_owned())];
        assert_eq!(of(0), Bytes { sent: 50, missed: 50 });
        assert_eq!(of(1), Bytes { sent: 50, missed: 0 });
    }
}
