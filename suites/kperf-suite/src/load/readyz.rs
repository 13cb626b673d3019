//! What the shortest way through the apiserver takes, in the same seconds as the load.

use std::time::{Duration, Instant};

use kube::Client;
use measure::stats::Hdr;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Asked before the load, and again after it.
const AROUND: usize = 50;
/// How often it is asked beside the load: a hundredth of what a load of 100 requests/s costs.
const EVERY: Duration = Duration::from_millis(50);

/// Bare `/readyz` round trips on a connection of their own.
#[derive(Debug)]
pub(super) struct Readyz {
    asking: JoinHandle<Hdr>,
    stop: CancellationToken,
}

impl Readyz {
    pub(super) fn start(client: Client) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let asking = tokio::spawn(async move {
            let mut times = Hdr::default();
            for _ in 0..AROUND {
                ask(&client, &mut times).await;
            }
            let mut ticks = tokio::time::interval(EVERY);
            while stopped.run_until_cancelled(ticks.tick()).await.is_some() {
                ask(&client, &mut times).await;
            }
            for _ in 0..AROUND {
                ask(&client, &mut times).await;
            }
            times
        });
        Self { asking, stop }
    }

    /// The round trips that were answered well.
    pub(super) async fn stop(self) -> Hdr {
        self.stop.cancel();
        self.asking.await.unwrap_or_default()
    }
}

async fn ask(client: &Client, times: &mut Hdr) {
    let Ok(request) = http::Request::get("/readyz").body(Vec::new()) else { return };
    let asked = Instant::now();
    if client.request_text(request).await.is_ok() {
        times.record(asked.elapsed());
    }
}
