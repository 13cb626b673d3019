//! The sentence that explains an answer.

use super::{Answer, Better, Outcome};
use crate::budget::Basis;
use crate::stats::power::MOST_PAIRS;
use crate::stats::{Estimator, Interval};

/// One sentence with the answer about a metric and its figures. `sees_relevance` says whether this run could have seen
/// a change of the size that matters, so that only the side of the threshold is open.
pub(super) fn of(outcome: &Outcome, better: Better, sees_relevance: bool) -> String {
    let Outcome { metric, relevance, answer, ratio, interval, .. } = outcome;
    // Two decimals, or three where the threshold has three.
    let decimals = if *relevance < 1.02 { 3 } else { 2 };
    let figure = |value: f64| format!("{value:.decimals$} x");
    let evidence = |Interval { low, high, level }: Interval| {
        let (level, pairs) = (level * 100.0, outcome.pairs);
        let estimator = match outcome.estimator {
            Estimator::Mean => "",
            Estimator::TrimmedMean => ", trimmed mean",
            Estimator::SignedRanks => ", signed ranks",
        };
        format!("({level:.0} % interval {low:.decimals$} to {high:.decimals$}, {pairs} pairs{estimator})")
    };
    match answer {
        // A change is told as a factor above 1 in its own direction: "1.25 x faster" and not "0.8 x".
        Answer::Better | Answer::Worse => {
            let change = change(*answer == Answer::Worse, outcome.basis, better);
            let (factor, of_factor) =
                if *ratio >= 1.0 { (*ratio, *interval) } else { (1.0 / ratio, reciprocal(*interval)) };
            format!("{metric}: {} {change} {}", figure(factor), evidence(of_factor))
        }
        Answer::Same => {
            format!("{metric}: the same, {} {}, within {}", figure(*ratio), evidence(*interval), figure(*relevance))
        }
        Answer::CannotTell { more_pairs } => {
            let (seen, needed) = (figure(outcome.detectable), needed(*more_pairs, &figure(*relevance), sees_relevance));
            let evidence = evidence(*interval);
            let of_all = of_all_pairs(outcome, decimals);
            format!(
                "{metric}: cannot tell: {} {evidence}{of_all}; this run could have seen {seen}; {needed}",
                figure(*ratio)
            )
        }
    }
}

/// What the mean of all pairs says, where that is why it cannot be told.
fn of_all_pairs(outcome: &Outcome, decimals: usize) -> String {
    let Outcome { interval, of_all_pairs: Interval { low, high, .. }, relevance, .. } = outcome;
    if !interval.is_within(*relevance) || outcome.of_all_pairs.is_within(*relevance) {
        return String::new();
    }
    format!(", but the mean of all pairs may be {low:.decimals$} to {high:.decimals$} x: a few differ by far")
}

fn needed(more_pairs: Option<usize>, relevance: &str, sees_relevance: bool) -> String {
    let pairs = match more_pairs {
        Some(1) => "1 more pair".to_owned(),
        Some(n) => format!("{n} more pairs"),
        None => format!("not even {MOST_PAIRS} pairs"),
    };
    let shown = if sees_relevance { "on which side of " } else { "" };
    let is = if sees_relevance { " it is" } else { "" };
    format!("{pairs} would show {shown}{relevance}{is}")
}

fn change(worse: bool, basis: Basis, better: Better) -> &'static str {
    match (basis, worse, better) {
        (Basis::Time, true, _) => "slower",
        (Basis::Time, false, _) => "faster",
        (Basis::Count, true, Better::Lower) | (Basis::Count, false, Better::Higher) => "more",
        (Basis::Count, true, Better::Higher) | (Basis::Count, false, Better::Lower) => "less",
    }
}

fn reciprocal(interval: Interval) -> Interval {
    Interval { low: 1.0 / interval.high, high: 1.0 / interval.low, level: interval.level }
}
