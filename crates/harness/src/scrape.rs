//! Counters of the apiserver and of etcd at the edges of a phase.

use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::time::Duration;

use cluster::Descriptor;
use http_body_util::BodyExt as _;
use kube::Client;
use measure::promtext::{Sample, samples};

use crate::lines::Lines;

/// How long a page may take: a component that hangs has no figures, and must not hang the trial that tells so.
const PATIENCE: Duration = Duration::from_secs(5);

/// Counters at one moment. What a page does not have stays absent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    /// `apiserver_request_total` without watches, by `VERB resource`.
    pub(crate) requests: Option<BTreeMap<String, f64>>,
    /// `apiserver_terminated_watchers_total` of all resources; a counter that nothing ever raised is not on the page.
    pub(crate) ended_watches: Option<f64>,
    /// `etcd_mvcc_put_total`.
    pub(crate) etcd_puts: Option<f64>,
    /// `etcd_disk_wal_write_bytes_total`.
    pub(crate) etcd_wal_bytes: Option<f64>,
    /// `etcd_mvcc_db_total_size_in_bytes`.
    pub(crate) etcd_db_bytes: Option<f64>,
}

impl Counters {
    /// Reads both pages, line by line.
    pub(crate) async fn read(client: &Client, descriptor: &Descriptor) -> Self {
        let apiserver = tokio::time::timeout(PATIENCE, apiserver(client)).await.ok().flatten();
        let (requests, ended_watches) = apiserver.unzip();
        let mut counters = Self { requests, ended_watches, ..Self::default() };
        let etcd = descriptor.component("etcd").and_then(|etcd| etcd.metrics_url.clone());
        let page = tokio::task::spawn_blocking(move || etcd.and_then(|url| etcd_page(&url)).unwrap_or_default()).await;
        counters.etcd_puts = page.as_ref().ok().and_then(|page| page.get("etcd_mvcc_put_total").copied());
        counters.etcd_wal_bytes =
            page.as_ref().ok().and_then(|page| page.get("etcd_disk_wal_write_bytes_total").copied());
        counters.etcd_db_bytes =
            page.as_ref().ok().and_then(|page| page.get("etcd_mvcc_db_total_size_in_bytes").copied());
        counters
    }

    /// Requests since `before`, by `VERB resource`. A counter that fell belongs to a component that was started again
    /// in between: what it had counted before is lost, so there is no difference to tell.
    pub(crate) fn requests_since(&self, before: &Self) -> Option<BTreeMap<String, f64>> {
        let (before, after) = (before.requests.as_ref()?, self.requests.as_ref()?);
        let fell = before.iter().any(|(key, count)| after.get(key).is_none_or(|now| now < count));
        let grown = after.iter().map(|(key, count)| (key.clone(), count - before.get(key).unwrap_or(&0.0)));
        (!fell).then(|| grown.filter(|(_, count)| *count > 0.0).collect())
    }
}

/// `after - before` of a counter that did not fall.
pub(crate) fn grown(before: Option<f64>, after: Option<f64>) -> Option<f64> {
    let (before, after) = (before?, after?);
    (after >= before).then_some(after - before)
}

/// What the lines of the apiserver's page begin with that are read.
const WANTED: [&[u8]; 2] = [b"apiserver_request_total", b"apiserver_terminated_watchers_total"];

/// Requests by `VERB resource`, and watches that the apiserver ended.
async fn apiserver(client: &Client) -> Option<(BTreeMap<String, f64>, f64)> {
    let request = http::Request::get("/metrics").body(kube::client::Body::empty()).ok()?;
    let mut body = client.send(request).await.ok().filter(|response| response.status().is_success())?.into_body();
    let (mut counts, mut ended, mut lines) = (BTreeMap::new(), 0.0, Lines::default());
    while let Some(frame) = body.frame().await {
        let piece = frame.ok()?.into_data().unwrap_or_default();
        lines.push(piece, |line| {
            // Most of the page is of other families, and not worth taking apart.
            if !WANTED.iter().any(|family| line.starts_with(family)) {
                return;
            }
            let line = String::from_utf8_lossy(&line);
            for sample in samples(&line) {
                match sample.name {
                    "apiserver_request_total" => count(&sample, &mut counts),
                    "apiserver_terminated_watchers_total" => ended += sample.value,
                    _ => {}
                }
            }
        });
    }
    (!counts.is_empty()).then_some((counts, ended))
}

fn count(sample: &Sample<'_>, counts: &mut BTreeMap<String, f64>) {
    let verb = sample.label("verb").unwrap_or_default();
    let resource = sample.label("resource").unwrap_or_default();
    let subresource = sample.label("subresource").unwrap_or_default();
    // A watch is counted when it ends, which says nothing about the phase that it ends in.
    if verb != "WATCH" && verb != "CONNECT" {
        let slash = if subresource.is_empty() { "" } else { "/" };
        *counts.entry(format!("{verb} {resource}{slash}{subresource}")).or_insert(0.0) += sample.value;
    }
}

fn etcd_page(url: &str) -> Option<BTreeMap<String, f64>> {
    let config = ureq::Agent::config_builder().proxy(None).timeout_global(Some(PATIENCE)).build();
    let body = ureq::Agent::new_with_config(config).get(url).call().ok()?.into_body().into_reader();
    let lines = std::io::BufReader::new(body).lines().map_while(Result::ok);
    let wanted = ["etcd_mvcc_put_total", "etcd_disk_wal_write_bytes_total", "etcd_mvcc_db_total_size_in_bytes"];
    let mut page = BTreeMap::new();
    for line in lines {
        for sample in samples(&line).filter(|sample| wanted.contains(&sample.name)) {
            page.insert(sample.name.to_owned(), sample.value);
        }
    }
    Some(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(pairs: &[(&str, f64)]) -> Counters {
        let requests = pairs.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect();
        Counters { requests: Some(requests), ..Counters::default() }
    }

    #[test]
    fn a_difference_holds_what_grew() {
        let (before, after) = (counters(&[("GET pods", 5.0)]), counters(&[("GET pods", 5.0), ("POST pods", 2.0)]));
        assert_eq!(after.requests_since(&before).unwrap(), BTreeMap::from([("POST pods".to_owned(), 2.0)]));
    }

    #[test]
    fn a_counter_that_fell_makes_no_difference_at_all() {
        let (before, after) = (counters(&[("GET pods", 5.0)]), counters(&[("GET pods", 1.0)]));
        assert!(after.requests_since(&before).is_none());
        assert_eq!(grown(Some(5.0), Some(1.0)), None);
        assert_eq!(grown(None, Some(1.0)), None);
    }
}
