//! One phase, or all of them added up, as kperf writes it.

use std::collections::BTreeMap;

use apiload::Counts;
use measure::go_duration;
use measure::stats::Hdr;
use serde::Serialize;

use super::errors::{ErrorStats, ResponseError};
use super::part::{Part, Requests};
use super::{Format, Latency};

/// The percentiles of kperf (`metrics.BuildPercentileLatencies`).
const PERCENTILES: [f64; 6] = [0.0, 0.5, 0.9, 0.95, 0.99, 1.0];

/// kperf's report, and behind it what is ours, which its readers pass over.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Flat {
    total: u64,
    duration: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ResponseError>,
    #[serde(skip_serializing_if = "ErrorStats::is_left_out")]
    error_stats: ErrorStats,
    total_received_bytes: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    percentile_latencies: Vec<[f64; 2]>,
    #[serde(rename = "percentileLatenciesByURL", skip_serializing_if = "BTreeMap::is_empty")]
    percentile_latencies_by_url: BTreeMap<String, Vec<[f64; 2]>>,
    /// Which latency the percentiles are of.
    latency: &'static str,
    /// Why they cannot be trusted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    invalid: Vec<String>,
    counts: Counts,
}

impl Flat {
    /// The phases of a load on `target`, added up.
    pub(super) fn of(target: &str, phases: &[Part], format: Format, latency: Latency) -> Self {
        let mut part = Part::default();
        phases.iter().for_each(|phase| part.add_after(phase));
        let mut all = Requests::default();
        let mut by_url: BTreeMap<String, Requests> = BTreeMap::new();
        for (label, requests) in &part.requests {
            all.add(requests);
            let (verb, path) = label.split_once(' ').unwrap_or_default();
            let verb = if format == Format::V035 { format!("{verb} ") } else { String::new() };
            by_url.entry(format!("{verb}{target}{path}")).or_default().add(requests);
        }
        let percentiles = |requests: &Requests| percentiles(requests, latency);
        Self {
            total: all.counts.offered,
            duration: go_duration(part.elapsed),
            errors: part.errors,
            error_stats: ErrorStats::of(&all.counts, format),
            total_received_bytes: all.counts.body_bytes,
            percentile_latencies: percentiles(&all),
            percentile_latencies_by_url: by_url
                .iter()
                .map(|(url, requests)| (url.clone(), percentiles(requests)))
                .filter(|(_, percentiles)| !percentiles.is_empty())
                .collect(),
            latency: match latency {
                Latency::Response => "response time from the intended send, failures and timeouts included",
                Latency::Service => "service time from the send, of requests that were answered well",
            },
            invalid: part.invalid,
            counts: all.counts,
        }
    }
}

/// kperf's percentiles, in seconds. It has all six of however few requests. One that a request without a latency would
/// decide, because that was cancelled or never sent, is left out.
fn percentiles(requests: &Requests, latency: Latency) -> Vec<[f64; 2]> {
    let of = |latencies: &Hdr, unknown| {
        let at = |p| latencies.nearest_rank(p, unknown).map(|at| [p, at.as_secs_f64()]);
        PERCENTILES.into_iter().filter_map(at).collect()
    };
    match latency {
        Latency::Response => of(&requests.response, requests.counts.unknown()),
        Latency::Service => of(&requests.service, 0),
    }
}
