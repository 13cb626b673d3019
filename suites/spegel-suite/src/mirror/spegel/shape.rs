//! How fast a peer may send.

use cluster::KindNode;
use harness::Result;

/// Bytes that a node may send at once, as for the registry.
const BURST: &str = "128kb";

/// Lets a worker send no more than so many megabits a second, whatever it is.
pub(super) fn shape(worker: &KindNode, mbit: u32) -> Result<()> {
    let rate = format!("{mbit}mbit");
    let tbf =
        ["tc", "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", &rate, "burst", BURST, "latency", "200ms"];
    Ok(worker.run(&tbf).map(drop)?)
}

/// Takes that away; where there is none, nothing is lost.
pub(in crate::mirror) fn unshape(worker: &KindNode) -> Result<()> {
    worker.run(&["sh", "-c", "tc qdisc del dev eth0 root 2>/dev/null || true"])?;
    Ok(())
}
