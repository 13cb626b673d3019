//! Whether every budget was missed by some row that was disturbed: one that cannot be missed judges nothing.

use std::collections::BTreeSet;
use std::path::Path;

use measure::{Budget, Verdict};
use record::{RunDir, Trial};

use crate::ctx::{Ctx, say};
use crate::exit::Failure;
use crate::suites;

/// Reads what the disturbed rows of the newest run left, which was on clusters of `provider`, and says which metrics of a
/// suite's budgets none of them missed: those of a suite of which no row was disturbed are all of them.
pub(super) fn every_budget(ctx: &Ctx, provider: &str) -> Result<bool, Failure> {
    let disturbed = disturbed(&ctx.results().join("latest/disturbed"))?;
    let mut all = true;
    for suite in suites::all(ctx).iter().filter(|suite| suite.built && suite.has(provider)) {
        let (budgets, rows) = suites::data(suite)?;
        // What no row that can run here is judged by, none can miss here.
        let absent: BTreeSet<&str> = rows.absent().map(|(row, _)| row).collect();
        let only_absent = |budget: &&Budget| budget.rows.iter().all(|row| absent.contains(row.as_str()));
        let budgets = budgets.budgets.iter().filter(|budget| !only_absent(budget));
        let of_provider = budgets.filter(|budget| budget.provider == provider);
        let metrics: BTreeSet<&str> = of_provider.map(|budget| budget.metric.as_str()).collect();
        let of_suite: Vec<&Trial> = disturbed.iter().filter(|trial| trial.suite == suite.package).collect();
        if of_suite.is_empty() {
            say(&format!("{}: no row was disturbed, so no budget is shown to be missed", suite.package));
            all = false;
            continue;
        }
        let never = never_missed(&metrics, &of_suite);
        let shown = metrics.len() - never.len();
        say(&format!("{}: {shown} of {} metrics with a budget were missed", suite.package, metrics.len()));
        if !never.is_empty() {
            all = false;
            say(&format!("  never missed: {}; a test in `tests/disturbed` has to", never.join(", ")));
        }
    }
    Ok(all)
}

fn never_missed<'a>(metrics: &BTreeSet<&'a str>, disturbed: &[&Trial]) -> Vec<&'a str> {
    let budgets = disturbed.iter().flat_map(|trial| &trial.budgets);
    let missed: BTreeSet<&str> =
        budgets.filter(|budget| budget.verdict == Verdict::Fail).map(|budget| budget.metric.as_str()).collect();
    metrics.iter().copied().filter(|metric| !missed.contains(metric)).collect()
}

/// The records of the rows that were disturbed: each test has a directory of its own.
fn disturbed(directory: &Path) -> Result<Vec<Trial>, Failure> {
    let mut trials = Vec::new();
    for test in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        trials.extend(RunDir::at(test.path()).trials()?);
    }
    Ok(trials)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use measure::Budgets;

    use super::*;

    #[test]
    fn what_no_row_missed_is_named() {
        let budget = |metric: &str| {
            format!(
                "[[budget]]\nmetric = \"{metric}\"\nlimit = 1\ndirection = \"at-most\"\nbasis = \"count\"\n\
                 role = \"gate\"\nrows = [\"*\"]\nprovider = \"kwok\"\nsource = \"s\"\nderivation = \"d\"\n"
            )
        };
        let budgets = Budgets::parse("budgets.toml", &["missed", "met", "gone"].map(budget).concat()).unwrap();
        let observed = BTreeMap::from([("missed".to_owned(), 2.0), ("met".to_owned(), 1.0)]);
        let budgets = budgets.budgets.iter().map(|budget| budget.judge(&observed, None)).collect();
        let trial = Trial { budgets, ..Trial::default() };
        assert_eq!(never_missed(&["missed", "met", "gone", "unheard"].into(), &[&trial]), ["gone", "met", "unheard"]);
    }
}
