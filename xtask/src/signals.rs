//! The signals by which a command is ended, and what that means for a cluster that it brings up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cluster::{Provider, Shell, Up, UpRequest};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::ctx::{Ctx, say};
use crate::exit::Failure;

/// SIGINT, which is Ctrl-C, and SIGTERM.
pub(crate) struct Signals {
    pub(crate) interrupt: Signal,
    pub(crate) terminate: Signal,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::environment(format!("cannot take signals: {error}")));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Brings a cluster up. A signal ends what was begun, and is an error.
pub(crate) async fn up(ctx: &Ctx, provider: &dyn Provider, request: &UpRequest) -> Result<Up, Failure> {
    let mut signals = Signals::listen()?;
    let interrupted = Arc::new(AtomicBool::new(false));
    let shell = Shell::until(Arc::clone(&interrupted));
    // A provider works on this thread: the signal comes to another.
    let listening = tokio::spawn(async move {
        signals.next().await;
        interrupted.store(true, Ordering::Relaxed);
    });
    let up = ctx.fixtures().up(provider, request, &shell, &say).await;
    listening.abort();
    Ok(up?)
}
