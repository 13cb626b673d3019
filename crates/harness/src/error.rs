//! What ends a driver before its last phase.

use measure::Verdict;

/// A result with the crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a trial could not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The test was started without its fixture, its files or its rights.
    #[error("{0}")]
    Environment(String),
    /// A bad `budgets.toml` or `parameters.toml`.
    #[error(transparent)]
    Data(#[from] measure::BudgetError),
    /// The fixture could not be adopted.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// A result could not be written.
    #[error(transparent)]
    Record(#[from] record::Error),
    /// The apiserver refused what the driver asked for.
    #[error("{what}: {}", cluster::answer(source))]
    Api {
        /// What was asked.
        what: String,
        /// What it answered.
        source: Box<kube::Error>,
    },
    /// A phase did not complete; its record says how it ended.
    #[error("{phase}: {end}")]
    Phase {
        /// The phase.
        phase: String,
        /// How it ended.
        end: String,
        /// The verdict that this forces.
        verdict: Verdict,
    },
}

impl Error {
    /// Wraps an API error with what was asked.
    pub fn api(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |source| Self::Api { what, source: Box::new(source) }
    }

    /// What it says, as the beginning of the sentence that explains a verdict: what ended a trial between its phases names none.
    pub(crate) fn sentence(&self) -> String {
        self.to_string().trim_start_matches(": ").to_owned()
    }

    /// The verdict of a trial that this error ended.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Phase { verdict, .. } => *verdict,
            _ => Verdict::NoData,
        }
    }
}
