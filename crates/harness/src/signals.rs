//! The signals by which a test is ended.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{Error, Result};

/// SIGINT and SIGTERM, by which nextest ends a test.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).map_err(|error| Error::Environment(format!("cannot take signals: {error}")));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    pub(crate) async fn next(&mut self) -> String {
        tokio::select! {
            _ = self.interrupt.recv() => "interrupted by SIGINT".to_owned(),
            _ = self.terminate.recv() => "interrupted by SIGTERM (nextest's time limit, or a run that was ended)".to_owned(),
        }
    }
}
