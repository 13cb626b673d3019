//! How long this crate waits for others.

use std::time::Duration;

/// Time limits. Values, so that a test need not wait as long as a user would.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// For a name to be resolved, and as long again for the connection.
    pub(crate) connect: Duration,
    /// For the next byte of a download. There is no limit on the whole of it: networks may be slow.
    pub(crate) stall: Duration,
    /// For a program to tell its version. They take 0.1 s; a busy machine takes longer.
    pub(crate) version: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(3), stall: Duration::from_secs(30), version: Duration::from_secs(20) }
    }
}
