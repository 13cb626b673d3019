//! The directory of one run, and how files get into it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::schema::{SCHEMA, Trial};

/// The folder of what running rows say of themselves.
const PROGRESS: &str = "progress";

/// Why a result could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that is no record.
    #[error("{}:{}: not a record: {source}", path.display(), source.line())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        source: serde_json::Error,
    },
    /// A record of a newer version, which this one cannot read.
    #[error(
        "{} has schema {found}, this kubedyno knows up to {SCHEMA}: it was written by a newer version; update kubedyno",
        path.display()
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u32,
    },
    /// A `run.json` that is none, beside which there may be sound records.
    #[error(
        "{error}; the rows have records of their own, and `cargo xtask report {} --format html` shows them",
        run.display()
    )]
    Damaged {
        /// The run's directory.
        run: PathBuf,
        /// What is wrong with the file.
        error: Box<Self>,
    },
    /// A series that is none.
    #[error("{}:{line}: {message}", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong there.
        message: String,
    },
    /// A JUnit file that is none.
    #[error("{}: not a JUnit file: {message}", path.display())]
    Junit {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The page could not be made from what was read.
    #[error("{}: cannot write the page: {source}", path.display())]
    Page {
        /// The run.
        path: PathBuf,
        /// What the template said.
        source: askama::Error,
    },
    /// There is no run there.
    #[error("{} holds no run: `cargo xtask run` makes one", .0.display())]
    NoRun(PathBuf),
}

/// `results/<run-id>/`.
#[derive(Clone, Debug)]
pub struct RunDir {
    path: PathBuf,
}

/// A run id that sorts by time and that two runs of one machine do not share: `20261123-014500-4f2a`.
pub fn new_run_id() -> String {
    let now = jiff::Timestamp::now();
    let tail = std::process::id() & 0xffff;
    format!("{}-{tail:04x}", now.strftime("%Y%m%d-%H%M%S"))
}

/// The row that a test function is: its last path segment without rstest's `case_1_`.
pub fn row_name(test: &str) -> &str {
    let last = test.rsplit("::").next().unwrap_or(test);
    match last.strip_prefix("case_").and_then(|rest| rest.split_once('_')) {
        Some((number, name)) if number.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => last,
    }
}

impl RunDir {
    /// The run in `path`, which may not exist yet.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `run.json`.
    pub fn run_json(&self) -> PathBuf {
        self.path.join("run.json")
    }

    /// The record of a trial.
    pub fn trial_path(&self, suite: &str, test: &str) -> PathBuf {
        self.path.join("trials").join(suite).join(format!("{test}.json"))
    }

    /// Writes a trial's record.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_trial(&self, trial: &Trial) -> Result<(), Error> {
        self.write_json(&self.trial_path(&trial.suite, &trial.test), trial)
    }

    /// Writes one of the files beside a record; returns its path relative to the run.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_file(&self, relative: &str, bytes: &[u8]) -> Result<String, Error> {
        write_atomic(&self.path.join(relative), bytes)?;
        Ok(relative.to_owned())
    }

    /// Says what a trial is doing, for whoever watches the run. No record of anything: it is not synced, because a disk
    /// that syncs every second is part of what is measured.
    pub fn show_progress(&self, suite: &str, test: &str, text: &str) {
        let path = self.progress_path(suite, test);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).ok();
        }
        let fresh = path.with_file_name(format!(".tmp-{suite}.{test}"));
        fs::write(&fresh, text).and_then(|()| fs::rename(&fresh, path)).ok();
    }

    /// Where a trial says what it is doing.
    pub fn progress_path(&self, suite: &str, test: &str) -> PathBuf {
        self.path.join(PROGRESS).join(format!("{suite}.{test}"))
    }

    /// One trial's record, if it can be read now.
    pub fn trial(&self, suite: &str, test: &str) -> Option<Trial> {
        read_json(&self.trial_path(suite, test)).ok()
    }

    /// Whether a row has begun: rows write into folders, beside the `run.json` that a run is opened with. Progress is told
    /// before the first record, while a row waits for its cluster or sweeps it.
    pub fn has_records(&self) -> bool {
        let mut entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        entries.any(|entry| entry.file_name() != PROGRESS && entry.file_type().is_ok_and(|kind| kind.is_dir()))
    }

    /// Writes into the directory, so that a run that cannot keep its results never begins. Of one that never begins, no
    /// directory stays.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn check_writable(&self) -> Result<(), Error> {
        let probe = self.path.join(".tmp-probe");
        write_atomic(&probe, b"")?;
        fs::remove_file(&probe).map_err(|source| Error::Io { action: "write", path: self.path.clone(), source })?;
        // It goes when it is empty, and only then.
        fs::remove_dir(&self.path).ok();
        Ok(())
    }

    /// Every trial record, sorted by suite and test.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn trials(&self) -> Result<Vec<Trial>, Error> {
        self.trial_paths().iter().map(|path| read_json(path)).collect()
    }

    /// The paths of the trial records, sorted.
    pub(crate) fn trial_paths(&self) -> Vec<PathBuf> {
        let suites = fs::read_dir(self.path.join("trials")).into_iter().flatten().flatten();
        let files = suites.flat_map(|suite| fs::read_dir(suite.path()).into_iter().flatten().flatten());
        let mut paths: Vec<PathBuf> = files.map(|file| file.path()).filter(|path| is_json(path)).collect();
        paths.sort();
        paths
    }

    /// The path of a file that a record lists, if it lies inside this directory.
    pub(crate) fn inside(&self, relative: &str) -> Option<PathBuf> {
        let path = Path::new(relative);
        let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
        (inside && !relative.is_empty()).then(|| self.path.join(path))
    }

    /// An error as a page says it that is sent round: files relative to this directory.
    pub(crate) fn name_problem(&self, error: &Error) -> String {
        error.to_string().replace(&format!("{}/", self.path.display()), "")
    }

    /// Writes `value` as JSON.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_json(&self, path: &Path, value: &impl Serialize) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(value).map_err(|source| Error::Json { path: path.to_owned(), source })?;
        write_atomic(path, &text)
    }

    /// Points `latest` beside this run at it.
    ///
    /// # Errors
    /// When the link cannot be made.
    pub fn mark_latest(&self) -> Result<(), Error> {
        let (Some(parent), Some(name)) = (self.path.parent(), self.path.file_name()) else { return Ok(()) };
        let link = parent.join("latest");
        let fresh = parent.join(format!(".tmp-latest-{}", std::process::id()));
        fs::remove_file(&fresh).ok();
        std::os::unix::fs::symlink(name, &fresh).and_then(|()| fs::rename(&fresh, &link)).map_err(|source| Error::Io {
            action: "link",
            path: link,
            source,
        })
    }
}

