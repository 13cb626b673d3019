//! What keeps a command from doing what it was asked for.

use std::path::{Path, PathBuf};

use crate::exit::Exit;
use crate::profile::{OverrideError, ProfileError};

/// A result with the crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a command could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A profile or a spec was refused.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// Flags were refused.
    #[error(transparent)]
    Overrides(#[from] OverrideError),
    /// A phase that would never send anything.
    #[error(transparent)]
    Schedule(#[from] measure::ScheduleError),
    /// A load that cannot work, with every reason.
    #[error("this load cannot work: {}", .0.join("; "))]
    Refused(Vec<String>),
    /// An argument that means nothing.
    #[error("{0}")]
    Usage(String),
    /// The cluster does not have what was asked for.
    #[error("{0}")]
    Unsupported(String),
    /// The kubeconfig cannot be used, or the cluster cannot be reached.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// The load could not begin.
    #[error(transparent)]
    Load(#[from] apiload::Error),
    /// The apiserver refused something.
    #[error("{what}: {}", cluster::answer(source))]
    Api {
        /// What was asked.
        what: String,
        /// What it answered.
        source: Box<kube::Error>,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something did not happen in time.
    #[error("{0}")]
    TimedOut(String),
}

impl Error {
    /// Wraps an API error with what was asked.
    pub(crate) fn api(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |source| Self::Api { what, source: Box::new(source) }
    }

    /// Wraps an IO error with the file.
    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Write { path, source }
    }

    /// Whether it is what was asked for that is wrong, so that asking again changes nothing.
    pub(crate) fn is_usage(&self) -> bool {
        self.exit() == Exit::Usage
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Profile(_)
            | Self::Overrides(_)
            | Self::Schedule(_)
            | Self::Refused(_)
            | Self::Usage(_)
            | Self::Cluster(cluster::Error::BadKubeconfig { .. } | cluster::Error::NoCurrentContext { .. })
            | Self::Load(apiload::Error::Plan { .. }) => Exit::Usage,
            Self::Unsupported(_) => Exit::Unsupported,
            Self::TimedOut(_) => Exit::NotMeasured,
            Self::Cluster(_) | Self::Load(_) | Self::Api { .. } | Self::Write { .. } => Exit::Environment,
        }
    }
}
