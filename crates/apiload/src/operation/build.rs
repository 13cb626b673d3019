//! From a request of the mix to its operations: method, URL, headers and body.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Uri};
use measure::go_duration;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Effect, Operation, Payload, Place, Reads};
use crate::error::{Error, Result};
use crate::plan::{Phase, Plan, Protocol};
use crate::request::{PatchType, Request};
use crate::target::Target;

/// What stays as it is in a segment of a path, as in Go's `url.PathEscape`.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b':')
    .remove(b'=')
    .remove(b'@');

impl Operation {
    /// The operations of the request at index `entry` of the mix: one, or two of a `postDel`.
    pub(crate) fn all(entry: usize, plan: &Plan, phase: &Phase, target: &Target) -> Result<Vec<Self>> {
        let request = &phase.mix[entry].request;
        let build = Builder { entry, request, plan, phase, target };
        match request {
            Request::PostDel(_) => {
                let created = Arc::default();
                let effects = [Effect::Creates(Arc::clone(&created)), Effect::Deletes(created)];
                effects.into_iter().map(|effect| build.operation(effect)).collect()
            }
            _ => Ok(vec![build.operation(Effect::None)?]),
        }
    }
}

struct Builder<'a> {
    entry: usize,
    request: &'a Request,
    plan: &'a Plan,
    phase: &'a Phase,
    target: &'a Target,
}

