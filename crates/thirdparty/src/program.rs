//! What is handed back: a program that can be run, and how it was come by.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A program that is there and has told its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Program {
    /// The name of its pin.
    pub name: String,
    /// The first line of what it prints about its version.
    pub version: String,
    /// The version of its pin.
    pub pinned_version: String,
    /// Where it is, absolute.
    pub path: PathBuf,
    /// Where it was found by this call.
    pub source: Source,
    /// Where it came from once, when `source` is the cache.
    pub origin: Option<Source>,
    /// What was tried before `source`, in order.
    pub passed_over: Vec<Attempt>,
    /// The sha256 of the program, in hex.
    pub sha256: String,
    /// Whether it is another version than the pinned one. Only a program that the user chose can be.
    pub deviates: bool,
}

/// A place that a program can come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// `KUBEDYNO_<TOOL>`.
    #[serde(rename = "explicit")]
    Explicit,
    /// A directory on `PATH`.
    #[serde(rename = "PATH")]
    Path,
    /// The cache, which holds what one of the following sources gave.
    #[serde(rename = "cache")]
    Cache,
    /// The project's own build.
    #[serde(rename = "release")]
    Release,
    /// A build from a pinned Go module.
    #[serde(rename = "go modules")]
    GoModules,
    /// A build from crates.io.
    #[serde(rename = "cargo install")]
    CargoInstall,
}

/// A source that was tried and did not give the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// The source.
    pub source: Source,
    /// Why it did not, one line.
    pub why: String,
}

impl Attempt {
    pub(crate) fn new(source: Source, why: impl Into<String>) -> Self {
        Self { source, why: why.into() }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Explicit => "explicit",
            Self::Path => "PATH",
            Self::Cache => "cache",
            Self::Release => "release",
            Self::GoModules => "go modules",
            Self::CargoInstall => "cargo install",
        })
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.why)
    }
}
