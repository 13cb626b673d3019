//! The table that ends a run on the terminal: per row what was measured, judged and why.

use comfy_table::{ContentArrangement, Table, presets};
use measure::budget::{Direction, Figure};
use measure::{Judged, Verdict};

use crate::gather::{Run, TrialSummary};

/// One line a row: the verdict, how long it took, the budgets met, and the sentence.
pub fn rows_table(run: &Run, width: u16) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(width.max(60)).set_header(["row", "verdict", "took", "budgets", "why"]);
    for trial in &run.trials {
        let met = trial.budgets.iter().filter(|budget| budget.verdict.passes()).count();
        table.add_row([
            format!("{} {}", trial.suite, trial.test),
            trial.verdict.to_string(),
            trial.took(),
            format!("{met}/{}", trial.budgets.len()),
            trial.reason.clone(),
        ]);
    }
    table.to_string()
}

/// The budgets of one row: observed, limit, verdict and source.
pub fn details(trial: &TrialSummary, width: u16) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(width.max(60)).set_header(["metric", "observed", "budget", "verdict", "from"]);
    for budget in &trial.budgets {
        table.add_row([
            budget.metric.clone(),
            observed(budget),
            limit(budget),
            budget.verdict.to_string(),
            budget.source.clone(),
        ]);
    }
    table.to_string()
}

pub(crate) fn observed(budget: &Judged) -> String {
    match (budget.observed, budget.verdict) {
        (None, _) => "-".to_owned(),
        (Some(value), Verdict::Invalid) => format!("({})", Figure(value)),
        (Some(value), _) => Figure(value).to_string(),
    }
}

pub(crate) fn limit(budget: &Judged) -> String {
    let sign = match budget.direction {
        Direction::AtMost => "≤",
        Direction::AtLeast => "≥",
    };
    format!("{sign} {}", Figure(budget.limit))
}
