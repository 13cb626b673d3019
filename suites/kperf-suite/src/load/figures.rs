//! The client's figures of a load.

use std::collections::BTreeSet;
use std::time::Duration;

use apiload::{Counts, Outcome, PhaseOutcome, Row};
use harness::Trial;
use kperf::LoadProfile;
use measure::stats::{Hdr, millis};

/// What the runners found, and what the shortest way through the apiserver took meanwhile.
pub(super) struct Figures<'a> {
    pub(super) profile: &'a LoadProfile,
    pub(super) outcomes: &'a [Outcome],
    pub(super) readyz: &'a Hdr,
}

impl Figures<'_> {
    /// Why response times say nothing, if so.
    pub(super) fn invalid(&self) -> Option<String> {
        self.phases().find_map(|phase| phase.invalid.clone())
    }

    /// Requests that the server gave an answer.
    pub(super) fn answered(&self) -> u64 {
        let counts = self.total().counts;
        counts.completed + counts.failures()
    }

    /// Writes them into the record, the response times only where they hold.
    pub(super) fn report(&self, trial: &mut Trial, responses: bool) {
        let total = self.total();
        let Counts { offered, completed, body_bytes, late, .. } = total.counts;
        let share = |n: u64| n as f64 / offered.max(1) as f64;
        trial.metric("load_requests", offered as f64);
        trial.metric("load_error_share", share(offered - completed));
        trial.metric("load_bytes_per_request", share(body_bytes));
        trial.metric("load_late_share", share(late));
        let mut slip = Hdr::default();
        self.phases().for_each(|phase| slip.merge(&phase.slip));
        let all = [
            ("load_achieved_share", self.achieved()),
            ("load_slip_p99_ms", slip.quantile(0.99).map(millis)),
            ("readyz_p50_ms", self.readyz.quantile(0.5).map(millis)),
            ("readyz_p99_ms", self.readyz.quantile(0.99).map(millis)),
        ];
        put(trial, all.map(|(name, value)| (name.to_owned(), value)));
        self.columns(trial, "load", &total, responses);
        for kind in self.phases().flat_map(|phase| &phase.rows).map(|row| row.kind).collect::<BTreeSet<_>>() {
            let mut all = Row::default();
            self.phases().flat_map(|phase| &phase.rows).filter(|row| row.kind == kind).for_each(|row| all.add(row));
            self.columns(trial, &snake(kind), &all, responses);
        }
    }

    /// Quantiles of both latencies, and as multiples of the same quantile of `/readyz`.
    fn columns(&self, trial: &mut Trial, name: &str, row: &Row, responses: bool) {
        let times = row.times();
        let unknown = row.counts.unknown();
        for (column, latencies, shown) in [("response", &times.response, responses), ("service", &times.service, true)]
        {
            for (figure, p) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
                let value = latencies.quantile_of(p, unknown).filter(|_| shown);
                let readyz = self.readyz.quantile(p).filter(|_| p < 1.0);
                let ratio = value.zip(readyz).map(|(value, readyz)| value.as_secs_f64() / readyz.as_secs_f64());
                put(
                    trial,
                    [
                        (format!("{name}_{column}_{figure}_ms"), value.map(millis)),
                        (format!("{name}_{column}_{figure}_x_readyz"), ratio),
                    ],
                );
            }
        }
    }

    /// Requests answered in a second, of those that were due in a second; none where the profile has no rate.
    fn achieved(&self) -> Option<f64> {
        let (mut answered, mut due) = (0.0, 0.0);
        for outcome in self.outcomes {
            for (spec, phase) in self.profile.specs().iter().zip(&outcome.phases) {
                // A server that keeps up answers the last request as long after its due time as the first: that tail is
                // no part of the time in which so many were due.
                let tail = phase.total.times().response.nearest_rank(0.0, 0).unwrap_or_default();
                let elapsed = phase.elapsed.saturating_sub(tail);
                let lasted = match spec.total() {
                    Some(total) => {
                        elapsed + Duration::from_secs_f64(1.0 / spec.rate.max(1e-9)).min(elapsed / total as u32)
                    }
                    None => elapsed.max(Duration::from_secs(spec.duration)),
                };
                answered += (phase.total.counts.completed + phase.total.counts.failures()) as f64;
                due += spec.rate * lasted.as_secs_f64();
            }
        }
        (due > 0.0).then(|| answered / due)
    }

    fn total(&self) -> Row {
        let mut total = Row::default();
        self.phases().for_each(|phase| total.add(&phase.total));
        total
    }

    fn phases(&self) -> impl Iterator<Item = &PhaseOutcome> {
        self.outcomes.iter().flat_map(|outcome| &outcome.phases)
    }
}

fn put(trial: &mut Trial, figures: impl IntoIterator<Item = (String, Option<f64>)>) {
    for (name, value) in figures {
        if let Some(value) = value {
            trial.metric(&name, value);
        }
    }
}

/// `staleList` as `stale_list`.
fn snake(kind: &str) -> String {
    let letters = kind.chars().flat_map(|c| {
        let underscore = c.is_ascii_uppercase().then_some('_');
        underscore.into_iter().chain(std::iter::once(c.to_ascii_lowercase()))
    });
    letters.collect()
}