#[derive(serde::Deserialize)]
struct SchemaOnly {
    schema: u32,
}

/// Reads a JSON file.
///
/// # Errors
/// When it cannot be read or does not hold a `T`, as that of a newer version may not.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let text = fs::read(path).map_err(|source| Error::Io { action: "read", path: path.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(|source| match serde_json::from_slice(&text) {
        Ok(SchemaOnly { schema }) if schema > SCHEMA => Error::NewerSchema { path: path.to_owned(), found: schema },
        _ => Error::Json { path: path.to_owned(), source },
    })
}

/// Writes a file whole or not at all: beside it, synced, renamed.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let fail = |source| Error::Io { action: "write", path: path.to_owned(), source };
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory).map_err(fail)?;
    // To be sent round: as open to others as the umask has it.
    let mode = fs::Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().prefix(".tmp-").permissions(mode).tempfile_in(directory).map_err(fail)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(fail)?;
    file.persist(path).map_err(|error| fail(error.error))?;
    Ok(())
}

fn is_json(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    !hidden && path.extension().is_some_and(|extension| extension == "json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::a_case("nodepool::case_1_nodepool_smoke", "nodepool_smoke")]
    #[case::a_function("a_dropped_event_is_noticed", "a_dropped_event_is_noticed")]
    #[case::a_name_that_only_looks_like_a_case("case_law", "case_law")]
    fn a_row_is_named_without_the_test_frameworks_numbers(#[case] test: &str, #[case] row: &str) {
        assert_eq!(row_name(test), row);
    }

    #[test]
    fn latest_moves_to_the_newest_run() {
        let dir = tempfile::tempdir().unwrap();
        for run in ["a", "b"] {
            let run = RunDir::at(dir.path().join(run));
            run.write_file("x", b"1").unwrap();
            run.mark_latest().unwrap();
        }
        assert_eq!(fs::read_link(dir.path().join("latest")).unwrap(), Path::new("b"));
    }

    #[test]
    fn a_half_written_record_is_named_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::at(dir.path());
        run.write_file("trials/kperf-suite/row.json", b"{\n\"schema\": 1,").unwrap();
        let error = run.trials().unwrap_err().to_string();
        assert!(error.contains("row.json:2: not a record"), "{error}");
    }

    #[test]
    fn a_record_of_a_newer_version_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::at(dir.path());
        run.write_file("trials/kperf-suite/row.json", b"{\"schema\": 99}").unwrap();
        let error = run.trials().unwrap_err().to_string();
        assert!(
            error.contains("row.json has schema 99, this kubedyno knows up to 1: it was written by a newer"),
            "{error}"
        );
    }
}
