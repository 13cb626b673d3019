//! One phase of a trial: an action, the objects that it is about, and how it ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cluster::{Process, Usage};
use measure::ledger::{CohortId, Stage};
use measure::{End, Gap, Ledger, Quantiles, Seen, StallRule, standstill};
use record::{ComponentUse, FaultRecord, PhaseRecord, ProgressTimes, SlowObject};

use crate::inject::Injected;
use crate::scrape::{Counters, grown};

/// Missing objects that a record names; all of them are in the ledger's CSV.
const NAMED: usize = 20;
/// Slowest objects that a record names.
const SLOWEST: usize = 5;
/// Kinds of requests that a record names.
const REQUEST_KINDS: usize = 12;

/// A ledger that a watch stamps while a phase waits for it.
#[derive(Clone, Debug)]
pub struct Account(Arc<Mutex<Ledger>>);

impl Account {
    /// An empty account of objects that live through `stages`.
    pub fn new(stages: &'static [&'static str]) -> Self {
        Self(Arc::new(Mutex::new(Ledger::new(stages))))
    }

    /// The ledger, for as long as the guard lives.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which objects have to get there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// As many as the cohorts should have.
    Expected,
    /// Every object of the cohorts that was seen.
    AllSeen,
}

/// A phase.
#[derive(Clone, Debug)]
pub struct PhaseSpec {
    /// Its name: `create-pods`.
    pub name: &'static str,
    /// The account that it is about.
    pub account: Account,
    /// The cohorts that it is about.
    pub cohorts: Vec<CohortId>,
    /// Further cohorts that have to be over at another stage before the phase is done: pods that a rollout replaces.
    pub also: Option<(Vec<CohortId>, Stage)>,
    /// Which objects have to get to `to`.
    pub goal: Goal,
    /// The stage at which an object's time in the phase begins.
    pub from: Stage,
    /// The stage at which it ends.
    pub to: Stage,
    /// Pairs of stages whose times are reported.
    pub stages: Vec<(Stage, Stage)>,
    /// The stages between which the objects are counted once a second, where something has to keep up with them.
    pub gap: Option<(Stage, Stage)>,
    /// When it is given up.
    pub rule: StallRule,
}

impl PhaseSpec {
    /// A phase that is over when every object which `cohorts` should have got from one stage to the other.
    pub fn new(
        name: &'static str,
        account: &Account,
        cohorts: Vec<CohortId>,
        (from, to): (Stage, Stage),
        rule: StallRule,
    ) -> Self {
        let (account, goal, stages) = (account.clone(), Goal::Expected, vec![(from, to)]);
        Self { name, account, cohorts, also: None, goal, from, to, stages, gap: None, rule }
    }

    /// Objects that are done, and objects in all, those included that nobody asked for and that have to go again.
    pub(crate) fn count(&self) -> (usize, usize) {
        let ledger = self.account.ledger();
        let (done, total) = match self.goal {
            Goal::Expected => {
                let surplus = ledger.surplus(&self.cohorts, self.to);
                (ledger.count(&self.cohorts, self.to), ledger.expected(&self.cohorts) + surplus)
            }
            Goal::AllSeen => all_seen(&ledger, &self.cohorts, self.to),
        };
        match &self.also {
            Some((cohorts, stage)) => {
                let (also, of) = all_seen(&ledger, cohorts, *stage);
                (done + also, total + of)
            }
            None => (done, total),
        }
    }
}

fn all_seen(ledger: &Ledger, cohorts: &[CohortId], stage: Stage) -> (usize, usize) {
    let seen = ledger.seen(cohorts);
    (seen - ledger.pending(cohorts, stage), seen)
}

/// What was counted when a phase began.
#[derive(Debug)]
pub(crate) struct Before {
    pub(crate) at: Duration,
    pub(crate) usage: BTreeMap<String, (Process, Usage)>,
    pub(crate) counters: Counters,
}

/// What was counted when it was over.
#[derive(Debug)]
pub(crate) struct After {
    pub(crate) usage: BTreeMap<String, (Process, Usage)>,
    pub(crate) counters: Counters,
    pub(crate) yardstick: Option<Duration>,
    pub(crate) faults: Vec<Injected>,
}

