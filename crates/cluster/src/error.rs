//! What can go wrong with a fixture, in the user's words.

use std::path::{Path, PathBuf};

/// A result with the crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a fixture could not be had, used or removed. Each message names the cause; where there is a fix it follows.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: "write", "read", "lock".
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A descriptor that this version does not understand.
    #[error(
        "{} has schema {found}, this kubedyno knows up to {known}: it was written by a newer version; update kubedyno, \
         or remove the cluster with that version (`cargo xtask cluster down --name {name}`)",
        path.display()
    )]
    NewerSchema {
        /// The descriptor.
        path: PathBuf,
        /// The cluster's name.
        name: String,
        /// Its schema.
        found: u32,
        /// The newest schema known here.
        known: u32,
    },
    /// A descriptor that is no descriptor.
    #[error("{}:{line}: not a fixture descriptor: {message}; `cargo xtask cluster gc` removes it", path.display())]
    BadDescriptor {
        /// The file.
        path: PathBuf,
        /// Where in it.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A name that cannot name a cluster.
    #[error("`{0}` cannot name a cluster: use 1 to 40 lower-case letters, digits and `-`, beginning with a letter")]
    BadName(String),
    /// No fixture of that name.
    #[error(
        "there is no cluster `{0}`: `cargo xtask cluster up --name {0}` makes one, `cargo xtask cluster list` shows all"
    )]
    NoSuchCluster(String),
    /// No component of that name.
    #[error("`{cluster}` has no component `{component}`; it has {}", if known.is_empty() { "none of ours".to_owned() } else { known.join(", ") })]
    NoSuchComponent {
        /// The cluster.
        cluster: String,
        /// What was asked for.
        component: String,
        /// Those that it has.
        known: Vec<String>,
    },
    /// The fixture does not work.
    #[error("cluster `{name}` is not healthy: {}; `cargo xtask cluster up --name {name}` repairs it", problems.join("; "))]
    Unhealthy {
        /// Its name.
        name: String,
        /// What is wrong with it.
        problems: Vec<String>,
    },
    /// Something that should have happened on a cluster did not.
    #[error("{0}")]
    Failed(String),
    /// Somebody holds a lease.
    #[error("cluster `{name}` is in use by {holder}; wait for it, or use --force")]
    InUse {
        /// Its name.
        name: String,
        /// Who, since when.
        holder: String,
    },
    /// An external program failed.
    #[error("`{command}` failed ({status}): {output}")]
    Command {
        /// The command line.
        command: String,
        /// Its exit status, or why it could not start.
        status: String,
        /// The end of what it printed.
        output: String,
    },
    /// A program that the fixture needs cannot be had.
    #[error(transparent)]
    Program(#[from] thirdparty::Error),
    /// The API server refused or did not answer.
    #[error("{what}: {source}")]
    Api {
        /// What was asked of it.
        what: String,
        /// What it answered.
        source: Box<kube::Error>,
    },
}

impl Error {
    /// Wraps an IO error with what was tried on which path.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Wraps an API error with what was asked.
    pub fn api(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |source| Self::Api { what, source: Box::new(source) }
    }
}
