//! What kperf's forms need of a phase: small enough to be stored, and added up without a loss.

use std::collections::BTreeMap;
use std::time::Duration;

use apiload::{Counts, PhaseOutcome};
use measure::stats::Hdr;
use serde::{Deserialize, Serialize};

use super::errors::ResponseError;

/// A phase of one runner, or of several.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Part {
    /// How long it took.
    pub(super) elapsed: Duration,
    /// Why its latencies cannot be trusted.
    pub(super) invalid: Vec<String>,
    /// The first failures in full, where they are wanted.
    pub(super) errors: Vec<ResponseError>,
    /// Each request, by verb, path and query.
    pub(super) requests: BTreeMap<String, Requests>,
}

/// What came of one request of a profile.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Requests {
    pub(super) counts: Counts,
    /// Response times of all that have one.
    #[serde(with = "in_base64")]
    pub(super) response: Hdr,
    /// Service times of those that were answered well.
    #[serde(with = "in_base64")]
    pub(super) service: Hdr,
}

impl Part {
    /// What kperf's forms need of `phase` of a load on `target`.
    pub fn of(target: &str, phase: &PhaseOutcome, errors: bool) -> Self {
        let mut requests = BTreeMap::<String, Requests>::new();
        for row in &phase.rows {
            let response = row.times().response;
            let one = Requests { counts: row.counts.clone(), response, service: row.completed.service.clone() };
            requests.entry(row.label.clone()).or_default().add(&one);
        }
        Self {
            elapsed: phase.elapsed,
            invalid: phase.invalid.iter().cloned().collect(),
            errors: if errors { ResponseError::all(target, phase).collect() } else { Vec::new() },
            requests,
        }
    }

    /// Adds the same phase of another runner, which ran at the same time.
    pub fn add_beside(&mut self, other: &Self) {
        self.add(other, self.elapsed.max(other.elapsed));
    }

    /// Adds the next phase.
    pub fn add_after(&mut self, other: &Self) {
        self.add(other, self.elapsed + other.elapsed);
    }

    fn add(&mut self, other: &Self, elapsed: Duration) {
        self.elapsed = elapsed;
        self.invalid.extend_from_slice(&other.invalid);
        self.errors.extend_from_slice(&other.errors);
        for (label, requests) in &other.requests {
            self.requests.entry(label.clone()).or_default().add(requests);
        }
    }
}

impl Requests {
    pub(super) fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.response.merge(&other.response);
        self.service.merge(&other.service);
    }
}

/// A histogram as text: compressed, and in base64.
mod in_base64 {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use measure::stats::Hdr;
    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(hdr: &Hdr, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(hdr.encode().map_err(S::Error::custom)?))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Hdr, D::Error> {
        let bytes = STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)?;
        Hdr::decode(&bytes).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(label: &str, millis: std::ops::Range<u64>) -> Part {
        let mut requests = Requests::default();
        requests.counts.offered = millis.end - millis.start;
        requests.counts.completed = requests.counts.offered;
        for n in millis {
            requests.response.record(Duration::from_millis(n));
            requests.service.record(Duration::from_millis(n / 2));
        }
        let requests = BTreeMap::from([(label.to_owned(), requests)]);
        Part { elapsed: Duration::from_secs(3), requests, ..Part::default() }
    }

    #[test]
    fn parts_of_runners_add_up_to_what_one_would_have_seen_after_they_were_stored() {
        let stored: Vec<Part> = [part("LIST /a", 1..501), part("LIST /a", 501..1_001)]
            .iter()
            .map(|part| serde_json::from_str(&serde_json::to_string(part).unwrap()).unwrap())
            .collect();
        let mut merged = stored[0].clone();
        merged.add_beside(&stored[1]);
        let (both, one) = (&merged.requests["LIST /a"], &part("LIST /a", 1..1_001).requests["LIST /a"]);
        assert_eq!(both.counts, one.counts);
        for p in [0.0, 0.5, 0.9, 0.99, 1.0] {
            assert_eq!(both.response.nearest_rank(p, 0), one.response.nearest_rank(p, 0));
            assert_eq!(both.service.nearest_rank(p, 0), one.service.nearest_rank(p, 0));
        }
        assert_eq!(merged.elapsed, Duration::from_secs(3));
        merged.add_after(&part("GET /b", 1..2));
        assert_eq!((merged.elapsed, merged.requests.len()), (Duration::from_secs(6), 2));
    }
}
