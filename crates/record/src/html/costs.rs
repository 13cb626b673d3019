//! What the phases of a row cost, side by side: the components' CPU, requests and writes.

use std::collections::{BTreeMap, BTreeSet};

use super::cause::cores;
use super::cells::{Cell, Table};
use crate::schema::{PhaseRecord, Trial};
use crate::text::{figure, maybe_figure};

/// Kinds of requests that are shown; the records have more.
const REQUEST_KINDS: usize = 8;

/// CPU seconds of each component in each phase, and the cores that these were.
pub(crate) fn components(trial: &Trial) -> Table {
    let caption = "CPU seconds of the components; in brackets the cores that they used in the mean";
    let mut table = Table::new(caption, &head("component", trial));
    let names: BTreeSet<&String> = trial.phases.iter().flat_map(|phase| phase.components.keys()).collect();
    for name in names {
        let used = trial.phases.iter().map(|phase| Cell::Number(used(phase, name).unwrap_or("-".to_owned())));
        table.push([Cell::Text(name.clone())].into_iter().chain(used));
    }
    table
}

fn used(phase: &PhaseRecord, name: &str) -> Option<String> {
    let cpu = figure(phase.components.get(name)?.cpu_s);
    // The CPU seconds of a phase that stalled include the time after it stopped, so cores say nothing.
    let cores = cores(phase).into_iter().find(|(of, _)| of == name).filter(|_| phase.verdict.is_none());
    Some(cores.map_or(cpu.clone(), |(_, cores)| format!("{cpu} ({cores:.2})")))
}

/// Requests and writes for each object of a phase, and the most frequent kinds of requests.
pub(crate) fn requests(trial: &Trial) -> Table {
    let mut table = Table::new("Requests and writes for an object", &head("what", trial));
    let mut push = |what: &str, count: &dyn Fn(&PhaseRecord) -> Option<f64>| {
        let an_object = |phase: &PhaseRecord| count(phase).map(|count| count / phase.done.max(1) as f64);
        let figures: Vec<Option<f64>> = trial.phases.iter().map(an_object).collect();
        if figures.iter().any(Option::is_some) {
            let figures = figures.iter().map(|value| Cell::Number(maybe_figure(value)));
            table.push([Cell::Text(what.to_owned())].into_iter().chain(figures));
        }
    };
    push("requests to the apiserver, without watches", &|phase| phase.api_requests);
    push("writes to etcd", &|phase| phase.etcd_puts);
    push("bytes of etcd's write-ahead log", &|phase| phase.etcd_wal_bytes);
    push("growth of etcd's database, bytes", &|phase| phase.etcd_db_growth_bytes);
    for kind in most_frequent(trial) {
        push(kind, &|phase| phase.api_requests_by.get(kind).copied());
    }
    table
}

/// The names of the phases, behind what the rows are.
fn head<'a>(first: &'a str, trial: &'a Trial) -> Vec<&'a str> {
    std::iter::once(first).chain(trial.phases.iter().map(|phase| phase.name.as_str())).collect()
}

fn most_frequent(trial: &Trial) -> Vec<&String> {
    let mut counts: BTreeMap<&String, f64> = BTreeMap::new();
    for (kind, count) in trial.phases.iter().flat_map(|phase| &phase.api_requests_by) {
        *counts.entry(kind).or_default() += count;
    }
    let mut kinds: Vec<(&String, f64)> = counts.into_iter().collect();
    kinds.sort_by(|a, b| b.1.total_cmp(&a.1));
    kinds.into_iter().take(REQUEST_KINDS).map(|(kind, _)| kind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::ComponentUse;
    use measure::Verdict;

    #[test]
    fn phases_stand_side_by_side_and_what_one_lacks_is_a_dash() {
        let etcd = ("etcd".to_owned(), ComponentUse { cpu_s: 3.0, rss_bytes: 0 });
        let create = PhaseRecord {
            name: "create".to_owned(),
            done: 10,
            took_s: 6.0,
            components: [etcd.clone()].into(),
            api_requests: Some(50.0),
            api_requests_by: [("POST pods".to_owned(), 10.0)].into(),
            ..PhaseRecord::default()
        };
        let stalled = PhaseRecord {
            verdict: Some(Verdict::Stalled),
            api_requests_by: [("GET pods".to_owned(), 40.0)].into(),
            api_requests: None,
            ..create.clone()
        };
        let trial = Trial { phases: vec![create, stalled], ..Trial::default() };
        let text = |table: Table| {
            let markup = table.to_string();
            markup
                .split(['<', '>'])
                .skip(2)
                .step_by(2)
                .filter(|text| !text.trim().is_empty())
                .collect::<Vec<_>>()
                .join("|")
        };
        assert!(text(components(&trial)).ends_with("component|create|create|etcd|3 (0.50)|3"));
        assert_eq!(
            text(requests(&trial)),
            "Requests and writes for an object|what|create|create|requests to the apiserver, without watches|5|-|GET \
             pods|-|4|POST pods|1|-"
        );
    }
}
