//! What can go wrong, for the user.

use std::io;
use std::path::{Path, PathBuf};

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no registry, or no account of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Docker or a node failed.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// An image could not be made or pushed.
    #[error(transparent)]
    Image(#[from] images::Error),
    /// The container could not be started.
    #[error("the registry's container: {0}")]
    Container(#[from] testcontainers::TestcontainersError),
    /// A file cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The setup script did not bring the registry's image.
    #[error(
        "{0} is not set: nextest's setup script sets it; run `cargo nextest run -p SUITE` or `cargo xtask run SUITE`"
    )]
    NoImage(&'static str),
    /// The registry does not answer.
    #[error("the registry at {address} does not answer within {seconds} s; look at `docker logs {container}`")]
    Silent {
        /// Where it should.
        address: String,
        /// For how long it was asked.
        seconds: u64,
        /// How to find it.
        container: &'static str,
    },
    /// The egress cannot be shaped here.
    #[error("the registry's egress cannot be shaped: {0}; the kernel needs `sch_tbf`")]
    NotShaped(String),
    /// A transfer that ended early.
    #[error("{0} did not come whole, so there is no goodput")]
    Incomplete(String),
    /// Requests that do not end.
    #[error("{0} requests to the registry are still open")]
    Open(u64),
    /// Something is not what it has to be.
    #[error("{0}")]
    Name(String),
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
