//! What an instance logs of the requests of its own node's containerd.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

/// The handler that looks for a peer; the others serve what the node itself holds.
const MIRROR: &str = "mirror";

/// What a node's containerd asked peers for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// Digests that a peer had, of manifests and blobs, in the order in which they were answered.
    pub(super) hits: Vec<String>,
    /// How long it took to say that no peer had something, of each request.
    pub(super) misses: Vec<Duration>,
}

/// A line about a request, in part.
#[derive(Debug, Deserialize)]
struct Line {
    time: Timestamp,
    #[serde(default)]
    path: String,
    #[serde(default)]
    status: u16,
    #[serde(default)]
    method: String,
    #[serde(default)]
    latency: String,
    #[serde(default)]
    handler: String,
}

/// What was answered after a moment.
pub(super) fn asked(log: &str, since: Timestamp) -> Asked {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
    let mut asked = Asked::default();
    for line in lines.filter(|line| line.handler == MIRROR && line.time > since) {
        match line.status {
            200..300 if line.method == "GET" => asked.hits.extend(digest(&line.path)),
            404 => asked.misses.extend(duration(&line.latency)),
            _ => (),
        }
    }
    asked
}

fn digest(path: &str) -> Option<String> {
    let name = path.split('?').next()?.rsplit('/').next()?;
    name.starts_with("sha256:").then(|| name.to_owned())
}

/// A duration as Go prints it.
fn duration(text: &str) -> Option<Duration> {
    text.parse::<SignedDuration>().ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(second: u32, path: &str, status: u16, method: &str, handler: &str) -> String {
        let fields = serde_json::json!({
            "time": format!("2026-11-27T10:00:{second:02}.123456789Z"), "level": "DEBUG", "msg": "", "path": path,
            "status": status, "method": method, "latency": "3.25ms", "ip": "172.18.0.3", "handler": handler,
            "registry": "origin.test",
        });
        fields.to_string()
    }

    #[test]
    fn what_a_peer_had_is_told_from_what_none_had() {
        let log = [
            line(1, "/v2/a/manifests/sha256:0", 200, "GET", "mirror"),
            line(3, "/v2/a/manifests/v1", 200, "HEAD", "mirror"),
            line(3, "/v2/a/manifests/sha256:1", 200, "GET", "mirror"),
            line(3, "/v2/a/blobs/sha256:2?ns=origin.test", 206, "GET", "mirror"),
            line(3, "/v2/a/blobs/sha256:3", 404, "GET", "mirror"),
            line(3, "/v2/a/blobs/sha256:4", 200, "GET", "blob"),
            "no json".to_owned(),
        ];
        let asked = asked(&log.join("\n"), "2026-11-27T10:00:02Z".parse().unwrap());
        assert_eq!(asked.hits, ["sha256:1", "sha256:2"]);
        assert_eq!(asked.misses, [Duration::from_micros(3_250)]);
    }
}
