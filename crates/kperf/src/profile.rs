//! Load profiles: kperf's own files, read strictly.
//!
//! A profile up to v0.3.4 has one `spec`, one of v0.3.5 a list of `specs` that are run one after the other. Fields, their
//! names and their defaults are those of `api/types/load_traffic.go` and `cmd/kperf/commands/runner/runner.go` of
//! Azure/kperf v0.3.5. What differs: an unknown key is an error, `total` and `duration` together are told in every spec,
//! and each spec gets the connections, the rate and the content type that it names.

mod check;
mod error;
mod overrides;
mod plan;
mod tree;

use std::path::Path;

use apiload::{Content, Get, List, Patch, PodLog, PostDel, Put, Request, WatchList};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub(crate) use check::{Check, Wrong};
pub use error::ProfileError;
pub use overrides::{OverrideError, Overrides};
pub use plan::{Arrivals, Sending};
use tree::Node;
pub(crate) use tree::Step;

/// Requests of a spec that says neither `total` nor `duration`: the default of kperf's `--total`.
pub const DEFAULT_TOTAL: u64 = 1_000;

/// What load to put on an apiserver: a profile of kperf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = json!([{"required": ["spec"]}, {"required": ["specs"]}])))]
pub struct LoadProfile {
    /// Where an editor finds the schema of this file.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    schema: Option<String>,
    /// Version of the format: 1.
    version: u32,
    /// What the load is.
    #[serde(default)]
    description: String,
    /// The load, as in profiles up to kperf v0.3.4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spec: Option<Spec>,
    /// The phases of the load, as in profiles from kperf v0.3.5 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    specs: Option<Vec<Spec>>,
}

/// One phase of a load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// Requests per second; 0 for as many as the connections carry.
    #[serde(default)]
    pub rate: f64,
    /// Requests in all. With `duration` as well, `duration` is ignored; with neither, 1,000.
    #[serde(default)]
    pub total: u64,
    /// Seconds.
    #[serde(default)]
    pub duration: u64,
    /// Transports; 1 if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conns: Option<usize>,
    /// Virtual clients, of which client `i` is on transport `i mod conns`; 1 if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<usize>,
    /// Representation of the answers; `json` if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<Content>,
    /// HTTP/1.1 instead of HTTP/2.
    #[serde(default, rename = "disableHTTP2")]
    pub disable_http2: bool,
    /// How often a request is sent again after 429 with `Retry-After`; 0 or less for never.
    #[serde(default)]
    pub max_retries: i64,
    /// What is sent: each request is drawn by its share.
    pub requests: Vec<Weighted>,
}

/// A request with its share: exactly one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = KINDS.map(|kind| json!({"required": [kind]}))))]
pub struct Weighted {
    /// Its weight among the others; 0 is never sent.
    #[serde(default)]
    pub shares: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stale_list: Option<List>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quorum_list: Option<List>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    watch_list: Option<WatchList>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stale_get: Option<Get>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quorum_get: Option<Get>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    put: Option<Put>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    patch: Option<Patch>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    get_pod_log: Option<PodLog>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    post_del: Option<PostDel>,
}

/// The kinds of requests, as they are spelled.
const KINDS: [&str; 9] =
    ["staleList", "quorumList", "watchList", "staleGet", "quorumGet", "put", "patch", "getPodLog", "postDel"];

/// Which of the two forms a profile has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// One `spec`.
    Spec,
    /// A list of `specs`.
    Specs,
}

impl LoadProfile {
    /// Reads a profile.
    ///
    /// # Errors
    /// When the file cannot be read, is no YAML, has a key that there is none of, or asks for what cannot be sent: with
    /// file, line, column and field.
    pub fn read(path: &Path) -> Result<Self, ProfileError> {
        read(path)
    }

    /// Reads a profile from a text that came from `file`.
    ///
    /// # Errors
    /// As [`LoadProfile::read`].
    pub fn parse(file: &str, text: &str) -> Result<Self, ProfileError> {
        parse(file, text)
    }

    /// What the load is.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Its form.
    pub fn form(&self) -> Form {
        if self.spec.is_some() { Form::Spec } else { Form::Specs }
    }

    /// Its phases, in order.
    pub fn specs(&self) -> &[Spec] {
        match (&self.spec, &self.specs) {
            (Some(spec), _) => std::slice::from_ref(spec),
            (None, specs) => specs.as_deref().unwrap_or_default(),
        }
    }

