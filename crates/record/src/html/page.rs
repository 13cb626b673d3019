//! The page as a whole: the verdict first, then a line a row, then the rows.

use askama::Template;

use super::cells::{Badge, Table};
use super::row::Row;
use super::setup::{self, Clusters};
use super::words::{VERDICTS, WORDS};
use crate::gather::{Run, State};
use crate::run_dir::RunDir;
use crate::text::seconds;

/// Files of a run that stand beside its page.
const FILES: [&str; 4] = ["run.json", "junit.xml", "summary.md", "nextest.log"];

/// The page.
#[derive(Debug, Template)]
#[template(path = "page.html")]
pub(crate) struct Page<'a> {
    run: &'a Run,
    headline: String,
    state: Option<&'static str>,
    tally: Vec<(Badge, usize)>,
    took: String,
    machine: Table,
    rows: Vec<Row>,
    clusters: Vec<Vec<Table>>,
    problem: Option<String>,
    files: Vec<&'static str>,
    meanings: Vec<(Badge, &'static str)>,
    words: &'static [(&'static str, &'static str)],
}

impl<'a> Page<'a> {
    /// The page of `run` with its rows in order; `problem` is what is wrong with `run.json`.
    pub(crate) fn new(
        run: &'a Run,
        rows: Vec<Row>,
        clusters: Clusters,
        problem: Option<String>,
        directory: &RunDir,
    ) -> Self {
        let passed = rows.iter().filter(|row| row.verdict.passes()).count();
        let counted = VERDICTS.map(|(verdict, _)| {
            let count = rows.iter().filter(|row| row.verdict == verdict).count();
            (Badge { verdict }, count)
        });
        let took = run.wall_s.map_or(String::new(), |wall_s| format!(", took {}", seconds(wall_s)));
        Self {
            run,
            headline: headline(passed, rows.len()),
            state: state(run, problem.is_some()),
            tally: counted.into_iter().filter(|(_, count)| *count > 0).collect(),
            took,
            machine: setup::fingerprint(&run.fingerprint),
            rows,
            clusters: clusters.into_tables(),
            problem,
            files: FILES.into_iter().filter(|file| directory.path().join(file).exists()).collect(),
            meanings: VERDICTS.map(|(verdict, meaning)| (Badge { verdict }, meaning)).into(),
            words: &WORDS,
        }
    }
}

fn headline(passed: usize, rows: usize) -> String {
    match (passed, rows) {
        (_, 0) => "Nothing ran".to_owned(),
        (passed, rows) if passed == rows && rows == 1 => "The row passed".to_owned(),
        (passed, rows) if passed == rows => format!("All {rows} rows passed"),
        (0, 1) => "The row did not pass".to_owned(),
        (0, rows) => format!("None of {rows} rows passed"),
        (passed, rows) => format!("{passed} of {rows} rows passed"),
    }
}

/// What there is to say of a run that did not simply come to its end.
fn state(run: &Run, unreadable: bool) -> Option<&'static str> {
    match run.state {
        _ if unreadable => None,
        State::Interrupted => Some("The run was interrupted; this is what it had."),
        State::Incomplete if run.expected.is_empty() => Some(
            "Started by nextest itself: rows that left no record are not known here, nextest's own output has them.",
        ),
        State::Incomplete => Some("The run is not over, or was killed; this is what it had."),
        State::Complete => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0, 0, "Nothing ran")]
    #[case(1, 1, "The row passed")]
    #[case(0, 1, "The row did not pass")]
    #[case(0, 2, "None of 2 rows passed")]
    #[case(1, 2, "1 of 2 rows passed")]
    #[case(2, 2, "All 2 rows passed")]
    fn the_headline_is_the_verdict(#[case] passed: usize, #[case] rows: usize, #[case] words: &str) {
        assert_eq!(headline(passed, rows), words);
    }
}
