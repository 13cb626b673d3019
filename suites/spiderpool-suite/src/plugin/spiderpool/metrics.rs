//! What the agents count by themselves, under the names that they have and under those that are documented: since v1.2.0
//! the emitted names are the identifiers of the constants that should hold them.

use std::time::Duration;

use http::{Method, Request};
use http_body_util::Full;
use hyper::body::Bytes;
use measure::promtext::samples;
use tokio::net::TcpStream;

use super::agent::exchange;
use crate::plugin::Figures;

/// How long a page may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Figures of ours, each with its documented name and the one that v1.2 emits.
const COUNTED: [(&str, &str, &str); 8] = [
    ("agent_allocations", "ipam_allocation_counts", "ipamAllocationCountsName"),
    ("agent_failed_allocations", "ipam_allocation_failure_counts", "ipamAllocationFailureCountsName"),
    (
        "agent_allocation_conflicts",
        "ipam_allocation_update_ippool_conflict_counts",
        "ipamAllocationUpdateIPPoolConflictCountsName",
    ),
    (
        "agent_allocation_queued_s",
        "ipam_allocation_limit_duration_seconds_sum",
        "ipamAllocationLimitDurationSecondsName_sum",
    ),
    ("agent_releases", "ipam_release_counts", "ipamReleaseCountsName"),
    ("agent_failed_releases", "ipam_release_failure_counts", "ipamReleaseFailureCountsName"),
    (
        "agent_release_conflicts",
        "ipam_release_update_ippool_conflict_counts",
        "ipamReleaseUpdateIPPoolConflictCountsName",
    ),
    ("agent_release_queued_s", "ipam_release_limit_duration_seconds_sum", "ipamReleaseLimitDurationSecondsName_sum"),
];

/// The figures of one agent; none of an agent that does not answer.
pub(super) async fn read(port: u16) -> Figures {
    let request = Request::builder().method(Method::GET).uri("/metrics").header(http::header::HOST, "localhost");
    let Ok(request) = request.body(Full::new(Bytes::new())) else { return Figures::default() };
    let page = async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        exchange(stream, request).await.ok()
    };
    match tokio::time::timeout(PATIENCE, page).await {
        Ok(Some((_, page))) => figures(&String::from_utf8_lossy(&page)),
        _ => Figures::default(),
    }
}

/// The figures of a page, and how many samples had their documented name and how many the emitted one.
fn figures(page: &str) -> Figures {
    let mut found = Figures::default();
    for sample in samples(page) {
        let Some(name) = sample.name.strip_prefix("spiderpool_") else { continue };
        let name = name.strip_suffix("_total").unwrap_or(name);
        let counted = COUNTED.iter().find(|(_, documented, emitted)| name == *documented || name == *emitted);
        let Some((figure, documented, _)) = counted else { continue };
        *found.counters.entry((*figure).to_owned()).or_insert(0.0) += sample.value;
        let names = if name == *documented { "documented" } else { "emitted" };
        *found.gauges.entry(format!("agent_metrics_by_{names}_name")).or_insert(0.0) += 1.0;
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::documented("spiderpool_ipam_allocation_counts_total{a=\"b\"} 5\n", "agent_metrics_by_documented_name")]
    #[case::emitted("spiderpool_ipamAllocationCountsName_total{a=\"b\"} 5\n", "agent_metrics_by_emitted_name")]
    fn both_names_are_read_and_it_is_told_which_was_found(#[case] page: &str, #[case] names: &str) {
        let found = figures(page);
        assert_eq!(found.counters, BTreeMap::from([("agent_allocations".to_owned(), 5.0)]));
        assert_eq!(found.gauges, BTreeMap::from([(names.to_owned(), 1.0)]));
    }
}