/// The record of a phase that is over.
pub(crate) fn record(spec: &PhaseSpec, end: &End, before: &Before, after: &After) -> PhaseRecord {
    let ledger = spec.account.ledger();
    let curve = ledger.curve(&spec.cohorts, spec.to);
    let since: Vec<Duration> = curve.iter().map(|at| at.saturating_sub(before.at)).collect();
    let expected = match spec.goal {
        Goal::Expected => ledger.expected(&spec.cohorts),
        Goal::AllSeen => ledger.seen(&spec.cohorts),
    };
    let share = |share: f64| {
        let rank = ((expected as f64 * share).ceil() as usize).max(1);
        since.get(rank - 1).map(Duration::as_secs_f64)
    };
    let (also, also_to) = spec.also.clone().unwrap_or_default();
    let unaccounted = ledger.pending(&also, also_to)
        + match spec.goal {
            Goal::Expected => ledger.unaccounted(&spec.cohorts, spec.to),
            Goal::AllSeen => ledger.pending(&spec.cohorts, spec.to),
        };
    let seen_by = |seen| ledger.seen_by(&spec.cohorts, spec.to, seen) + ledger.seen_by(&also, also_to, seen);
    let mut missing = ledger.missing(&spec.cohorts, spec.to);
    missing.extend(ledger.missing(&also, also_to));
    missing.truncate(NAMED);
    let moves = moves(spec, &ledger);
    // The last stamp says when the phase was over; that its end was noticed a moment later is nobody's cost.
    let took = match end {
        End::Complete { .. } => moves.last().map_or(Duration::ZERO, |at| at.saturating_sub(before.at)),
        other => other.took(),
    };
    let end = match end {
        End::Complete { .. } => End::Complete { took },
        other => other.clone(),
    };
    let took_s = took.as_secs_f64();
    let stages = spec.stages.iter().map(|(from, to)| {
        let name = format!("{} -> {}", ledger.stages()[*from], ledger.stages()[*to]);
        (name, Quantiles::of(ledger.durations(&spec.cohorts, *from, *to)))
    });
    let slowest = ledger
        .slowest(&spec.cohorts, spec.from, spec.to, SLOWEST)
        .into_iter()
        .map(|(name, took)| SlowObject { name: name.to_owned(), took_ms: took.as_secs_f64() * 1e3 });
    // What a process had used when it died is not known, so a component that was started again has no figure.
    let components = after.usage.iter().filter_map(|(name, (process, usage))| {
        let (_, was) = before.usage.get(name).filter(|(same, _)| same == process)?;
        Some((name.clone(), ComponentUse { cpu_s: usage.cpu_s - was.cpu_s, rss_bytes: usage.rss_bytes }))
    });
    // What never came to its end has not recovered, however much moved after the fault.
    let complete = matches!(end, End::Complete { .. });
    let recovery = |at| complete.then(|| standstill::recovery(&moves, at)).flatten();
    let faults = after.faults.iter().map(|fault| FaultRecord {
        what: fault.what.clone(),
        at_s: fault.at.as_secs_f64(),
        recovered_after_s: recovery(fault.at).map(|took| took.as_secs_f64()),
    });
    let gap = spec.gap.map(|(from, to)| {
        let between = format!("{} -> {}", ledger.stages()[from], ledger.stages()[to]);
        Gap::of(between, &ledger.curve(&spec.cohorts, from), &ledger.curve(&spec.cohorts, to), before.at)
    });
    let counters = &after.counters;
    // What a component counted before it died is lost: a count of its successor is no difference, however high it is by now.
    let lived = |name: &str| {
        let same = |was: &Process| after.usage.get(name).is_some_and(|(now, _)| now == was);
        before.usage.get(name).is_none_or(|(was, _)| same(was))
    };
    let (apiserver_lived, etcd_lived) = (lived("kube-apiserver"), lived("etcd"));
    let of_apiserver = |before, after| grown(before, after).filter(|_| apiserver_lived);
    let of_etcd = |before, after| grown(before, after).filter(|_| etcd_lived);
    let requests = counters.requests_since(&before.counters).filter(|_| apiserver_lived);
    PhaseRecord {
        name: spec.name.to_owned(),
        started_s: before.at.as_secs_f64(),
        took_s,
        end: end.to_string(),
        verdict: end.verdict(),
        expected,
        seen: ledger.seen(&spec.cohorts),
        done: curve.len(),
        late: seen_by(Seen::Late),
        relisted: seen_by(Seen::Relist),
        gone_early: ledger.gone_early(&spec.cohorts, spec.to),
        unaccounted,
        missing,
        progress: ProgressTimes { t50_s: share(0.5), t90_s: share(0.9), t99_s: share(0.99), t100_s: share(1.0) },
        per_s: if took_s > 0.0 { curve.len() as f64 / took_s } else { 0.0 },
        stages: stages.collect(),
        slowest: slowest.collect(),
        components: components.collect(),
        longest_standstill_s: standstill::longest(&moves, before.at).map(|time| time.as_secs_f64()),
        gap,
        faults: faults.collect(),
        yardstick_ms: after.yardstick.map(|time| time.as_secs_f64() * 1e3),
        api_requests: requests.as_ref().map(|requests| requests.values().sum()),
        api_requests_by: most_frequent(requests.unwrap_or_default()),
        ended_watches: of_apiserver(before.counters.ended_watches, counters.ended_watches),
        etcd_puts: of_etcd(before.counters.etcd_puts, counters.etcd_puts),
        etcd_wal_bytes: of_etcd(before.counters.etcd_wal_bytes, counters.etcd_wal_bytes),
        etcd_db_growth_bytes: grown(before.counters.etcd_db_bytes, counters.etcd_db_bytes),
        breakdowns: Vec::new(),
    }
}

