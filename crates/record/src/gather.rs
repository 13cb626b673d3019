//! `run.json`: made from the trial records, any number of times, whatever became of the run.

use std::collections::BTreeMap;

use measure::{Judged, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fingerprint::Fingerprint;
use crate::run_dir::{Error, RunDir, read_json};
use crate::schema::ended_well;
use crate::source::Source;
use crate::text::{quoted, seconds};

/// A run and its trials.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// [`crate::SCHEMA`] of the writer.
    pub schema: u32,
    /// The run's id.
    pub run_id: String,
    /// How far it came.
    pub state: State,
    /// When it began, RFC 3339.
    pub started_at: String,
    /// How long it took, in seconds; absent until it ended.
    pub wall_s: Option<f64>,
    /// The command line.
    pub command: Vec<String>,
    /// The revision of this repository, `-dirty` when it had changes.
    pub git_revision: String,
    /// The version of kubedyno.
    pub kubedyno_version: String,
    /// The nextest profile.
    pub profile: String,
    /// nextest's own id of the run, which its JUnit file carries.
    pub nextest_run_id: Option<String>,
    /// The machine.
    pub fingerprint: Fingerprint,
    /// Seeds by what they seed.
    pub seeds: BTreeMap<String, u64>,
    /// The rows that were to run.
    pub expected: Vec<Expected>,
    /// Rows outside the selection, and what each needs.
    pub not_selected: Vec<String>,
    /// The trials.
    pub trials: Vec<TrialSummary>,
}

/// How far a run came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It runs, or it was killed.
    #[default]
    Incomplete,
    /// It came to its end.
    Complete,
    /// It was interrupted and wrote what it had.
    Interrupted,
}

impl Run {
    /// The command, as a shell takes it.
    pub fn command_line(&self) -> String {
        self.command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }

    /// The rows outside the selection as lines to read: those that need the same share one.
    pub fn left_out(&self) -> Vec<String> {
        let mut by_need: Vec<(&str, Vec<&str>)> = Vec::new();
        for (row, need) in self.not_selected.iter().map(|row| row.split_once(": ").unwrap_or((row, ""))) {
            match by_need.iter_mut().find(|(known, _)| *known == need) {
                Some((_, rows)) => rows.push(row),
                None => by_need.push((need, vec![row])),
            }
        }
        by_need.into_iter().map(|(need, rows)| format!("{}: {need}", rows.join(", "))).collect()
    }
}

/// A row that was to run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Expected {
    /// The suite's package.
    pub suite: String,
    /// The row.
    pub test: String,
}

/// What `run.json` says of a trial; the rest is in its own record.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TrialSummary {
    /// The suite's package.
    pub suite: String,
    /// The row.
    pub test: String,
    /// The provider of its cluster.
    pub provider: String,
    /// The nextest profile.
    pub profile: String,
    /// Whether it is of a comparator.
    #[serde(default)]
    pub comparator: bool,
    /// The verdict.
    pub verdict: Verdict,
    /// The sentence that explains it.
    pub reason: String,
    /// Stated differences between the document's set-up and this one.
    pub deviations: Vec<String>,
    /// Versions of the system under test.
    pub versions: BTreeMap<String, String>,
    /// Every figure, by name; the unit is in the name.
    pub metrics: BTreeMap<String, f64>,
    /// The budgets, judged.
    pub budgets: Vec<Judged>,
    /// How long it took, in seconds.
    pub wall_s: f64,
    /// Its record, relative to the run's directory.
    pub record: String,
}

impl TrialSummary {
    /// Whether it ended as it may: it passed, or it is a comparator's whose stall is the result.
    pub fn ended_well(&self) -> bool {
        ended_well(self.verdict, self.comparator)
    }

    /// How long it took, as people read it; `-` where there is nothing that says so.
    pub(crate) fn took(&self) -> String {
        if self.wall_s > 0.0 { seconds(self.wall_s) } else { "-".to_owned() }
    }
}

