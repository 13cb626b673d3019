//! The sentence that explains an answer.

use super::{Answer, Better, Outcome};
use crate::budget::Basis;
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
            let needed = match (more_pairs, sees_relevance) {
                (Some(1), false) => format!("1 more pair would show {}", figure(*relevance)),
                (Some(n), false) => format!("{n} more pairs would show {}", figure(*relevance)),
                (Some(1), true) => format!("1 more pair would show on which side of {} it is", figure(*relevance)),
                (Some(n), true) => format!("{n} more pairs would show on which side of {} it is", figure(*relevance)),
                (None, false) => {
                    format!("no number of pairs would show {}: its spread is too large", figure(*relevance))
                }
                (None, true) => format!("it is too close to {} for any number of pairs", figure(*relevance)),
            };
            let seen = figure(outcome.detectable);
            format!(
                "{metric}: cannot tell: {} {}; this run could have seen {seen}; {needed}",
                figure(*ratio),
                evidence(*interval)
            )
        }
    }
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
