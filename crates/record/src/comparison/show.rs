//! A comparison as people read it: a table on a terminal, and Markdown for a pull request.

use std::fmt::Write as _;

use comfy_table::{ContentArrangement, Table, presets};
use measure::gate::{Answer, Outcome};
use measure::stats::Estimator;

use super::{Comparison, Judgement, Missed, RowComparison};

const HEADER: [&str; 6] = ["metric", "answer", "head / base", "by", "could have seen", "why"];

/// A table a row of the suites, and a sentence for each that could not be judged.
pub fn comparison_table(comparison: &Comparison, width: u16) -> String {
    let mut out = String::new();
    for row in &comparison.rows {
        line(&mut out, &format!("{}: {}", heading(row), verdict(row)));
        if row.gate().is_some() {
            let mut table = Table::new();
            table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(width.max(60)).set_header(HEADER);
            for cells in cells(row) {
                table.add_row(cells);
            }
            line(&mut out, &table.to_string());
        }
        notes(row).iter().for_each(|note| line(&mut out, note));
    }
    more(comparison).for_each(|note| line(&mut out, note));
    out
}

/// Rows that are not in the tables.
fn more(comparison: &Comparison) -> impl Iterator<Item = &String> {
    comparison.only_one_has.iter().chain(&comparison.not_compared)
}

/// The same as Markdown: the verdict first, then a table that fits into a comment.
pub fn comparison_markdown(comparison: &Comparison) -> String {
    let mut out = String::new();
    for row in &comparison.rows {
        line(&mut out, &format!("### {}: {}\n", heading(row), verdict(row)));
        if row.gate().is_some() {
            line(&mut out, &format!("| {} |", HEADER.join(" | ")));
            line(&mut out, &format!("|{}", " --- |".repeat(HEADER.len())));
            for cells in cells(row) {
                line(&mut out, &format!("| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | ")));
            }
        }
        notes(row).iter().for_each(|note| line(&mut out, &format!("\n{note}")));
    }
    more(comparison).for_each(|note| line(&mut out, &format!("\n{note}")));
    out
}

fn heading(row: &RowComparison) -> String {
    format!("{} {}", row.suite, row.test)
}

fn verdict(row: &RowComparison) -> String {
    match &row.judgement {
        Judgement::Different(differences) => {
            format!("refused, base and head are not of one kind: {}", differences.join("; "))
        }
        Judgement::Unmeasured(reason) => format!("not measured: {reason}"),
        Judgement::Judged { gate, .. } => {
            let count =
                |wanted: fn(&Answer) -> bool| gate.outcomes.iter().filter(|outcome| wanted(&outcome.answer)).count();
            let parts = [
                (count(|answer| *answer == Answer::Worse), "worse"),
                (count(|answer| *answer == Answer::Better), "better"),
                (count(|answer| matches!(answer, Answer::CannotTell { .. })), "cannot be told"),
                (count(|answer| *answer == Answer::Same), "the same"),
            ];
            let parts = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
            format!(
                "{}, of {} metrics over {} pairs",
                parts.collect::<Vec<_>>().join(", "),
                gate.outcomes.len(),
                row.pairs
            )
        }
    }
}

fn cells(row: &RowComparison) -> Vec<[String; 6]> {
    let Judgement::Judged { gate, causes, .. } = &row.judgement else { return Vec::new() };
    let cells = |outcome: &Outcome| {
        let interval = &outcome.interval;
        [
            outcome.metric.clone(),
            answer(&outcome.answer),
            format!("{:.3} ({:.3} to {:.3})", outcome.ratio, interval.low, interval.high),
            estimator(outcome.estimator).to_owned(),
            format!("{:.3}", outcome.detectable),
            causes.get(&outcome.metric).cloned().unwrap_or_default(),
        ]
    };
    gate.outcomes.iter().map(cells).collect()
}

fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Better => "better".to_owned(),
        Answer::Worse => "worse".to_owned(),
        Answer::Same => "same".to_owned(),
        Answer::CannotTell { more_pairs: Some(n) } => format!("cannot tell: needs {n} more pairs"),
        Answer::CannotTell { more_pairs: None } => "cannot tell, and no number of pairs would".to_owned(),
    }
}

/// What would tell what cannot be told, as the end of a sentence.
pub(super) fn more_pairs(answer: &Answer) -> Option<String> {
    match answer {
        Answer::CannotTell { more_pairs: Some(n) } => Some(format!("; a gate of {n} more pairs would tell")),
        Answer::CannotTell { more_pairs: None } => Some("; no number of pairs would tell".to_owned()),
        Answer::Better | Answer::Worse | Answer::Same => None,
    }
}

fn estimator(estimator: Estimator) -> &'static str {
    match estimator {
        Estimator::Mean => "mean",
        Estimator::TrimmedMean => "trimmed mean",
        Estimator::SignedRanks => "signed ranks",
    }
}

fn notes(row: &RowComparison) -> Vec<String> {
    let mut notes: Vec<String> = row
        .missed
        .iter()
        .map(|missed| {
            let worse = if missed.is_worse() { "Worse" } else { "Not harmless" };
            let Missed { metric, runs, of, reason } = missed;
            format!("{worse}: {metric} is a budget that {runs} of {of} runs of head missed and none of base: {reason}.")
        })
        .collect();
    if row.gate().is_some() && !row.interleaved {
        let times = match row.unjudged.as_slice() {
            [] => String::new(),
            times => format!(" Not judged for that: {}.", times.join(", ")),
        };
        notes.push(format!("The arms did not take turns: what the machine did in between is in every time.{times}"));
    }
    if let Some(gate) = row.gate() {
        let robust = gate.outcomes.iter().filter(|outcome| outcome.estimator != Estimator::Mean).map(|outcome| {
            let (low, high) = (outcome.of_all_pairs.low, outcome.of_all_pairs.high);
            format!("{}, whose mean of all pairs may be {low:.3} to {high:.3}", outcome.metric)
        });
        let robust: Vec<String> = robust.collect();
        if !robust.is_empty() {
            notes.push(format!("Runs that lie far out were set aside of {}.", robust.join("; of ")));
        }
    }
    if let Judgement::Judged { beside, .. } = &row.judgement
        && !beside.is_empty()
    {
        notes.push(format!("Beside the answers, deciding nothing: {}.", beside.join("; ")));
    }
    if row.gate().is_some() && !row.versions.is_empty() {
        notes.push(format!("Versions that differ: {}.", row.versions.join("; ")));
    }
    if row.gate().is_some() && !row.differences.is_empty() {
        notes.push(format!("Compared although they differ: {}.", row.differences.join("; ")));
    }
    notes
}

/// Writing to a string cannot fail.
fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").ok();
}
