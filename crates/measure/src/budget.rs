//! Limits as data, and the judgement of a trial's figures against them.

mod check;

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::gate::{Better, Metric};
use crate::line::{line_at, line_of};
use crate::verdict::Verdict;

/// The budgets of a suite: its `budgets.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budgets {
    /// In the order of the file.
    #[serde(default, rename = "budget")]
    pub budgets: Vec<Budget>,
    /// The metrics by which two arms of a row are compared, in the order of the file.
    #[serde(default, rename = "compare")]
    pub compared: Vec<Compared>,
}

/// A metric by which two arms of a row are compared.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compared {
    /// The metric's name in the trial record.
    pub metric: String,
    /// Which way is better.
    pub better: Better,
    /// What it is made of.
    pub basis: Basis,
    /// The smallest ratio that matters, above 1.
    pub relevance: f64,
    /// The ratio above [`Compared::relevance`] that runs which cannot tell have to have been able to see, for a gate that
    /// lets them pass; where it is not given, [`MUST_SEE`].
    #[serde(default)]
    pub must_see: Option<f64>,
    /// The rows that it compares, by name; `["*"]` for all.
    pub rows: Vec<String>,
}

/// The slowdown that every gate has to be able to see: the one that this project's power is stated for.
pub const MUST_SEE: f64 = 1.3;

/// One limit on one metric.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// The metric's name in the trial record; its unit is part of the name.
    pub metric: String,
    /// The limit, in the metric's unit. The limit itself is within the budget.
    pub limit: f64,
    /// On which side of the limit the metric has to stay.
    pub direction: Direction,
    /// What kind of figure this is, which decides whether it can be judged on a disturbed machine.
    pub basis: Basis,
    /// Whether a missed limit is a slowdown of the subject, or of an absolute figure.
    pub role: Role,
    /// The rows it binds, by name; `["*"]` binds all.
    pub rows: Vec<String>,
    /// The provider whose trials it binds.
    pub provider: String,
    /// The document and the sentence, or the measurement, that the limit comes from.
    pub source: String,
    /// How the limit follows from its source.
    pub derivation: String,
}

/// On which side of its limit a metric has to stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// `observed <= limit`.
    AtMost,
    /// `observed >= limit`.
    AtLeast,
}

/// What a figure is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// Wall time or a rate: not judged when the harness was starved or the clock stepped.
    Time,
    /// Objects, requests, bytes, writes or CPU seconds: judged as long as it was counted.
    Count,
}

/// What a limit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// An absolute figure of a document, or far above what was ever seen: generous on most machines. Who misses it fails all the
    /// same, because only what is broken or much slower does.
    Ceiling,
    /// A limit that a slowdown of the subject by half misses.
    Gate,
}

/// One budget with what was observed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Judged {
    /// The budget's metric.
    pub metric: String,
    /// The budget's limit.
    pub limit: f64,
    /// The budget's direction.
    pub direction: Direction,
    /// The budget's role.
    pub role: Role,
    /// What the trial measured; absent when it measured nothing.
    pub observed: Option<f64>,
    /// The judgement.
    pub verdict: Verdict,
    /// One sentence: the figure, the limit and where the limit comes from.
    pub reason: String,
    /// The budget's source.
    pub source: String,
    /// The budget's derivation.
    pub derivation: String,
}

/// Why a file of budgets or parameters was refused: always with the file and, where it has one, the line.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{file}:{line}: {message}")]
pub struct BudgetError {
    /// The file's name as given.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The field and what is wrong with it.
    pub message: String,
}

impl BudgetError {
    /// An error about what `path` leads to in `text`, as [`line_of`] reads it.
    pub fn at(file: &str, text: &str, path: &[&str], message: String) -> Self {
        Self { file: file.to_owned(), line: line_of(text, path), message }
    }

    /// The error of `toml` about `text`, with the line that it points at.
    pub fn from_toml(file: &str, text: &str, error: &toml::de::Error) -> Self {
        let offset = error.span().map_or(0, |span| span.start);
        let message = error.message().replace('\n', " ");
        Self { file: file.to_owned(), line: line_at(text, offset), message }
    }
}

impl Budgets {
    /// Reads a suite's `budgets.toml`.
    ///
    /// # Errors
    /// Unknown or missing fields, wrong types, a limit that is no number or cannot be missed, a provider that there is not, an
    /// empty source or derivation.
    pub fn parse(file: &str, text: &str) -> Result<Self, BudgetError> {
        let budgets: Self = toml::from_str(text).map_err(|error| {
            Self::check_types(file, text).err().unwrap_or_else(|| BudgetError::from_toml(file, text, &error))
        })?;
        budgets.check(file, text)?;
        Ok(budgets)
    }

    /// The budgets that bind `row` on `provider`.
    pub fn of_row<'a>(&'a self, row: &'a str, provider: &'a str) -> impl Iterator<Item = &'a Budget> {
        self.budgets.iter().filter(move |budget| {
            budget.provider == provider && budget.rows.iter().any(|bound| bound == "*" || bound == row)
        })
    }

    /// The metrics by which two arms of `row` are compared.
    pub fn compared(&self, row: &str) -> impl Iterator<Item = &Compared> {
        self.compared.iter().filter(move |compared| compared.rows.iter().any(|bound| bound == "*" || bound == row))
    }
}

impl Compared {
    /// The metric with the samples of both arms, one a repeat.
    pub fn metric(&self, base: Vec<f64>, head: Vec<f64>) -> Metric {
        let Self { metric, better, basis, relevance, .. } = self.clone();
        Metric { name: metric, better, basis, relevance, base, head }
    }

