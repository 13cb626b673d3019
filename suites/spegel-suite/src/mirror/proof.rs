//! Proof that a mirror works: a mirror that is silently passed over looks like none at all.

use std::time::{Duration, Instant};

use cluster::KindNode;
use harness::{Error, Result};
use images::{Fault, Rule, Spec};
use origin::Origin;
use pulls::broken;

/// The image that is pulled for it, small and of its own content.
const IMAGE: &str = "proof:1";
const SEED: u64 = 9_000_001;
const BYTES: u64 = 100_000;
/// How long a mirror may take until it serves what a node has pulled: peers have to hear of it first.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(250);

/// Lets one node pull an image, takes the registry away from everybody, and lets another node pull it: only the mirror can serve
/// that. Returns how long the mirror took to.
///
/// # Errors
/// When the second node cannot pull it.
pub(super) async fn only_the_mirror_can_serve(origin: &Origin, workers: &[KindNode]) -> Result<Duration> {
    let [first, .., last] = workers else {
        return Err(Error::Environment("a mirror is proven between two workers, and there are fewer".to_owned()));
    };
    let spec = Spec::even(SEED, BYTES, 1).map_err(|error| Error::Environment(error.to_string()))?;
    let image = origin.push(IMAGE, &spec).await.map_err(broken)?;
    let name = image.reference.whole();
    pull(first, &name)?;
    origin.proxy().faults.inject(Rule::every(Fault::Status { status: 503, retry_after_s: None }));
    let served = served(last, &name).await;
    origin.proxy().faults.heal();
    // What it took is none of the trial's.
    origin.account().await.map_err(broken)?;
    served
}

async fn served(node: &KindNode, image: &str) -> Result<Duration> {
    let started = Instant::now();
    loop {
        match pull(node, image) {
            Ok(()) => return Ok(started.elapsed()),
            Err(error) if started.elapsed() > PATIENCE => {
                let waited = PATIENCE.as_secs();
                let what = "the mirror does not serve what a node has pulled: with the registry taken away";
                return Err(Error::Environment(format!("{what}, a pull fails for {waited} s: {error}")));
            }
            Err(_) => tokio::time::sleep(LOOK).await,
        }
    }
}

/// Pulls as somebody on the node does, by the same `hosts.toml` as its kubelet.
fn pull(node: &KindNode, image: &str) -> Result<()> {
    let pull = ["ctr", "--namespace", "k8s.io", "images", "pull", "--hosts-dir", "/etc/containerd/certs.d", image];
    Ok(node.run(&pull).map(drop)?)
}
