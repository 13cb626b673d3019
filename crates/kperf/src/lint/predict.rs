//! What follows from a phase alone, and from what a cluster said of its requests.

use std::time::Duration;

use apiload::Request;

use super::probe::Probe;
use crate::profile::Spec;

/// Streams that a kube-apiserver lets a client open on one HTTP/2 connection
/// (`--http2-max-streams-per-connection`, default 100 in k8s.io/apiserver `options.NewSecureServingOptions`).
const STREAMS: usize = 100;

/// No request over TCP is answered faster than this; where no cluster was asked, it stands for every answer. A bare
/// `/readyz` over loopback was seen to take 450 µs at best.
const FASTEST: Duration = Duration::from_micros(100);

/// What etcd stores of an object beside its payload: metadata and managed fields. Read with `etcdctl get` on Kubernetes
/// v1.36: 1,268 bytes of a ConfigMap with a payload of 1,000 that was put.
const OBJECT_BYTES: f64 = 268.0;
/// The same of a Pod, which has a spec and a status as well: 2,537 bytes with a padding of 1,000.
const POD_BYTES: f64 = 1_537.0;

/// What a phase will do.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Requests; none where the phase ends by time and has no rate.
    pub requests: Option<u64>,
    /// How long it takes; none where it has a total and no rate.
    pub duration: Option<Duration>,
    /// Virtual clients.
    pub clients: usize,
    /// Connections that are opened.
    pub sockets: usize,
    /// Each of its requests.
    pub kinds: Vec<Kind>,
    /// Why it cannot work.
    pub problems: Vec<String>,
}

/// What one request of a phase will do.
#[derive(Clone, Debug, PartialEq)]
pub struct Kind {
    /// Its kind, and what it is about.
    pub label: String,
    /// Its share, 0 to 1.
    pub share: f64,
    /// How often it is sent.
    pub requests: Option<f64>,
    /// Bytes of its answers; where a cluster was asked.
    pub bytes: Option<f64>,
    /// Objects that it writes.
    pub written: Option<f64>,
    /// By how much etcd grows, at least: history is kept until it is compacted.
    pub etcd_bytes: Option<f64>,
}

impl Prediction {
    /// What `spec` will do, on a cluster that answered `probes`, one for each of its requests; or on none.
    pub fn of(spec: &Spec, probes: &[Probe]) -> Self {
        let requests = match spec.total() {
            Some(total) => Some(total),
            None => (spec.rate > 0.0).then(|| (spec.rate * spec.duration as f64).ceil() as u64),
        };
        let duration = match spec.total() {
            Some(total) if spec.rate > 0.0 => Some(Duration::from_secs_f64(total as f64 / spec.rate)),
            Some(_) => None,
            None => Some(Duration::from_secs(spec.duration)),
        };
        let shares: u64 = spec.requests.iter().map(|weighted| u64::from(weighted.shares)).sum();
        let all = spec.requests.iter().flat_map(|weighted| {
            weighted.named().into_iter().map(|request| (f64::from(weighted.shares) / shares.max(1) as f64, request))
        });
        let all: Vec<(f64, Request)> = all.collect();
        let kinds = all.iter().enumerate().map(|(entry, (share, request))| {
            let sent = requests.map(|n| n as f64 * share);
            let (written, etcd_bytes) = sent.map(|sent| writes(request, sent)).unzip();
            let bytes = sent.zip(probes.get(entry).and_then(|probe| probe.bytes)).map(|(sent, bytes)| sent * bytes);
            Kind { label: label(request), share: *share, requests: sent, bytes, written, etcd_bytes }
        });
        let sockets = if spec.disable_http2 { spec.clients() } else { spec.conns().min(spec.clients()) };
        let mut problems: Vec<String> = probes.iter().filter_map(|probe| probe.problem.clone()).collect();
        problems.extend(too_fast(spec, sockets, &all, probes));
        Self { requests, duration, clients: spec.clients(), sockets, kinds: kinds.collect(), problems }
    }
}

/// What a request is about.
fn label(request: &Request) -> String {
    let (resource, namespace) = match request {
        Request::StaleList(r) | Request::QuorumList(r) => (r.resource.as_str(), r.namespace.as_str()),
        Request::WatchList(r) => (r.resource.as_str(), r.namespace.as_str()),
        Request::StaleGet(r) | Request::QuorumGet(r) => (r.resource.as_str(), r.namespace.as_str()),
        Request::Put(r) => (r.resource.as_str(), r.namespace.as_str()),
        Request::Patch(r) => (r.resource.as_str(), r.namespace.as_str()),
        Request::GetPodLog(r) => ("pods/log", r.namespace.as_str()),
        Request::PostDel(r) => (r.resource.as_str(), r.namespace.as_str()),
    };
    let namespace = if namespace.is_empty() { String::new() } else { format!(" in {namespace}") };
    format!("{} {resource}{namespace}", request.kind())
}

/// Objects that so many of a request write, and the bytes that etcd grows by.
fn writes(request: &Request, sent: f64) -> (f64, f64) {
    let of = |written: f64, bytes: f64| (written, written * bytes);
    match request {
        Request::Put(put) => of(sent, put.payload_size as f64 + OBJECT_BYTES),
        // How large the rest of the object is nobody said. The same patch again changes nothing, and is not written.
        Request::Patch(patch) => of(sent.min(patch.key_space_size as f64), patch.body.len() as f64 + OBJECT_BYTES),
        // A deletion writes the Pod once more, and then a mark. What scheduler and kubelet write comes on top.
        Request::PostDel(pods) => of(sent, pods.payload_size as f64 + POD_BYTES),
        _ => (0.0, 0.0),
    }
}

/// Why the clients cannot carry the rate, if so: each has one request in flight (Little's law).
fn too_fast(spec: &Spec, sockets: usize, all: &[(f64, Request)], probes: &[Probe]) -> Option<String> {
    let in_flight = if spec.disable_http2 { spec.clients() } else { spec.clients().min(sockets * STREAMS) };
    let time = |entry: usize| probes.get(entry).and_then(|probe| probe.service).unwrap_or(FASTEST);
    let mean: f64 = all.iter().enumerate().map(|(entry, (share, _))| share * time(entry).as_secs_f64()).sum();
    let carried = in_flight as f64 / mean.max(FASTEST.as_secs_f64());
    (spec.rate > carried).then(|| {
        format!(
            "rate {} is more than {} clients on {sockets} connections can carry: {in_flight} requests in flight that \
             take {:.1} ms each are at most {carried:.0} a second; give at least {:.0} clients",
            spec.rate,
            spec.clients(),
            mean.max(FASTEST.as_secs_f64()) * 1e3,
            (spec.rate * mean.max(FASTEST.as_secs_f64())).ceil(),
        )
    })
}
