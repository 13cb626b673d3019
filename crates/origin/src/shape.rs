//! How fast the registry may send, and how fast it does.

use images::{Ending, Entry};

use crate::container::agent;
use crate::docker;
use crate::error::{Error, Result};

/// Bytes that may go out at once. What a transfer of 25 MB gains by it is half a percent; less, and a kernel that looks
/// every 10 ms could not reach 100 Mbit/s.
const BURST: &str = "128kb";

/// Shapes the egress of a container. `tc` is the node image's: it is a program of the nodes' Debian, and the registry's own
/// image has none.
pub(crate) async fn shape(container: &str, node_image: &str, mbit_per_second: u32) -> Result<()> {
    let (network, rate) = (format!("container:{container}"), format!("{mbit_per_second}mbit"));
    let run = ["run", "--rm", "--network", &network, "--cap-add", "NET_ADMIN", "--entrypoint", "tc", node_image];
    let tbf = ["qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", &rate, "burst", BURST, "latency", "200ms"];
    docker(&[&run[..], &tbf].concat()).await.map(drop).map_err(|error| Error::NotShaped(error.to_string()))
}

/// Fetches something and throws it away.
pub(crate) fn fetch(url: &str) -> Result<()> {
    let failed = |error: String| Error::Incomplete(format!("{url} ({error})"));
    let mut answer = agent().get(url).call().map_err(|error| failed(error.to_string()))?;
    let mut body = answer.body_mut().with_config().limit(u64::MAX).reader();
    std::io::copy(&mut body, &mut std::io::sink()).map(drop).map_err(|error| failed(error.to_string()))
}

/// Bytes a second of the one transfer in an account, from the request to the last byte; none when it broke off.
pub(crate) fn rate(entries: &[Entry]) -> Option<f64> {
    let [entry] = entries else { return None };
    let took_us = entry.ended_us.saturating_sub(entry.came_us);
    (entry.ending == Ending::Complete && took_us > 0).then(|| entry.sent_bytes as f64 * 1e6 / took_us as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(ending: Ending) -> Entry {
        let came = Entry::came([127, 0, 0, 1].into(), "GET", String::new(), 1_000_000);
        Entry { status: 200, sent_bytes: 25_000_000, ended_us: 3_000_000, ending, ..came }
    }

    #[test]
    fn a_rate_is_that_of_one_whole_transfer() {
        assert_eq!(rate(&[entry(Ending::Complete)]), Some(12_500_000.0));
        assert_eq!(rate(&[entry(Ending::BrokenOff)]), None);
        assert_eq!(rate(&[entry(Ending::Complete), entry(Ending::Complete)]), None);
    }
}
