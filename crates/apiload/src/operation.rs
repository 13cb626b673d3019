//! A request made ready: what is the same every time is built once, so that sending it costs little.

mod build;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use http_body_util::Full;
use serde_json::json;

/// Names that are remembered for deletion; Pods beyond them stay.
const REMEMBERED: usize = 1 << 16;

/// One kind of request of a phase, ready to be sent. A `postDel` is two: one that creates and one that deletes.
#[derive(Debug)]
pub(crate) struct Operation {
    /// Index of its request in the mix.
    pub(crate) entry: usize,
    /// Kind of its request.
    pub(crate) kind: &'static str,
    /// Verb and path, with `:name` where a name changes, as kperf reports it.
    pub(crate) label: Arc<str>,
    /// How its answer is read.
    pub(crate) reads: Reads,
    /// Whether sending it twice changes nothing more than sending it once.
    pub(crate) reads_only: bool,
    /// How many objects its draws are spread over.
    objects: u64,
    effect: Effect,
    method: Method,
    place: Place,
    headers: HeaderMap,
    payload: Payload,
}

/// How an answer is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reads {
    /// To its end, counted in bytes.
    Bytes,
    /// To its end, and a sample of them for the number of objects.
    List,
    /// Up to the bookmark that ends the initial events.
    Events,
}

/// The objects that a `postDel` has created and not yet deleted, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Created(Mutex<VecDeque<u64>>);

/// What an outcome does to the objects of a `postDel`.
#[derive(Clone, Debug)]
enum Effect {
    None,
    Creates(Arc<Created>),
    Deletes(Arc<Created>),
}

#[derive(Debug)]
enum Place {
    Fixed(Uri),
    /// The name is this with the number of the object after it, followed by the rest of the URL.
    Named {
        name: String,
        before: String,
        after: String,
    },
}

#[derive(Debug)]
enum Payload {
    None,
    Fixed(Bytes),
    ConfigMap { namespace: String, name: String, bytes: usize },
    Pod { namespace: String, name: String, labels: BTreeMap<String, String>, padding: String },
}

impl Created {
    /// The oldest, to be deleted.
    pub(crate) fn pop(&self) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    fn push(&self, number: u64) {
        let mut numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if numbers.len() < REMEMBERED {
            numbers.push_back(number);
        }
    }
}

impl Operation {
    /// The objects that a `postDel` has created, shared by its two operations.
    pub(crate) fn created(&self) -> Option<&Arc<Created>> {
        match &self.effect {
            Effect::None => None,
            Effect::Creates(created) | Effect::Deletes(created) => Some(created),
        }
    }

    /// The request for draw `number`, with the headers that prove who asks.
    pub(crate) fn request(&self, number: u64, credentials: &HeaderMap) -> http::Request<Full<Bytes>> {
        let object = number % self.objects;
        let mut request = http::Request::new(Full::new(self.payload.bytes(number, object)));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.place.uri(object);
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().extend(credentials.iter().map(|(name, value)| (name.clone(), value.clone())));
        request
    }

    /// Notes how the request for draw `number` went.
    pub(crate) fn settled(&self, number: u64, success: bool) {
        match &self.effect {
            Effect::Creates(created) if success => created.push(number),
            // What could not be deleted is still there.
            Effect::Deletes(created) if !success => created.push(number),
            _ => {}
        }
    }
}

impl Place {
    fn uri(&self, object: u64) -> Uri {
        match self {
            Self::Fixed(uri) => uri.clone(),
            // Checked once with a number in it when it was built.
            Self::Named { name, before, after } => {
                format!("{before}{name}-{object}{after}").parse().unwrap_or_default()
            }
        }
    }
}

impl Payload {
    fn bytes(&self, number: u64, object: u64) -> Bytes {
        let value = match self {
            Self::None => return Bytes::new(),
            Self::Fixed(bytes) => return bytes.clone(),
            Self::ConfigMap { namespace, name, bytes } => {
                let mut payload = format!("{number:016x}");
                payload.extend(std::iter::repeat_n('x', bytes.saturating_sub(payload.len())));
                payload.truncate(*bytes);
                json!({
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": format!("{name}-{object}"), "namespace": namespace},
                    "data": {"payload": payload},
                })
            }
            Self::Pod { namespace, name, labels, padding } => json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": format!("{name}-{object}"), "namespace": namespace, "labels": labels},
                "spec": {"containers": [{
                    "name": "pause",
                    "image": "pause:3.10",
                    "env": [{"name": "PAYLOAD", "value": padding}],
                }]},
            }),
        };
        value.to_string().into()
    }
}

#[cfg(test)]
mod tests;
