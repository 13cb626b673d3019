//! What the words on a page mean, for whoever has never seen one.

use measure::Verdict;

/// What each verdict means.
pub(crate) const VERDICTS: [(Verdict, &str); 7] = [
    (Verdict::Pass, "every budget was met on a valid measurement"),
    (Verdict::Fail, "a budget was missed"),
    (
        Verdict::Invalid,
        "the measurement cannot be trusted: the harness was starved, the clock stepped, or it was cut short",
    ),
    (Verdict::NoData, "a figure that a budget needs was not measured, or the row left no verdict"),
    (Verdict::Timeout, "slow but moving when its time was over"),
    (Verdict::Stalled, "no progress for the stated time"),
    (Verdict::Unsupported, "the row needs something that this cluster does not have"),
];

/// What the other words mean, in the order in which a reader meets them.
pub(crate) const WORDS: [(&str, &str); 21] = [
    ("row", "one test: it runs a real system once, and judges what a document publishes about it"),
    ("budget", "a limit on one figure. A row that misses one of its budgets fails, whether it is a gate or a ceiling"),
    ("gate", "a budget that a slowdown by half misses, or a count that has to be zero"),
    (
        "ceiling",
        "a budget far away: a published figure, or far above what was ever seen; what misses it is broken, or much slower",
    ),
    ("of the limit", "how much of a budget is used up, whichever side of it is allowed: above 100 % it is missed"),
    ("object", "what is counted and timed one by one: a node, a pod, a tenant, a request"),
    (
        "phase",
        "a part of a row with its own begin and end, such as create-pods; plots over a whole row show it by its number",
    ),
    (
        "stage",
        "a step on an object's way through a phase, such as scheduled -> running; every object's time in it is taken",
    ),
    ("p50, p90, p99", "half, nine in ten, 99 in a hundred objects took at most so long"),
    (
        "late, ~",
        "objects seen after their watch had been broken: they count as done, but their times are no measurement",
    ),
    (
        "relisted or listed, ?",
        "objects that only a list showed, because their event never came: they count, and are not timed either",
    ),
    ("gone early", "objects that went before they got there: evicted, or one too many"),
    (
        "unaccounted",
        "objects of which nobody knows whether they got there: each is in the record, with what was last seen of it",
    ),
    ("watch", "the stream in which the apiserver tells every change; a break is an end of it that nobody asked for"),
    ("410 Gone", "times that the apiserver had forgotten where a watch was, so that everything was listed again"),
    ("undecoded", "events that could not be read as any that is known"),
    (
        "yardstick",
        "a fixed piece of work, done every second beside the system: CPU time divided by its own compares machines",
    ),
    ("harness", "the program that runs a row and watches it; what it costs is shown apart from the system"),
    ("ledger", "the account of all objects: when each of them got to each stage"),
    ("deviation", "a difference between the document's set-up and this one"),
    (
        "comparator",
        "a system that others are compared with: measured with the same care, but its stall is a result and no failure",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_has_a_meaning_and_a_shape() {
        let shapes = include_str!("../../templates/shapes.svg");
        for (verdict, _) in VERDICTS {
            assert!(shapes.contains(&format!("id=\"v-{verdict}\"")), "{verdict}");
        }
    }
}