    /// The ratio that runs which cannot tell have to have been able to see.
    pub fn must_see(&self) -> f64 {
        self.must_see.unwrap_or(MUST_SEE).max(self.relevance)
    }
}

impl Budget {
    /// Judges the metrics of a trial. `untimed` says why times cannot be trusted, when they cannot.
    pub fn judge(&self, metrics: &BTreeMap<String, f64>, untimed: Option<&str>) -> Judged {
        let observed = metrics.get(&self.metric).copied().filter(|value| !value.is_nan());
        let bound = match self.direction {
            Direction::AtMost => "at most",
            Direction::AtLeast => "at least",
        };
        let (verdict, reason) = match (observed, untimed) {
            (None, _) => (Verdict::NoData, format!("{} was not measured", self.metric)),
            (Some(_), Some(cause)) if self.basis == Basis::Time => {
                (Verdict::Invalid, format!("{} cannot be trusted: {cause}", self.metric))
            }
            (Some(value), _) => {
                let within = match self.direction {
                    Direction::AtMost => value <= self.limit,
                    Direction::AtLeast => value >= self.limit,
                };
                let verdict = if within { Verdict::Pass } else { Verdict::Fail };
                let limit = Figure(self.limit);
                (verdict, format!("{} is {}, budget {bound} {limit}", self.metric, Figure(value)))
            }
        };
        Judged {
            metric: self.metric.clone(),
            limit: self.limit,
            direction: self.direction,
            role: self.role,
            observed,
            verdict,
            reason,
            source: self.source.clone(),
            derivation: self.derivation.clone(),
        }
    }
}

/// A figure with as many digits as people read: three significant ones below a thousand.
#[derive(Clone, Copy, Debug)]
pub struct Figure(pub f64);

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.abs();
        let whole = magnitude.fract() == 0.0;
        let decimals = match magnitude {
            _ if whole => 0,
            m if m >= 100.0 => 0,
            m if m >= 10.0 => 1,
            m if m >= 1.0 => 2,
            m if m >= 0.1 => 3,
            _ => 5,
        };
        write!(f, "{:.decimals$}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    pub(super) const GOOD: &str = r#"
[[budget]]
metric = "pods_running_per_s"
limit = 20
direction = "at-least"
basis = "time"
role = "ceiling"
rows = ["*"]
provider = "kwok"
source = "kwok README"
derivation = "as published"
"#;

    fn budget() -> Budget {
        Budgets::parse("budgets.toml", GOOD).expect("good").budgets.remove(0)
    }

    fn metrics(value: f64) -> BTreeMap<String, f64> {
        BTreeMap::from([("pods_running_per_s".to_owned(), value)])
    }

    #[rstest]
    #[case::above(25.0, None, Verdict::Pass, "pods_running_per_s is 25, budget at least 20")]
    #[case::at_the_limit(20.0, None, Verdict::Pass, "pods_running_per_s is 20, budget at least 20")]
    #[case::below(13.24, None, Verdict::Fail, "pods_running_per_s is 13.2, budget at least 20")]
    #[case::starved(
        25.0,
        Some("the clock stepped"),
        Verdict::Invalid,
        "pods_running_per_s cannot be trusted: the clock stepped"
    )]
    #[case::not_a_number(f64::NAN, None, Verdict::NoData, "pods_running_per_s was not measured")]
    fn a_figure_is_judged(
        #[case] value: f64,
        #[case] untimed: Option<&str>,
        #[case] verdict: Verdict,
        #[case] reason: &str,
    ) {
        let judged = budget().judge(&metrics(value), untimed);
        assert_eq!((judged.verdict, judged.reason.as_str()), (verdict, reason));
    }

    #[test]
    fn a_metric_that_is_missing_is_no_data_and_not_a_pass() {
        assert_eq!(budget().judge(&BTreeMap::new(), None).verdict, Verdict::NoData);
    }

    #[test]
    fn a_count_is_judged_even_when_times_cannot_be_trusted() {
        let count = Budget { basis: Basis::Count, ..budget() };
        assert_eq!(count.judge(&metrics(1.0), Some("starved")).verdict, Verdict::Fail);
    }

    const COMPARED: &str =
        "[[compare]]\nmetric = \"add_s\"\nbetter = \"lower\"\nbasis = \"time\"\nrelevance = 1.15\nrows = [\"*\"]\n";

    #[rstest]
    #[case::not_given("", 1.3)]
    #[case::given("must_see = 1.5\n", 1.5)]
    fn a_metric_says_what_has_to_be_seen_in_it(#[case] given: &str, #[case] must_see: f64) {
        let budgets = Budgets::parse("budgets.toml", &format!("{COMPARED}{given}")).expect("good");
        assert!((budgets.compared[0].must_see() - must_see).abs() < 1e-9);
    }

    #[test]
    fn nothing_smaller_than_what_matters_has_to_be_seen() {
        let error = Budgets::parse("budgets.toml", &format!("{COMPARED}must_see = 1.1\n")).expect_err("bad");
        assert_eq!(
            error.to_string(),
            "budgets.toml:7: compare `add_s`: `must_see` is not above `relevance`: no run is asked to see what does not matter"
        );
    }

    #[test]
    fn a_budget_binds_the_rows_and_the_provider_that_it_names() {
        let text = GOOD.replace("[\"*\"]", "[\"nodepool_smoke\"]");
        let budgets = Budgets::parse("budgets.toml", &text).expect("good");
        assert_eq!(budgets.of_row("nodepool_smoke", "kwok").count(), 1);
        assert_eq!(budgets.of_row("nodepool_published", "kwok").count(), 0);
        assert_eq!(budgets.of_row("nodepool_smoke", "kind").count(), 0);
    }
}
