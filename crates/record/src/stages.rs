//! Stages of a phase, some of which are made of others.

use std::collections::BTreeMap;

/// The stages that span no others: one that does only repeats them.
pub(crate) fn parts<V>(stages: BTreeMap<String, V>) -> BTreeMap<String, V> {
    let ends = |stage: &str| stage.split_once(" -> ").map(|(from, to)| (from.to_owned(), to.to_owned()));
    let all: Vec<_> = stages.keys().filter_map(|stage| ends(stage)).collect();
    let spans = |stage: &str| {
        ends(stage).is_some_and(|(from, to)| {
            all.iter().any(|(f, t)| *f == from && *t != to) && all.iter().any(|(f, t)| *f != from && *t == to)
        })
    };
    stages.into_iter().filter(|(stage, _)| !spans(stage)).collect()
}
