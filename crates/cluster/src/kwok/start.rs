//! Waiting for kwokctl, with an eye on what it has started: it waits for minutes also for a component that has exited.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{COMPONENTS, pid_file, program_of};
use crate::error::{Error, Result};
use crate::process::{Process, State};

/// A component that is found dead for so long has exited: one that kwokctl starts again runs before.
const DEAD_FOR: Duration = Duration::from_secs(2);
/// Or one that has died so often.
const DEATHS: usize = 3;
/// How often it is said that the cluster is waited for.
const TELL: Duration = Duration::from_secs(10);

/// What is seen of a cluster that starts.
pub(super) struct Start<'a> {
    cluster: &'a Path,
    /// Where programs come from that are not the pinned ones, by their names: `/bin/etcd (KUBEDYNO_ETCD)`.
    own: BTreeMap<String, String>,
    say: &'a dyn Fn(&str),
    started: Instant,
    told: Instant,
    deaths: BTreeMap<&'static str, Deaths>,
}

struct Deaths {
    of: Vec<Process>,
    since: Instant,
}

impl<'a> Start<'a> {
    pub(super) fn new(cluster: &'a Path, own: BTreeMap<String, String>, say: &'a dyn Fn(&str)) -> Self {
        let now = Instant::now();
        Self { cluster, own, say, started: now, told: now, deaths: BTreeMap::new() }
    }

    /// Looks at every component once, and says now and then what is waited for.
    ///
    /// # Errors
    /// When one has exited.
    pub(super) fn look(&mut self) -> Result<()> {
        let mut running = Vec::new();
        for name in COMPONENTS {
            let Some(process) = started(self.cluster, name) else { continue };
            if process.state() != State::Dead {
                // One that was started again has had a death, but is not dead.
                if let Some(deaths) = self.deaths.get_mut(name) {
                    deaths.since = Instant::now();
                }
                running.push(name);
                continue;
            }
            let deaths = self.deaths.entry(name).or_insert_with(|| Deaths { of: Vec::new(), since: Instant::now() });
            if !deaths.of.contains(&process) {
                deaths.of.push(process);
            }
            if deaths.of.len() >= DEATHS || deaths.since.elapsed() >= DEAD_FOR {
                return Err(self.exited(name, process));
            }
        }
        if self.told.elapsed() >= TELL {
            self.told = Instant::now();
            let waited = self.started.elapsed().as_secs();
            let running = if running.is_empty() { "no component".to_owned() } else { running.join(", ") };
            (self.say)(&format!("{waited} s, and the cluster does not serve yet; {running} started"));
        }
        Ok(())
    }

    /// The same when kwokctl has ended: what is dead now has exited.
    ///
    /// # Errors
    /// When one has exited.
    pub(super) fn ended(&self) -> Result<()> {
        for name in COMPONENTS {
            if let Some(process) = started(self.cluster, name).filter(|process| process.state() == State::Dead) {
                return Err(self.exited(name, process));
            }
        }
        Ok(())
    }

    fn exited(&self, component: &str, process: Process) -> Error {
        let log = self.cluster.join(format!("logs/{component}.log"));
        let text = std::fs::read(&log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let port_taken = text.contains("address already in use");
        let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned);
        let program = program_of(component);
        let exit = process.exit().map_or_else(|| "how is not known any more".to_owned(), |exit| exit.to_string());
        let fix = match self.own.get(program) {
            Some(own) => format!("it is {own}: name a build that runs, or none"),
            None => format!("`cargo xtask tools ensure {program} --verify` looks whether it is the pinned program"),
        };
        Error::Exited { component: component.to_owned(), exit, line, fix, port_taken }
    }
}

/// The process that kwokctl started, dead or alive; `None` when it started none yet.
fn started(cluster: &Path, component: &str) -> Option<Process> {
    let path: PathBuf = pid_file(cluster, component);
    let pid = std::fs::read_to_string(path).ok()?.trim().parse().ok()?;
    // Of a process that is gone nothing is known but that: no process ever starts with the machine.
    Some(Process::of_pid(pid).unwrap_or(Process { pid, started_ticks: 0 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(pid: u32, log: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in [("pids/etcd.pid", pid.to_string()), ("logs/etcd.log", log.to_owned())] {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        directory
    }

    #[test]
    fn a_component_that_has_exited_is_named_within_seconds_with_its_last_words_and_its_variable() {
        let mut child = std::process::Command::new("/bin/sh").args(["-c", "exit 7"]).spawn().unwrap();
        let directory = cluster(child.id(), "first\npanic: no disk\n\n");
        let own = BTreeMap::from([("etcd".to_owned(), "/bin/etcd (KUBEDYNO_ETCD)".to_owned())]);
        let mut start = Start::new(directory.path(), own, &|_| {});
        let error = loop {
            match start.look() {
                Ok(()) => std::thread::sleep(Duration::from_millis(20)),
                Err(error) => break error,
            }
        };
        assert!(start.started.elapsed() < DEAD_FOR + Duration::from_secs(3));
        insta::assert_snapshot!(
            error,
            @"etcd has exited (exit status: 7); the last line of its log: panic: no disk; it is /bin/etcd (KUBEDYNO_ETCD): name a build that runs, or none"
        );
        assert_eq!(start.ended().unwrap_err().to_string(), error.to_string());
        assert!(!error.may_pass());
        child.wait().unwrap();
    }

    #[test]
    fn one_that_lost_its_port_to_another_may_start_the_next_time() {
        let directory = cluster(std::process::id(), "listen tcp 127.0.0.1:1: bind: address already in use\n");
        let mut start = Start::new(directory.path(), BTreeMap::new(), &|_| {});
        start.look().unwrap();
        start.ended().unwrap();
        assert!(start.exited("etcd", Process { pid: 1, started_ticks: u64::MAX }).may_pass());
    }
}
