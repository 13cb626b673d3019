//! Failures, as kperf names them.

use std::collections::BTreeMap;
use std::time::Duration;

use apiload::{Counts, Failure, PhaseOutcome};
use serde::{Deserialize, Serialize};

use super::Format;

/// Counts of failures, in one of the two spellings that kperf has had.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum ErrorStats {
    /// Up to v0.1.6.
    Nested(Nested),
    /// From v0.1.7 on: by type and code or message.
    Map(BTreeMap<String, u64>),
}

#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Nested {
    /// What has no kind, in words.
    unknown_errors: Vec<String>,
    net_errors: BTreeMap<String, u64>,
    response_codes: BTreeMap<u16, u64>,
    http2_errors: Http2Errors,
}

#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Http2Errors {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    connection_errors: BTreeMap<String, u64>,
}

/// One failure, as with `--raw-data`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ResponseError {
    method: String,
    url: String,
    timestamp: String,
    /// Seconds.
    duration: f64,
    #[serde(rename = "type")]
    kind: String,
    code: u16,
    message: String,
}

/// Type, and code or message, of a failure; a timeout is none of ours and has its own.
fn named(failure: Option<Failure>) -> (&'static str, u16, &'static str) {
    match failure {
        Some(Failure::Status(code)) => ("http", code, ""),
        Some(Failure::GoAway) => ("http2-protocol", 0, "http2: server sent GOAWAY and closed the connection"),
        Some(Failure::Connect) => ("connection", 0, "no connection"),
        Some(Failure::Tls) => ("connection", 0, "TLS handshake failed"),
        Some(Failure::Reset) => ("connection", 0, "connection reset by peer"),
        Some(Failure::Body) => ("connection", 0, "unexpected EOF"),
        Some(Failure::Protocol) => ("unknown", 0, "not HTTP"),
        None => ("connection", 0, "timeout"),
    }
}

impl ErrorStats {
    pub(super) fn of(counts: &Counts, format: Format) -> Self {
        let failed = counts.failed.iter().map(|(failure, n)| (named(Some(*failure)), *n));
        let timed_out = (counts.timed_out > 0).then(|| (named(None), counts.timed_out));
        let all = failed.chain(timed_out);
        if format != Format::V015 {
            let key = |(kind, code, message): (&str, u16, &str)| match code {
                0 => format!("{kind}/{message}"),
                code => format!("{kind}/{code}"),
            };
            return Self::Map(all.map(|(name, n)| (key(name), n)).collect());
        }
        let mut nested = Nested::default();
        for ((kind, code, message), n) in all {
            match kind {
                "http" => _ = nested.response_codes.insert(code, n),
                "http2-protocol" => _ = nested.http2_errors.connection_errors.insert(message.to_owned(), n),
                "connection" => _ = nested.net_errors.insert(message.to_owned(), n),
                _ => nested.unknown_errors.push(format!("{message} ({n} times)")),
            }
        }
        Self::Nested(nested)
    }

    /// kperf leaves an empty map out, and writes the four kinds always.
    pub(super) fn is_left_out(&self) -> bool {
        matches!(self, Self::Map(map) if map.is_empty())
    }
}

impl ResponseError {
    /// The failures that were kept in full, which are the first ones.
    pub(super) fn all(base: &str, phase: &PhaseOutcome) -> impl Iterator<Item = Self> {
        phase.failures.iter().map(move |sample| {
            let label = phase.rows.get(sample.operation).map(|row| row.label.as_str()).unwrap_or_default();
            let (method, path) = label.split_once(' ').unwrap_or_default();
            let (kind, code, _) = named(sample.failure);
            let at = phase.started_unix_s + Duration::try_from_secs_f64(sample.at_s).unwrap_or_default();
            Self {
                method: method.to_owned(),
                url: format!("{base}{path}"),
                timestamp: jiff::Timestamp::try_from(at).map(|at| at.to_string()).unwrap_or_default(),
                duration: sample.response_ms / 1e3,
                kind: kind.to_owned(),
                code,
                message: if code == 0 { sample.message.clone() } else { String::new() },
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn counts() -> Counts {
        let failed = [
            (Failure::Status(429), 7),
            (Failure::Status(404), 1),
            (Failure::GoAway, 2),
            (Failure::Reset, 3),
            (Failure::Protocol, 4),
        ];
        Counts { failed: failed.into(), timed_out: 5, ..Counts::default() }
    }

    #[test]
    fn failures_are_named_as_up_to_v0_1_6() {
        let stats = serde_json::to_value(ErrorStats::of(&counts(), Format::V015)).unwrap();
        let expected = json!({
            "unknownErrors": ["not HTTP (4 times)"],
            "netErrors": {"connection reset by peer": 3, "timeout": 5},
            "responseCodes": {"404": 1, "429": 7},
            "http2Errors": {"connectionErrors": {"http2: server sent GOAWAY and closed the connection": 2}},
        });
        assert_eq!(stats, expected);
    }

    #[test]
    fn failures_are_named_as_from_v0_1_7_on() {
        let stats = serde_json::to_value(ErrorStats::of(&counts(), Format::V035)).unwrap();
        let expected = json!({
            "http/404": 1,
            "http/429": 7,
            "http2-protocol/http2: server sent GOAWAY and closed the connection": 2,
            "connection/connection reset by peer": 3,
            "connection/timeout": 5,
            "unknown/not HTTP": 4,
        });
        assert_eq!(stats, expected);
    }

    #[test]
    fn no_failure_is_four_empty_kinds_or_nothing() {
        let none = Counts::default();
        let document = json!({"unknownErrors": [], "netErrors": {}, "responseCodes": {}, "http2Errors": {}});
        assert_eq!(serde_json::to_value(ErrorStats::of(&none, Format::V015)).unwrap(), document);
        assert!(ErrorStats::of(&none, Format::V034).is_left_out());
    }
}
