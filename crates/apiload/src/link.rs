//! The transports of a phase: each one connection at a time, opened again when it is lost.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::connect::{Connector, Opened, Sender};
use crate::failure::Failed;

/// How long after a failure no other attempt is made. Without it, a server that is down would be dialled once for every
/// request.
const PAUSE: Duration = Duration::from_millis(100);

/// The transports of a phase.
#[derive(Debug)]
pub(crate) struct Links {
    connector: Connector,
    links: Vec<Mutex<State>>,
}

#[derive(Debug)]
enum State {
    /// No connection that could be shared.
    Empty,
    Open(Sender),
    Failed(Instant, Failed),
}

/// A sender, and what its connection took where it was opened for this.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) sender: Sender,
    pub(crate) opened: Option<(Duration, Option<Duration>)>,
}

impl Links {
    pub(crate) fn new(connector: Connector, count: usize) -> Self {
        Self { connector, links: (0..count).map(|_| Mutex::new(State::Empty)).collect() }
    }

    /// A sender on the open connection of client `client`, which is on transport `client mod count`. Of those who ask at
    /// once, one opens it and the others wait for that.
    pub(crate) async fn sender(&self, client: usize) -> Result<Taken, Failed> {
        let mut state = self.links[client % self.links.len()].lock().await;
        match &*state {
            State::Open(sender) if !sender.is_closed() => {
                if let Some(sender) = sender.share() {
                    return Ok(Taken { sender, opened: None });
                }
            }
            State::Failed(at, failed) if at.elapsed() < PAUSE => return Err(failed.clone()),
            _ => {}
        }
        match self.connector.open().await {
            Ok(Opened { sender, connect, tls }) => {
                *state = sender.share().map_or(State::Empty, State::Open);
                Ok(Taken { sender, opened: Some((connect, tls)) })
            }
            Err(failed) => {
                *state = State::Failed(Instant::now(), failed.clone());
                Err(failed)
            }
        }
    }
}
