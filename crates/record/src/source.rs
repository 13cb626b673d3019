//! What a run has of each of its rows: a record, a record that cannot be read, or none.

use std::collections::BTreeMap;
use std::path::Path;

use measure::Verdict;

use crate::gather::{Expected, Run, TrialSummary};
use crate::run_dir::{RunDir, read_json};
use crate::schema::Trial;

/// Where a row comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// A record.
    Trial(Box<Trial>),
    /// A record that cannot be read.
    Unreadable {
        /// The row, by its path.
        row: Expected,
        /// What is wrong with it, with file and line.
        problem: String,
    },
    /// A row that was to run and left no record.
    NeverBegan(Expected),
}

impl Source {
    /// Every row of `run`: those with a record first, then those without.
    pub(crate) fn of_run(run: &Run, directory: &RunDir) -> Vec<Self> {
        let read = |path: &Path| match read_json::<Trial>(path) {
            Ok(trial) => Self::Trial(Box::new(trial)),
            Err(error) => Self::Unreadable { row: row_of(path), problem: directory.name_problem(&error) },
        };
        let mut sources: Vec<Self> = directory.trial_paths().iter().map(|path| read(path)).collect();
        let known = |row: &&Expected| sources.iter().any(|source| source.name() == (&row.suite, &row.test));
        let unseen: Vec<Self> = run.expected.iter().filter(|row| !known(row)).cloned().map(Self::NeverBegan).collect();
        sources.extend(unseen);
        sources
    }

    /// The suite and the row that it is of.
    pub(crate) fn name(&self) -> (&str, &str) {
        match self {
            Self::Trial(trial) => (&trial.suite, &trial.test),
            Self::Unreadable { row, .. } | Self::NeverBegan(row) => (&row.suite, &row.test),
        }
    }

    /// Its record, where it has one.
    pub(crate) fn trial(&self) -> Option<&Trial> {
        match self {
            Self::Trial(trial) => Some(trial),
            Self::Unreadable { .. } | Self::NeverBegan(_) => None,
        }
    }

    /// Why its record cannot be read, where it cannot.
    pub(crate) fn problem(&self) -> Option<&str> {
        match self {
            Self::Unreadable { problem, .. } => Some(problem),
            Self::Trial(_) | Self::NeverBegan(_) => None,
        }
    }

    /// What `run.json` says of it. Without a verdict it is `no-data`: it was killed, or it never began.
    pub(crate) fn summary(&self, profile: &str) -> TrialSummary {
        match self {
            Self::Trial(trial) => of_trial(trial),
            Self::Unreadable { row, problem } => without(row, profile, format!("its record cannot be read: {problem}")),
            Self::NeverBegan(row) => {
                let reason = "no record: the test never began, or was killed before it wrote one";
                without(row, profile, reason.to_owned())
            }
        }
    }
}

/// The row whose record has this path.
fn row_of(path: &Path) -> Expected {
    let stem = |path: Option<&Path>| Some(path?.file_stem()?.to_string_lossy().into_owned());
    Expected { suite: stem(path.parent()).unwrap_or_default(), test: stem(Some(path)).unwrap_or_default() }
}

fn of_trial(trial: &Trial) -> TrialSummary {
    let (verdict, reason) = match trial.verdict {
        Some(verdict) => (verdict, trial.reason.clone()),
        None => (Verdict::NoData, format!("the test process ended without a verdict; {}", trial.reason)),
    };
    TrialSummary {
        suite: trial.suite.clone(),
        test: trial.test.clone(),
        provider: trial.provider.clone(),
        profile: trial.profile.clone(),
        comparator: trial.comparator,
        verdict,
        reason,
        deviations: trial.deviations.clone(),
        versions: trial.versions.clone(),
        metrics: trial.metrics.clone(),
        budgets: trial.budgets.clone(),
        wall_s: trial.wall_s,
        record: format!("trials/{}/{}.json", trial.suite, trial.test),
    }
}

fn without(row: &Expected, profile: &str, reason: String) -> TrialSummary {
    TrialSummary {
        suite: row.suite.clone(),
        test: row.test.clone(),
        provider: String::new(),
        profile: profile.to_owned(),
        comparator: false,
        verdict: Verdict::NoData,
        reason,
        deviations: Vec::new(),
        versions: BTreeMap::new(),
        metrics: BTreeMap::new(),
        budgets: Vec::new(),
        wall_s: 0.0,
        record: String::new(),
    }
}
