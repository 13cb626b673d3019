//! The processes of a system under test, which die with their trial however it ends.
//!
//! All of them are in one process group. Its leader is a shell that reads a pipe from this process, to which nobody
//! writes: when the pipe closes, because the trial is over or because its process was killed, the shell kills the group,
//! and itself with it. No `Drop` has to run for that.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cluster::{Component, Process};
use procfs::process::Process as ProcEntry;

use crate::error::{Error, Result};

/// What the leader of the group runs.
const WATCHDOG: &str = "while read -r _; do :; done; kill -KILL 0";

/// How long a service may take to become ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Variables of this process that a supervised one gets; everything else that it needs is given by name.
const INHERITED: [&str; 3] = ["PATH", "HOME", "TMPDIR"];

/// Keeps the processes of one trial in one group, and kills the group when it is dropped.
#[derive(Debug)]
pub struct Supervisor {
    watchdog: Child,
    group: i32,
}

/// A process to start.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The component that it is: `spiderpool-controller`.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment, beside `PATH`, `HOME` and `TMPDIR`.
    pub env: Vec<(String, String)>,
    /// Where its output goes.
    pub log: PathBuf,
}

/// A supervised process.
#[derive(Debug)]
pub struct Service {
    child: Child,
    component: Component,
}

impl Supervisor {
    /// Starts the leader of an empty group.
    ///
    /// # Errors
    /// When there is no `/bin/sh`.
    pub fn start() -> Result<Self> {
        let watchdog = Command::new("/bin/sh")
            .args(["-c", WATCHDOG])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|error| Error::Environment(format!("cannot start /bin/sh: {error}")))?;
        let group = watchdog.id() as i32;
        Ok(Self { watchdog, group })
    }

    /// The process group, for a caller that starts short-lived processes by itself.
    pub fn group(&self) -> i32 {
        self.group
    }

    /// The environment of a supervised process, without what is given by name.
    pub fn environment() -> impl Iterator<Item = (&'static str, std::ffi::OsString)> {
        INHERITED.iter().filter_map(|name| Some((*name, std::env::var_os(name)?)))
    }

    /// Starts a process.
    ///
    /// # Errors
    /// When it cannot be started, or its log cannot be written.
    pub fn launch(&self, launch: &Launch) -> Result<Service> {
        let failed = |error: std::io::Error| {
            Error::Environment(format!("cannot start {} ({}): {error}", launch.name, launch.program.display()))
        };
        let log = File::options().append(true).create(true).open(&launch.log).map_err(failed)?;
        let child = Command::new(&launch.program)
            .args(&launch.args)
            .env_clear()
            .envs(Self::environment())
            .envs(launch.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            .process_group(self.group)
            .spawn()
            .map_err(failed)?;
        let pid = child.id() as i32;
        let process = Process::of_pid(pid).unwrap_or(Process { pid, started_ticks: 0 });
        let component = Component {
            name: launch.name.clone(),
            process,
            metrics_url: None,
            log: launch.log.clone(),
            args: launch.args.clone(),
        };
        Ok(Service { child, component })
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        self.watchdog.wait().ok();
    }
}

impl Service {
    /// What it is, as an observer sees it.
    pub fn component(&self) -> &Component {
        &self.component
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.component.log
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it as a power failure does, and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Waits until a service says that it is ready. What did not become ready is told with the end of its log.
///
/// # Errors
/// When it is not ready within a minute.
pub async fn until_ready<F>(name: &str, log: &Path, mut ready: impl FnMut() -> F) -> Result<()>
where
    F: Future<Output = bool>,
{
    let until = Instant::now() + READY_WITHIN;
    while !ready().await {
        if Instant::now() > until {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            let last = text.lines().last().unwrap_or("it said nothing");
            let within = READY_WITHIN.as_secs();
            return Err(Error::Environment(format!(
                "{name} is not ready within {within} s: {last} ({})",
                log.display()
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// A port of loopback that nobody listens on. Another program can take it before it is used; then its user does not become
/// ready.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0));
    let port = listener.and_then(|listener| listener.local_addr()).map(|address| address.port());
    port.map_err(|error| Error::Environment(format!("no free port on loopback: {error}")))
}

/// CPU seconds of all children of this process that have ended: of programs that ran for one request each.
pub fn ended_children_cpu_s() -> f64 {
    let stat = ProcEntry::myself().and_then(|process| process.stat());
    stat.map_or(0.0, |stat| (stat.cutime + stat.cstime) as f64 / procfs::ticks_per_second() as f64)
}

#[cfg(test)]
mod tests {
    use cluster::State;

    use super::*;

    fn sleeper(supervisor: &Supervisor, log: &Path) -> Service {
        let launch = Launch {
            name: "sleeper".to_owned(),
            program: "/bin/sleep".into(),
            args: vec!["60".to_owned()],
            env: Vec::new(),
            log: log.join("sleeper.log"),
        };
        supervisor.launch(&launch).unwrap()
    }

    #[test]
    fn what_is_supervised_goes_with_its_supervisor() {
        let dir = tempfile::tempdir().unwrap();
        let supervisor = Supervisor::start().unwrap();
        let mut service = sleeper(&supervisor, dir.path());
        let process = service.component().process;
        assert!(!service.has_ended());
        drop(supervisor);
        assert!(process.gone_within(Duration::from_secs(5)));
        assert!(service.has_ended());
    }

    #[test]
    fn one_process_can_be_killed_and_the_others_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let supervisor = Supervisor::start().unwrap();
        let (mut first, second) = (sleeper(&supervisor, dir.path()), sleeper(&supervisor, dir.path()));
        first.kill();
        assert_eq!(second.component().process.state(), State::Running);
    }
}