/// When each object that the phase is about got there, sorted.
fn moves(spec: &PhaseSpec, ledger: &Ledger) -> Vec<Duration> {
    let mut moves = ledger.curve(&spec.cohorts, spec.to);
    if let Some((cohorts, stage)) = &spec.also {
        moves.extend(ledger.curve(cohorts, *stage));
        moves.sort_unstable();
    }
    moves
}

fn most_frequent(requests: BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let mut all: Vec<(String, f64)> = requests.into_iter().collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all.truncate(REQUEST_KINDS);
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn counted(puts: f64, requests: f64) -> Counters {
        let requests = BTreeMap::from([("POST pods".to_owned(), requests)]);
        Counters { etcd_puts: Some(puts), requests: Some(requests), ..Counters::default() }
    }

    fn alive(pids: [i32; 2]) -> BTreeMap<String, (Process, Usage)> {
        let usage = |pid| (Process { pid, started_ticks: 1 }, Usage::default());
        [("etcd", pids[0]), ("kube-apiserver", pids[1])].map(|(name, pid)| (name.to_owned(), usage(pid))).into()
    }

    #[rstest]
    #[case::both_lived(alive([1, 2]), alive([1, 2]), (Some(900.0), Some(90.0)))]
    #[case::etcd_was_started_again(alive([1, 2]), alive([3, 2]), (None, Some(90.0)))]
    #[case::the_apiserver_was_started_again(alive([1, 2]), alive([1, 3]), (Some(900.0), None))]
    #[case::nobody_looks_at_processes(BTreeMap::new(), BTreeMap::new(), (Some(900.0), Some(90.0)))]
    fn a_successor_that_counted_higher_again_makes_no_difference(
        #[case] was: BTreeMap<String, (Process, Usage)>,
        #[case] is: BTreeMap<String, (Process, Usage)>,
        #[case] (puts, requests): (Option<f64>, Option<f64>),
    ) {
        let before = Before { at: Duration::ZERO, usage: was, counters: counted(100.0, 10.0) };
        let after = After { usage: is, counters: counted(1000.0, 100.0), yardstick: None, faults: Vec::new() };
        let spec = PhaseSpec::new("create", &Account::new(&["a", "b"]), Vec::new(), (0, 1), StallRule::seconds(1, 1));
        let phase = record(&spec, &End::Complete { took: Duration::ZERO }, &before, &after);
        assert_eq!((phase.etcd_puts, phase.api_requests), (puts, requests));
    }
}
