//! What came of one operation, or of all of them together.

use measure::stats::Hdr;
use serde::{Serialize, Serializer};

use crate::summary::Summary;
use crate::tally::Counts;

/// What came of one operation of a phase. A `postDel` has two, one that creates and one that deletes.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Index of its request in the mix.
    pub entry: usize,
    /// Kind of its request.
    pub kind: &'static str,
    /// Verb, path and query, with `:name` where the name changes.
    pub label: String,
    /// How many went which way.
    pub counts: Counts,
    /// Times of the requests that completed.
    pub completed: Times,
    /// Times of those that failed or timed out.
    pub failed: Times,
    /// From sent to the first byte of the answer, of those that completed.
    pub first_byte: Hdr,
    /// Of a streaming list, from sent to the first object.
    pub first_object: Hdr,
    /// Of a streaming list, from sent to the last object.
    pub last_object: Hdr,
    /// Objects in an answer.
    pub objects: Objects,
}

/// The two columns.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// From intended to done: what a user feels.
    pub response: Hdr,
    /// From sent to done: what the server did. A request that never had a connection has none.
    pub service: Hdr,
}

/// How many objects the answers had: of a list by a sample of one a second, of a streaming list by all.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Objects {
    /// Answers that were looked at.
    pub answers: u64,
    /// The fewest in one.
    pub min: u64,
    /// The most in one.
    pub max: u64,
}

impl Row {
    /// The times of all requests that have any, failures and timeouts among them.
    pub fn times(&self) -> Times {
        let mut times = self.completed.clone();
        times.add(&self.failed);
        times
    }

    /// Adds what came of other requests. Label, kind and entry stay.
    pub fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.completed.add(&other.completed);
        self.failed.add(&other.failed);
        self.first_byte.merge(&other.first_byte);
        self.first_object.merge(&other.first_object);
        self.last_object.merge(&other.last_object);
        self.objects.add(other.objects);
    }
}

impl Times {
    /// Adds the times of other requests.
    pub fn add(&mut self, other: &Self) {
        self.response.merge(&other.response);
        self.service.merge(&other.service);
    }
}

impl Objects {
    pub(crate) fn one(objects: u64) -> Self {
        Self { answers: 1, min: objects, max: objects }
    }

    pub(crate) fn add(&mut self, other: Self) {
        *self = match (self.answers, other.answers) {
            (_, 0) => *self,
            (0, _) => other,
            (a, b) => Self { answers: a + b, min: self.min.min(other.min), max: self.max.max(other.max) },
        };
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Figures<'a> {
            entry: usize,
            kind: &'a str,
            label: &'a str,
            counts: &'a Counts,
            response: Summary,
            service: Summary,
            failed_response: Summary,
            failed_service: Summary,
            first_byte: Summary,
            #[serde(skip_serializing_if = "Option::is_none")]
            first_object: Option<Summary>,
            #[serde(skip_serializing_if = "Option::is_none")]
            last_object: Option<Summary>,
            objects: Objects,
        }
        let times = self.times();
        let unknown = self.counts.unknown();
        let some = |latencies: &Hdr| (latencies.count() > 0).then(|| Summary::of(latencies, 0));
        Figures {
            entry: self.entry,
            kind: self.kind,
            label: &self.label,
            counts: &self.counts,
            response: Summary::of(&times.response, unknown),
            service: Summary::of(&times.service, unknown),
            failed_response: Summary::of(&self.failed.response, 0),
            failed_service: Summary::of(&self.failed.service, 0),
            first_byte: Summary::of(&self.first_byte, 0),
            first_object: some(&self.first_object),
            last_object: some(&self.last_object),
            objects: self.objects,
        }
        .serialize(serializer)
    }
}
