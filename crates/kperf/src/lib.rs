//! kperf's command line and files on an engine that tells the truth when the server stalls.
//!
//! The commands, flags, profiles and results are those of Azure/kperf, so that what is written for it runs here. What is
//! measured differs: a latency starts when the request was due ([`apiload`]), failures and timeouts are in it, each phase
//! gets its own connections, and memory does not grow with the number of requests.

mod access;
mod columns;
mod error;
mod exit;
pub mod lint;
pub mod nodepool;
mod objects;
pub mod profile;
pub mod report;
pub mod runner;
pub mod runnergroup;

pub use access::{access, client};
pub use error::{Error, Result};
pub use exit::Exit;
pub use profile::{LoadProfile, ProfileError, Sending};

/// Writes to stdout.
///
/// # Errors
/// When nobody reads it, or its disk is full.
pub fn print(text: &str) -> Result<()> {
    use std::io::Write as _;
    std::io::stdout().write_all(text.as_bytes()).map_err(Error::write(std::path::Path::new("stdout")))
}

/// A line on stderr.
pub fn say(line: &str) {
    use std::io::Write as _;
    writeln!(std::io::stderr(), "{line}").ok();
}
