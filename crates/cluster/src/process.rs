//! The identity, state and cost of a process that outlives the command that started it.

use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use procfs::ProcResult;
use procfs::process::{LimitValue, Process as ProcEntry};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// A process, told apart from a later one with the same pid by when it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its pid.
    pub pid: i32,
    /// When it started, in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub started_ticks: u64,
}

/// Whether a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Running,
    /// It was stopped (SIGSTOP) and does nothing.
    Paused,
    /// It is gone, or another process has its pid.
    Dead,
}

/// What a process has used since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// User and system CPU time in seconds; the kernel counts in steps of 10 ms.
    pub cpu_s: f64,
    /// Resident memory in bytes.
    pub rss_bytes: u64,
}

impl Process {
    /// The process that has `pid` now; `None` when there is none.
    pub fn of_pid(pid: i32) -> Option<Self> {
        let stat = ProcEntry::new(pid).and_then(|process| process.stat()).ok()?;
        Some(Self { pid, started_ticks: stat.starttime })
    }

    /// Every process with this word in its command line.
    pub fn with_argument(word: &str) -> Vec<Self> {
        let all = procfs::process::all_processes().into_iter().flatten().flatten();
        let has = |process: &ProcEntry| process.cmdline().is_ok_and(|words| words.iter().any(|known| known == word));
        all.filter(has).filter_map(|process| Self::of_pid(process.pid)).collect()
    }

    /// This very process.
    pub fn this() -> Self {
        let pid = std::process::id() as i32;
        Self::of_pid(pid).unwrap_or(Self { pid, started_ticks: 0 })
    }

    /// Whether it runs now.
    pub fn state(&self) -> State {
        match self.stat() {
            Ok(stat) if matches!(stat.state, 'T' | 't') => State::Paused,
            Ok(stat) if !matches!(stat.state, 'Z' | 'X') => State::Running,
            // Its first thread has ended. As long as another has not, its files are open and its locks are held.
            Ok(stat) if stat.num_threads > 1 => State::Running,
            _ => State::Dead,
        }
    }

    /// What it has used so far; `None` when it is gone.
    pub fn usage(&self) -> Option<Usage> {
        let stat = self.stat().ok()?;
        let ticks = procfs::ticks_per_second() as f64;
        let rss_bytes = stat.rss * procfs::page_size();
        Some(Usage { cpu_s: (stat.utime + stat.stime) as f64 / ticks, rss_bytes })
    }

    /// How it exited, as long as its parent has not asked for that.
    pub(crate) fn exit(&self) -> Option<ExitStatus> {
        let stat = self.stat().ok().filter(|stat| matches!(stat.state, 'Z' | 'X'))?;
        stat.exit_code.map(ExitStatus::from_raw)
    }

    /// Whether it runs and no file of it may grow: what the fault of a full disk sets, and nobody else does.
    pub(crate) fn disk_is_full(&self) -> bool {
        let limits = self.stat().ok().and_then(|_| ProcEntry::new(self.pid).ok()?.limits().ok());
        limits.is_some_and(|limits| matches!(limits.max_file_size.soft_limit, LimitValue::Value(0)))
    }

    /// Its command line, arguments separated; empty when it is gone.
    pub fn command_line(&self) -> Vec<String> {
        ProcEntry::new(self.pid).and_then(|process| process.cmdline()).unwrap_or_default()
    }

    /// Sends a signal, if it is still the same process. Returns whether it was.
    pub fn signal(&self, signal: Signal) -> bool {
        self.state() != State::Dead && Pid::from_raw(self.pid).is_some_and(|pid| kill_process(pid, signal).is_ok())
    }

    /// Kills it and waits until it is gone, at most `patience`. Returns whether it is gone.
    pub fn kill(&self, patience: Duration) -> bool {
        self.signal(Signal::KILL);
        self.gone_within(patience)
    }

    /// Waits until it is gone, at most `patience`. Returns whether it is gone.
    pub fn gone_within(&self, patience: Duration) -> bool {
        let step = Duration::from_millis(10);
        let mut waited = Duration::ZERO;
        while self.state() != State::Dead && waited < patience {
            std::thread::sleep(step);
            waited += step;
        }
        self.state() == State::Dead
    }

    fn stat(&self) -> ProcResult<procfs::process::Stat> {
        let stat = ProcEntry::new(self.pid)?.stat()?;
        match stat.starttime == self.started_ticks {
            true => Ok(stat),
            false => Err(procfs::ProcError::NotFound(None)),
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {}", self.pid)
    }
}

/// Every process whose program is called by a path below `directory`.
pub(crate) fn using(directory: &std::path::Path) -> Vec<Process> {
    let needle = format!("{}/", directory.display());
    let own = std::process::id() as i32;
    procfs::process::all_processes()
        .into_iter()
        .flatten()
        .flatten()
        .filter(|process| process.pid != own)
        .filter(|process| {
            process.cmdline().is_ok_and(|words| words.first().is_some_and(|program| program.starts_with(&needle)))
        })
        .filter_map(|process| Process::of_pid(process.pid))
        .collect()
}

/// Every process that was started with `variable`, written `NAME=value`, in its environment.
pub(crate) fn with_environment(variable: &str) -> Vec<Process> {
    let has = |process: &ProcEntry| {
        let environment = std::fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
    };
    let all = procfs::process::all_processes().into_iter().flatten().flatten();
    all.filter(has).filter_map(|process| Process::of_pid(process.pid)).collect()
}

/// The identity of this boot of the machine.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_itself_until_it_is_dead_and_paused_in_between() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::of_pid(child.id() as i32).unwrap();
        assert_eq!(process.state(), State::Running);
        assert!(process.signal(Signal::STOP));
        while process.state() == State::Running {
            std::thread::yield_now();
        }
        assert_eq!(process.state(), State::Paused);
        let impostor = Process { started_ticks: process.started_ticks + 1, ..process };
        assert_eq!(impostor.state(), State::Dead, "a later process with the same pid is another one");
        assert!(!impostor.signal(Signal::KILL));
        assert!(process.kill(Duration::from_secs(5)), "a zombie counts as dead");
        assert_eq!(process.exit().and_then(|exit| exit.signal()), Some(9), "and says how it ended");
        child.wait().unwrap();
        assert_eq!(process.usage(), None);
    }

    #[test]
    fn a_process_is_found_by_a_word_of_its_command_line() {
        let mut child = std::process::Command::new("sleep").arg("59.8765").spawn().unwrap();
        let found = Process::with_argument("59.8765");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found.iter().map(|process| process.pid).collect::<Vec<_>>(), [child.id() as i32]);
    }
}
