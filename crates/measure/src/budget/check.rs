//! What a `budgets.toml` may not say: each refusal with the line of its field.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Budget, BudgetError, Budgets, Compared, Direction};
use crate::typed::typed;

/// Where trials run.
const PROVIDERS: [&str; 3] = ["kwok", "kind", "existing"];

/// A field, and what is wrong with it.
type Wrong = (&'static str, String);

impl Budgets {
    /// Refuses the first element that is none by itself, and says which one it is.
    pub(super) fn check_types(file: &str, text: &str) -> Result<(), BudgetError> {
        let document = DeTable::parse(text).map_err(|error| BudgetError::from_toml(file, text, &error))?;
        let named = |array: &'static str| {
            let elements = document.get_ref().get(array).and_then(|array| array.get_ref().as_array());
            elements.into_iter().flatten().enumerate().map(move |(i, element)| (name(array, i, element), element))
        };
        named("budget").try_for_each(|(name, budget)| typed::<Budget>(file, text, &name, budget).map(drop))?;
        named("compare").try_for_each(|(name, compared)| typed::<Compared>(file, text, &name, compared).map(drop))
    }

    /// Refuses fields whose values mean nothing.
    pub(super) fn check(&self, file: &str, text: &str) -> Result<(), BudgetError> {
        self.each(file, text, Budget::check, Compared::check)
    }

    /// Refuses budgets and comparisons of rows that are not among `known`; `text` is what was read from `file`.
    ///
    /// # Errors
    /// For the first of such rows, with its line.
    pub fn check_rows(&self, file: &str, text: &str, known: &[&str]) -> Result<(), BudgetError> {
        let check = |rows: &[String]| {
            let unknown = rows.iter().find(|row| *row != "*" && !known.contains(&row.as_str()));
            unknown.map_or(Ok(()), |row| Err(("rows", format!("names `{row}`, and there is no such row"))))
        };
        self.each(file, text, |budget| check(&budget.rows), |compared| check(&compared.rows))
    }

    fn each(
        &self,
        file: &str,
        text: &str,
        budget: impl Fn(&Budget) -> Result<(), Wrong>,
        compared: impl Fn(&Compared) -> Result<(), Wrong>,
    ) -> Result<(), BudgetError> {
        let budgets = self.budgets.iter().enumerate().map(|(i, each)| ("budget", i, &each.metric, budget(each)));
        let comparisons =
            self.compared.iter().enumerate().map(|(i, each)| ("compare", i, &each.metric, compared(each)));
        for (array, index, metric, checked) in budgets.chain(comparisons) {
            if let Err((field, what)) = checked {
                let message = format!("{array} `{metric}`: `{field}` {what}");
                return Err(BudgetError::at(file, text, &[array, &index.to_string(), field], message));
            }
        }
        Ok(())
    }
}

impl Budget {
    fn check(&self) -> Result<(), Wrong> {
        let Self { metric, limit, direction, rows, provider, source, derivation, .. } = self;
        match () {
            () if metric.trim().is_empty() => wrong("metric", "is empty"),
            () if !limit.is_finite() => wrong("limit", "is not a finite number"),
            () if *direction == Direction::AtLeast && *limit <= 0.0 => {
                wrong("limit", format!("is {limit}: everything is at least that, so that it can never be missed"))
            }
            () if *direction == Direction::AtMost && *limit < 0.0 => {
                wrong("limit", format!("is {limit}: nothing is at most that, so that it can never be met"))
            }
            () if rows.is_empty() => no_rows(),
            () if !PROVIDERS.contains(&provider.as_str()) => {
                wrong("provider", format!("is `{provider}`; write one of {}", PROVIDERS.join(", ")))
            }
            () if source.trim().is_empty() => wrong("source", "is empty: say where the figure comes from"),
            () if derivation.trim().is_empty() => wrong("derivation", "is empty: say how the limit follows"),
            () => Ok(()),
        }
    }
}

impl Compared {
    fn check(&self) -> Result<(), Wrong> {
        match () {
            () if self.metric.trim().is_empty() => wrong("metric", "is empty"),
            () if !(self.relevance.is_finite() && self.relevance > 1.0) => wrong("relevance", "is not a ratio above 1"),
            () if self.must_see.is_some_and(|ratio| !(ratio.is_finite() && ratio > self.relevance)) => {
                wrong("must_see", "is not above `relevance`: no run is asked to see what does not matter")
            }
            () if self.rows.is_empty() => no_rows(),
            () => Ok(()),
        }
    }
}

/// What errors call an element of `array`: its metric, or its place where it has none.
fn name(array: &str, index: usize, element: &Spanned<DeValue<'_>>) -> String {
    match element.get_ref().get("metric").and_then(|metric| metric.get_ref().as_str()) {
        Some(metric) => format!("{array} `{metric}`"),
        None => format!("{array} number {}", index + 1),
    }
}