impl Builder<'_> {
    fn operation(&self, effect: Effect) -> Result<Operation> {
        let (verb, method) = self.verb(&effect);
        let path = self.path();
        let query = self.query(&method);
        let base = self.target.base(self.phase.protocol);
        let (place, masked) = match self.name(&method) {
            Some(name) => {
                let name = utf8_percent_encode(&name, SEGMENT).to_string();
                let (before, after) = (format!("{base}{path}/"), format!("?{query}"));
                self.uri(&format!("{before}{name}-0{after}"))?;
                (Place::Named { name, before, after }, format!("{path}/:name?{query}"))
            }
            None => (Place::Fixed(self.uri(&format!("{base}{path}?{query}"))?), format!("{path}?{query}")),
        };
        Ok(Operation {
            entry: self.entry,
            kind: self.request.kind(),
            label: format!("{verb} {masked}").into(),
            reads: match self.request {
                Request::StaleList(_) | Request::QuorumList(_) => Reads::List,
                Request::WatchList(_) => Reads::Events,
                _ => Reads::Bytes,
            },
            reads_only: method == Method::GET,
            objects: match self.request {
                Request::Put(put) => put.key_space_size,
                Request::Patch(patch) => patch.key_space_size,
                _ => u64::MAX,
            },
            effect,
            headers: self.headers(&method)?,
            payload: self.payload(&method),
            method,
            place,
        })
    }

    /// The verb that a report shows, and the method that is sent.
    fn verb(&self, effect: &Effect) -> (&'static str, Method) {
        match self.request {
            Request::PostDel(_) if matches!(effect, Effect::Deletes(_)) => ("DELETE", Method::DELETE),
            Request::PostDel(_) => ("POST", Method::POST),
            Request::StaleList(_) | Request::QuorumList(_) => ("LIST", Method::GET),
            Request::WatchList(_) => ("WATCHLIST", Method::GET),
            Request::StaleGet(_) | Request::QuorumGet(_) => ("GET", Method::GET),
            Request::GetPodLog(_) => ("POD_LOG", Method::GET),
            Request::Put(_) => ("PUT", Method::PUT),
            Request::Patch(_) => ("PATCH", Method::PATCH),
        }
    }

    /// The path, up to the name where that changes.
    fn path(&self) -> String {
        let (group, version, resource, namespace, name) = match self.request {
            Request::StaleList(r) | Request::QuorumList(r) => {
                (&*r.group, &*r.version, &*r.resource, &*r.namespace, None)
            }
            Request::WatchList(r) => (&*r.group, &*r.version, &*r.resource, &*r.namespace, None),
            Request::StaleGet(r) | Request::QuorumGet(r) => {
                (&*r.group, &*r.version, &*r.resource, &*r.namespace, Some(&*r.name))
            }
            Request::Put(r) => (&*r.group, &*r.version, &*r.resource, &*r.namespace, None),
            Request::Patch(r) => (&*r.group, &*r.version, &*r.resource, &*r.namespace, None),
            Request::GetPodLog(r) => ("", "v1", "pods", &*r.namespace, Some(&*r.name)),
            Request::PostDel(r) => (&*r.group, &*r.version, &*r.resource, &*r.namespace, None),
        };
        let mut segments = if group.is_empty() { vec!["api", version] } else { vec!["apis", group, version] };
        if !namespace.is_empty() {
            segments.extend(["namespaces", namespace]);
        }
        segments.push(resource);
        segments.extend(name);
        if matches!(self.request, Request::GetPodLog(_)) {
            segments.push("log");
        }
        segments.iter().map(|segment| format!("/{}", utf8_percent_encode(segment, SEGMENT))).collect()
    }

    /// First part of the name where it changes from request to request.
    fn name(&self, method: &Method) -> Option<String> {
        match self.request {
            Request::Put(put) => Some(put.name.clone()),
            Request::Patch(patch) => Some(patch.name.clone()),
            Request::PostDel(_) if *method == Method::DELETE => Some(self.pod_name()),
            _ => None,
        }
    }

    fn pod_name(&self) -> String {
        format!("{}-{}", self.plan.prefix, self.entry)
    }

    /// The query, sorted by key as Go's `url.Values` writes it.
    fn query(&self, method: &Method) -> String {
        let mut query = BTreeMap::from([("timeout", go_duration(self.phase.timeout))]);
        let mut set = |key, value: &str| {
            if !value.is_empty() {
                query.insert(key, value.to_owned());
            }
        };
        match self.request {
            Request::StaleList(list) | Request::QuorumList(list) => {
                set("labelSelector", &list.selector);
                set("fieldSelector", &list.field_selector);
                if list.limit > 0 {
                    set("limit", &list.limit.to_string());
                }
            }
            Request::WatchList(watch) => {
                set("labelSelector", &watch.selector);
                set("fieldSelector", &watch.field_selector);
                set("allowWatchBookmarks", "true");
                set("resourceVersionMatch", "NotOlderThan");
                set("sendInitialEvents", "true");
                set("watch", "true");
            }
            Request::GetPodLog(log) => {
                set("container", &log.container);
                set("tailLines", &log.tail_lines.map(|n| n.to_string()).unwrap_or_default());
                set("limitBytes", &log.limit_bytes.map(|n| n.to_string()).unwrap_or_default());
            }
            _ => {}
        }
        if *method == Method::GET && matches!(self.request, Request::StaleList(_) | Request::StaleGet(_)) {
            set("resourceVersion", "0");
        }
        form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish()
    }

    fn headers(&self, method: &Method) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(self.phase.content.accept()));
        let agent = HeaderValue::from_str(&self.plan.user_agent);
        headers.insert(
            USER_AGENT,
            agent.map_err(|_bad| self.wrong("the User-Agent has characters that no header may have"))?,
        );
        if self.phase.gzip {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if self.phase.protocol == Protocol::Http1 {
            headers.insert(HOST, self.target.host_header()?);
        }
        if let Request::Patch(patch) = self.request {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(patch.patch_type.content_type()));
        } else if *method == Method::POST || *method == Method::PUT {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Ok(headers)
    }

    fn payload(&self, method: &Method) -> Payload {
        match self.request {
            Request::Put(put) => {
                Payload::ConfigMap { namespace: put.namespace.clone(), name: put.name.clone(), bytes: put.payload_size }
            }
            Request::Patch(patch) => Payload::Fixed(patch.body.clone().into()),
            Request::PostDel(pods) if *method == Method::POST => Payload::Pod {
                namespace: pods.namespace.clone(),
                name: self.pod_name(),
                labels: self.plan.labels.clone(),
                padding: "x".repeat(pods.payload_size),
            },
            _ => Payload::None,
        }
    }

    fn uri(&self, text: &str) -> Result<Uri> {
        text.parse().map_err(|bad| self.wrong(&format!("{text} is no URL: {bad}")))
    }

    fn wrong(&self, cause: &str) -> Error {
        Error::Target { url: self.target.url(), cause: cause.to_owned() }
    }
}

impl PatchType {
    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json-patch+json",
            Self::Merge => "application/merge-patch+json",
            Self::StrategicMerge => "application/strategic-merge-patch+json",
        }
    }
}