/// Reads every trial record and brings `run.json` up to date with them. A row that was to run and left no record, left one
/// without a verdict, or one that cannot be read is `no-data`, with the reason.
///
/// # Errors
/// When there is no run in the directory, or it cannot be read or written.
pub fn gather(directory: &RunDir) -> Result<Run, Error> {
    let path = directory.run_json();
    if !path.exists() {
        return Err(Error::NoRun(directory.path().to_owned()));
    }
    let mut run: Run = read_json(&path).map_err(|error| match error {
        Error::Json { .. } => Error::Damaged { run: directory.path().to_owned(), error: Box::new(error) },
        error => error,
    })?;
    run.trials = Source::of_run(&run, directory).iter().map(|source| source.summary(&run.profile)).collect();
    run.trials.sort_by(|a, b| (&a.suite, &a.test).cmp(&(&b.suite, &b.test)));
    directory.write_json(&path, &run)?;
    Ok(run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Trial;

    fn trial(test: &str, verdict: Option<Verdict>) -> Trial {
        let (suite, test) = ("kperf-suite".to_owned(), test.to_owned());
        Trial { schema: 1, suite, test, verdict, reason: "in phase create-pods".to_owned(), ..Trial::default() }
    }

    #[test]
    fn rows_that_need_the_same_share_a_line() {
        let rows = ["s a: needs Docker: it does not answer", "s b: needs X", "t c: needs Docker: it does not answer"];
        let run = Run { not_selected: rows.map(str::to_owned).into(), ..Run::default() };
        assert_eq!(run.left_out(), ["s a, t c: needs Docker: it does not answer", "s b: needs X"]);
    }

    #[test]
    fn a_killed_run_still_reports_what_it_had() {
        let dir = tempfile::tempdir().unwrap();
        let directory = RunDir::at(dir.path());
        let expected = ["damaged", "done", "killed", "never_began"]
            .map(|test| Expected { suite: "kperf-suite".to_owned(), test: test.to_owned() })
            .to_vec();
        directory.write_json(&directory.run_json(), &Run { expected, ..Run::default() }).unwrap();
        directory.write_trial(&trial("done", Some(Verdict::Pass))).unwrap();
        directory.write_trial(&trial("killed", None)).unwrap();
        directory.write_file("trials/kperf-suite/damaged.json", b"{\n").unwrap();
        let run = gather(&directory).unwrap();
        assert_eq!(run.trials[0].took(), "-");
        let verdicts: Vec<(&str, Verdict)> = run.trials.iter().map(|t| (t.test.as_str(), t.verdict)).collect();
        let no_data = ["damaged", "killed", "never_began"].map(|test| (test, Verdict::NoData));
        assert_eq!(verdicts, [no_data[0], ("done", Verdict::Pass), no_data[1], no_data[2]]);
        assert!(run.trials[0].reason.contains("trials/kperf-suite/damaged.json:2"), "{}", run.trials[0].reason);
        assert!(run.trials[2].reason.contains("in phase create-pods"));
        assert_eq!(run.state, State::Incomplete);
        assert_eq!(gather(&directory).unwrap().trials.len(), 4, "gathering again changes nothing");
    }

    #[test]
    fn a_damaged_run_is_refused_with_the_fix() {
        let dir = tempfile::tempdir().unwrap();
        let directory = RunDir::at(dir.path());
        directory.write_file("run.json", b"{\n").unwrap();
        let error = gather(&directory).unwrap_err().to_string();
        assert!(error.contains("run.json:2: not a record: "), "{error}");
        let fix = format!("`cargo xtask report {} --format html` shows them", dir.path().display());
        assert!(error.ends_with(&fix), "{error}");
    }

    #[test]
    fn a_directory_without_a_run_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(gather(&RunDir::at(dir.path())).unwrap_err().to_string().contains("holds no run"));
    }
}
