//! What `kperf rg result` prints, as figures of the record.

use apiload::{Counts, Failure};
use harness::{Error, Result, Trial};
use kperf::LoadProfile;
use kperf::runnergroup::GroupResult;
use serde::Deserialize;

use super::Group;

/// The file of the result beside the record.
const FILE: &str = "rg-result.json";

/// What is read of a result.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Read {
    counts: Counts,
    /// Quantile and seconds.
    #[serde(default)]
    percentile_latencies: Vec<[f64; 2]>,
}

/// Writes the figures into the record, and keeps the result.
pub(super) fn report(trial: &mut Trial, row: &Group, profile: &LoadProfile, found: &GroupResult) -> Result<()> {
    let read: Read = serde_json::from_slice(&found.json)
        .map_err(|error| Error::Environment(format!("the group's result cannot be read: {error}")))?;
    let Counts { offered, completed, body_bytes, .. } = read.counts;
    let share = |n: u64| n as f64 / offered.max(1) as f64;
    trial.metric("load_requests", offered as f64);
    trial.metric("load_answered", answered(&read.counts) as f64);
    trial.metric("load_error_share", share(offered - completed));
    trial.metric("load_bytes_per_request", share(body_bytes));
    trial.metric("requests_unaccounted", unaccounted(expected(row, profile), &read.counts) as f64);
    trial.metric("runners_without_result", f64::from(found.missing));
    for (figure, p) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
        // The quantiles are written as they are here, digit by digit.
        let latency = read.percentile_latencies.iter().find(|[at, _]| at.total_cmp(&p).is_eq());
        trial.metric(&format!("load_service_{figure}_ms"), latency.map_or(f64::NAN, |[_, seconds]| seconds * 1e3));
    }
    trial.drop_in(FILE, &found.json)
}

/// Requests of all runners; 0 where a profile has no total.
fn expected(row: &Group, profile: &LoadProfile) -> u64 {
    let of_one: u64 = profile.specs().iter().filter_map(|spec| spec.total()).sum();
    of_one * u64::from(row.runners)
}

/// Requests that the apiserver gave an answer, whatever it was.
fn answered(counts: &Counts) -> u64 {
    let refused = counts.failed.iter().filter(|(failure, _)| matches!(failure, Failure::Status(_)));
    counts.completed + refused.map(|(_, n)| n).sum::<u64>()
}

/// Requests that no runner tells of, and those of which more or less is told than they are.
fn unaccounted(expected: u64, counts: &Counts) -> u64 {
    let ended = counts.completed + counts.failures() + counts.timed_out + counts.unknown();
    expected.abs_diff(counts.offered) + counts.offered.abs_diff(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_unaccounted_that_was_never_due_or_never_ended() {
        let counts = |offered, completed, cancelled| Counts { offered, completed, cancelled, ..Counts::default() };
        assert_eq!(unaccounted(30, &counts(30, 29, 1)), 0);
        assert_eq!(unaccounted(30, &counts(20, 20, 0)), 10);
        assert_eq!(unaccounted(30, &counts(30, 28, 1)), 1);
    }
}
