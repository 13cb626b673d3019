//! Who uses a cluster: shared for rows that do not measure, exclusive for rows that do.
//!
//! The lock is a file lock, so it ends with its process whatever ended the process. A card beside it says who holds
//! it; the card of a dead holder means nothing.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::lockfile::try_lock;
use crate::process::{Process, State};
use crate::shell::Shell;

/// How a cluster is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Beside others.
    Shared,
    /// Alone: nothing else may load what is measured.
    Exclusive,
}

/// Who holds a lease.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Holder {
    /// The process.
    pub process: Process,
    /// What it does: a test's name, or a command.
    pub what: String,
    /// The run that it belongs to, when it belongs to one.
    pub run_id: Option<String>,
    /// How it holds the lease.
    pub mode: Mode,
    /// Since when, RFC 3339.
    pub since: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, since {})", self.what, self.process, self.since)
    }
}

/// A held lease; it ends when this is dropped, or when the process ends.
#[derive(Debug)]
pub struct Lease {
    _lock: File,
    card: PathBuf,
}

impl Drop for Lease {
    fn drop(&mut self) {
        // A card that stays is harmless: its process is dead or holds no lock.
        fs::remove_file(&self.card).ok();
    }
}

impl Lease {
    /// Takes the lease if nobody is in the way; otherwise says who is.
    ///
    /// # Errors
    /// When the lock's file cannot be made.
    pub fn try_take(
        locks: &Path,
        name: &str,
        mode: Mode,
        what: &str,
        run_id: Option<&str>,
    ) -> Result<Result<Self, String>> {
        Shell::real().make_dir(locks)?;
        let Some(file) = try_lock(&locks.join(format!("{name}.lease")), mode)? else {
            let holders: Vec<String> = Self::holders(locks, name).iter().map(Holder::to_string).collect();
            let holders = if holders.is_empty() { "an unnamed process".to_owned() } else { holders.join(", ") };
            return Ok(Err(holders));
        };
        // Behind the lock: whoever removes the cards of a cluster that is gone has it.
        let cards = locks.join(format!("{name}.holders"));
        Shell::real().make_dir(&cards)?;
        let holder = Holder {
            process: Process::this(),
            what: what.to_owned(),
            run_id: run_id.map(str::to_owned),
            mode,
            since: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        };
        let card = cards.join(format!("{}.json", holder.process.pid));
        Shell::real().write(&card, &serde_json::to_vec(&holder).unwrap_or_default())?;
        Ok(Ok(Self { _lock: file, card }))
    }

    /// Takes the lease, waiting for whoever is in the way; `say` is told whom, once for each change.
    ///
    /// # Errors
    /// When the lock's file cannot be made.
    pub fn take(
        locks: &Path,
        name: &str,
        mode: Mode,
        what: &str,
        run_id: Option<&str>,
        say: &dyn Fn(&str),
    ) -> Result<Self> {
        let mut told = String::new();
        loop {
            match Self::try_take(locks, name, mode, what, run_id)? {
                Ok(lease) => return Ok(lease),
                Err(holder) if holder != told => {
                    say(&format!("waiting for `{}`: in use by {holder}", name.trim_start_matches('_')));
                    told = holder;
                }
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// The living holders of a lease.
    pub fn holders(locks: &Path, name: &str) -> Vec<Holder> {
        let cards = fs::read_dir(locks.join(format!("{name}.holders")));
        cards
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| serde_json::from_slice::<Holder>(&fs::read(entry.path()).ok()?).ok())
            .filter(|holder| holder.process.state() != State::Dead)
            .collect()
    }

    /// The runs that living processes of this state directory belong to, on whatever cluster.
    pub(crate) fn live_runs(locks: &Path) -> Vec<String> {
        let entries = fs::read_dir(locks).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".holders")?.to_owned()));
        let mut runs: Vec<String> =
            names.flat_map(|name| Self::holders(locks, &name)).filter_map(|holder| holder.run_id).collect();
        runs.sort();
        runs.dedup();
        runs
    }

    /// Removes the cards of dead holders; returns how many there were.
    pub(crate) fn sweep(locks: &Path) -> usize {
        let directories = fs::read_dir(locks).into_iter().flatten().flatten();
        let cards = directories
            .filter(|entry| entry.file_name().to_string_lossy().ends_with(".holders"))
            .flat_map(|entry| fs::read_dir(entry.path()).into_iter().flatten().flatten());
        cards
            .filter(|entry| {
                let holder = fs::read(entry.path()).ok().and_then(|card| serde_json::from_slice::<Holder>(&card).ok());
                holder.is_none_or(|holder| holder.process.state() == State::Dead)
            })
            .filter(|entry| fs::remove_file(entry.path()).is_ok())
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn take(locks: &Path, mode: Mode) -> Result<Lease, String> {
        Lease::try_take(locks, "default", mode, "a_row", None).unwrap()
    }

    #[rstest]
    #[case::two_that_share(Mode::Shared, Mode::Shared, true)]
    #[case::one_that_measures_beside_one_that_shares(Mode::Shared, Mode::Exclusive, false)]
    #[case::one_that_shares_beside_one_that_measures(Mode::Exclusive, Mode::Shared, false)]
    #[case::two_that_measure(Mode::Exclusive, Mode::Exclusive, false)]
    fn who_measures_is_alone(#[case] first: Mode, #[case] second: Mode, #[case] both: bool) {
        let dir = tempfile::tempdir().unwrap();
        let held = take(dir.path(), first).unwrap();
        let next = take(dir.path(), second);
        assert_eq!(next.is_ok(), both);
        if let Err(holder) = &next {
            assert!(holder.starts_with(&format!("a_row (pid {}", std::process::id())), "{holder}");
        }
        drop((held, next));
        assert!(take(dir.path(), Mode::Exclusive).is_ok());
    }

    #[test]
    fn the_runs_of_living_holders_are_known_whatever_they_hold() {
        let dir = tempfile::tempdir().unwrap();
        let take = |name, run| Lease::try_take(dir.path(), name, Mode::Exclusive, "a_row", run).unwrap().unwrap();
        let held = [take("_run", Some("run-1")), take("one", Some("run-1")), take("two", None)];
        assert_eq!(Lease::live_runs(dir.path()), ["run-1"]);
        drop(held);
        assert!(Lease::live_runs(dir.path()).is_empty());
    }

    #[test]
    fn the_card_of_a_dead_holder_means_nothing_and_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        drop(take(dir.path(), Mode::Shared).unwrap());
        let dead = Holder {
            process: Process { pid: 1, started_ticks: u64::MAX },
            what: "gone".to_owned(),
            run_id: None,
            mode: Mode::Exclusive,
            since: String::new(),
        };
        let card = dir.path().join("default.holders/1.json");
        fs::write(&card, serde_json::to_vec(&dead).unwrap()).unwrap();
        assert!(Lease::holders(dir.path(), "default").is_empty());
        assert_eq!(Lease::sweep(dir.path()), 1);
        assert!(!card.exists());
    }
}
