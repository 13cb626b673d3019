//! What can go wrong, for the user.

use std::io;

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no image, or none in the registry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A spec that makes no image.
    #[error("{0}")]
    Spec(String),
    /// A file cannot be read or written.
    #[error("could not {doing}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A file of an image layout is not what it should be.
    #[error("{path} is not of an OCI image layout: {why}\nfix: remove the directory; it is made again")]
    Layout {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The registry could not be asked.
    #[error("could not {doing}\nfix: start the registry, or look at its log")]
    Unreachable {
        /// What was being done.
        doing: String,
        /// Why not.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The registry said no.
    #[error("could not {doing}: the registry answers {status}: {said}")]
    Refused {
        /// What was being done.
        doing: String,
        /// The status of its answer.
        status: u16,
        /// The beginning of its answer.
        said: String,
    },
}

impl Error {
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}
