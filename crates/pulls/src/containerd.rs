//! What a node's containerd says of its pulls, in its log: when each began and ended, by the clock of this machine.

use std::time::{Duration, SystemTime};

use cluster::KindNode;
use harness::Result;
use jiff::Timestamp;

use crate::events::duration;

/// A pull as containerd tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// When it began, in microseconds since 1970.
    pub began_us: u64,
    /// When all of it was there and unpacked.
    pub ended_us: u64,
}

/// The pulls of an image that a node's containerd has ended since a moment, in the order in which they began.
///
/// # Errors
/// When the node does not run.
pub fn spans(node: &KindNode, image: &str, since: SystemTime) -> Result<Vec<Span>> {
    let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let since = format!("@{since}");
    let journal = ["journalctl", "--unit", "containerd", "--output", "cat", "--no-pager", "--since", &since];
    Ok(of_log(&node.run(&journal)?, image))
}

/// Reads them from a log: `time="…" level=info msg="Pulled image \"X\" with image id … in 1.2s"`.
fn of_log(log: &str, image: &str) -> Vec<Span> {
    let head = format!("msg=\"Pulled image \\\"{image}\\\" with image id ");
    let span = |line: &str| {
        let time = line.strip_prefix("time=\"")?.split('"').next()?;
        let message = line.split_once(&head)?.1;
        let took: Duration = duration(message.rsplit_once(" in ")?.1.split('"').next()?)?;
        let ended_us = u64::try_from(time.parse::<Timestamp>().ok()?.as_microsecond()).ok()?;
        Some(Span { began_us: ended_us.saturating_sub(took.as_micros() as u64), ended_us })
    };
    let mut spans: Vec<Span> = log.lines().filter_map(span).collect();
    spans.sort_unstable_by_key(|span| span.began_us);
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = r#"time="2026-11-27T15:00:02.500000000Z" level=info msg="PullImage \"origin.test/a:1\""
time="2026-11-27T15:00:04.500000000Z" level=info msg="stop pulling image origin.test/a:1: active requests=0, bytes read=10691"
time="2026-11-27T15:00:05.000000000Z" level=info msg="Pulled image \"origin.test/a:1\" with image id \"sha256:1\", repo tag \"origin.test/a:1\", repo digest \"origin.test/a@sha256:2\", size \"10691\" in 2.5s"
time="2026-11-27T15:00:06.000000000Z" level=info msg="Pulled image \"origin.test/b:1\" with image id \"sha256:1\", repo tag \"x\", repo digest \"y\", size \"1\" in 1ms"
time="2026-11-27T15:00:07.000000000Z" level=info msg="PullImage \"origin.test/a:1\" returns image reference \"sha256:1\""
"#;

    #[test]
    fn a_pull_is_read_from_the_line_that_ends_it() {
        let [span] = of_log(LOG, "origin.test/a:1")[..] else { panic!("one pull of that image") };
        assert_eq!(span.ended_us - span.began_us, 2_500_000);
        assert_eq!(span.ended_us % 60_000_000, 5_000_000);
        assert_eq!(of_log(LOG, "origin.test/c:1"), []);
    }
}
