//! The nodes of a kind cluster for whoever works inside of them.

use std::net::IpAddr;
use std::path::Path;

use super::docker::{self, docker_cluster};
use crate::error::{Error, Result};
use crate::shell::Shell;

/// A node as a container of Docker's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindNode {
    /// Its name, in Kubernetes as in Docker.
    pub name: String,
    /// Its address on the cluster's network, which is also that of its pulls.
    pub address: IpAddr,
    /// Whether it is the control plane, on which no pod of a trial runs.
    pub control_plane: bool,
}

impl KindNode {
    /// The nodes of the fixture in `directory`, by name.
    ///
    /// # Errors
    /// When Docker does not answer, or a node does not run.
    pub fn all(directory: &Path) -> Result<Vec<Self>> {
        let (cluster, shell) = (docker_cluster(directory), Shell::real());
        let filter = format!("label={}={cluster}", docker::KIND_LABEL);
        let names = docker::output(&["ps", "--filter", &filter, "--format", "{{.Names}}"], &shell)?;
        let mut names: Vec<&str> = names.split_whitespace().collect();
        names.sort_unstable();
        let node = |name: &&str| {
            let address = docker::output(&["inspect", "--format", docker::ADDRESS, name], &shell)?;
            let address = address.trim().parse();
            let address = address.map_err(|_| Error::Failed(format!("{name} has no address: it does not run")))?;
            Ok(Self { control_plane: name.ends_with("-control-plane"), name: (*name).to_owned(), address })
        };
        names.iter().map(node).collect()
    }

    /// What a command prints inside the node.
    ///
    /// # Errors
    /// When it fails, with its last words.
    pub fn run(&self, command: &[&str]) -> Result<String> {
        docker::output(&[&["exec", self.name.as_str()][..], command].concat(), &Shell::real())
    }

    /// Copies a file into the node; its directory is made.
    ///
    /// # Errors
    /// When the node does not run, or is full.
    pub fn put(&self, file: &Path, to: &Path) -> Result<()> {
        let parent = to.parent().unwrap_or(to).display().to_string();
        self.run(&["mkdir", "-p", &parent])?;
        let to = format!("{}:{}", self.name, to.display());
        docker::run(&["cp", &file.display().to_string(), &to], &Shell::real())
    }

    /// Copies a file out of the node; of a symbolic link what it leads to.
    ///
    /// # Errors
    /// When it is not there.
    pub fn get(&self, from: &str, file: &Path) -> Result<()> {
        let from = format!("{}:{from}", self.name);
        docker::run(&["cp", "--follow-link", &from, &file.display().to_string()], &Shell::real())
    }
}
