//! The clusters of this machine: up, down, list, status.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::api::connect;
use crate::base::ensure_nodes;
use crate::descriptor::{Component, Descriptor};
use crate::error::{Error, Result};
use crate::fault::Faults;
use crate::health::Health;
use crate::lease::{Holder, Lease, Mode};
use crate::nodes::NodeShape;
use crate::process::{State, Usage};
use crate::provider::Provider;
use crate::removal::remove;
use crate::shell::Shell;
use crate::sweep::sweep_fixture;
use crate::{kind, kwok};

/// What becomes of a cluster that cannot be adopted.
const ANEW: &str = "making it anew; what was in it is gone";

/// The directory of all fixtures, and the verbs on them.
#[derive(Clone, Debug)]
pub struct Fixtures {
    state: PathBuf,
}

/// What `cluster up` is asked for.
#[derive(Clone, Debug)]
pub struct UpRequest {
    /// The cluster's name.
    pub name: String,
    /// Simulated nodes that it should have, beside those that trials make.
    pub nodes: u32,
    /// Their shape.
    pub shape: NodeShape,
}

/// What `cluster up` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Up {
    /// A healthy cluster with the same key was there.
    Adopted,
    /// The cluster was there but something in it was dead, and was started again.
    Repaired,
    /// The cluster was made.
    Created,
}

/// What `cluster down` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Down {
    /// The cluster is ended.
    Ended,
    /// It is a cluster of others: it goes on, and is not known here any more.
    Forgotten,
}

/// What `cluster status` shows.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The descriptor.
    pub descriptor: Descriptor,
    /// What is wrong; empty when it is healthy.
    pub problems: Vec<String>,
    /// Who holds its lease.
    pub holders: Vec<Holder>,
    /// CPU and memory of each component, in the descriptor's order; absent for a dead one.
    pub usage: Vec<Option<Usage>>,
}

impl Fixtures {
    /// The fixtures below a state directory.
    pub fn new(state: &Path) -> Self {
        Self { state: state.to_owned() }
    }

    /// The state directory.
    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// The directory of one fixture.
    pub fn directory(&self, name: &str) -> PathBuf {
        self.state.join("fixtures").join(name)
    }

    /// The descriptor's path of one fixture.
    pub fn descriptor_path(&self, name: &str) -> PathBuf {
        self.directory(name).join("fixture.json")
    }

    /// The directory of all locks and of the cards of their holders.
    pub fn locks(&self) -> PathBuf {
        self.state.join("locks")
    }

    /// The names of all fixtures, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.state.join("fixtures")).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Brings the cluster up: adopts a healthy one with the same key, starts again what is dead, or makes it.
    ///
    /// # Errors
    /// When it cannot be made, or would have to be made anew while somebody holds its lease; or when the shell is interrupted:
    /// then what was begun is ended.
    pub async fn up(
        &self,
        provider: &dyn Provider,
        request: &UpRequest,
        shell: &Shell,
        say: &dyn Fn(&str),
    ) -> Result<Up> {
        let name = request.name.as_str();
        check_name(name)?;
        self.brought_up(provider, request, shell, say).await.map_err(|error| match error {
            Error::Interrupted(_) if self.directory(name).exists() => {
                Error::Interrupted(format!("cluster `{name}` stays as it is; the same command goes on"))
            }
            Error::Interrupted(_) => Error::Interrupted(format!("nothing is left of cluster `{name}`")),
            other => other,
        })
    }

    async fn brought_up(
        &self,
        provider: &dyn Provider,
        request: &UpRequest,
        shell: &Shell,
        say: &dyn Fn(&str),
    ) -> Result<Up> {
        let name = request.name.as_str();
        let _lock = if shell.is_dry() { None } else { Some(self.lock(name, shell, say)?) };
        let directory = self.directory(name);
        let (up, descriptor) = match Descriptor::read(&self.descriptor_path(name))? {
            Some(descriptor) if descriptor.is_existing() => {
                return Err(Error::NotOurs { name: descriptor.name, server: descriptor.apiserver });
            }
            Some(descriptor) if descriptor.provider != provider.name() => {
                return Err(Error::OfAnother { name: descriptor.name, found: descriptor.provider });
            }
            Some(descriptor) => self.adopt(provider, descriptor, shell, say).await?,
            None => (Up::Created, self.create(provider, name, shell, say)?),
        };
        if request.nodes > 0 && shell.doing(format!("create up to {} nodes on {name}", request.nodes)) {
            let descriptor = descriptor.ok_or_else(|| Error::NoSuchCluster(name.to_owned()))?;
            let client = connect(&descriptor).await?;
            tokio::select! {
                there = ensure_nodes(&client, request.nodes, &request.shape, say) => there?,
                interrupted = shell.interrupted() => return Err(interrupted),
            }
        }
        if !shell.is_dry() {
            sweep_fixture(&directory);
        }
        Ok(up)
    }

