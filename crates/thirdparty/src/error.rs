//! What can go wrong, for the user: each text ends with what to do about it.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use crate::cargo_install::CargoError;
use crate::go::GoError;
use crate::outside::OutsideError;
use crate::pins::Pin;
use crate::program::Attempt;
use crate::release::ReleaseError;
use crate::version::VersionError;

/// Why there is no program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No pin has that name.
    #[error("no pinned program is named `{name}`; there are {}", known.join(", "))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The user named a program that cannot be used. Nothing else is tried then: the user meant that one.
    #[error("{variable}={}: {why}\nfix: name an executable {name}, or unset {variable}", path.display())]
    Explicit {
        /// The name of the pin.
        name: String,
        /// The environment variable that names the program.
        variable: String,
        /// Its value, absolute.
        path: PathBuf,
        /// Why it cannot be used.
        why: String,
    },
    /// Every source was passed over.
    #[error("could not get {name} {version}{}\nfix: {fix}", lines(passed_over))]
    Nowhere {
        /// The name of the pin.
        name: String,
        /// The version of the pin.
        version: String,
        /// Every source that was tried, in order.
        passed_over: Vec<Attempt>,
        /// What to do about it.
        fix: String,
    },
    /// Where the module of a program is cannot be told.
    #[error(
        "the Go module of {pin} is not to be found: {why}\nfix: install Go and let it reach a module proxy (GOPROXY)"
    )]
    NoModule {
        /// The program.
        pin: String,
        /// Why not.
        why: String,
    },
    /// The cache directory cannot be worked with.
    #[error("could not {doing}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the system says, with the path.
        #[source]
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io(doing: impl Into<String>, source: io::Error) -> Self {
        Self::Io { doing: doing.into(), source }
    }

    pub(crate) fn explicit(pin: &Pin, path: PathBuf, why: &OutsideError) -> Self {
        Self::Explicit { name: pin.name.clone(), variable: pin.variable(), path, why: chain(why) }
    }

    pub(crate) fn nowhere(pin: &Pin, passed_over: Vec<Attempt>, mut fixes: Vec<String>) -> Self {
        fixes.push(format!("set {}=/path/to/{}", pin.variable(), pin.name));
        let fix = fixes.join(", or ");
        Self::Nowhere { name: pin.name.clone(), version: pin.version.clone(), passed_over, fix }
    }
}

/// Why one source did not give a program.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GetError {
    #[error(transparent)]
    Release(#[from] ReleaseError),
    #[error(transparent)]
    Go(#[from] GoError),
    #[error(transparent)]
    Cargo(#[from] CargoError),
    #[error("what it gave is not to be used")]
    Version(#[from] VersionError),
    #[error("it cannot be put into the cache")]
    Cache(#[from] io::Error),
}

impl GetError {
    /// What the user can do to make this source give the program, when there is something.
    pub(crate) fn fix(&self, pin: &Pin) -> Option<String> {
        match self {
            Self::Release(error) => error.fix(),
            Self::Go(error) => error.fix(),
            Self::Cargo(_) => Some(format!("install {pin} on PATH (https://nexte.st/docs/installation)")),
            Self::Version(_) | Self::Cache(_) => None,
        }
    }
}

/// An error and its causes, on one line.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Some libraries say their cause's text again in their own.
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text.replace('\n', "; ")
}

fn lines(attempts: &[Attempt]) -> String {
    attempts.iter().map(|attempt| format!("\n  {attempt}")).collect()
}