    /// The same load in another namespace: every request that names one goes to this one.
    #[must_use]
    pub fn in_namespace(mut self, namespace: &str) -> Self {
        for spec in self.spec.iter_mut().chain(self.specs.iter_mut().flatten()) {
            spec.requests.iter_mut().for_each(|weighted| weighted.move_to(namespace));
        }
        self
    }

    fn first_mut(&mut self) -> Option<&mut Spec> {
        self.spec.as_mut().or(self.specs.as_mut().and_then(|specs| specs.first_mut()))
    }
}

impl Spec {
    /// Transports.
    pub fn conns(&self) -> usize {
        self.conns.unwrap_or(1)
    }

    /// Virtual clients.
    pub fn clients(&self) -> usize {
        self.client.unwrap_or(1)
    }

    /// Requests in all; `None` where time ends the phase.
    pub fn total(&self) -> Option<u64> {
        match (self.total, self.duration) {
            (0, 0) => Some(DEFAULT_TOTAL),
            (0, _) => None,
            (total, _) => Some(total),
        }
    }
}

impl Weighted {
    /// The kinds that it names; one, in a profile that was read.
    pub(crate) fn named(&self) -> Vec<Request> {
        let core = |group: &String| if group == "core" { String::new() } else { group.clone() };
        let all = [
            self.stale_list.clone().map(Request::StaleList),
            self.quorum_list.clone().map(Request::QuorumList),
            self.watch_list.clone().map(Request::WatchList),
            self.stale_get.clone().map(Request::StaleGet),
            self.quorum_get.clone().map(Request::QuorumGet),
            // Of these two kperf takes `core` for the core group, which has no name.
            self.put.clone().map(|put| Request::Put(Put { group: core(&put.group), ..put })),
            self.patch.clone().map(Request::Patch),
            self.get_pod_log.clone().map(Request::GetPodLog),
            self.post_del.clone().map(|pods| Request::PostDel(PostDel { group: core(&pods.group), ..pods })),
        ];
        all.into_iter().flatten().collect()
    }

    fn move_to(&mut self, namespace: &str) {
        let Self {
            stale_list, quorum_list, watch_list, stale_get, quorum_get, put, patch, get_pod_log, post_del, ..
        } = self;
        let named = [
            stale_list.as_mut().map(|request| &mut request.namespace),
            quorum_list.as_mut().map(|request| &mut request.namespace),
            watch_list.as_mut().map(|request| &mut request.namespace),
            stale_get.as_mut().map(|request| &mut request.namespace),
            quorum_get.as_mut().map(|request| &mut request.namespace),
            put.as_mut().map(|request| &mut request.namespace),
            patch.as_mut().map(|request| &mut request.namespace),
            get_pod_log.as_mut().map(|request| &mut request.namespace),
            post_del.as_mut().map(|request| &mut request.namespace),
        ];
        for old in named.into_iter().flatten().filter(|old| !old.is_empty()) {
            namespace.clone_into(old);
        }
    }
}

/// Reads a file of kperf strictly.
pub(crate) fn read<T: DeserializeOwned + Check>(path: &Path) -> Result<T, ProfileError> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| ProfileError::unplaced(&file, format!("cannot be read: {error}")))?;
    parse(&file, &text)
}

/// Reads a text strictly, and says where what is wrong with it stands.
pub(crate) fn parse<T: DeserializeOwned + Check>(file: &str, text: &str) -> Result<T, ProfileError> {
    let parsed = tree::strictly::<T>(text);
    let tree = tree::strictly::<Node>(text);
    match (parsed, tree) {
        (Ok(parsed), Ok(tree)) => match parsed.check() {
            Ok(()) => Ok(parsed),
            Err(wrong) => Err(ProfileError::at(file, &wrong.path, tree.locate(&wrong.path), wrong.message)),
        },
        (Err(error), Ok(tree)) => {
            let at = error.location().unwrap_or(serde_saphyr::Location::UNKNOWN);
            Err(ProfileError::at(file, &tree.path_to(at), at, tree::message(&error)))
        }
        (_, Err(error)) => {
            let at = error.location().unwrap_or(serde_saphyr::Location::UNKNOWN);
            Err(ProfileError::at(file, &[], at, tree::message(&error)))
        }
    }
}