    /// Ends the cluster and removes its files; one of others is forgotten, and nothing of it is touched.
    ///
    /// # Errors
    /// When somebody holds its lease or a newer version made it and `force` is not set, or when there is no such cluster.
    pub fn down(&self, name: &str, force: bool, shell: &Shell) -> Result<Down> {
        check_name(name)?;
        if !self.directory(name).exists() {
            return Err(Error::NoSuchCluster(name.to_owned()));
        }
        let making = match self.try_lock(name)? {
            None if !force => {
                return Err(Error::InUse { name: name.to_owned(), holder: "a command that makes it".to_owned() });
            }
            lock => lock,
        };
        let lease = self.alone(name, force, "cluster down")?;
        let down = match self.descriptor(name) {
            // What a newer version's clusters consist of is not known here.
            Err(error @ Error::NewerSchema { .. }) if !force => return Err(error),
            Ok(descriptor) if descriptor.is_existing() => {
                shell.remove_dir(&self.directory(name))?;
                Down::Forgotten
            }
            _ => {
                remove(name, &self.directory(name), shell)?;
                Down::Ended
            }
        };
        drop((making, lease));
        if !shell.is_dry() {
            self.forget_locks(name)?;
        }
        Ok(down)
    }

    /// What the cluster is and does.
    ///
    /// # Errors
    /// When there is none of that name, or its descriptor cannot be read.
    pub async fn status(&self, name: &str) -> Result<Status> {
        let descriptor = self.descriptor(name)?;
        let problems = Health::of(&descriptor).await.problems();
        let usage = descriptor.components.iter().map(|component| component.process.usage()).collect();
        Ok(Status { problems, holders: Lease::holders(&self.locks(), name), usage, descriptor })
    }

    /// Whether a fault may be injected into the cluster: nobody uses it, or `force` is set.
    ///
    /// # Errors
    /// When somebody holds its lease, or there is no such cluster.
    pub fn check_unused(&self, name: &str, force: bool) -> Result<()> {
        self.descriptor(name)?;
        match self.alone(name, force, "cluster fault") {
            Err(Error::InUse { name, holder }) => Err(Error::Spoils { name, holder }),
            other => other.map(drop),
        }
    }

    /// The descriptor of a cluster that is there.
    ///
    /// # Errors
    /// When there is none of that name, or its descriptor cannot be read.
    pub fn descriptor(&self, name: &str) -> Result<Descriptor> {
        check_name(name)?;
        let missing = || self.half_made(name).unwrap_or_else(|| Error::NoSuchCluster(name.to_owned()));
        Descriptor::read(&self.descriptor_path(name))?.ok_or_else(missing)
    }

