//! The exit codes, which are a public interface: the numbers are those of `cargo xtask`.

use std::process::ExitCode;

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// What was asked for was done. Requests that failed are a result, not an error.
    Done = 0,
    /// The command line, a profile or a spec is wrong.
    Usage = 2,
    /// The cluster cannot be reached or used, or a file cannot be written.
    Environment = 3,
    /// The load ran, and its latencies say nothing: it was stopped, a runner of its group was lost, the generator was late, or
    /// no request was answered.
    NotMeasured = 11,
    /// Nothing was sent.
    NothingRan = 12,
    /// The cluster does not have what was asked for.
    Unsupported = 13,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
