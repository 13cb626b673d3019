//! Faults: what can be done to the components of a running cluster, for rows that need them and for people.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use crate::descriptor::Descriptor;
use crate::error::{Error, Result};
use crate::fixtures::Fixtures;
use crate::kind;
use crate::kwok::Kwok;
use crate::process::{Process, State};
use crate::provider::Provider as _;
use crate::shell::Shell;

/// How long a component may take to end after SIGTERM. etcd hands over and the apiserver drains its requests.
const STOPS_WITHIN: Duration = Duration::from_secs(60);
/// How long a process may take to be gone after SIGKILL.
const DIES_WITHIN: Duration = Duration::from_secs(5);
/// A file in the cluster's directory: something was done to it, and nobody has proven since that it works.
const UNPROVEN: &str = "unproven";

/// The components of one cluster as something that faults can be injected into.
#[derive(Clone, Debug)]
pub struct Faults {
    fixtures: Fixtures,
    cluster: String,
}

impl Faults {
    /// Faults of the cluster `name`.
    pub fn of(fixtures: &Fixtures, name: &str) -> Self {
        Self { fixtures: fixtures.clone(), cluster: name.to_owned() }
    }

    /// Stops a component where it stands (SIGSTOP): it keeps its connections and answers nobody.
    ///
    /// # Errors
    /// When there is no such component, or it is dead.
    pub fn pause(&self, component: &str) -> Result<Process> {
        self.signal(component, Signal::STOP)
    }

    /// Lets a paused component go on.
    ///
    /// # Errors
    /// When there is no such component, or it is dead.
    pub fn resume(&self, component: &str) -> Result<Process> {
        self.signal(component, Signal::CONT)
    }

    /// Ends a component as an orderly shutdown does (SIGTERM), and waits until it is gone.
    ///
    /// # Errors
    /// When there is no such component, it is dead already, or it does not end within a minute.
    pub fn stop(&self, component: &str) -> Result<Process> {
        let process = self.signal(component, Signal::TERM)?;
        match process.gone_within(STOPS_WITHIN) {
            true => Ok(process),
            false => Err(Error::Failed(format!("{component} ({process}) does not end within {STOPS_WITHIN:?}"))),
        }
    }

    /// Ends a component as a crash or the kernel's memory killer does (SIGKILL), and waits until it is gone.
    ///
    /// # Errors
    /// When there is no such component, or it is dead already.
    pub fn kill(&self, component: &str) -> Result<Process> {
        let process = self.signal(component, Signal::KILL)?;
        match process.gone_within(DIES_WITHIN) {
            true => Ok(process),
            false => Err(Error::Failed(format!("{component} ({process}) does not end"))),
        }
    }

    /// Starts a component again; one that runs is killed first. What else is dead is started too. The descriptor is
    /// brought up to date.
    ///
    /// # Errors
    /// When there is no such component, or it does not start.
    pub fn restart(&self, component: &str, say: &dyn Fn(&str)) -> Result<Process> {
        let _lock = self.fixtures.lock(&self.cluster, &Shell::real(), say)?;
        let (descriptor, process) = self.find(component)?;
        if process.state() != State::Dead {
            process.kill(DIES_WITHIN);
        }
        let others = dead_ones(&descriptor).filter(|name| name != component).collect::<Vec<_>>().join(", ");
        self.start_what_is_dead(&descriptor, format!("{component} ({process}) was restarted"), say)?;
        if !others.is_empty() {
            say(&format!("{others} had ended: started as well"));
        }
        Ok(self.find(component)?.1)
    }

    /// Gives every component whose disk is full its room again, and says which.
    ///
    /// # Errors
    /// When one belongs to another user.
    pub(crate) fn free_disks(&self) -> Result<Vec<String>> {
        let descriptor = self.fixtures.descriptor(&self.cluster)?;
        let full = descriptor.components.iter().filter(|component| component.process.disk_is_full());
        full.map(|component| self.free_disk(&component.name).map(|_| component.name.clone())).collect()
    }

    /// Starts every component that is dead, as a kubelet would, and names them. Some end by themselves: a leader that cannot
    /// renew its Lease for 10 s does.
    ///
    /// # Errors
    /// When one does not start.
    pub fn revive(&self, say: &dyn Fn(&str)) -> Result<Vec<String>> {
        let _lock = self.fixtures.lock(&self.cluster, &Shell::real(), say)?;
        let descriptor = self.fixtures.descriptor(&self.cluster)?;
        let dead: Vec<String> = dead_ones(&descriptor).collect();
        if !dead.is_empty() {
            self.start_what_is_dead(&descriptor, format!("{} had ended and was started", dead.join(", ")), say)?;
        }
        Ok(dead)
    }

    /// Whether something was done to the cluster since it was last proven to work. A component that answers again may still
    /// wait before it watches: client-go's pause grows with each failure.
    pub fn is_unproven(&self) -> bool {
        self.mark().exists()
    }

