//! The lock of whoever makes, repairs or ends a cluster, and who that is.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::fixtures::Fixtures;
use crate::lease::Mode;
use crate::lockfile::try_lock;
use crate::process::{Process, State};
use crate::shell::Shell;
use crate::{kind, kwok};

impl Fixtures {
    /// The lock of whoever makes or repairs a cluster.
    pub(crate) fn lock(&self, name: &str, shell: &Shell, say: &dyn Fn(&str)) -> Result<File> {
        let mut told = false;
        loop {
            shell.go_on()?;
            match self.try_lock(name)? {
                Some(lock) => return Ok(lock),
                None if told => std::thread::sleep(Duration::from_millis(100)),
                None => {
                    let by = self.worker(name).map_or_else(String::new, |by| format!(" ({by})"));
                    say(&format!("waiting: another command{by} works on `{name}`"));
                    told = true;
                }
            }
        }
    }

    /// The same; `None` when somebody has it.
    pub(crate) fn try_lock(&self, name: &str) -> Result<Option<File>> {
        Shell::real().make_dir(&self.locks())?;
        let path = self.lock_path(name);
        let Some(mut lock) = try_lock(&path, Mode::Exclusive)? else { return Ok(None) };
        let card = serde_json::to_vec(&Process::this()).unwrap_or_default();
        lock.set_len(0).and_then(|()| lock.write_all(&card)).map_err(Error::io("write", &path))?;
        Ok(Some(lock))
    }

    /// The error of a cluster that is there and has no descriptor; `None` when nothing of it is there.
    pub(crate) fn half_made(&self, name: &str) -> Option<Error> {
        let directory = self.directory(name);
        if !directory.is_dir() {
            return None;
        }
        Some(Error::HalfMade {
            name: name.to_owned(),
            provider: if kind::made(&directory) { "kind" } else { "kwok" },
            processes: kwok::processes(name, &directory).len(),
            by: self.worker(name).filter(|by| by.state() != State::Dead),
        })
    }

    /// Removes the lock, the lease and the cards of a cluster that is gone, when nobody has them; returns how many files there
    /// were. Whoever waits for one of them finds that it is another file, and takes that one.
    pub(crate) fn forget_locks(&self, name: &str) -> Result<usize> {
        let lease = self.locks().join(format!("{name}.lease"));
        let cards = self.locks().join(format!("{name}.holders"));
        let there = [&self.lock_path(name), &lease, &cards].into_iter().filter(|path| path.exists()).count();
        let (Some(_lock), Some(_lease)) = (self.try_lock(name)?, try_lock(&lease, Mode::Exclusive)?) else {
            return Ok(0);
        };
        if self.directory(name).exists() {
            return Ok(0);
        }
        Shell::real().remove_dir(&cards)?;
        Shell::real().remove_file(&lease)?;
        Shell::real().remove_file(&self.lock_path(name))?;
        Ok(there)
    }

    /// The clusters that have locks and nothing else.
    pub(crate) fn locks_of_the_gone(&self) -> Vec<String> {
        let entries = fs::read_dir(self.locks()).into_iter().flatten().flatten();
        let name = |entry: fs::DirEntry| {
            let file = entry.file_name().into_string().ok()?;
            let name = [".up", ".lease", ".holders"].iter().find_map(|end| file.strip_suffix(end))?;
            // Those of this machine, of no cluster, begin with `_`.
            (!name.starts_with('_') && !self.directory(name).exists()).then(|| name.to_owned())
        };
        let mut names: Vec<String> = entries.filter_map(name).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Who had the lock last, as it wrote itself.
    fn worker(&self, name: &str) -> Option<Process> {
        serde_json::from_slice(&fs::read(self.lock_path(name)).ok()?).ok()
    }

    fn lock_path(&self, name: &str) -> PathBuf {
        self.locks().join(format!("{name}.up"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::Lease;

    #[test]
    fn a_cluster_without_a_descriptor_is_half_made_and_who_makes_it_is_known() {
        let state = tempfile::tempdir().unwrap();
        let fixtures = Fixtures::new(state.path());
        assert!(fixtures.half_made("x").is_none());
        fs::create_dir_all(fixtures.directory("x")).unwrap();
        let text = |fixtures: &Fixtures| fixtures.half_made("x").unwrap().to_string();
        assert!(text(&fixtures).contains("`cargo xtask cluster up --name x` makes it anew"), "{}", text(&fixtures));
        let lock = fixtures.lock("x", &Shell::real(), &|_| {}).unwrap();
        let by = format!("cluster `x` is being made by pid {}", std::process::id());
        assert!(text(&fixtures).starts_with(&by), "{}", text(&fixtures));
        drop(lock);
    }

    #[test]
    fn locks_of_a_cluster_that_is_gone_go_when_nobody_has_them() {
        let state = tempfile::tempdir().unwrap();
        let fixtures = Fixtures::new(state.path());
        let take = |name| Lease::try_take(&fixtures.locks(), name, Mode::Shared, "a_row", None).unwrap().unwrap();
        fs::create_dir_all(fixtures.directory("there")).unwrap();
        let lock = |name| fixtures.lock(name, &Shell::real(), &|_| {}).unwrap();
        drop((lock("there"), lock("_create")));
        drop((lock("gone"), take("gone")));
        let held = take("held");
        assert_eq!(fixtures.locks_of_the_gone(), ["gone", "held"]);
        assert_eq!(fixtures.forget_locks("held").unwrap(), 0);
        assert_eq!(fixtures.forget_locks("gone").unwrap(), 3);
        assert_eq!(fixtures.forget_locks("there").unwrap(), 0);
        assert_eq!(fixtures.locks_of_the_gone(), ["held"]);
        drop((held, take("gone")));
    }
}
