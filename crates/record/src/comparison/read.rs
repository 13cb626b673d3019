//! Reading the runs of an arm.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::gather::Run;
use crate::run_dir::{Error, RunDir, read_json};
use crate::schema::Trial;

/// The runs of one arm, by suite and row.
#[derive(Clone, Debug)]
pub struct Arm {
    /// Repeats in their order, warm-ups left out.
    pub rows: BTreeMap<(String, String), Vec<Repeat>>,
}

/// One run of one row.
#[derive(Clone, Debug)]
pub struct Repeat {
    /// Its directory, as messages name it.
    pub name: String,
    /// The run that it belongs to.
    pub run: Run,
    /// Its record.
    pub trial: Trial,
}

impl Arm {
    /// Reads a run directory, or a directory of run directories.
    ///
    /// # Errors
    /// When there is no run in it, or a record cannot be read.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let mut rows: BTreeMap<_, Vec<Repeat>> = BTreeMap::new();
        for directory in run_dirs(path)? {
            let name =
                directory.path().file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            // Runs of arms inside a trial share the run of their row.
            let run: Run =
                if directory.run_json().exists() { read_json(&directory.run_json())? } else { Run::default() };
            for trial in directory.trials()? {
                let repeats = rows.entry((trial.suite.clone(), trial.test.clone())).or_default();
                if !trial.arm.as_ref().is_some_and(|arm| arm.warm_up) {
                    repeats.push(Repeat { name: name.clone(), run: run.clone(), trial });
                }
            }
        }
        for repeats in rows.values_mut() {
            // Runs that know their place come in it; others by name, which begins with the time.
            repeats.sort_by_key(|repeat| repeat.trial.arm.as_ref().map(|arm| arm.position));
        }
        Ok(Self { rows })
    }
}

fn run_dirs(path: &Path) -> Result<Vec<RunDir>, Error> {
    let own = RunDir::at(path);
    let holds_a_run = |run: &RunDir| run.run_json().is_file() || !run.trial_paths().is_empty();
    if holds_a_run(&own) {
        return Ok(vec![own]);
    }
    let entries = fs::read_dir(path).map_err(|source| Error::Io { action: "read", path: path.to_owned(), source })?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    // `latest` is one of the others.
    paths.retain(|path| !path.is_symlink());
    paths.sort();
    let runs: Vec<RunDir> = paths.into_iter().map(RunDir::at).filter(holds_a_run).collect();
    if runs.is_empty() { Err(Error::NoRun(path.to_owned())) } else { Ok(runs) }
}
