//! What the apiserver counted meanwhile, beside what its client did.

use std::collections::BTreeMap;

use kube::Client;
use measure::promtext::{Sample, samples};

/// Sums and counts of the apiserver's `/metrics`, at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Page(BTreeMap<&'static str, f64>);

impl Page {
    /// Reads the page; one that cannot be read has no figures.
    pub(super) async fn read(client: &Client) -> Self {
        let Ok(request) = http::Request::get("/metrics").body(Vec::new()) else { return Self::default() };
        client.request_text(request).await.map(|page| Self::of(&page)).unwrap_or_default()
    }

    fn of(page: &str) -> Self {
        let mut sums = BTreeMap::new();
        for sample in samples(page) {
            if let Some(name) = figure(&sample) {
                *sums.entry(name).or_insert(0.0) += sample.value;
            }
        }
        Self(sums)
    }

    /// Metrics of the time since `before`. A counter that fell belongs to another process, and says nothing.
    pub(super) fn since(&self, before: &Self) -> BTreeMap<String, f64> {
        let grown = |name: &str| {
            let (was, is) = (before.0.get(name).copied().unwrap_or_default(), *self.0.get(name)?);
            (is >= was).then_some(is - was)
        };
        let mean = |sum, count| grown(sum).zip(grown(count).filter(|n| *n > 0.0)).map(|(sum, n)| sum / n * 1e3);
        let all = [
            ("server_counted", grown("counted")),
            ("server_other_requests", grown("others")),
            ("server_counted_mean_ms", mean("counted_sum", "counted")),
            ("server_flowcontrol_wait_mean_ms", mean("wait_sum", "waits")),
            ("server_flowcontrol_rejected", grown("rejected")),
            ("server_watch_cache_lists", grown("cache_lists")),
            ("server_etcd_requests", grown("etcd_requests")),
            ("server_etcd_request_mean_ms", mean("etcd_sum", "etcd_requests")),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

/// Which figure a sample belongs to (`staging/src/k8s.io/apiserver/pkg/endpoints/metrics`, `util/flowcontrol/metrics` and
/// `storage` of Kubernetes).
fn figure(sample: &Sample<'_>) -> Option<&'static str> {
    // A watch is counted when it ends, and its duration is that of the watch.
    let watch = || matches!(sample.label("verb"), Some("WATCH" | "CONNECT"));
    // What the profiles of the rows send, and hardly anybody else.
    let counted = || {
        matches!(sample.label("verb"), Some("LIST" | "PATCH"))
            && matches!(sample.label("resource"), Some("pods" | "configmaps" | "events"))
    };
    match sample.name {
        "apiserver_request_duration_seconds_count" if counted() => Some("counted"),
        "apiserver_request_duration_seconds_sum" if counted() => Some("counted_sum"),
        "apiserver_request_duration_seconds_count" if !watch() => Some("others"),
        "apiserver_flowcontrol_request_wait_duration_seconds_count" => Some("waits"),
        "apiserver_flowcontrol_request_wait_duration_seconds_sum" => Some("wait_sum"),
        "apiserver_flowcontrol_rejected_requests_total" => Some("rejected"),
        "apiserver_cache_list_total" => Some("cache_lists"),
        "etcd_request_duration_seconds_count" => Some("etcd_requests"),
        "etcd_request_duration_seconds_sum" => Some("etcd_sum"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "apiserver_request_duration_seconds_count{verb=\"LIST\",resource=\"pods\"} 10\n\
        apiserver_request_duration_seconds_sum{verb=\"LIST\",resource=\"pods\"} 1\n\
        apiserver_request_duration_seconds_count{verb=\"WATCH\",resource=\"pods\"} 3\n\
        etcd_request_duration_seconds_count{operation=\"get\"} 100\n";
    const AFTER: &str = "apiserver_request_duration_seconds_count{verb=\"LIST\",resource=\"pods\"} 14\n\
        apiserver_request_duration_seconds_count{verb=\"PATCH\",resource=\"configmaps\"} 1\n\
        apiserver_request_duration_seconds_count{verb=\"PUT\",resource=\"leases\"} 2\n\
        apiserver_request_duration_seconds_sum{verb=\"LIST\",resource=\"pods\"} 1.5\n\
        apiserver_request_duration_seconds_count{verb=\"WATCH\",resource=\"pods\"} 9\n\
        etcd_request_duration_seconds_count{operation=\"get\"} 7\n";

    #[test]
    fn a_difference_holds_what_the_server_counted_and_nothing_of_a_counter_that_fell() {
        let since = Page::of(AFTER).since(&Page::of(BEFORE));
        let near = |name: &str, value: f64| since.get(name).is_some_and(|found| (found - value).abs() < 1e-9);
        assert!(near("server_counted", 5.0) && near("server_counted_mean_ms", 100.0), "{since:?}");
        assert!(near("server_other_requests", 2.0), "{since:?}");
        assert!(!since.contains_key("server_etcd_requests"), "{since:?}");
    }
}
