//! What keeps a load from being run at all. What a server does to a request is no error here, but an outcome.

/// A result with the crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a load was not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The plan cannot be run.
    #[error("phase {phase}: {source}")]
    Plan {
        /// Its index, from 0.
        phase: usize,
        /// What is wrong.
        source: PlanError,
    },
    /// The kubeconfig names something that cannot be used.
    #[error("cannot use the cluster {url}: {cause}")]
    Target {
        /// The URL of the apiserver.
        url: String,
        /// What is wrong, and how to put it right.
        cause: String,
    },
    /// Not one connection could be opened when a phase began.
    #[error("no connection to {url}: {cause}")]
    Unreachable {
        /// The URL of the apiserver.
        url: String,
        /// The first failure.
        cause: String,
    },
    /// The operating system refused a thread.
    #[error("cannot start the pacing thread: {0}")]
    Thread(#[source] std::io::Error),
}

/// What is wrong with a phase.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// A number that must be above zero, or a list that must not be empty.
    #[error("`{0}` is 0 or empty: give at least one")]
    Nothing(&'static str),
    /// A field of a request.
    #[error("request {entry} ({kind}): `{field}` {problem}")]
    Request {
        /// Its index in the mix, from 0.
        entry: usize,
        /// Its kind.
        kind: &'static str,
        /// The field, as it is spelled in a profile.
        field: &'static str,
        /// What is wrong with it, and what would be right.
        problem: &'static str,
    },
}