    /// The cluster was proven to work.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub fn proven(&self) -> Result<()> {
        match std::fs::remove_file(self.mark()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", &self.mark())(error)),
            _ => Ok(()),
        }
    }

    /// Something happened to the cluster: whether it works has to be proven again.
    pub(crate) fn unprove(&self) -> Result<()> {
        std::fs::write(self.mark(), "").map_err(Error::io("write", &self.mark()))
    }

    fn mark(&self) -> PathBuf {
        self.fixtures.directory(&self.cluster).join(UNPROVEN)
    }

    fn start_what_is_dead(&self, descriptor: &Descriptor, why: String, say: &dyn Fn(&str)) -> Result<()> {
        self.unprove()?;
        let shell = Shell::real();
        let directory = self.fixtures.directory(&self.cluster);
        let mut restarted = match kind::made(&directory) {
            true => kind::revived(descriptor, &directory, &shell)?,
            false => Kwok::without_programs().restart(descriptor, &directory, &shell, say)?,
        };
        restarted.repairs.push(why);
        restarted.write(&self.fixtures.descriptor_path(&self.cluster), &shell)
    }

    /// Lets no file of a component grow: every write beyond what is there fails, as on a full disk. (The kernel answers
    /// EFBIG where a full disk answers ENOSPC. A disk of its own would need root.)
    ///
    /// # Errors
    /// When there is no such component, or it belongs to another user.
    pub fn fill_disk(&self, component: &str) -> Result<Process> {
        self.limit_files(component, Some(0))
    }

    /// Takes the limit of [`Faults::fill_disk`] away.
    ///
    /// # Errors
    /// As [`Faults::fill_disk`].
    pub fn free_disk(&self, component: &str) -> Result<Process> {
        self.limit_files(component, None)
    }

    fn limit_files(&self, component: &str, bytes: Option<u64>) -> Result<Process> {
        let (_, process) = self.find(component)?;
        self.unprove()?;
        let limit = Rlimit { current: bytes, maximum: None };
        let limited = Pid::from_raw(process.pid).filter(|_| process.state() != State::Dead);
        let limited = limited.map(|pid| prlimit(Some(pid), Resource::Fsize, limit));
        match limited {
            Some(Ok(_)) => Ok(process),
            Some(Err(error)) => {
                Err(Error::Failed(format!("cannot limit the files of {component} ({process}): {error}")))
            }
            None => Err(dead(component, process)),
        }
    }

    fn signal(&self, component: &str, signal: Signal) -> Result<Process> {
        let (_, process) = self.find(component)?;
        self.unprove()?;
        if process.signal(signal) { Ok(process) } else { Err(dead(component, process)) }
    }

    fn find(&self, component: &str) -> Result<(Descriptor, Process)> {
        let descriptor = self.fixtures.descriptor(&self.cluster)?;
        let process = descriptor.require(component)?.process;
        Ok((descriptor, process))
    }
}

fn dead_ones(descriptor: &Descriptor) -> impl Iterator<Item = String> {
    let dead = descriptor.components.iter().filter(|component| component.process.state() == State::Dead);
    dead.map(|component| component.name.clone())
}

fn dead(component: &str, process: Process) -> Error {
    Error::Failed(format!("{component} ({process}) is not running; `cargo xtask cluster up` starts it again"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::Component;
    use crate::health::Health;

    #[tokio::test]
    async fn a_full_disk_shows_until_it_has_room_again() {
        let state = tempfile::tempdir().unwrap();
        let fixtures = Fixtures::new(state.path());
        std::fs::create_dir_all(fixtures.directory("default")).unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let mut descriptor = Descriptor::new("default", "kwok", String::new());
        descriptor.components.push(Component {
            name: "etcd".to_owned(),
            process: Process::of_pid(child.id() as i32).unwrap(),
            metrics_url: None,
            log: PathBuf::new(),
            args: Vec::new(),
        });
        descriptor.write(&fixtures.descriptor_path("default"), &Shell::real()).unwrap();
        let faults = Faults::of(&fixtures, "default");
        faults.fill_disk("etcd").unwrap();
        assert_eq!(Health::of(&descriptor).await.problems(), ["etcd: its disk is full (fault)"]);
        assert_eq!(faults.free_disks().unwrap(), ["etcd"]);
        assert!(!descriptor.components[0].process.disk_is_full());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_cluster_is_unproven_from_a_fault_until_it_is_proven() {
        let state = tempfile::tempdir().unwrap();
        let fixtures = Fixtures::new(state.path());
        std::fs::create_dir_all(fixtures.directory("default")).unwrap();
        let faults = Faults::of(&fixtures, "default");
        assert!(!faults.is_unproven());
        faults.unprove().unwrap();
        assert!(faults.is_unproven());
        faults.proven().unwrap();
        assert!(!faults.is_unproven());
        faults.proven().unwrap();
    }
}