fn no_rows() -> Result<(), Wrong> {
    wrong("rows", "is empty: name the rows, or [\"*\"] for all")
}

fn wrong(field: &'static str, what: impl Into<String>) -> Result<(), Wrong> {
    Err((field, what.into()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::GOOD;
    use super::*;
    use rstest::rstest;

    const COMPARE: &str =
        "[[compare]]\nmetric = \"cpu\"\nbetter = \"lower\"\nbasis = \"count\"\nrelevance = 1.1\nrows = [\"*\"]\n";

    #[rstest]
    #[case::unknown_field("role =", "rule =", 7, "budget `pods_running_per_s`: unknown field `rule`")]
    #[case::wrong_type(
        "limit = 20",
        "limit = \"20\"",
        4,
        "budget `pods_running_per_s`: `limit`: invalid type: string \"20\", expected f64"
    )]
    #[case::unknown_word(
        "\"at-least\"",
        "\"atleast\"",
        5,
        "budget `pods_running_per_s`: `direction`: unknown variant `atleast`"
    )]
    #[case::missing_field("limit = 20\n", "", 2, "budget `pods_running_per_s`: missing field `limit`")]
    #[case::no_name("metric = \"pods_running_per_s\"\n", "", 2, "budget number 1: missing field `metric`")]
    #[case::of_a_comparison(
        "relevance = 1.1",
        "relevance = true",
        16,
        "compare `cpu`: `relevance`: invalid type: boolean"
    )]
    #[case::unknown_table(
        "[[compare]]",
        "[[compared]]",
        12,
        "unknown field `compared`, expected `budget` or `compare`"
    )]
    #[case::no_array("[[budget]]", "[budget]", 2, "invalid type: map, expected a sequence")]
    #[case::no_number("limit = 20", "limit = nan", 4, "budget `pods_running_per_s`: `limit` is not a finite number")]
    #[case::never_missed(
        "limit = 20",
        "limit = -1",
        4,
        "budget `pods_running_per_s`: `limit` is -1: everything is at least that"
    )]
    #[case::never_missed_at_zero(
        "limit = 20",
        "limit = 0",
        4,
        "budget `pods_running_per_s`: `limit` is 0: everything is at least that"
    )]
    #[case::never_met(
        "limit = 20\ndirection = \"at-least\"",
        "limit = -1\ndirection = \"at-most\"",
        4,
        "budget `pods_running_per_s`: `limit` is -1: nothing is"
    )]
    #[case::no_rows("[\"*\"]", "[]", 8, "budget `pods_running_per_s`: `rows` is empty")]
    #[case::unknown_provider(
        "\"kwok\"",
        "\"kwork\"",
        9,
        "budget `pods_running_per_s`: `provider` is `kwork`; write one of kwok, kind, existing"
    )]
    #[case::no_source("\"kwok README\"", "\" \"", 10, "budget `pods_running_per_s`: `source` is empty")]
    #[case::no_ratio("relevance = 1.1", "relevance = 1", 16, "compare `cpu`: `relevance` is not a ratio above 1")]
    fn bad_budgets_are_refused_with_file_line_and_field(
        #[case] from: &str,
        #[case] to: &str,
        #[case] line: usize,
        #[case] message: &str,
    ) {
        let good = format!("{GOOD}{COMPARE}");
        Budgets::parse("budgets.toml", &good).expect("good");
        let error = Budgets::parse("budgets.toml", &good.replace(from, to)).expect_err("bad");
        assert_eq!((error.file.as_str(), error.line), ("budgets.toml", line), "{error}");
        assert!(error.message.starts_with(message), "{error}");
    }

    #[rstest]
    #[case::of_a_budget(
        "rows = [\"*\"]\nprovider",
        "rows = [\"smoke\", \"smoek\"]\nprovider",
        8,
        "budget `pods_running_per_s`"
    )]
    #[case::of_a_comparison("1.1\nrows = [\"*\"]", "1.1\nrows = [\"smoek\"]", 17, "compare `cpu`")]
    fn a_row_that_is_not_there_is_refused_with_its_line(
        #[case] from: &str,
        #[case] to: &str,
        #[case] line: usize,
        #[case] of: &str,
    ) {
        let good = format!("{GOOD}{COMPARE}");
        let text = good.replace(from, to);
        assert_ne!(text, good);
        let budgets = Budgets::parse("budgets.toml", &text).expect("good");
        let error = budgets.check_rows("budgets.toml", &text, &["smoke"]).expect_err("bad").to_string();
        assert_eq!(error, format!("budgets.toml:{line}: {of}: `rows` names `smoek`, and there is no such row"));
    }
}