    async fn adopt(
        &self,
        provider: &dyn Provider,
        descriptor: Descriptor,
        shell: &Shell,
        say: &dyn Fn(&str),
    ) -> Result<(Up, Option<Descriptor>)> {
        let name = descriptor.name.clone();
        let same = descriptor.key == provider.key();
        let health = Health::of(&descriptor).await;
        if same && health == Health::Healthy {
            shell.doing(format!("adopt {name}: it is healthy and has the same key"));
            return Ok((Up::Adopted, Some(descriptor)));
        }
        if same && let Health::Broken(problems) = &health {
            // Room again, where a fault took it, may be all that it needs.
            let freed = if shell.is_dry() { Vec::new() } else { Faults::of(self, &name).free_disks()? };
            if !freed.is_empty() {
                say(&format!("cluster `{name}`: {}; given room again", problems.join("; ")));
                if Health::of(&descriptor).await == Health::Healthy {
                    return self
                        .repaired(descriptor, problems, shell)
                        .map(|descriptor| (Up::Repaired, Some(descriptor)));
                }
            }
            say(&format!("cluster `{name}`: {}; starting it again", problems.join("; ")));
            // What died is started again beside whoever uses the cluster. When all run and nobody answers, all have to
            // go, and that may be the work of a row that measures.
            let died = |component: &Component| component.process.state() != State::Running;
            let _lease = match descriptor.components.iter().any(died) {
                true => None,
                false => self.alone(&name, false, "cluster up")?,
            };
            match provider.restart(&descriptor, &self.directory(&name), shell, say) {
                Ok(restarted) if Health::of(&restarted).await == Health::Healthy || shell.is_dry() => {
                    return self
                        .repaired(restarted, problems, shell)
                        .map(|descriptor| (Up::Repaired, Some(descriptor)));
                }
                Err(interrupted @ Error::Interrupted(_)) => {
                    // As `gc` would.
                    if !kind::made(&self.directory(&name)) {
                        kwok::end_strays(&descriptor, &self.directory(&name));
                    }
                    return Err(interrupted);
                }
                Ok(_) => say(&format!("it did not recover; {ANEW}")),
                Err(error) => say(&format!("it did not start: {}; {ANEW}", error.cause())),
            }
        } else if !same {
            say(&format!("cluster `{name}` was made with other programs or settings; {ANEW}"));
        } else {
            say(&format!("cluster `{name}`: {}; {ANEW}", health.problems().join("; ")));
        }
        let _lease = self.alone(&name, false, "cluster up")?;
        shell.go_on()?;
        remove(&name, &self.directory(&name), shell)?;
        Ok((Up::Created, self.create(provider, &name, shell, say)?))
    }

    /// Writes down that the cluster works again, and what was wrong.
    fn repaired(&self, mut descriptor: Descriptor, problems: &[String], shell: &Shell) -> Result<Descriptor> {
        descriptor.repairs.extend_from_slice(problems);
        descriptor.write(&self.descriptor_path(&descriptor.name), shell)?;
        if !shell.is_dry() {
            Faults::of(self, &descriptor.name).unprove()?;
        }
        Ok(descriptor)
    }

    /// Makes the cluster. Ports are chosen by the provider when it starts, so another program can take one in between:
    /// the second try chooses others.
    fn create(
        &self,
        provider: &dyn Provider,
        name: &str,
        shell: &Shell,
        say: &dyn Fn(&str),
    ) -> Result<Option<Descriptor>> {
        let directory = self.directory(name);
        // Two clusters that start at once could find the same ports free.
        let _one_at_a_time = if shell.is_dry() { None } else { Some(self.lock("_create", shell, say)?) };
        if directory.exists() {
            remove(name, &directory, shell)?;
        }
        if !shell.is_dry() {
            say(&format!("making cluster `{name}`: some seconds"));
        }
        let create = || {
            provider.create(name, &directory, shell, say).inspect_err(|_| {
                // One that was interrupted runs no program any more.
                let other = Shell::real();
                remove(name, &directory, if shell.is_dry() { shell } else { &other }).ok();
            })
        };
        let descriptor = match create() {
            Err(first) if first.may_pass() => {
                say(&format!("the first try failed ({first}); trying once more"));
                create()?
            }
            made => made?,
        };
        match &descriptor {
            Some(descriptor) => descriptor.write(&self.descriptor_path(name), shell)?,
            None => shell.write(&self.descriptor_path(name), b"")?,
        }
        Ok(descriptor)
    }

    /// The cluster's exclusive lease, or with `force` none.
    pub(crate) fn alone(&self, name: &str, force: bool, what: &str) -> Result<Option<Lease>> {
        match Lease::try_take(&self.locks(), name, Mode::Exclusive, what, None)? {
            Ok(lease) => Ok(Some(lease)),
            Err(_) if force => Ok(None),
            Err(holder) => Err(Error::InUse { name: name.to_owned(), holder }),
        }
    }
}

fn check_name(name: &str) -> Result<()> {
    let good = (1..=40).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if good { Ok(()) } else { Err(Error::BadName(name.to_owned())) }
}
